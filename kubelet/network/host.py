"""Kernel settings that pod traffic needs, and the kernel module that offers one of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

from .base import NetworkError

log = logging.getLogger(__name__)

IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
BRIDGE_NF = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
_MODPROBE = Path("/sbin/modprobe")


def set_sysctl(path: Path, value: str) -> None:
    """Write a kernel setting unless it has the value already. Raises NetworkError."""
    try:
        if path.read_text().strip() != value:
            path.write_text(value)
    except OSError as error:
        raise NetworkError(f"set {path} to {value}: {error.strerror}") from error


async def ensure_forwarding() -> None:
    """Let the machine route between pods and the world. Raises NetworkError."""
    set_sysctl(IP_FORWARD, "1")


async def ensure_bridge_filtering() -> bool:
    """Make packets that cross a bridge pass the IP hooks; whether that could be had.

    So a pod reaches a Service whose endpoint shares its bridge with its own address as the source. Where the kernel
    has no br_netfilter, the service proxy hides such clients behind the bridge's address.
    """
    if not BRIDGE_NF.exists() and _MODPROBE.exists():
        with contextlib.suppress(OSError):
            process = await asyncio.create_subprocess_exec(
                _MODPROBE, "br_netfilter", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
            )
            await process.wait()
    try:
        set_sysctl(BRIDGE_NF, "1")
    except NetworkError as error:
        log.warning("br_netfilter is not available, Services hide pods of this machine from each other: %s", error)
        return False
    return True
