"""Port forwarding: connections to ports inside a pod, over SPDY, SPDY inside a WebSocket, or a WebSocket's channels.

Over SPDY a client opens a pair of streams for each connection, `data` and `error`, told by headers that also name the
port and the pair. Over a WebSocket the ports stand in the query, each is connected to once, and has two channels: its
data and its errors, both of which begin with the port as two bytes, the low one first.

Source: kubelet, cri/streaming/portforward.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import socket as sockets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from k8slite.spdy import Session, Stream
from k8slite.takeover import PIECE

from ..network import NetworkError
from ..runtime.base import RuntimeFault
from .lookup import Containers, LookupFault
from .upgrade import Finished, open_websocket, spdy, stream_protocol, subprotocol, tunnelled, wants_spdy

_STREAMS = ("portforward.k8s.io",)
_TUNNEL = "SPDY/3.1+portforward.k8s.io"
_CHANNELS = ("v4.channel.k8s.io", "v4.base64.channel.k8s.io")
_LARGEST = 65535
_HALVES = 256
"""Streams that may wait for their pair: no more are taken."""
_MOST = 127
"""Ports of one WebSocket: two channels each, told by one byte."""


class Connect(Protocol):
    """Reaches a port of localhost in the network namespace of a process. Raises NetworkError."""

    async def __call__(self, *, pid: int, port: int) -> sockets.socket:
        """A connection."""
        ...


class _Source(Protocol):
    """The client's half of a connection. `gone`: it wants nothing more, neither way."""

    @property
    def gone(self) -> bool: ...

    async def read(self) -> bytes: ...

    async def write(self, data: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class _Pod:
    """Where connections of one request lead.

    The process is asked for anew for each: a pod may get another sandbox, and the system may give the number of a
    process that has ended to one outside the pod.
    """

    name: str
    uid: str
    process: Callable[[], Awaitable[int]]
    connect: Connect


def handler(containers: Containers, connect: Connect) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler of `/portForward/{namespace}/{pod}`."""

    async def serve(request: web.Request) -> web.StreamResponse:
        found = containers.pod(request)
        pod = _Pod(found.name, found.uid, partial(containers.process, found), connect)
        await pod.process()
        if wants_spdy(request):
            async with spdy(request, stream_protocol(request, _STREAMS)) as session:
                await _forward_pairs(session, pod)
            return Finished()
        chosen = subprotocol(request, (_TUNNEL, *_CHANNELS))
        if chosen == _TUNNEL:
            socket = await open_websocket(request, chosen)
            async with tunnelled(request, socket) as session:
                await _forward_pairs(session, pod)
            return socket
        ports = asked_ports(request.query.getall("port", []))
        socket = await open_websocket(request, chosen)
        await _forward_channels(socket, ports, pod, as_text="base64" in chosen)
        return socket

    return serve


def asked_ports(texts: list[str]) -> list[int]:
    """The ports of a query, each value one or several with commas. Raises LookupFault."""
    if not texts:
        raise LookupFault(400, 'query parameter "port" is required')
    found = []
    for text in texts:
        if not text:
            raise LookupFault(400, 'query parameter "port" cannot be empty')
        found += [_port(part) for part in text.split(",")]
    if len(found) > _MOST:
        raise LookupFault(400, f"at most {_MOST} ports may be forwarded at once")
    return found


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= _LARGEST):
        raise LookupFault(400, f'unable to parse "{text}" as a port')
    if int(text) < 1:
        raise LookupFault(400, f'port "{text}" must be > 0')
    return int(text)


async def _forward_pairs(session: Session, pod: _Pod) -> None:
    pending: dict[str, dict[str, Stream]] = {}
    under_way: set[asyncio.Task[None]] = set()
    try:
        while stream := await session.accept():
            kind = stream.headers.get("streamtype", "")
            # Clients of old name no pair: they open the error stream, then the data stream.
            key = stream.headers.get("requestid") or str(stream.number - (2 if kind == "data" else 0))
            if len(pending) >= _HALVES:
                pending = {name: pair for name, pair in pending.items() if not any(s.gone for s in pair.values())}
            pair = pending.get(key, {})
            if kind not in ("data", "error") or kind in pair or (not pair and len(pending) >= _HALVES):
                await stream.reset()
                continue
            pending[key] = pair
            pair[kind] = stream
            if len(pair) == 2:
                del pending[key]
                task = asyncio.ensure_future(_forward_pair(pair["data"], pair["error"], pod))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _forward_pair(data: Stream, error: Stream, pod: _Pod) -> None:
    with contextlib.suppress(ConnectionError):
        if fault := await _join(data, data.headers.get("port", ""), pod):
            await error.write(fault.encode())
        await data.close()
        await error.close()


async def _join(source: _Source, text: str, pod: _Pod) -> str:
    """Carry one connection to its end; what went wrong, empty if nothing did."""
    try:
        port = _port(text)
        opened = await pod.connect(pid=await pod.process(), port=port)
        reader, writer = await asyncio.open_connection(sock=opened, limit=PIECE)
    except LookupFault as fault:
        return str(fault)
    except (NetworkError, RuntimeFault, OSError) as error:
        return f"error forwarding port {port} to pod {pod.name}, uid {pod.uid}: {error}"
    sending = asyncio.ensure_future(_send(source, writer))
    try:
        while data := await reader.read(PIECE):
            await source.write(data)
    except OSError as error:
        return f"error forwarding port {port} to pod {pod.name}, uid {pod.uid}: {error.strerror or error}"
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.close()
    return ""


async def _send(source: _Source, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read():
            writer.write(data)
            await writer.drain()
        if source.gone:
            writer.transport.abort()
        else:
            writer.write_eof()


class _Channel:
    """A port's two channels in a WebSocket, `number` for data and the next for errors."""

    def __init__(self, socket: web.WebSocketResponse, number: int, *, as_text: bool) -> None:
        self._socket, self._number, self._as_text = socket, number, as_text
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(16)
        self._over = False
        self.gone = False

    async def read(self) -> bytes:
        return await self._pieces.get()

    async def feed(self, data: bytes) -> None:
        if not self._over:
            await self._pieces.put(data)

    def finish(self) -> None:
        """Take no more; whoever waits to feed goes on."""
        self._over = True
        while not self._pieces.empty():
            self._pieces.get_nowait()

    async def write(self, data: bytes, *, error: bool = False) -> None:
        number = self._number + int(error)
        if self._as_text:
            await self._socket.send_str(f"{chr(ord('0') + number)}{base64.b64encode(data).decode()}")
        else:
            await self._socket.send_bytes(bytes([number]) + data)


async def _forward_channels(socket: web.WebSocketResponse, ports: list[int], pod: _Pod, *, as_text: bool) -> None:
    channels = [_Channel(socket, 2 * index, as_text=as_text) for index in range(len(ports))]

    async def forward(channel: _Channel, port: int) -> None:
        if fault := await _join(channel, str(port), pod):
            await channel.write(fault.encode(), error=True)
        channel.finish()

    tasks: list[asyncio.Future[Any]] = []
    try:
        for channel, port in zip(channels, ports, strict=True):
            for error in (False, True):
                await channel.write(port.to_bytes(2, "little"), error=error)
        tasks.append(asyncio.ensure_future(_listen(socket, channels, as_text=as_text)))
        tasks.append(asyncio.gather(*(forward(*pair) for pair in zip(channels, ports, strict=True))))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(ConnectionError):
            await socket.close()


async def _listen(socket: web.WebSocketResponse, channels: list[_Channel], *, as_text: bool) -> None:
    async for message in socket:
        data = message.data.encode() if message.type is WSMsgType.TEXT else message.data
        if not isinstance(data, bytes) or len(data) < 2:
            continue
        number, data = data[0], data[1:]
        if as_text:
            number -= ord("0")
            try:
                data = base64.b64decode(data, validate=True)
            except binascii.Error:
                return
        if number % 2 == 0 and 0 <= number < 2 * len(channels):
            await channels[number // 2].feed(data)
