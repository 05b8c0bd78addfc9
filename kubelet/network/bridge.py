"""BridgeNetwork: pods of this machine on one Linux bridge, the bridge's address as their gateway."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from . import host, netlink
from .base import NetworkError

_CONNECT = 10.0
"""Seconds to reach a port of a pod."""


class BridgeNetwork:
    """A PodNetwork over pyroute2. Links are named after pods and die with the namespace of their sandbox."""

    def __init__(self, *, bridge: str, bridge_address: str) -> None:
        interface = ipaddress.ip_interface(bridge_address)
        self.bridge = bridge
        self.gateway = str(interface.ip)
        self.prefix = interface.network.prefixlen
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pod-network")

    async def ensure_bridge(self) -> None:
        """Make the bridge and set what the kernel must allow. Raises NetworkError."""
        await self._run(partial(netlink.ensure_bridge, bridge=self.bridge, address=self.gateway, prefix=self.prefix))
        await host.ensure_forwarding()
        await host.ensure_bridge_filtering()

    async def attach(self, *, pod_uid: str, pid: int, address: str) -> None:
        """Connect a pod. Raises NetworkError, also when the process is gone."""
        await self._run(
            partial(
                netlink.attach,
                bridge=self.bridge,
                gateway=self.gateway,
                prefix=self.prefix,
                pod_uid=pod_uid,
                pid=pid,
                address=address,
            )
        )

    async def detach(self, *, pod_uid: str) -> None:
        """Disconnect a pod. Raises NetworkError."""
        await self._run(partial(netlink.remove_link, netlink.host_link(pod_uid)))

    async def connect(self, *, pid: int, port: int) -> socket.socket:
        """A connection to a port of a pod, also to one that listens on loopback only. Raises NetworkError."""
        loop, refused = asyncio.get_running_loop(), ""
        for family, local in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            try:
                opened = await loop.run_in_executor(self._thread, netlink.socket_in, pid, family)
            except NetworkError as error:  # a kernel without IPv6 does not explain why IPv4 failed
                refused = refused or str(error)
                continue
            opened.setblocking(False)
            try:
                await asyncio.wait_for(loop.sock_connect(opened, (local, port)), _CONNECT)
            except OSError as error:
                opened.close()
                reason = os.strerror(error.errno) if error.errno else "timed out"
                refused = refused or f"connect to {local}:{port}: {reason}"
            except BaseException:
                opened.close()
                raise
            else:
                return opened
        raise NetworkError(refused)

    async def remove_bridge(self) -> None:
        """Take the bridge away with its addresses. Raises NetworkError."""
        await self._run(partial(netlink.remove_link, self.bridge))

    async def _run(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work)
