"""Sysctls: those alone that concern the pod's own namespaces."""

from __future__ import annotations

from functools import partial

from .base import Check, Finding, Pod

_SAFE = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
    }
)
_SAFE_SINCE_27 = _SAFE | {"net.ipv4.ip_local_reserved_ports"}
_SAFE_SINCE_29 = _SAFE_SINCE_27 | {
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}
_SAFE_SINCE_32 = _SAFE_SINCE_29 | {"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}
_SAFE_SINCE_37 = _SAFE_SINCE_32 | {"net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_notsent_lowat"}


def _sysctls(pod: Pod, *, safe: frozenset[str]) -> Finding | None:
    bad = [name for one in pod.security.get("sysctls") or () if (name := one.get("name") or "") not in safe]
    return Finding("forbidden sysctls", ", ".join(bad)) if bad else None


SYSCTLS = Check(
    "sysctls",
    "baseline",
    {
        since: partial(_sysctls, safe=safe)
        for since, safe in (
            (0, _SAFE),
            (27, _SAFE_SINCE_27),
            (29, _SAFE_SINCE_29),
            (32, _SAFE_SINCE_32),
            (37, _SAFE_SINCE_37),
        )
    },
)
