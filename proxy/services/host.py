"""Kernel settings that service traffic needs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

from k8slite.clock import Clock

log = logging.getLogger(__name__)

_BRIDGE_NF = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
_IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_MODPROBE = Path("/sbin/modprobe")
_LOOK_AGAIN = 1.0


async def ensure_bridge_filtering() -> bool:
    """Make packets between ports of a bridge pass the IP hooks; whether the kernel can."""
    if not _BRIDGE_NF.exists() and _MODPROBE.exists():
        with contextlib.suppress(OSError):
            process = await asyncio.create_subprocess_exec(_MODPROBE, "br_netfilter", stderr=asyncio.subprocess.DEVNULL)
            await process.wait()
    return _set(_BRIDGE_NF, "1")


def ensure_forwarding() -> None:
    """Let the machine forward packets: every connection to a pod of it is forwarded."""
    if not _set(_IP_FORWARD, "1"):
        log.warning("cannot set %s: NodePorts and Services may be out of reach", _IP_FORWARD)


async def allow_loopback_clients(bridge: str, *, clock: Clock) -> None:
    """Let connections to 127.0.0.1 leave through the bridge, as `curl localhost:30080` does after its address changed.

    Waits for the bridge, which the kubelet makes. Call it only when the rules that keep pods from the machine's
    loopback addresses are in force.
    """
    path = Path(f"/proc/sys/net/ipv4/conf/{bridge}/route_localnet")
    while not path.exists():
        await clock.sleep(_LOOK_AGAIN)
    if not _set(path, "1"):
        log.warning("cannot set %s: NodePorts do not answer on 127.0.0.1", path)


def _set(path: Path, value: str) -> bool:
    try:
        if path.read_text().strip() != value:
            path.write_text(value)
    except OSError:
        return False
    return True
