"""Users: who is restricted does not run as root, but for pods whose root is nobody on the host."""

from __future__ import annotations

from .base import Check, Document, Finding, Pod, setters, these

_NOT_ROOT = "runAsNonRoot != true"


def _non_root(pod: Pod) -> Finding | None:
    if who := setters(_says(pod.security) is False, pod.where(lambda security: _says(security) is False)):
        return Finding(_NOT_ROOT, f"{who} must not set securityContext.runAsNonRoot=false")
    silent = [] if _says(pod.security) else pod.where(lambda security: _says(security) is None)
    if not silent:
        return None
    return Finding(_NOT_ROOT, f"pod or {these('container', silent)} must set securityContext.runAsNonRoot=true")


def _says(security: Document) -> bool | None:
    return security.get("runAsNonRoot")


def _user(pod: Pod) -> Finding | None:
    who = setters(_is_root(pod.security), pod.where(_is_root))
    return Finding("runAsUser=0", f"{who} must not set runAsUser=0") if who else None


def _is_root(security: Document) -> bool:
    return security.get("runAsUser") == 0


RUN_AS_NON_ROOT = Check(
    "runAsNonRoot", "restricted", {0: _non_root, 35: lambda pod: None if pod.has_own_users else _non_root(pod)}
)
RUN_AS_USER = Check("runAsUser", "restricted", {23: _user, 35: lambda pod: None if pod.has_own_users else _user(pod)})
