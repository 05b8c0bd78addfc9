"""Kernel settings that service traffic needs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
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
        await _run(str(_MODPROBE), "br_netfilter")
    return _set(_BRIDGE_NF, "1")


def ensure_forwarding() -> None:
    """Let the machine forward packets: every connection to a pod of it is forwarded."""
    if not _set(_IP_FORWARD, "1"):
        log.warning("cannot set %s: NodePorts and Services may be out of reach", _IP_FORWARD)


async def prepare_bridge(bridge: str, *, ranges: Sequence[str], clock: Clock) -> None:
    """Let this machine's own programs reach Services, whose addresses are in `ranges`.

    That is over 127.0.0.1, and on a machine without a default route. A connection to `localhost:30080` leaves through
    the bridge once its destination has changed, which needs route_localnet. One to a virtual address needs a route
    before anything can change, and an address to come from. Waits for the bridge, which the kubelet makes. Call it only
    when the rules that keep pods from the machine's loopback addresses are in force.
    """
    path = Path(f"/proc/sys/net/ipv4/conf/{bridge}/route_localnet")
    while not path.exists():
        await clock.sleep(_LOOK_AGAIN)
    if not _set(path, "1"):
        log.warning("cannot set %s: NodePorts do not answer on 127.0.0.1", path)
    # Fails if the route is there already, from before or for another cluster: both will do.
    for network in ranges:
        await _run("ip", "route", "add", network, "dev", bridge)


async def _run(*command: str) -> None:
    with contextlib.suppress(OSError):
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
        await process.wait()


def _set(path: Path, value: str) -> bool:
    try:
        if path.read_text().strip() != value:
            path.write_text(value)
    except OSError:
        return False
    return True
