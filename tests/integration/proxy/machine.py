"""A machine of its own inside this process: a network namespace with a pod bridge, pods, and a world outside.

The test's thread moves into a fresh network namespace, so that every rule, route and setting vanishes with it. Pods and
the world are namespaces too; sockets are opened inside them and used from here.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from k8slite.kubelet.network import BridgeNetwork

BRIDGE = "k8slite0"
BRIDGE_ADDRESS = "10.42.0.1"
MACHINE_ADDRESS = "203.0.113.1"
WORLD_ADDRESS = "203.0.113.9"

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)

T = TypeVar("T")


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@dataclass(eq=False)
class Place:
    """Somewhere with its own network: a pod, the world, or the machine itself (`process` is None)."""

    name: str
    address: str
    process: subprocess.Popen[bytes] | None = None
    servers: list[asyncio.Server] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)

    def inside(self, work: Callable[[], T]) -> T:
        """Run `work` in this network; sockets that it opens stay there."""
        if self.process is None:
            return work()

        def enter() -> T:
            with Path(f"/proc/{self.process.pid}/ns/net").open() as namespace:
                _check(_LIBC.setns(namespace.fileno(), _CLONE_NEWNET))
            return work()

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(enter).result()

    async def serve(self, port: int = 8080) -> None:
        """Answer every line over TCP with `name client-address`."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.readline():
                writer.write(f"{self.name} {writer.get_extra_info('peername')[0]}\n".encode())
            writer.close()

        listener = self.inside(lambda: socket.create_server(("0.0.0.0", port)))
        self.servers.append(await asyncio.start_server(answer, sock=listener))

    async def serve_udp(self, port: int = 5353) -> None:
        """Answer every datagram with the name."""
        place = self

        class Answer(asyncio.DatagramProtocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport = transport

            def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                self.transport.sendto(place.name.encode(), addr)  # type: ignore[attr-defined]

        listener = self.inside(lambda: _bound_udp(port))
        await asyncio.get_running_loop().create_datagram_endpoint(Answer, sock=listener)

    async def connect(
        self, address: str, port: int, *, timeout: float = 3.0
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TCP connection from here. Raises OSError or TimeoutError."""
        client = self.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        client.setblocking(False)
        try:
            async with asyncio.timeout(timeout):
                await asyncio.get_running_loop().sock_connect(client, (address, port))
        except BaseException:
            client.close()
            raise
        return await asyncio.open_connection(sock=client)

    async def ask(self, address: str, port: int, *, timeout: float = 3.0) -> str:
        """Who answers a TCP connection, and which client it sees: `name client-address`."""
        reader, writer = await self.connect(address, port, timeout=timeout)
        try:
            return await say(reader, writer)
        finally:
            writer.close()

    def udp(self) -> socket.socket:
        """A datagram socket from here."""
        client = self.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        client.setblocking(False)
        return client


def run(command: str) -> None:
    """Run a command on this machine."""
    subprocess.run(command.split(), check=True)


def _namespace() -> subprocess.Popen[bytes]:
    """A process that holds a network namespace."""
    process = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo ready; exec sleep 600"], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    return process


def _bound_udp(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.setblocking(False)
    listener.bind(("0.0.0.0", port))
    return listener


async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    """One line there, one line back, over a connection that stands."""
    writer.write(b"who?\n")
    async with asyncio.timeout(3):
        return (await reader.readline()).decode().strip()


class Machine:
    """The machine: `host`, `world`, and as many pods as asked for."""

    def __init__(self, network: BridgeNetwork, stack: AsyncExitStack) -> None:
        self.network = network
        self.host = Place("host", BRIDGE_ADDRESS)
        self._stack = stack

    async def start(self) -> None:
        for command in (
            "ip link set lo up",
            # As Docker does: nothing is forwarded unless somebody says so.
            "iptables -P FORWARD DROP",
            "iptables -N DOCKER-USER",
            "iptables -A DOCKER-USER -j RETURN",
            "iptables -A FORWARD -j DOCKER-USER",
        ):
            run(command)
        await self.network.ensure_bridge()
        self.world = await self._place("world", WORLD_ADDRESS)
        outside = f"nsenter --net --target {self.world.process.pid}"  # type: ignore[union-attr]
        for command in (
            f"ip link add eth1 type veth peer name eth0 netns {self.world.process.pid}",  # type: ignore[union-attr]
            f"ip addr add {MACHINE_ADDRESS}/24 dev eth1",
            "ip link set eth1 up",
            f"ip route add default via {WORLD_ADDRESS}",
            f"{outside} ip addr add {WORLD_ADDRESS}/24 dev eth0",
            f"{outside} ip link set eth0 up",
            f"{outside} ip link set lo up",
            f"{outside} ip route add 198.51.100.0/24 via {MACHINE_ADDRESS}",
        ):
            run(command)

    async def pod(self, name: str, address: str) -> Place:
        """A pod on the bridge that serves TCP 8080."""
        place = await self._place(name, address)
        await self.network.attach(pod_uid=name, pid=place.process.pid, address=address)  # type: ignore[union-attr]
        await place.serve()
        return place

    async def _place(self, name: str, address: str) -> Place:
        process = _namespace()
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        place = Place(name, address, process)
        self._stack.callback(lambda: [server.close() for server in place.servers])
        return place


@asynccontextmanager
async def machine() -> AsyncIterator[Machine]:
    """A fresh machine around the calling thread; everything is gone afterwards."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    _check(_LIBC.unshare(_CLONE_NEWNET))
    try:
        async with AsyncExitStack() as stack:
            made = Machine(BridgeNetwork(bridge=BRIDGE, bridge_address=f"{BRIDGE_ADDRESS}/16"), stack)
            await made.start()
            yield made
    finally:
        _check(_LIBC.setns(home, _CLONE_NEWNET))
        os.close(home)
