"""Writes to the API server at a few microseconds each: requests and answers as bytes over kept connections.

`k8slite.client` serves whoever writes now and then. A program that plays thousands of nodes writes hundreds of times a
second for ever, and what it does is nearly all of it this: heads are made once, bodies are bytes, answers are not read
beyond their status. Nothing is repeated here: who writes is level-triggered and comes again.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import cast
from urllib.parse import urlsplit

import httptools
import orjson

from k8slite.client import REQUEST_TIMEOUT
from k8slite.connection import ClientConfig, tls
from k8slite.errors import ApiError
from k8slite.metrics import CLIENT_REQUESTS

JSON, MERGE, STRATEGIC = (f"application/{kind}" for kind in ("json", "merge-patch+json", "strategic-merge-patch+json"))
Answer = tuple[int, bytes, bool]
"""Status, body, and whether the connection may be used again."""


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []

    async def send(self, request: bytes) -> Answer:
        """Send a request; its answer. Raises ConnectionError."""
        if self.transport is None:
            raise ConnectionResetError("the server closed the connection")
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        try:
            return await self._answer
        finally:
            self._answer = None

    def close(self) -> None:
        """Hang up."""
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self.transport = None
        self._fail(ConnectionResetError(str(exc or "the server closed the connection")))

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"no HTTP: {error}"))
            self.close()

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        answer = self._parser.get_status_code(), b"".join(self._body), self._parser.should_keep_alive()
        self._body.clear()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


class Wire:
    """A pool of connections to one server; `connections` bounds how many there are, and so the requests at once."""

    def __init__(self, config: ClientConfig, *, connections: int) -> None:
        where = urlsplit(config.server)
        secure = where.scheme == "https"
        self._host, self._port = where.hostname or "", where.port or (443 if secure else 80)
        self._tls = tls(config) if secure else None
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[_Connection] = []
        self._prefix = where.path.rstrip("/")
        head = [f"Host: {where.netloc}", f"User-Agent: {config.user_agent}", "Accept: application/json"]
        if config.token:
            head.append(f"Authorization: Bearer {config.token}")
        self._head = "\r\n".join(head)

    async def __aenter__(self) -> Wire:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        for connection in self._idle:
            connection.close()

    async def send(self, method: str, path: str, body: bytes, *, media: str = JSON) -> bytes:
        """One request; the answer's body. Raises ApiError, OSError, TimeoutError."""
        head = (
            f"{method} {self._prefix}{path} HTTP/1.1\r\n{self._head}\r\n"
            f"Content-Type: {media}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        async with self._slots:
            connection = self._kept() or await self._connect()
            kept = False
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT):
                    code, answer, kept = await connection.send(head.encode() + body)
            finally:
                if kept and connection.transport is not None:
                    self._idle.append(connection)
                else:
                    connection.close()
        CLIENT_REQUESTS.labels(code, method, self._host).inc()
        if code >= 400:
            raise _refused(code, answer)
        return answer

    def _kept(self) -> _Connection | None:
        while self._idle:
            if (connection := self._idle.pop()).transport is not None:
                return connection
        return None

    async def _connect(self) -> _Connection:
        async with asyncio.timeout(REQUEST_TIMEOUT):
            _, connection = await asyncio.get_running_loop().create_connection(
                _Connection, self._host, self._port, ssl=self._tls
            )
        return connection


def _refused(code: int, answer: bytes) -> ApiError:
    try:
        status = orjson.loads(answer)
    except orjson.JSONDecodeError:
        status = {"message": answer[:300].decode(errors="replace").strip()}
    return ApiError.from_status(code, status if isinstance(status, dict) else {})
