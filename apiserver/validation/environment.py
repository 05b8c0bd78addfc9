"""Rules for a container's environment, and for what the downward API may tell it.

Source: Kubernetes' core validation (ValidateEnv, ValidateEnvFrom, validateObjectFieldSelector).
"""

from __future__ import annotations

import re
from typing import Any

from k8slite.errors import Cause, invalid_value, not_found_value, not_supported, required

from . import names
from .paths import inside
from .resources import amount, text

Document = dict[str, Any]

_ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
VOLUME_FIELDS = ("metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid")
"""What a file of the downward API may hold."""
_KNOWN_FIELDS = frozenset(
    {*_ENV_FIELDS, *VOLUME_FIELDS, "spec.restartPolicy", "spec.schedulerName", "status.phase", "spec.host"}
)
_WITH_KEYS = ("metadata.labels", "metadata.annotations")
_RESOURCES = tuple(
    f"{kind}.{name}" for kind in ("limits", "requests") for name in ("cpu", "memory", "ephemeral-storage")
)
_HUGE_PAGES = ("requests.hugepages-", "limits.hugepages-")
_BYTES = ("1", *(f"1{unit}" for unit in ("k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")))
_DIVISORS = {
    "cpu": (("1m", "1"), "cpu"),
    "memory": (_BYTES, "memory"),
    "ephemeral-storage": (_BYTES, "local ephemeral storage"),
}
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_subscript = re.compile(r"(.*)\['(.*)'\]", re.DOTALL).fullmatch


def environment(variables: list[Document], field: str, volumes: dict[str, Document]) -> list[Cause]:
    """What is wrong with `env`."""
    causes: list[Cause] = []
    for index, variable in enumerate(variables):
        name, here = variable.get("name") or "", f"{field}[{index}]"
        if not name:
            causes.append(required(f"{here}.name"))
        elif problem := names.environment_name(name):
            causes.append(invalid_value(f"{here}.name", name, problem))
        if (source := variable.get("valueFrom")) is not None:
            causes += _source(source, variable.get("value") or "", f"{here}.valueFrom", volumes)
    return causes


def environment_from(sources: list[Document], field: str) -> list[Cause]:
    """What is wrong with `envFrom`."""
    causes: list[Cause] = []
    for index, source in enumerate(sources):
        here, prefix = f"{field}[{index}]", source.get("prefix")
        if prefix and (problem := names.environment_name(prefix)):
            causes.append(invalid_value(f"{here}.prefix", prefix, problem))
        chosen = [kind for kind in ("configMapRef", "secretRef") if source.get(kind) is not None]
        for kind in chosen:
            name = source[kind].get("name") or ""
            if not name:
                causes.append(required(f"{here}.{kind}.name"))
            elif problem := names.dns_subdomain(names.base(name)):
                causes.append(invalid_value(f"{here}.{kind}.name", name, problem))
        if not chosen:
            causes.append(invalid_value(field, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(chosen) > 1:
            causes.append(invalid_value(field, "", "may not have more than one field specified at a time"))
    return causes


def _source(source: Document, value: str, field: str, volumes: dict[str, Document]) -> list[Cause]:
    causes: list[Cause] = []
    chosen = [kind for kind in _SOURCES if source.get(kind) is not None]
    for kind in chosen:
        reference, here = source[kind], f"{field}.{kind}"
        match kind:
            case "fieldRef":
                causes += field_reference(reference, here, _ENV_FIELDS)
            case "resourceFieldRef":
                causes += resource_reference(reference, here, volume=False)
            case "fileKeyRef":
                causes += _file_key(reference, here, volumes)
            case _:
                causes += _key(reference, here)
    if not chosen:
        options = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        causes.append(invalid_value(field, "", f"must specify one of: {options}"))
    elif value:
        causes.append(invalid_value(field, "", "may not be specified when `value` is not empty"))
    elif len(chosen) > 1:
        causes.append(invalid_value(field, "", "may not have more than one field specified at a time"))
    return causes


def _key(reference: Document, field: str) -> list[Cause]:
    causes: list[Cause] = []
    name, key = reference.get("name") or "", reference.get("key") or ""
    if problem := names.dns_subdomain(name):
        causes.append(invalid_value(f"{field}.name", name, problem))
    if not key:
        causes.append(required(f"{field}.key"))
    elif problem := names.config_key(key):
        causes.append(invalid_value(f"{field}.key", key, problem))
    return causes


def _file_key(reference: Document, field: str, volumes: dict[str, Document]) -> list[Cause]:
    causes: list[Cause] = []
    key, name, path = (reference.get(part) or "" for part in ("key", "volumeName", "path"))
    if not key:
        causes.append(required(f"{field}.key"))
    elif problem := names.environment_name(key):
        causes.append(invalid_value(f"{field}.key", key, problem))
    if not name:
        causes.append(required(f"{field}.volumeName"))
    elif problem := names.dns_label(name):
        causes.append(invalid_value(f"{field}.volumeName", name, problem))
    elif name not in volumes:
        causes.append(not_found_value(f"{field}.volumeName", name))
    elif "emptyDir" not in volumes[name]:
        causes.append(invalid_value(f"{field}.volumeName", name, "referenced volume must be of type emptyDir"))
    return causes + ([] if path else [required(f"{field}.path")]) + inside(path, f"{field}.path")


def field_reference(reference: Document, field: str, allowed: tuple[str, ...]) -> list[Cause]:
    """A reference to a field of the pod."""
    version, path = reference.get("apiVersion") or "", reference.get("fieldPath") or ""
    if not version:
        return [required(f"{field}.apiVersion")]
    if not path:
        return [required(f"{field}.fieldPath")]
    here = f"{field}.fieldPath"
    if version != "v1":
        detail = f"error converting fieldPath: unsupported pod version: {version}"
        return [invalid_value(here, path, detail)]
    if path in allowed:
        return []
    if found := _subscript(path):
        base, key = found.groups()
        if base not in _WITH_KEYS:
            detail = f"error converting fieldPath: field label does not support subscript: {path}"
            return [invalid_value(here, path, detail)]
        key = key.lower() if base == "metadata.annotations" else key
        problem = names.qualified_name(key)
        return [invalid_value(field, key, problem)] if problem else []
    if path not in _KNOWN_FIELDS:
        return [invalid_value(here, path, f"error converting fieldPath: field label not supported: {path}")]
    return [not_supported(here, path, allowed)]


def resource_reference(reference: Document, field: str, *, volume: bool) -> list[Cause]:
    """A reference to a container's requests or limits; in a volume it must name the container."""
    causes: list[Cause] = []
    resource = reference.get("resource") or ""
    if volume and not reference.get("containerName"):
        causes.append(required(f"{field}.containerName"))
    elif not resource:
        causes.append(required(f"{field}.resource"))
    elif resource not in _RESOURCES and not resource.startswith(_HUGE_PAGES):
        causes.append(not_supported(f"{field}.resource", resource, _RESOURCES))
    return causes + _divisor(resource, reference.get("divisor"), field)


def _divisor(resource: str, divisor: Any, field: str) -> list[Cause]:
    if divisor is None or not amount(divisor):
        return []
    kind = resource.partition(".")[2]
    allowed, words = _DIVISORS.get(kind, (_BYTES, "hugepages" if resource.startswith(_HUGE_PAGES) else ""))
    if not words or text(divisor) in allowed:
        return []
    listed = "1m and 1" if kind == "cpu" else ", ".join(allowed)
    detail = f"only divisor's values {listed} are supported with the {words} resource"
    return [invalid_value(f"{field}.divisor", resource, detail)]
