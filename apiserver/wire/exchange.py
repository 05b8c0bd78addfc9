"""One request and its answer, as ASGI messages, on a connection that several of them use one after the other.

A whole answer, head and body, leaves in one write: a write is a TLS record and a system call, by far the dearest parts
of a small answer (ASGI asks servers to hold the head back until the body begins). A long body leaves in pieces, as fast
as the client takes them: encrypted as a whole it would lie in memory twice, and the buffer that it passed through would
stay that large for as long as the connection lives. The application does not wait for that; its part is over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle
from uvicorn.server import ServerState

from . import pieces

_REFUSALS = frozenset({401, 429})
_TOO_LARGE = 413
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection"})
_NOTHING = memoryview(b"")
_log = logging.getLogger("uvicorn.error")


class Connection(Protocol):
    """What an exchange may know of its connection."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    flow: FlowControl
    server_state: ServerState
    tasks: set[asyncio.Task[None]]
    sending: Exchange | None
    """The exchange whose answer the application has given and the client has not taken yet."""

    @property
    def piece(self) -> int:
        """Bytes of a long answer that are written at once."""
        ...

    def on_response_complete(self) -> None:
        """An answer has been written."""
        ...

    def linger(self) -> None:
        """The answer is the last, and came before the body."""
        ...

    def refused(self) -> None:
        """An answer said that the request was too much, or its user unknown."""
        ...


def chunk(data: bytes) -> bytes:
    """Data as a chunk of a chunked answer."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def exchange_of(channel: Any) -> Exchange | None:
    """The exchange whose `send` or `receive` this is; None if it is another server's, or somebody stands between."""
    found = getattr(channel, "__self__", None)
    return found if isinstance(found, Exchange) else None


def whole_body(receive: Any) -> bytes | None:
    """A request's body if all of it has come; None if `receive` has to be asked."""
    exchange = exchange_of(receive)
    return exchange.take() if exchange is not None and not exchange.more_body else None


def left(receive: Any) -> Callable[[], bool]:
    """Whether the client has left, told without waiting; never, under another server."""
    exchange = exchange_of(receive)
    return (lambda: exchange.disconnected) if exchange is not None else (lambda: False)


class Exchange(RequestResponseCycle):
    """One request and its answer, as ASGI messages."""

    # What uvicorn's class sets for each request, set once.
    logger = _log
    access_log = disconnected = response_started = response_complete = False
    more_body = True
    chunked_encoding: bool | None = None
    expected_content_length = 0
    body = b""  # type: ignore[assignment]
    _head = b""
    _refused = False
    _tail = _NOTHING
    """What of the body is still to be written."""
    _piece = pieces.SMALL

    def __init__(self, scope: Any, connection: Connection, *, keep_alive: bool, expects_100: bool) -> None:
        self.scope = scope
        self.connection = connection
        self.transport = connection.transport
        self.flow = connection.flow
        self.default_headers = connection.server_state.default_headers
        self.on_response = connection.on_response_complete
        self.message_event = asyncio.Event()
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = expects_100

    async def run_asgi(self, app: Any) -> None:
        """Have the application serve the request. Its task is in `tasks` until then."""
        try:
            await super().run_asgi(app)
        finally:
            # Without its loop this would ask the kernel for the process's number.
            self.connection.tasks.discard(asyncio.current_task(self.connection.loop))

    def take(self) -> bytes | None:
        """The body, which has come as a whole, as `receive` would give it; None if the client has left."""
        if self.disconnected:
            return None
        self.waiting_for_100_continue = False
        self.flow.resume_reading()
        self.message_event.clear()
        body, self.body = bytes(self.body), b""
        return body

    async def answer(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        """Send a whole answer, as its two messages would."""
        while (self.flow.write_paused or self._tail) and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if self.response_started:
            raise RuntimeError("an answer after the answer has begun")
        self.response_started = True
        self.waiting_for_100_continue = False
        self._start(status, [*self.default_headers, *headers])
        self._body(body, last=True)

    async def send(self, message: Any) -> None:
        """Take the answer's start or a part of its body. The start is held back until the body begins."""
        while (self.flow.write_paused or self._tail) and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if self.response_complete:
            raise RuntimeError(f"{kind} after the answer was complete")
        if kind != ("http.response.body" if self.response_started else "http.response.start"):
            raise RuntimeError(f"unexpected {kind}")
        if self.response_started:
            self._body(message.get("body", b""), last=not message.get("more_body", False))
        else:
            self.response_started = True
            self.waiting_for_100_continue = False
            self._start(message["status"], [*self.default_headers, *message.get("headers", ())])

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        closing = False
        self._refused = status in _REFUSALS
        if status == _TOO_LARGE and self.more_body:
            self.keep_alive = False  # what still comes of the body would be read, to be thrown away
        pieces = [STATUS_LINE[status]]
        for name, value in headers:
            name = name.lower()
            if name in _FRAMING:
                closing = self._frame(name, value) or closing
            pieces += name, b": ", value, b"\r\n"
        lines = len(headers) + 1
        if not self.keep_alive and not closing:
            pieces.append(b"connection: close\r\n")
            lines += 1
        if status in (204, 304):
            self.expected_content_length = 0  # what it says is the length that another answer would have
        elif self.chunked_encoding is None and self.scope["method"] != "HEAD":
            self.chunked_encoding = True
            pieces.append(b"transfer-encoding: chunked\r\n")
            lines += 1
        head = b"".join(pieces)
        # A value that brings a line of its own would be a header, or an answer, of someone else's making.
        if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
            raise RuntimeError("a response header holds a line break")
        self._head = head + b"\r\n"

    def _frame(self, name: bytes, value: bytes) -> bool:
        """Take note of a header that says how the answer ends; whether it closes the connection."""
        if name == b"connection":
            if b"close" not in [token.lower().strip() for token in value.split(b",")]:
                return False
            self.keep_alive = False
            return True
        if name == b"content-length" and self.chunked_encoding is None:
            self.expected_content_length = int(value)
            self.chunked_encoding = False
        elif name == b"transfer-encoding" and value.lower() == b"chunked":
            self.expected_content_length = 0
            self.chunked_encoding = True
        return False

    def _body(self, body: bytes, *, last: bool) -> None:
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
            body = b""
        elif self.chunked_encoding:
            body = (chunk(body) if body else b"") + (b"0\r\n\r\n" if last else b"")
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0:
                raise RuntimeError("the answer is longer than its content-length")
        head, self._head = self._head, b""
        self._write(head, body)
        if not last:
            return
        if self.expected_content_length != 0:
            raise RuntimeError("the answer is shorter than its content-length")
        self.response_complete = True
        self.message_event.set()
        self._finish = self.on_response
        if not self._tail:
            self._complete()

    def _write(self, head: bytes, body: bytes) -> None:
        if len(body) <= pieces.SMALL:
            self.transport.write(head + body if head else body)
            return
        self._tail, self._piece = memoryview(body), self.connection.piece
        if head:
            self.transport.writelines((head, self._next_piece()))
        self.go_on()

    def _next_piece(self) -> memoryview:
        """A piece that is not copied: the transport keeps it only until it is encrypted."""
        piece, self._tail = self._tail[: self._piece], self._tail[self._piece :]
        return piece

    def go_on(self) -> None:
        """Write more of a long body, as much as the client takes."""
        while self._tail and not self.flow.write_paused:
            self.transport.write(self._next_piece())
        if self._tail:
            self.connection.sending = self
            return
        self.drop()  # an empty view keeps the whole body as well
        if self.connection.sending is self:
            self.connection.sending = None
            if self.response_complete:
                self._complete()

    @property
    def unsent(self) -> int:
        """Bytes of the body that are still to be written."""
        return len(self._tail)

    def drop(self) -> None:
        """Write no more of the body."""
        self._tail = _NOTHING

    def _complete(self) -> None:
        if not self.keep_alive:
            if self.more_body:
                self.connection.linger()
            else:
                self.transport.close()
        self._finish()
        if self._refused:
            self.connection.refused()
