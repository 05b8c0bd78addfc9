"""Rules for how a container uses the pod's volumes: mounts and block devices.

Source: Kubernetes' core validation (ValidateVolumeMounts, ValidateVolumeDevices).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value, not_found_value, not_supported, required

from .paths import descending, no_steps_back

Document = dict[str, Any]

_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
_RECURSIONS = ("Disabled", "Enabled", "IfPossible")


def mounts(container: Document, field: str, volumes: dict[str, Document]) -> list[Cause]:
    """What is wrong with `volumeMounts`; `field` is the container's path, `volumes` the pod's good volumes."""
    causes: list[Cause] = []
    devices = {one.get("name") or "": one.get("devicePath") or "" for one in container.get("volumeDevices") or ()}
    seen: set[str] = set()
    whole = f"{field}.volumeMounts"
    for index, mount in enumerate(container["volumeMounts"]):
        name, path, here = mount.get("name") or "", mount.get("mountPath") or "", f"{whole}[{index}]"
        if not name:
            causes.append(required(f"{here}.name"))
        if name not in volumes:
            causes.append(not_found_value(f"{here}.name", name))
        if not path:
            causes.append(required(f"{here}.mountPath"))
        if path in seen:
            causes.append(invalid_value(f"{here}.mountPath", path, "must be unique"))
        seen.add(path)
        if name in devices:
            causes.append(invalid_value(f"{here}.name", name, "must not already exist in volumeDevices"))
        if path in devices.values():
            detail = "must not already exist as a path in volumeDevices"
            causes.append(invalid_value(f"{here}.mountPath", path, detail))
        if len(mount) > 2:
            causes += _options(mount, here, whole, container)
    return causes


def _options(mount: Document, field: str, whole: str, container: Document) -> list[Cause]:
    causes: list[Cause] = []
    sub, expression = mount.get("subPath") or "", mount.get("subPathExpr") or ""
    # Upstream tells these without the mount's index.
    if sub:
        causes += descending(sub, f"{whole}.subPath")
    if expression:
        if sub:
            detail = "subPathExpr and subPath are mutually exclusive"
            causes.append(invalid_value(f"{field}.subPathExpr", expression, detail))
        causes += descending(expression, f"{whole}.subPathExpr")
    propagation = mount.get("mountPropagation")
    if propagation is not None:
        if propagation not in _PROPAGATIONS:
            causes.append(not_supported(f"{whole}.mountPropagation", propagation, _PROPAGATIONS))
        if propagation == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
            detail = "Bidirectional mount propagation is available only to privileged containers"
            causes.append(forbidden_field(f"{whole}.mountPropagation", detail))
    recursion, here = mount.get("recursiveReadOnly"), f"{whole}.recursiveReadOnly"
    if recursion in ("Enabled", "IfPossible"):
        if not mount.get("readOnly"):
            causes.append(forbidden_field(here, "may only be specified when readOnly is true"))
        if propagation not in (None, "None"):
            detail = "may only be specified when mountPropagation is None or not specified"
            causes.append(forbidden_field(here, detail))
    elif recursion not in (None, "Disabled"):
        causes.append(not_supported(here, recursion, _RECURSIONS))
    return causes


def devices(container: Document, field: str, volumes: dict[str, Document]) -> list[Cause]:
    """What is wrong with `volumeDevices`."""
    causes: list[Cause] = []
    mounted = {one.get("name") or "": one.get("mountPath") or "" for one in container.get("volumeMounts") or ()}
    seen_names: set[str] = set()
    seen_paths: set[str] = set()
    for index, device in enumerate(container["volumeDevices"]):
        name, path = device.get("name") or "", device.get("devicePath") or ""
        here, volume = f"{field}.volumeDevices[{index}]", volumes.get(device.get("name") or "")
        if not name:
            causes.append(required(f"{here}.name"))
        if name in seen_names:
            causes.append(invalid_value(f"{here}.name", name, "must be unique"))
        if volume is None:
            causes.append(not_found_value(f"{here}.name", name))
        elif "persistentVolumeClaim" not in volume and "ephemeral" not in volume:
            detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            causes.append(invalid_value(f"{here}.name", name, detail))
        if not path:
            causes.append(required(f"{here}.devicePath"))
        if path in seen_paths:
            causes.append(invalid_value(f"{here}.devicePath", path, "must be unique"))
        if no_steps_back(path, here):
            causes.append(invalid_value(f"{here}.devicePath", path, "can not contain backsteps ('..')"))
        else:
            seen_paths.add(path)
        if name in mounted:
            causes.append(invalid_value(f"{here}.name", name, "must not already exist in volumeMounts"))
        if path in mounted.values():
            detail = "must not already exist as a path in volumeMounts"
            causes.append(invalid_value(f"{here}.devicePath", path, detail))
        if name:
            seen_names.add(name)
    return causes
