"""Rules for RBAC, leases, budgets and ingresses.

Source: Kubernetes' rbac, coordination, policy and networking validation.
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, invalid_value, not_supported, required

from . import names
from .apps import count_or_percentage
from .selectors import label_selector

Document = dict[str, Any]

_ROLE_KINDS = ("ClusterRole", "Role")
_SUBJECT_KINDS = ("Group", "ServiceAccount", "User")
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")


def cluster_role_binding(obj: Document) -> list[Cause]:
    """What is wrong with a RoleBinding or ClusterRoleBinding."""
    causes: list[Cause] = []
    role = obj.get("roleRef") or {}
    allowed = _ROLE_KINDS if obj["metadata"].get("namespace") else _ROLE_KINDS[:1]
    if role.get("kind") not in allowed:
        causes.append(not_supported("roleRef.kind", role.get("kind") or "", allowed))
    if not role.get("name"):
        causes.append(required("roleRef.name"))
    for index, subject in enumerate(obj.get("subjects") or ()):
        here = f"subjects[{index}]"
        if not subject.get("name"):
            causes.append(required(f"{here}.name"))
        kind = subject.get("kind")
        if kind not in _SUBJECT_KINDS:
            causes.append(not_supported(f"{here}.kind", kind or "", _SUBJECT_KINDS))
        elif kind == "ServiceAccount" and not subject.get("namespace"):
            causes.append(required(f"{here}.namespace"))
    return causes


def role_ref_immutable(new: Document, old: Document) -> list[Cause]:
    """A binding is for ever about one role."""
    if new.get("roleRef") == old.get("roleRef"):
        return []
    return [invalid_value("roleRef", new.get("roleRef"), "cannot change roleRef")]


def lease(obj: Document) -> list[Cause]:
    """What is wrong with a Lease."""
    spec = obj.get("spec") or {}
    causes: list[Cause] = []
    seconds, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if seconds is not None and seconds <= 0:
        causes.append(invalid_value("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        causes.append(invalid_value("spec.leaseTransitions", transitions, "must be greater than or equal to 0"))
    return causes


def pod_disruption_budget(obj: Document) -> list[Cause]:
    """What is wrong with a PodDisruptionBudget."""
    spec = obj.get("spec") or {}
    causes: list[Cause] = []
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        detail = "minAvailable and maxUnavailable cannot be both set"
        causes.append(invalid_value("spec", spec, detail))
    for name in ("minAvailable", "maxUnavailable"):
        causes += count_or_percentage(spec.get(name), f"spec.{name}")
    return causes + label_selector(spec.get("selector"), "spec.selector")


def ingress(obj: Document) -> list[Cause]:
    """What is wrong with an Ingress."""
    spec = obj.get("spec") or {}
    causes: list[Cause] = []
    if not spec.get("rules") and not spec.get("defaultBackend"):
        detail = "either `defaultBackend` or `rules` must be specified"
        causes.append(invalid_value("spec", [], detail))
    if backend := spec.get("defaultBackend"):
        causes += _backend(backend, "spec.defaultBackend")
    for index, rule in enumerate(spec.get("rules") or ()):
        here = f"spec.rules[{index}]"
        host = rule.get("host") or ""
        if host and (problem := names.dns_subdomain(host.removeprefix("*."))):
            causes.append(invalid_value(f"{here}.host", host, problem))
        for number, path in enumerate((rule.get("http") or {}).get("paths") or ()):
            causes += _path(path, f"{here}.http.paths[{number}]")
    return causes


def _path(path: Document, field: str) -> list[Cause]:
    causes: list[Cause] = []
    kind, text = path.get("pathType"), path.get("path") or ""
    if kind is None:
        causes.append(required(f"{field}.pathType", "pathType must be specified"))
    elif kind not in _PATH_TYPES:
        causes.append(not_supported(f"{field}.pathType", kind, _PATH_TYPES))
    elif kind != "ImplementationSpecific" and not text.startswith("/"):
        causes.append(invalid_value(f"{field}.path", text, "must be an absolute path"))
    return causes + _backend(path.get("backend") or {}, f"{field}.backend")


def _backend(backend: Document, field: str) -> list[Cause]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is None and resource is None:
        return [required(field, "either `service` or `resource` must be specified")]
    if service is not None and resource is not None:
        return [invalid_value(field, "", "cannot set both resource and service backends")]
    if service is None:
        return []
    causes: list[Cause] = []
    name = service.get("name") or ""
    if not name:
        causes.append(required(f"{field}.service.name"))
    elif problem := names.dns_1035_label(name):
        causes.append(invalid_value(f"{field}.service.name", name, problem))
    port = service.get("port") or {}
    if port.get("name") and port.get("number"):
        causes.append(invalid_value(f"{field}", "", "cannot set both port name & port number"))
    elif not port.get("name") and not port.get("number"):
        causes.append(required(f"{field}", "port name or number is required"))
    return causes
