"""A pool of kept-alive HTTP/1.1 connections to one server, for requests whose answers are read whole.

It does what a daemon's API client needs and nothing else: no redirects, cookies, proxies or compression, and no answers
whose end is the connection's. A request takes half the processor time that it takes through aiohttp (66 µs, not 128),
and a scheduler that binds a thousand pods a second spends much of its time on requests. What is read as it comes
(watches) stays with aiohttp, and so do the exceptions, which are its own.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple, cast
from urllib.parse import urlsplit

import aiohttp
import httptools

from .sockets import client_options

KEEP_ALIVE = 60.0
"""Seconds that an idle connection is kept: long enough for the next lease renewal to save its TLS handshake."""
_REPEATABLE = frozenset({"GET", "PUT", "DELETE"})
"""What HTTP calls idempotent, of what is sent here."""


class Answer(NamedTuple):
    """Status and body."""

    code: int
    body: bytes


class Pool:
    """The connections to a server. `tls` is None for plain HTTP; `headers` go with every request.

    An answer of more than `largest` bytes is an error; 0 takes any.
    """

    def __init__(
        self, server: str, *, tls: ssl.SSLContext | None, headers: Mapping[str, str], largest: int = 0
    ) -> None:
        self._largest = largest
        parts = urlsplit(server)
        self._host = parts.hostname or ""
        self._port = parts.port or (80 if tls is None else 443)
        self._prefix = parts.path.rstrip("/")
        self._tls = tls
        lines = {"Host": parts.netloc.rpartition("@")[2], **headers}
        self._head = "".join(f"{name}: {_line(value)}\r\n" for name, value in lines.items())
        self._idle: deque[_Connection] = deque()
        """Without a request; who was used last is last."""
        self._open: set[_Connection] = set()
        self._closed = False

    async def request(self, method: str, target: str, *, body: bytes | None = None, content_type: str = "") -> Answer:
        """Send a request to a path and query, and read the answer.

        A repeatable one is sent again once if it met a kept-alive connection that the server had dropped. Raises
        aiohttp.ClientError.
        """
        message = self._message(method, target, body, content_type)
        while True:
            connection = self._rested()
            fresh = connection is None
            if connection is None:
                connection = await self._connect()
            try:
                answer = await connection.ask(message)
            except aiohttp.ServerDisconnectedError:
                if fresh or connection.answers or method not in _REPEATABLE:
                    raise
                continue
            finally:
                self._settle(connection)
            return answer

    def close(self) -> None:
        """Close all connections, those included that are being used or made."""
        self._closed = True
        for connection in list(self._open):
            connection.abort()
        self._idle.clear()

    def _message(self, method: str, target: str, body: bytes | None, content_type: str) -> bytes:
        head = f"{method} {_word(self._prefix + target)} HTTP/1.1\r\n{self._head}"
        if body is None:
            return (head + "\r\n").encode()
        head += f"Content-Type: {_line(content_type)}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    def _rested(self) -> _Connection | None:
        """The connection that was used last, if it is still good."""
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable and connection.loop.time() - connection.rested < KEEP_ALIVE:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            transport, connection = await loop.create_connection(
                lambda: _Connection(loop, self._open, self._largest), self._host, self._port, ssl=self._tls
            )
        except OSError as error:
            raise aiohttp.ClientOSError(error.errno, f"cannot connect to {self._host}:{self._port}: {error}") from error
        client_options(transport.get_extra_info("socket"))
        if self._closed:
            connection.abort()
        return connection

    def _settle(self, connection: _Connection) -> None:
        """Keep a connection for the next request if it has none under way any more, else close it."""
        if not connection.reusable:
            connection.abort()
            return
        connection.rested = connection.loop.time()
        self._idle.append(connection)
        while self._idle[0].loop.time() - self._idle[0].rested >= KEEP_ALIVE:
            self._idle.popleft().abort()


class _Connection(asyncio.Protocol):
    """One connection, with at most one request under way."""

    def __init__(self, loop: asyncio.AbstractEventLoop, siblings: set[_Connection], largest: int) -> None:
        self.loop = loop
        self._room = self._largest = largest
        self.rested = 0.0
        self.answers = False
        """Whether something of the answer to the last request has come."""
        self._siblings = siblings
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._keeps = True
        self._pieces: list[bytes] = []

    @property
    def reusable(self) -> bool:
        """Whether a request may be sent."""
        return self._keeps and self._answer is None

    async def ask(self, message: bytes) -> Answer:
        """Send a request and return its answer. Raises aiohttp.ClientError. Who is cancelled loses the connection."""
        assert self._transport is not None
        self.answers = False
        self._answer = self.loop.create_future()
        if self._transport.is_closing():
            self._fail(aiohttp.ServerDisconnectedError())
        else:
            self._transport.write(message)
        answer = await self._answer
        self._answer = None
        return answer

    def abort(self) -> None:
        """End the connection at once."""
        self._keeps = False
        if self._transport is not None:
            self._transport.abort()

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self._transport = cast(asyncio.Transport, transport)
        self._siblings.add(self)

    def data_received(self, data: bytes) -> None:
        """Part of an answer."""
        if self._answer is None:  # nobody asked
            self.abort()
            return
        self.answers = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(aiohttp.ClientPayloadError(f"what came is no HTTP: {error}"))
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._keeps = False
        self._siblings.discard(self)
        self._fail(aiohttp.ServerDisconnectedError())

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    # The answer

    def on_body(self, piece: bytes) -> None:
        """Part of the body."""
        if self._largest:
            self._room -= len(piece)
            if self._room < 0:
                self._fail(aiohttp.ClientPayloadError(f"the answer has more than {self._largest} bytes"))
                self.abort()
                return
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """The whole answer; one below 200 only announces another."""
        code = self._parser.get_status_code()
        body, self._pieces, self._room = b"".join(self._pieces), [], self._largest
        if code < 200:
            return
        self._keeps = self._keeps and self._parser.should_keep_alive()
        if self._answer is None or self._answer.done():
            self.abort()  # nobody waits any more
        else:
            self._answer.set_result(Answer(code, body))


def _line(value: str) -> str:
    """A value for a header. Raises ValueError for one that would be more than that."""
    if "\r" in value or "\n" in value or "\0" in value:
        raise ValueError("a header holds a line break")
    return value


def _word(target: str) -> str:
    """A target for a request's first line. Raises ValueError for one that would end it."""
    if " " in target or _line(target) != target:
        raise ValueError(f"no path: {target!r}")
    return target
