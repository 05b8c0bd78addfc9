"""Rules of `networking.k8s.io`: ingresses, policies, addresses.

Source: Kubernetes' validation of the group.
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, invalid_value, not_supported, required

from . import names

Document = dict[str, Any]

_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")


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
