"""Rules for annotations that mean something to the kubelet, the scheduler or a controller.

Source: Kubernetes' core validation (ValidatePodSpecificAnnotations, validateSeccompAnnotationsAndFields,
validateAppArmorAnnotationsAndFieldsMatchOnCreate).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value

from .affinity import tolerations
from .paths import descending
from .security import each_container
from .sequences import natural

Document = dict[str, Any]

MIRROR = "kubernetes.io/config.mirror"
"""On the pod that stands for one which its kubelet started by itself."""
APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
"""The beginning of the keys that gave containers profiles before a field did."""
_COST = "controller.kubernetes.io/pod-deletion-cost"
_TOLERATIONS = "scheduler.alpha.kubernetes.io/tolerations"
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP = "container.seccomp.security.alpha.kubernetes.io/"
_DEFAULTS = ("runtime/default", "docker/default")


def pod_annotations(annotations: Mapping[str, str], spec: Document, field: str) -> list[Cause]:
    """What is wrong with a pod's annotations, and those of a template."""
    causes: list[Cause] = []
    if MIRROR in annotations and not spec.get("nodeName"):
        detail = "must set spec.nodeName if mirror pod annotation is set"
        causes.append(invalid_value(f"{field}[{MIRROR}]", annotations[MIRROR], detail))
    if listed := annotations.get(_TOLERATIONS):
        causes += _tolerations(listed, field)
    if (cost := annotations.get(_COST)) is not None and not _is_int32(cost):
        causes.append(invalid_value(f"{field}[{_COST}]", cost, "must be a 32bit integer"))
    for key, value in annotations.items():
        if key == _SECCOMP_POD or key.startswith(_SECCOMP):
            causes += _seccomp(value, f"{field}.{key}")
    for key, value in annotations.items():
        if not key.startswith(APP_ARMOR):
            continue
        name = key.removeprefix(APP_ARMOR)
        if not any(container.get("name") == name for container, _ in each_container(spec, "")):
            causes.append(invalid_value(f"{field}[{key}]", name, "container not found"))
        if value not in ("", "runtime/default", "unconfined") and not value.startswith("localhost/"):
            detail = f'invalid AppArmor profile name: "{value}"'
            causes.append(invalid_value(f"{field}[{key}]", value, detail))
    return causes


def annotation_changes(new: Mapping[str, str], old: Mapping[str, str]) -> list[Cause]:
    """What changed in a pod's annotations that must not."""
    causes: list[Cause] = []
    for key, value in old.items():
        if new.get(key) != value:
            if key.startswith(APP_ARMOR):
                causes.append(_refused(key, "may not remove or update AppArmor annotations"))
            if key == MIRROR:
                causes.append(_refused(key, "may not remove or update mirror pod annotation"))
    for key in new:
        if key not in old:
            if key.startswith(APP_ARMOR):
                causes.append(_refused(key, "may not add AppArmor annotations"))
            if key == MIRROR:
                causes.append(_refused(key, "may not add mirror pod annotation"))
    return causes


def annotations_and_fields(annotations: Mapping[str, str], spec: Document, field: str) -> list[Cause]:
    """What annotations and fields say of one profile must be the same."""
    causes: list[Cause] = []
    context = spec.get("securityContext") or {}
    if _SECCOMP_POD in annotations:
        here = f"{field}.securityContext.seccompProfile"
        causes += _match(annotations[_SECCOMP_POD], context.get("seccompProfile"), here, "seccomp")
    for container, at in each_container(spec, field):
        own, name = container.get("securityContext") or {}, container.get("name") or ""
        if (value := annotations.get(_SECCOMP + name)) is not None:
            causes += _match(value, own.get("seccompProfile"), f"{at}.securityContext.seccompProfile", "seccomp")
    if (spec.get("os") or {}).get("name") == "windows":
        return causes
    for container, at in each_container(spec, field):
        own, name = container.get("securityContext") or {}, container.get("name") or ""
        if (value := annotations.get(APP_ARMOR + name)) is not None:
            profile = own.get("appArmorProfile") or context.get("appArmorProfile")
            causes += _match(value, profile, f"{at}.securityContext.appArmorProfile", "apparmor")
    return causes


def _match(annotation: str, profile: Document | None, field: str, kind: str) -> list[Cause]:
    wanted = (profile or {}).get("type")
    defaults = _DEFAULTS if kind == "seccomp" else _DEFAULTS[:1]
    if (
        (wanted == "Unconfined" and annotation != "unconfined")
        or (wanted == "RuntimeDefault" and annotation not in defaults)
        or (wanted == "Localhost" and not annotation.startswith("localhost/"))
    ):
        return [forbidden_field(f"{field}.type", f"{kind} type in annotation and field must match")]
    if profile and wanted == "Localhost" and annotation.removeprefix("localhost/") != profile.get("localhostProfile"):
        return [forbidden_field(f"{field}.localhostProfile", f"{kind} profile in annotation and field must match")]
    return []


def _refused(key: str, detail: str) -> Cause:
    return forbidden_field(f"metadata.annotations[{key}]", detail)


def _tolerations(text: str, field: str) -> list[Cause]:
    try:
        listed = json.loads(text)
    except ValueError as error:
        return [invalid_value(field, _TOLERATIONS, str(error))]
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        detail = "json: cannot unmarshal into Go value of type []core.Toleration"
        return [invalid_value(field, _TOLERATIONS, detail)]
    return tolerations(listed, f"{field}.{_TOLERATIONS}")


def _is_int32(text: str) -> bool:
    digits = text.removeprefix("-")
    plain = digits.isascii() and digits.isdecimal() and (digits == "0" or digits[0] != "0")
    return plain and natural(digits) < (1 << 31) + (digits != text)


def _seccomp(profile: str, field: str) -> list[Cause]:
    if profile in (*_DEFAULTS, "unconfined"):
        return []
    if profile.startswith("localhost/"):
        return descending(profile.removeprefix("localhost/"), field)
    return [invalid_value(field, profile, "must be a valid seccomp profile")]
