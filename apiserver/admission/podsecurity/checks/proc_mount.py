"""/proc: masked, but for pods whose root is nobody on the host."""

from __future__ import annotations

from .base import Check, Document, Finding, Pod, quoted, these


def _masked(pod: Pod) -> Finding | None:
    bad = pod.where(lambda security: _mount(security) is not None)
    if not bad:
        return None
    kinds = {kind for container in pod.containers if (kind := _mount(container.security)) is not None}
    detail = f"{these('container', bad)} must not set securityContext.procMount to {quoted(sorted(kinds))}"
    return Finding("procMount", detail)


def _mount(security: Document) -> str | None:
    """How /proc is mounted, None for the usual way."""
    kind: str | None = security.get("procMount")
    return None if kind == "Default" else kind


PROC_MOUNT = Check("procMount", "baseline", {0: _masked, 35: lambda pod: None if pod.has_own_users else _masked(pod)})
RESTRICTED_PROC_MOUNT = Check("procMount_restricted", "restricted", {35: _masked}, overrides=frozenset({PROC_MOUNT.id}))
