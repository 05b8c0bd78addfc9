"""Asks other name servers what is not ours: over UDP, over TCP for what was cut off, one server after the other."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from k8slite import resolv_conf

from .. import metrics
from . import wire

log = logging.getLogger(__name__)

TIMEOUT = 2.0
"""Seconds that one server gets."""
MAX_IN_FLIGHT = 1000


class NoAnswer(Exception):
    """No upstream server answered, or there is none."""


@dataclass(frozen=True, slots=True)
class Server:
    """An upstream name server."""

    host: str
    port: int = 53

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse_server(text: str) -> Server:
    """`192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1` or `[2001:db8::1]:5353`."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return Server(host, int(port.lstrip(":") or 53))
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return Server(host, int(port))
    return Server(text)


def read_resolv_conf(path: Path) -> list[Server]:
    """The name servers that a resolv.conf names; none if it cannot be read."""
    try:
        text = path.read_text()
    except OSError:
        return []
    return [Server(address.partition("%")[0]) for address in resolv_conf.name_servers(text)]


class Upstream:
    """The servers to ask. Those that are ourselves are left out, so that no question runs in circles."""

    def __init__(self, servers: Sequence[str], *, resolv_conf: Path, ourselves: Collection[str]) -> None:
        self._fixed = [parse_server(text) for text in servers]
        self._resolv_conf = resolv_conf
        self._ourselves = frozenset(ourselves)
        self._read: tuple[tuple[int, int], list[Server]] = ((-1, -1), [])
        self._first = 0
        self._in_flight = 0

    def servers(self) -> list[Server]:
        """The servers in the order to ask; resolv.conf is read again when it has changed."""
        servers = self._fixed or self._from_resolv_conf()
        servers = [server for server in servers if server.host not in self._ourselves]
        start = self._first % len(servers) if servers else 0
        return servers[start:] + servers[:start]

    async def ask(self, query: bytes) -> bytes:
        """The answer to a query, under the query's own identity. Raises NoAnswer."""
        if self._in_flight >= MAX_IN_FLIGHT:
            raise NoAnswer("too many questions at once")
        self._in_flight += 1
        try:
            for server in self.servers():
                try:
                    async with asyncio.timeout(TIMEOUT):
                        metrics.DNS_FORWARDS.labels(str(server)).inc()
                        return await _ask(server, query)
                except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                    log.debug("upstream %s: %s", server, error or type(error).__name__)
                    # Whoever asks next need not wait for this one first.
                    self._first += 1
        finally:
            self._in_flight -= 1
        raise NoAnswer("no upstream server answered")

    def _from_resolv_conf(self) -> list[Server]:
        changed = (_changed(self._resolv_conf), _changed(resolv_conf.RESOLVED))
        if changed != self._read[0]:
            self._read = (changed, read_resolv_conf(resolv_conf.effective(self._resolv_conf)))
        return self._read[1]


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


async def _ask(server: Server, query: bytes) -> bytes:
    # A fresh identity and a fresh port for every question: both must be guessed to forge an answer.
    sent = secrets.token_bytes(2) + query[2:]
    response = await _ask_datagram(server, sent)
    if wire.is_truncated(response):
        response = await _ask_stream(server, sent)
    return query[:2] + response[2:]


class _Question(asyncio.DatagramProtocol):
    def __init__(self, query: bytes) -> None:
        self.query = query
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self.answer.done() and wire.answers(data, self.query):
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _ask_datagram(server: Server, query: bytes) -> bytes:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Question(query), remote_addr=(server.host, server.port)
    )
    try:
        transport.sendto(query)
        return await protocol.answer
    finally:
        transport.close()


async def _ask_stream(server: Server, query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        writer.write(len(query).to_bytes(2) + query)
        while True:
            length = int.from_bytes(await reader.readexactly(2))
            response = await reader.readexactly(length)
            if wire.answers(response, query):
                return response
    finally:
        writer.close()
