"""Port forwarding at the kubelet: whose namespace a connection enters, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from aiohttp import web

from k8slite.clock import SystemClock
from k8slite.kinds.core import Pod
from k8slite.kubelet.runtime.base import PodRef, SandboxSpec
from k8slite.kubelet.runtime.simulated import SimulatedRuntime
from k8slite.kubelet.server.lookup import Containers
from k8slite.kubelet.server.portforward import handler
from k8slite.spdy import Session, Stream

POD = Pod.model_validate(
    {"metadata": {"name": "web", "namespace": "default", "uid": "u1"}, "spec": {"containers": [{"name": "main"}]}}
)


class OnePod:
    """Workers of a node with one pod."""

    def find(self, namespace: str, name: str) -> Pod | None:
        return POD


class Link:
    """The client's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def receive(self) -> bytes:
        return await self._reader.read(65536)

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


class Kubelet:
    """A route to the pod; `entered` are the processes whose namespace was entered, `far` the ends inside the pod."""

    def __init__(self) -> None:
        self.runtime = SimulatedRuntime(clock=SystemClock())
        self.entered: list[int] = []
        self.far: asyncio.Queue[socket.socket] = asyncio.Queue()

    async def connect(self, *, pid: int, port: int) -> socket.socket:
        self.entered.append(pid)
        near, far = socket.socketpair()
        for end in (near, far):
            end.setblocking(False)
        self.far.put_nowait(far)
        return near

    async def sandbox(self, attempt: int) -> tuple[str, int]:
        made = await self.runtime.create_sandbox(
            SandboxSpec(PodRef("u1", "web", "default"), hostname="web", attempt=attempt)
        )
        return made, await self.runtime.start_sandbox(made)

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        app = web.Application()
        app.router.add_post("/{namespace}/{pod}", handler(Containers(OnePod(), self.runtime), self.connect))  # type: ignore[arg-type]
        runner = web.AppRunner(app, shutdown_timeout=1.0, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        reader, writer = await asyncio.open_connection(*runner.addresses[0])
        writer.write(b"POST /default/web HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        session = Session(Link(reader, writer), server=False)
        running = asyncio.ensure_future(session.run())
        try:
            yield session
        finally:
            writer.close()
            await asyncio.wait([running])
            await runner.cleanup()
            while not self.far.empty():
                self.far.get_nowait().close()


async def pair(session: Session, number: int) -> tuple[Stream, Stream]:
    names = {"port": "80", "requestID": str(number)}
    return await session.open({"streamType": "error", **names}), await session.open({"streamType": "data", **names})


async def test_each_connection_enters_the_sandbox_that_runs_now() -> None:
    """The number of a process that has ended may be another's, even one outside the pod."""
    kubelet = Kubelet()
    old, first = await kubelet.sandbox(0)
    async with kubelet.session() as session, asyncio.timeout(10):
        await pair(session, 0)
        far = await kubelet.far.get()
        await kubelet.runtime.stop_sandbox(old)
        error, data = await pair(session, 1)
        assert await error.read() == b'pod "web" is not running'
        assert await data.read() == b""
        _, second = await kubelet.sandbox(1)
        await pair(session, 2)
        (await kubelet.far.get()).close()
        far.close()
    assert kubelet.entered == [first, second]


async def test_a_connection_that_the_client_resets_ends_in_the_pod() -> None:
    """Not only its input: what sends without end would be read, and thrown away, as long as the client forwards."""
    kubelet = Kubelet()
    await kubelet.sandbox(0)
    loop = asyncio.get_running_loop()
    async with kubelet.session() as session, asyncio.timeout(10):
        error, data = await pair(session, 0)
        far = await kubelet.far.get()
        await loop.sock_sendall(far, b"tick")
        assert await data.read() == b"tick"
        await data.reset()
        assert await loop.sock_recv(far, 1) == b""
        with contextlib.suppress(ConnectionError):
            assert await error.read() == b""
        try:
            await loop.sock_sendall(far, b"tock")
            refused = False
        except BrokenPipeError:
            refused = True
        far.close()
    assert refused


async def test_halves_that_never_become_whole_are_bounded() -> None:
    kubelet = Kubelet()
    await kubelet.sandbox(0)
    async with kubelet.session() as session, asyncio.timeout(20):
        halves = [await session.open({"streamType": "error", "requestID": str(number)}) for number in range(257)]
        assert await halves[-1].read() == b"" and halves[-1].gone
        await halves[0].reset()
        _, data = await pair(session, 1000)
        assert not data.gone
        (await kubelet.far.get()).close()
