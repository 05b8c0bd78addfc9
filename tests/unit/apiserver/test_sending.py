"""Streams on their way to a client, as ASGI messages: how each of them ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, MutableMapping
from typing import Any

import pytest

from k8slite.apiserver.calls import Stream
from k8slite.apiserver.wire.negotiation import accepts_gzip
from k8slite.apiserver.wire.respond import send_stream
from k8slite.apiserver.wire.websockets import send_events

Message = MutableMapping[str, Any]
END = "websocket.close"


class Client:
    """Hears messages; `leave` tells the server that it has gone."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self._said: asyncio.Queue[Message] = asyncio.Queue()

    def leave(self, message: str) -> None:
        self._said.put_nowait({"type": message})

    async def receive(self) -> Message:
        return await self._said.get()

    async def send(self, message: Message) -> None:
        self.heard.append(message)


class Source:
    """Two pieces, and then what a test wants; knows when it was closed."""

    def __init__(self, then: Exception | None = None, *, waits: bool = False) -> None:
        self.then = then
        self.waits = waits
        self.reached = asyncio.Event()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        yield b'{"a":1}\n{"a":2}\n'
        yield b'{"a":3}\n'
        self.reached.set()
        if self.then is not None:
            raise self.then
        if self.waits:
            await asyncio.get_running_loop().create_future()


async def over_websocket(client: Client, source: Source) -> None:
    client.leave("websocket.connect")
    await send_events(client.receive, client.send, Stream(source.pieces()), subprotocols=())


async def test_a_websocket_gets_a_message_for_each_line_and_a_close() -> None:
    client = Client()
    await over_websocket(client, Source())
    assert [message["type"] for message in client.heard] == ["websocket.accept", *["websocket.send"] * 3, END]
    assert client.heard[2]["text"] == '{"a":2}\n'
    assert client.heard[-1]["code"] == 1000


async def test_a_websocket_whose_stream_breaks_is_told_so_and_the_log_too() -> None:
    client = Client()
    with pytest.raises(ValueError, match="broken"):
        await over_websocket(client, Source(ValueError("broken")))
    assert (client.heard[-1]["type"], client.heard[-1]["code"]) == (END, 1011)


async def test_a_websocket_that_was_left_is_told_nothing_more() -> None:
    client, source = Client(), Source(waits=True)
    sending = asyncio.create_task(over_websocket(client, source))
    await source.reached.wait()
    client.leave("websocket.disconnect")
    await asyncio.wait_for(sending, 5)
    assert client.heard[-1]["type"] == "websocket.send"
    client = Client()
    await over_websocket(client, Source(OSError("disconnected")))
    assert client.heard[-1]["type"] == "websocket.send"


async def test_a_stream_ends_with_an_empty_body_or_with_its_client() -> None:
    client = Client()
    await send_stream(client.receive, client.send, Stream(Source().pieces()), extra=[])
    assert [message.get("more_body") for message in client.heard] == [None, True, True, True, False]
    client, source = Client(), Source(waits=True)
    sending = asyncio.create_task(send_stream(client.receive, client.send, Stream(source.pieces()), extra=[]))
    await source.reached.wait()
    client.leave("http.disconnect")
    await asyncio.wait_for(sending, 5)
    assert client.heard[-1]["more_body"] is True
    with pytest.raises(ValueError, match="broken"):
        await send_stream(client.receive, client.send, Stream(Source(ValueError("broken")).pieces()), extra=[])


@pytest.mark.parametrize(
    ("header", "accepted"),
    [(b"gzip", True), (b"deflate, gzip", True), (b"", False), (b"gzip;q=0", False), (b"x-gzip", False), (b"br", False)],
)
def test_compression_is_asked_for_by_name(header: bytes, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted
