"""How a request becomes a conversation: a WebSocket, SPDY on the bare connection, or SPDY inside a WebSocket.

Source: apimachinery, util/httpstream (negotiation by `X-Stream-Protocol-Version`) and util/httpstream/wsstream.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence

from aiohttp import WSMsgType, hdrs, web

from k8slite.spdy import Session, SpdyError
from k8slite.takeover import PIECE, take_over

from .lookup import LookupFault

log = logging.getLogger(__name__)

_VERSION = "X-Stream-Protocol-Version"
_SPDY = "SPDY/3.1"
_MESSAGE_LIMIT = 32 << 20
"""Bytes of one message, which is held whole; some clients send all their input as one."""


def wants_spdy(request: web.Request) -> bool:
    """Whether the client asks for SPDY on this connection."""
    return request.headers.get(hdrs.UPGRADE, "").lower() == _SPDY.lower()


def subprotocol(request: web.Request, supported: Sequence[str]) -> str:
    """The first of the client's subprotocols that is supported, empty if it names none. Raises LookupFault."""
    if request.headers.get(hdrs.UPGRADE, "").lower() != "websocket":
        raise LookupFault(400, "Upgrade request required")
    texts = request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, [])
    offered = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    if not offered:
        return ""
    chosen = next((name for name in offered if name in supported), None)
    if chosen is None:
        raise LookupFault(400, f"requested protocol(s) are not supported: {offered}; supports {list(supported)}")
    return chosen


async def open_websocket(request: web.Request, chosen: str) -> web.WebSocketResponse:
    """Answer the handshake."""
    socket = web.WebSocketResponse(protocols=(chosen,) if chosen else (), max_msg_size=_MESSAGE_LIMIT, compress=False)
    if not socket.can_prepare(request):
        raise LookupFault(400, "Upgrade request required")
    await socket.prepare(request)
    return socket


def stream_protocol(request: web.Request, supported: Sequence[str]) -> str:
    """The protocol of a SPDY conversation, empty if the client names none. Raises LookupFault."""
    texts = request.headers.getall(_VERSION, [])
    offered = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    if not offered:
        return ""
    chosen = next((name for name in offered if name in supported), None)
    if chosen is None:
        message = f"unable to negotiate protocol: client supports {offered}, server accepts {list(supported)}"
        raise LookupFault(403, message)
    return chosen


class Finished(web.StreamResponse):
    """What a handler returns when the connection was taken from the server: there is nothing left to answer."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """The answer was given long ago."""
        self.force_close()

    async def write_eof(self, data: bytes = b"") -> None:
        """It has ended, too."""


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def receive(self) -> bytes:
        return await self._reader.read(PIECE)

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


class _Messages:
    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def receive(self) -> bytes:
        async for message in self._socket:
            if message.type is WSMsgType.BINARY and message.data:
                return bytes(message.data)
        return b""

    async def send(self, data: bytes) -> None:
        await self._socket.send_bytes(data)


@contextlib.asynccontextmanager
async def spdy(request: web.Request, protocol: str) -> AsyncIterator[Session]:
    """Streams on the bare connection, which is closed when the block ends."""
    transport, former = request.transport, request.protocol
    if transport is None:
        raise ConnectionResetError("the client is gone")
    reader, writer = take_over(transport, former=former)
    head = f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {_SPDY}\r\n"
    if protocol:
        head += f"{_VERSION}: {protocol}\r\n"
    writer.write(f"{head}\r\n".encode())
    try:
        async with _running(Session(_Connection(reader, writer), server=True), request) as session:
            yield session
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def tunnelled(request: web.Request, socket: web.WebSocketResponse) -> AsyncIterator[Session]:
    """Streams inside a WebSocket, which is closed when the block ends."""
    try:
        async with _running(Session(_Messages(socket), server=True), request) as session:
            yield session
    finally:
        with contextlib.suppress(ConnectionError):
            await socket.close()


@contextlib.asynccontextmanager
async def _running(session: Session, request: web.Request) -> AsyncIterator[Session]:
    task = asyncio.ensure_future(session.run())
    try:
        yield session
    finally:
        task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        if isinstance(outcome, SpdyError):
            log.warning("%s: %s", request.path, outcome)
