"""Containers that are the host in all but name, and how a process comes by more rights than it began with."""

from __future__ import annotations

from .base import Check, Document, Finding, Pod, setters, these


def _privileged(pod: Pod) -> Finding | None:
    bad = pod.where(lambda security: security.get("privileged") is True)
    return (
        Finding("privileged", f"{these('container', bad)} must not set securityContext.privileged=true")
        if bad
        else None
    )


def _escalation(pod: Pod) -> Finding | None:
    bad = pod.where(lambda security: security.get("allowPrivilegeEscalation") is not False)
    if not bad:
        return None
    detail = f"{these('container', bad)} must set securityContext.allowPrivilegeEscalation=false"
    return Finding("allowPrivilegeEscalation != false", detail)


def _host_process(pod: Pod) -> Finding | None:
    who = setters(_is_host_process(pod.security), pod.where(_is_host_process))
    return (
        Finding("hostProcess", f"{who} must not set securityContext.windowsOptions.hostProcess=true") if who else None
    )


def _is_host_process(security: Document) -> bool:
    return (security.get("windowsOptions") or {}).get("hostProcess") is True


PRIVILEGED = Check("privileged", "baseline", {0: _privileged})
ALLOW_PRIVILEGE_ESCALATION = Check(
    "allowPrivilegeEscalation",
    "restricted",
    {8: _escalation, 25: lambda pod: None if pod.is_windows else _escalation(pod)},
)
WINDOWS_HOST_PROCESS = Check("windowsHostProcess", "baseline", {0: _host_process})
