"""A client's connection joined to another server's, after both have changed to a protocol that is not looked at here.

The client's request goes on as it is, without its credentials. If the other server agrees to the change (101), its
answer and from then on all bytes pass unseen; otherwise its answer is the client's, or the caller's to explain.

Source: apimachinery, util/proxy/upgradeaware.go.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import httptools

from k8slite.errors import bad_request
from k8slite.sockets import keep_alive
from k8slite.takeover import PIECE, pipe

from ..calls import Scope
from ..wire.connection import HANDOVER
from ..wire.request import RequestInfo

TOKEN_PROTOCOL = "base64url.bearer.authorization.k8s.io."
"""A WebSocket's subprotocol that carries a token; it ends here."""
_OPEN = 10.0
"""Seconds to connect and to shake hands."""
_HEAD_LIMIT = 64 * 1024
_BODY_LIMIT = 1 << 20

Headers = list[tuple[bytes, bytes]]


class Client(Protocol):
    """Whose connection is to be joined: the `Call` of a request, or as much of one."""

    @property
    def info(self) -> RequestInfo:
        """What it asks for."""
        ...

    @property
    def scope(self) -> Scope:
        """Its request."""
        ...


class Unreachable(Exception):
    """The other server cannot be reached, or does not speak HTTP."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The other server's answer instead of a change of protocol."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where to: `target` is a path with its query, quoted; `tls` is None for plain TCP.

    `server_name` is what its certificate is for, if not the host.
    """

    host: str
    port: int
    target: bytes
    tls: ssl.SSLContext | None
    server_name: str = ""

    @property
    def authority(self) -> bytes:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}".encode()


def wanted(call: Client) -> bytes:
    """The protocol that the client wants to change to, empty if none."""
    headers = dict(call.scope["headers"])
    tokens = [token.strip().lower() for token in headers.get(b"connection", b"").split(b",")]
    upgrade: bytes = headers.get(b"upgrade", b"")
    return upgrade if b"upgrade" in tokens else b""


def without_token(headers: Sequence[tuple[bytes, bytes]]) -> Headers:
    """The headers without a token among a WebSocket's subprotocols."""
    kept: Headers = []
    for name, value in headers:
        if name == b"sec-websocket-protocol":
            names = [text.strip() for text in value.split(b",")]
            value = b", ".join(text for text in names if not text.startswith(TOKEN_PROTOCOL.encode()))
            if not value:
                continue
        kept.append((name, value))
    return kept


class _Answer:
    """What httptools tells of an answer."""

    def __init__(self) -> None:
        self.headers: Headers = []
        self.body = bytearray()
        self.head_done = self.done = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.head_done = True

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.done = True


async def join(call: Client, place: Place, headers: Headers) -> Refusal | None:
    """Ask for the change with these headers; None once the joined connections have ended.

    Raises Unreachable, and ApiError 400 for a request with a body: what follows its head is the new protocol's.
    """
    sent = dict(call.scope["headers"])
    if b"transfer-encoding" in sent or int(sent.get(b"content-length", b"0")):
        raise bad_request("a request to change the protocol must not have a body")
    try:
        async with asyncio.timeout(_OPEN):
            reader, writer = await asyncio.open_connection(
                place.host, place.port, ssl=place.tls, server_hostname=place.server_name or None, limit=PIECE
            )
    except (OSError, TimeoutError) as error:
        raise Unreachable(str(error) or type(error).__name__) from error
    try:
        keep_alive(writer.get_extra_info("socket"))
        lines = [call.info.method.encode() + b" " + place.target + b" HTTP/1.1"]
        if not any(name == b"host" for name, _ in headers):
            lines.append(b"host: " + place.authority)
        lines += [b"connection: Upgrade", b"upgrade: " + wanted(call)]
        lines += [name + b": " + value for name, value in without_token(headers) if name != b"content-length"]
        writer.write(b"\r\n".join(lines) + b"\r\n\r\n")
        try:
            async with asyncio.timeout(_OPEN * 3):
                answer, status, early = await _answer(reader)
        except (OSError, EOFError, TimeoutError, httptools.HttpParserError) as error:
            raise Unreachable(str(error) or type(error).__name__) from error
        if status != 101:
            return Refusal(status, answer.headers, bytes(answer.body))
        await _converse(call, reader, writer, answer.headers, early)
        return None
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[_Answer, int, bytes]:
    """An answer's head, its body unless it is 101, and what came behind it."""
    answer, size = _Answer(), 0
    parser = httptools.HttpResponseParser(answer)
    while not answer.done:
        data = await reader.read(PIECE)
        if not data:
            if answer.head_done:
                break  # a body that ends with the connection
            raise EOFError("it closed the connection")
        size += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return answer, parser.get_status_code(), data[upgrade.args[0] :]
        if size > (_BODY_LIMIT if answer.head_done else _HEAD_LIMIT):
            raise EOFError("it answered with more than fits here instead of changing the protocol")
    return answer, parser.get_status_code(), b""


async def _converse(
    call: Client, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: Headers, early: bytes
) -> None:
    client_reader, client_writer = call.scope["state"][HANDOVER]()
    head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    client_writer.write(b"HTTP/1.1 101 Switching Protocols\r\n" + head + b"\r\n" + early)
    tasks = [
        asyncio.ensure_future(pipe(reader, client_writer)),
        asyncio.ensure_future(pipe(client_reader, writer)),
    ]
    try:
        # TLS knows no half-closed connections: the end of one direction is the end of both.
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        client_writer.close()
