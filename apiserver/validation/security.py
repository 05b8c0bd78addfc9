"""Rules for security contexts, of pods and of containers, and for what a pod's operating system forbids.

Source: Kubernetes' core validation (ValidateSecurityContext, validatePodSpecSecurityContext, validateOS).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from k8slite.errors import Cause, duplicate, forbidden_field, invalid_value, not_supported, required, too_long

from .paths import descending
from .windows import options as windows_options

Document = dict[str, Any]

_MAX_ID = (1 << 31) - 1
_SEGMENT = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL = rf"({_SEGMENT}[\./])*{_SEGMENT}"
_is_sysctl = re.compile(_SYSCTL).fullmatch
_IPC_SYSCTLS = ("kernel.shm", "kernel.msg", "fs.mqueue.", "kernel/shm", "kernel/msg", "fs/mqueue/")
_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_PROC_MOUNTS = ("Default", "Unmasked")
_CHOICES = {
    "fsGroupChangePolicy": ("Always", "OnRootMismatch"),
    "supplementalGroupsPolicy": ("Merge", "Strict"),
    "seLinuxChangePolicy": ("MountOption", "Recursive"),
}
_NOT_ON_WINDOWS_POD = (
    *("appArmorProfile", "seLinuxOptions", "seccompProfile", "fsGroup", "fsGroupChangePolicy", "sysctls"),
    *("runAsUser", "runAsGroup", "supplementalGroups", "supplementalGroupsPolicy", "seLinuxChangePolicy"),
)
_NOT_ON_WINDOWS_SPEC = ("hostUsers", "hostPID", "hostIPC", "shareProcessNamespace")
_NOT_ON_WINDOWS_CONTAINER = (
    *("appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities", "readOnlyRootFilesystem", "privileged"),
    *("allowPrivilegeEscalation", "procMount", "runAsUser", "runAsGroup"),
)
_LONGEST_PROFILE = 4095


def each_container(spec: Document, field: str) -> Iterator[tuple[Document, str]]:
    """Every container of a pod with its path, in the order in which rules go through them."""
    for group in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(group) or ()):
            yield container, f"{field}.{group}[{index}]"


def container_context(context: Document, field: str, *, host_users: bool) -> list[Cause]:
    """What is wrong with a container's security context."""
    causes: list[Cause] = []
    for name in ("runAsUser", "runAsGroup"):
        causes += _id(context.get(name), f"{field}.{name}")
    if (mount := context.get("procMount")) is not None:
        if mount not in _PROC_MOUNTS:
            causes.append(not_supported(f"{field}.procMount", mount, _PROC_MOUNTS))
        if host_users and mount == "Unmasked":
            causes.append(invalid_value(f"{field}.procMount", mount, "`hostUsers` must be false to use `Unmasked`"))
    causes += _seccomp(context.get("seccompProfile"), f"{field}.seccompProfile")
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            causes.append(invalid_value(field, context, detail))
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            causes.append(invalid_value(field, context, detail))
    causes += windows_options(context.get("windowsOptions"), f"{field}.windowsOptions")
    return causes + _app_armor(context.get("appArmorProfile"), f"{field}.appArmorProfile")


def pod_context(spec: Document, field: str) -> list[Cause]:
    """What is wrong with a pod's security context; `field` is the path of the spec."""
    context, here = spec.get("securityContext") or {}, f"{field}.securityContext"
    causes: list[Cause] = []
    if context:
        for name in ("fsGroup", "runAsUser", "runAsGroup"):
            causes += _id(context.get(name), f"{here}.{name}")
        for index, group in enumerate(context.get("supplementalGroups") or ()):
            causes += _id(group, f"{here}.supplementalGroups[{index}]")
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        causes.append(invalid_value(f"{here}.shareProcessNamespace", True, detail))
    if not context:
        return causes
    causes += _sysctls(context.get("sysctls") or (), spec, f"{here}.sysctls")
    causes += _chosen(context, here, "fsGroupChangePolicy")
    causes += _seccomp(context.get("seccompProfile"), f"{here}.seccompProfile")
    causes += windows_options(context.get("windowsOptions"), f"{here}.windowsOptions")
    causes += _app_armor(context.get("appArmorProfile"), f"{here}.appArmorProfile")
    for name in ("supplementalGroupsPolicy", "seLinuxChangePolicy"):
        causes += _chosen(context, here, name)
    return causes


def _chosen(context: Document, field: str, name: str) -> list[Cause]:
    value = context.get(name)
    if value is None or value in _CHOICES[name]:
        return []
    return [not_supported(f"{field}.{name}", value, _CHOICES[name])]


def host_users(spec: Document, field: str) -> list[Cause]:
    """A pod with users of its own shares no other namespace with its node."""
    if spec.get("hostUsers") is not False:
        return []
    places = (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC"))
    detail = "when `pod.Spec.HostUsers` is false"
    return [forbidden_field(f"{field}.{place}", detail) for name, place in places if spec.get(name)]


def operating_system(spec: Document, field: str) -> list[Cause]:
    """What the pod's operating system does not know may not be asked for."""
    system = spec.get("os")
    if system is None:
        return []
    name = system.get("name") or ""
    if not name:
        return [required(f"{field}.os.name", "cannot be empty")]
    if name not in ("linux", "windows"):
        return [not_supported(f"{field}.os", name, ("linux", "windows"))]
    context, here = spec.get("securityContext") or {}, f"{field}.securityContext"
    if name == "linux":
        detail = "windows options cannot be set for a linux pod"
        holders = [(context, here)]
        holders += [
            (one.get("securityContext") or {}, f"{at}.securityContext") for one, at in each_container(spec, field)
        ]
        return [forbidden_field(f"{at}.windowsOptions", detail) for one, at in holders if "windowsOptions" in one]
    detail = "cannot be set for a windows pod"
    causes = [forbidden_field(f"{here}.{one}", detail) for one in _NOT_ON_WINDOWS_POD if context.get(one) is not None]
    causes += [forbidden_field(f"{field}.{one}", detail) for one in _NOT_ON_WINDOWS_SPEC if spec.get(one) is not None]
    for container, at in each_container(spec, field):
        own = container.get("securityContext") or {}
        causes += [
            forbidden_field(f"{at}.securityContext.{one}", detail)
            for one in _NOT_ON_WINDOWS_CONTAINER
            if own.get(one) is not None
        ]
    return causes


def _id(value: int | None, field: str) -> list[Cause]:
    if value is None or 0 <= value <= _MAX_ID:
        return []
    return [invalid_value(field, value, f"must be between 0 and {_MAX_ID}, inclusive")]


def _sysctls(sysctls: Any, spec: Document, field: str) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, sysctl in enumerate(sysctls):
        name, here = sysctl.get("name") or "", f"{field}[{index}].name"
        if not name:
            causes.append(required(here))
        elif len(name) > 253 or not _is_sysctl(name):
            detail = f"must have at most 253 characters and match regex ^{_SYSCTL}$"
            causes.append(invalid_value(here, name, detail))
        elif name in seen:
            causes.append(duplicate(here, name))
        if spec.get("hostNetwork") and name.startswith(("net.", "net/")):
            causes.append(invalid_value(here, name, "may not be specified when 'hostNetwork' is true"))
        elif spec.get("hostIPC") and (name.startswith(_IPC_SYSCTLS) or name in ("kernel.sem", "kernel/sem")):
            causes.append(invalid_value(here, name, "may not be specified when 'hostIPC' is true"))
        seen.add(name)
    return causes


def _seccomp(profile: Document | None, field: str) -> list[Cause]:
    if profile is None:
        return []
    kind, local = profile.get("type") or "", profile.get("localhostProfile")
    causes: list[Cause] = []
    if not kind:
        causes.append(required(f"{field}.type", "type is required when seccompProfile is set"))
    elif kind not in _PROFILES:
        causes.append(not_supported(f"{field}.type", kind, _PROFILES))
    if kind == "Localhost":
        if local is None:
            causes.append(required(f"{field}.localhostProfile", "must be set when seccomp type is Localhost"))
        else:
            causes += descending(local, f"{field}.localhostProfile")
    elif local is not None:
        detail = "can only be set when seccomp type is Localhost"
        causes.append(invalid_value(f"{field}.localhostProfile", profile, detail))
    return causes


def _app_armor(profile: Document | None, field: str) -> list[Cause]:
    if profile is None:
        return []
    kind, local, here = profile.get("type") or "", profile.get("localhostProfile"), f"{field}.localhostProfile"
    if not kind:
        return [required(f"{field}.type", "type is required when appArmorProfile is set")]
    if kind not in _PROFILES:
        return [not_supported(f"{field}.type", kind, _PROFILES)]
    if kind != "Localhost":
        detail = "can only be set when AppArmor type is Localhost"
        return [] if local is None else [invalid_value(here, local, detail)]
    if not local:
        return [required(here, "must be set when AppArmor type is Localhost")]
    causes: list[Cause] = []
    if local.strip() != local:
        causes.append(invalid_value(here, local, "must not be padded with whitespace"))
    if len(local) > _LONGEST_PROFILE:
        causes.append(too_long(here, _LONGEST_PROFILE))
    return causes
