"""The UDP and TCP servers: sockets in, resolver asked, sockets out.

Datagrams are read with plain system calls, many per wake-up: what is cached is answered then and there, so that a known
answer costs two system calls and a dictionary look-up. So is whatever the zone knows: only questions for others wait,
and however many of them do, the cluster's own names are answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from k8slite import sockets

from .. import metrics
from . import wire
from .resolver import Later, Resolver

log = logging.getLogger(__name__)

_BATCH = 64
_IDLE = 10.0
_MAX_STREAMS = 256
_MAX_WAITING = 2000


class DnsServer:
    """Serves one resolver on several addresses."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._waiting: set[asyncio.Task[None]] = set()
        self._streams = 0
        self._udp = metrics.DNS_REQUESTS.labels("udp")
        self._tcp = metrics.DNS_REQUESTS.labels("tcp")
        self._codes = [metrics.DNS_RESPONSES.labels(wire.rcode_text(code)) for code in range(16)]

    @asynccontextmanager
    async def listening(self, addresses: Sequence[str], port: int) -> AsyncIterator[list[tuple[str, int]]]:
        """Serve until the block ends; yields what is listened on. An address may come to exist later.

        Raises OSError if a port is taken.
        """
        loop = asyncio.get_running_loop()
        bound: list[tuple[str, int]] = []
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._drop_waiting)
            for address in addresses:
                stream = stack.enter_context(_socket(address, port, socket.SOCK_STREAM))
                number = stream.getsockname()[1]
                datagram = stack.enter_context(_socket(address, number, socket.SOCK_DGRAM))
                server = await asyncio.start_server(self._serve_stream, sock=stream)
                stack.callback(server.close)
                loop.add_reader(datagram, self._serve_datagrams, datagram)
                stack.callback(loop.remove_reader, datagram)
                bound.append((address, number))
            yield bound

    def _serve_datagrams(self, listener: socket.socket) -> None:
        for _ in range(_BATCH):
            try:
                query, client = listener.recvfrom(4096)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                log.debug("receive: %s", error)
                continue
            self._udp.inc()
            response = self._at_once(query, stream=False)
            if isinstance(response, bytes):
                self._send(listener, response, client)
            elif response is not None and len(self._waiting) < _MAX_WAITING:
                task = asyncio.ensure_future(self._answer_later(listener, response, client))
                self._waiting.add(task)
                task.add_done_callback(self._waiting.discard)

    def _at_once(self, query: bytes, *, stream: bool) -> bytes | Later | None:
        try:
            return self._resolver.at_once(query, stream=stream)
        except Exception:
            log.exception("a query of %d bytes could not be answered", len(query))
            return wire.refusal(query, "SERVFAIL")

    async def _answer_later(self, listener: socket.socket, later: Later, client: tuple[str, int]) -> None:
        self._send(listener, await self._ask(later, stream=False), client)

    async def _ask(self, later: Later, *, stream: bool) -> bytes:
        try:
            return await self._resolver.ask(later, stream=stream)
        except Exception:
            log.exception("a query of %d bytes could not be answered", len(later.query))
            return wire.failure(later.message, "SERVFAIL")

    async def _serve_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._streams += 1
        try:
            while self._streams <= _MAX_STREAMS:
                async with asyncio.timeout(_IDLE):
                    query = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
                self._tcp.inc()
                response = self._at_once(query, stream=True)
                if response is None:
                    break
                if isinstance(response, Later):
                    response = await self._ask(response, stream=True)
                self._count(response)
                writer.write(len(response).to_bytes(2) + response)
                async with asyncio.timeout(_IDLE):  # a client that asks but does not read
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        except Exception:
            log.exception("a stream ended")
        finally:
            self._streams -= 1
            writer.close()

    def _send(self, listener: socket.socket, response: bytes, client: tuple[str, int]) -> None:
        self._count(response)
        # A client that went away, or a full buffer: the client asks again.
        with contextlib.suppress(OSError):
            listener.sendto(response, client)

    def _count(self, response: bytes) -> None:
        self._codes[response[3] & 0x0F].inc()

    async def _drop_waiting(self) -> None:
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)


def _socket(address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    bound = sockets.bind(address, port, kind)
    if kind == socket.SOCK_DGRAM:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    else:
        bound.listen(128)
    return bound
