"""SELinux: types made for containers alone, and no user or role of one's own."""

from __future__ import annotations

from functools import partial

from .base import Check, Document, Finding, Pod, setters, these

_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t"})
_TYPES_SINCE_31 = _TYPES | {"container_engine_t"}


def _options(pod: Pod, *, types: frozenset[str]) -> Finding | None:
    def is_bad(security: Document) -> bool:
        options = security.get("seLinuxOptions") or {}
        return bool((options.get("type") or "") not in types or options.get("user") or options.get("role"))

    who = setters(is_bad(pod.security), pod.where(is_bad))
    if not who:
        return None
    securities = (pod.security, *(container.security for container in pod.containers))
    found = [security.get("seLinuxOptions") or {} for security in securities]
    wrong = sorted({kind for options in found if (kind := options.get("type") or "") not in types})
    what = [these("type", wrong)] if wrong else []
    what += [f"{name} may not be set" for name in ("user", "role") if any(options.get(name) for options in found)]
    return Finding("seLinuxOptions", f"{who} set forbidden securityContext.seLinuxOptions: {'; '.join(what)}")


SELINUX = Check(
    "seLinuxOptions", "baseline", {0: partial(_options, types=_TYPES), 31: partial(_options, types=_TYPES_SINCE_31)}
)
