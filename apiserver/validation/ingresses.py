"""Rules for Ingresses and their classes.

Source: Kubernetes' networking validation (ValidateIngressCreate, ValidateIngressClass).
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value, not_supported, required, too_long

from . import names
from .batch import domain_prefixed_path
from .values import each, needed, spelled, unchanged

Document = dict[str, Any]

_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_SCOPES = ("Cluster", "Namespace")
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDS = ("/..", "/.")
_CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_LONGEST_CONTROLLER = 250
_WILDCARD = r"\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_is_wildcard = re.compile(_WILDCARD).fullmatch


def ingress(obj: Document) -> list[Cause]:
    """What is wrong with an Ingress."""
    spec = obj.get("spec") or {}
    rules, backend = spec.get("rules"), spec.get("defaultBackend")
    causes: list[Cause] = []
    if not rules and backend is None:
        causes.append(invalid_value("spec", rules, "either `defaultBackend` or `rules` must be specified"))
    if backend is not None:
        causes += _backend(backend, "spec.defaultBackend")
    causes += each(rules, "spec.rules", _rule) + each(spec.get("tls"), "spec.tls", _tls)
    return causes + spelled(spec.get("ingressClassName"), "spec.ingressClassName", names.dns_subdomain)


def ingress_create(obj: Document) -> list[Cause]:
    """What is wrong with a new Ingress: its class is said once."""
    annotation = (obj["metadata"].get("annotations") or {}).get(_CLASS_ANNOTATION)
    if annotation is None or (obj.get("spec") or {}).get("ingressClassName") is None:
        return []
    detail = "can not be set when the class field is also set"
    return [invalid_value(f"annotations.{_CLASS_ANNOTATION}", annotation, detail)]


def _host(host: str, field: str) -> list[Cause]:
    if "*" not in host:
        return spelled(host, field, names.dns_subdomain)
    if _is_wildcard(host):
        return []
    detail = (
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
        "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', "
        f"regex used for validation is '{_WILDCARD}')"
    )
    return [invalid_value(field, host, detail)]


def _tls(tls: Document, field: str) -> list[Cause]:
    causes = each(tls.get("hosts"), f"{field}.hosts", _host)
    return causes + (
        spelled(secret, f"{field}.secretName", names.dns_subdomain) if (secret := tls.get("secretName")) else []
    )


def _rule(rule: Document, field: str) -> list[Cause]:
    causes: list[Cause] = []
    if host := rule.get("host"):
        if _is_address(host):
            causes.append(invalid_value(f"{field}.host", host, "must be a DNS name, not an IP address"))
        causes += _host(host, f"{field}.host")
    if (http := rule.get("http")) is not None:
        causes += needed(http.get("paths"), f"{field}.http.paths")
        causes += each(http.get("paths"), f"{field}.http.paths", _path)
    return causes


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _path(path: Document, field: str) -> list[Cause]:
    kind, text, here = path.get("pathType"), path.get("path") or "", f"{field}.path"
    if kind is None:
        return [required(f"{field}.pathType", "pathType must be specified")]
    causes: list[Cause] = []
    if kind not in _PATH_TYPES:
        causes.append(not_supported(f"{field}.pathType", kind, _PATH_TYPES))
    elif not text.startswith("/") and (text or kind != "ImplementationSpecific"):
        causes.append(invalid_value(here, text, "must be an absolute path"))
    if kind in ("Exact", "Prefix"):
        causes += [invalid_value(here, text, f"must not contain '{bad}'") for bad in _BAD_SEQUENCES if bad in text]
        causes += [invalid_value(here, text, f"cannot end with '{bad}'") for bad in _BAD_ENDS if text.endswith(bad)]
    return causes + _backend(path.get("backend") or {}, f"{field}.backend")


def _backend(backend: Document, field: str) -> list[Cause]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        return [invalid_value(field, "", "cannot set both resource and service backends")]
    if resource is not None:
        return _reference(resource, f"{field}.resource")
    if service is None:
        return [invalid_value(field, "", "resource or service backend is required")]
    name, port = service.get("name") or "", service.get("port") or {}
    causes = (
        spelled(name, f"{field}.service.name", names.dns_1035_label) if name else [required(f"{field}.service.name")]
    )
    if port.get("name") and port.get("number"):
        causes.append(invalid_value(field, "", "cannot set both port name & port number"))
    elif port.get("name"):
        causes += spelled(port["name"], f"{field}.service.port.name", names.port_name)
    elif not port.get("number"):
        causes.append(required(field, "port name or number is required"))
    elif problem := names.port(port["number"]):
        causes.append(invalid_value(f"{field}.service.port.number", port["number"], problem))
    return causes


def _reference(reference: Document, field: str) -> list[Cause]:
    causes = spelled(reference.get("apiGroup"), f"{field}.apiGroup", names.dns_subdomain)
    for name in ("kind", "name"):
        value = reference.get(name)
        if not value:
            causes.append(required(f"{field}.{name}", f"{name} is required"))
        else:
            causes += spelled(value, f"{field}.{name}", names.path_segment)
    return causes


def ingress_class(obj: Document) -> list[Cause]:
    """What is wrong with an IngressClass."""
    spec = obj.get("spec") or {}
    controller, parameters = spec.get("controller") or "", spec.get("parameters")
    causes: list[Cause] = []
    if len(controller) > _LONGEST_CONTROLLER:
        causes.append(too_long("spec.controller", _LONGEST_CONTROLLER))
    causes += domain_prefixed_path(controller, "spec.controller")
    if parameters is None:
        return causes
    field, scope, namespace = "spec.parameters", parameters.get("scope"), parameters.get("namespace")
    causes += _reference(parameters, field)
    if scope not in _SCOPES:
        causes.append(not_supported(f"{field}.scope", scope, _SCOPES) if scope else required(f"{field}.scope"))
    if scope == "Namespace":
        if namespace:
            causes += spelled(namespace, f"{field}.namespace", names.dns_label)
        else:
            causes.append(required(f"{field}.namespace", "`parameters.scope` is set to 'Namespace'"))
    if scope == "Cluster" and namespace is not None:
        causes.append(forbidden_field(f"{field}.namespace", "`parameters.scope` is set to 'Cluster'"))
    return causes


def ingress_class_update(new: Document, old: Document) -> list[Cause]:
    """A class is for ever of one controller."""
    return unchanged(new, old, "spec.controller")
