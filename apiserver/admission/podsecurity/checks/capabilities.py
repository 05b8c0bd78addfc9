"""Capabilities: none beyond the runtime's defaults; whoever is restricted drops all and takes back one at most."""

from __future__ import annotations

from collections.abc import Collection

from .base import Check, Document, Finding, Pod, quoted, these

_DEFAULT = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)
_RESTRICTED = frozenset({"NET_BIND_SERVICE"})


def _baseline(pod: Pod) -> Finding | None:
    detail = _added(pod, _DEFAULT)
    return Finding("non-default capabilities", detail) if detail else None


def _restricted(pod: Pod) -> Finding | None:
    details = []
    if keeping := pod.where(lambda security: "ALL" not in _listed(security, "drop")):
        details.append(f'{these("container", keeping)} must set securityContext.capabilities.drop=["ALL"]')
    if detail := _added(pod, _RESTRICTED):
        details.append(detail)
    return Finding("unrestricted capabilities", "; ".join(details)) if details else None


def _added(pod: Pod, allowed: Collection[str]) -> str:
    """Which containers add capabilities beyond those allowed; empty if none does."""
    added = {container.name: set(_listed(container.security, "add")) - set(allowed) for container in pod.containers}
    bad = [container.name for container in pod.containers if added[container.name]]
    if not bad:
        return ""
    what = quoted(sorted(set().union(*added.values())))
    return f"{these('container', bad)} must not include {what} in securityContext.capabilities.add"


def _listed(security: Document, member: str) -> Collection[str]:
    return (security.get("capabilities") or {}).get(member) or ()


CAPABILITIES = Check("capabilities_baseline", "baseline", {0: _baseline})
RESTRICTED_CAPABILITIES = Check(
    "capabilities_restricted",
    "restricted",
    {22: _restricted, 25: lambda pod: None if pod.is_windows else _restricted(pod)},
    overrides=frozenset({CAPABILITIES.id}),
)
