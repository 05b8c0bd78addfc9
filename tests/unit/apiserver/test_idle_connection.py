"""When an idle connection is closed, on a clock that a test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest_asyncio
import uvicorn

from k8slite.apiserver.calls import Receive, Scope, Send
from k8slite.apiserver.wire.connection import ConnectionProtocol

IDLE = 180
REQUEST = b"GET /version HTTP/1.1\r\nHost: test\r\n\r\n"


@dataclass(eq=False)
class Timer:
    """A callback at its time."""

    at: float
    callback: Callable[..., Any]
    arguments: tuple[Any, ...]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Loop:
    """An event loop with a clock of its own; tasks are the real one's."""

    now: float = 1000.0
    timers: list[Timer] = field(default_factory=list)

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[..., Any], *arguments: Any) -> Timer:
        self.timers.append(Timer(self.now + delay, callback, arguments))
        return self.timers[-1]

    def create_task(self, work: Any) -> asyncio.Task[Any]:
        return asyncio.get_running_loop().create_task(work)

    @property
    def due(self) -> list[Timer]:
        return sorted((timer for timer in self.timers if not timer.cancelled), key=lambda timer: timer.at)

    def pass_by(self, seconds: float) -> None:
        end = self.now + seconds
        while self.due and self.due[0].at <= end:
            timer = self.due[0]
            self.timers.remove(timer)
            self.now = timer.at
            timer.callback(*timer.arguments)
        self.now = end


class Wire(asyncio.Transport):
    """What a connection writes."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False
        self.written: list[bytes] = []

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


@dataclass
class Client:
    """One connection to an application that answers everything."""

    loop: Loop
    wire: Wire
    protocol: ConnectionProtocol

    async def ask(self) -> None:
        """Send a request, and wait for its answer."""
        before = len(self.wire.written)
        self.protocol.data_received(REQUEST)
        async with asyncio.timeout(10):
            while len(self.wire.written) == before:  # noqa: ASYNC110 - a turn or two of the loop
                await asyncio.sleep(0)


async def _answer(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    config = uvicorn.Config(_answer, timeout_keep_alive=IDLE, log_config=None, ws="none", lifespan="off")
    config.load()
    config.loaded_app = _answer
    loop, wire = Loop(), Wire()
    state = uvicorn.Server(config).server_state
    protocol = ConnectionProtocol(config=config, server_state=state, app_state={}, _loop=loop)  # type: ignore[arg-type]
    protocol.connection_made(wire)
    yield Client(loop, wire, protocol)
    protocol.connection_lost(None)
    assert not loop.due


async def test_an_idle_connection_is_closed(client: Client) -> None:
    await client.ask()
    client.loop.pass_by(IDLE - 1)
    assert not client.wire.closed
    client.loop.pass_by(1)
    assert client.wire.closed


async def test_the_time_counts_from_the_last_answer(client: Client) -> None:
    for _ in range(5):
        await client.ask()
        client.loop.pass_by(IDLE - 1)
    assert not client.wire.closed
    client.loop.pass_by(1)
    assert client.wire.closed


async def test_one_timer_does_for_many_requests(client: Client) -> None:
    for _ in range(20):
        await client.ask()
        client.loop.pass_by(1)
    assert len(client.loop.timers) == 1 + 1  # that for the first head was cancelled


async def test_a_connection_with_half_a_request_is_not_closed_for_idling(client: Client) -> None:
    await client.ask()
    client.loop.pass_by(IDLE - 1)
    client.protocol.data_received(REQUEST[:10])
    client.loop.pass_by(2)
    assert not client.wire.closed
    client.protocol.data_received(REQUEST[10:])
    async with asyncio.timeout(10):
        while len(client.wire.written) < 2:  # noqa: ASYNC110 - a turn or two of the loop
            await asyncio.sleep(0)
    client.loop.pass_by(IDLE)
    assert client.wire.closed
