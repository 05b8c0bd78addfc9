"""A client's end of exec and attach, over WebSocket or SPDY, in every version that Kubernetes has had.

Over WebSocket every message begins with a channel: 0 input, 1 output, 2 error output, 3 the outcome, 4 the terminal's
size as JSON. Version 5 adds 255, which closes the channel that its one byte names; `base64` versions are text and have
the channel as a digit. Over SPDY each of these is a stream of its own, told by the header `streamType`. Before version
4 the outcome is a text, and none at success; since then it is a Status.

Source: kubelet, cri/streaming/remotecommand; apimachinery, util/remotecommand.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
from collections.abc import Iterable
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from k8slite.spdy import Session as SpdySession
from k8slite.spdy import Stream

from ..runtime.base import Session
from .lookup import LookupFault

CHANNELS = (
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
)
"""Subprotocols of a WebSocket; a client that names none speaks the oldest, `channel.k8s.io`."""
STREAMS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
"""The same of SPDY."""
_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_NUMBERS = {"stdout": _STDOUT, "stderr": _STDERR}
_CREATION = 30.0
"""Seconds in which a client must have opened its streams."""


class Wire(Protocol):
    """Carries one session to its client and back."""

    async def carry_input(self, session: Session) -> None:
        """Input and sizes, until the client hangs up."""
        ...

    async def send(self, stream: str, data: bytes) -> None:
        """Output of `stdout` or `stderr`. Raises ConnectionError."""
        ...

    async def finish(self, status: dict[str, Any]) -> None:
        """How it ended. Raises ConnectionError."""
        ...


class WebSocketWire:
    """Channels in a WebSocket."""

    def __init__(self, socket: web.WebSocketResponse, protocol: str) -> None:
        self._socket = socket
        self._base64 = "base64" in protocol
        self._status = protocol.startswith(("v4.", "v5."))

    async def greet(self, wanted: Iterable[str]) -> None:
        """Say that the connection stands: an empty message on the first channel that the client reads."""
        await self._send(next((_NUMBERS[name] for name in wanted if name in _NUMBERS), _ERROR), b"")

    async def carry_input(self, session: Session) -> None:
        """Input and sizes, until the client hangs up."""
        async for message in self._socket:
            data = message.data.encode() if message.type is WSMsgType.TEXT else message.data
            if not data or not isinstance(data, bytes):
                continue
            channel, data = data[0], data[1:]
            if self._base64:
                channel -= ord("0")
                try:
                    data = base64.b64decode(data, validate=True)
                except binascii.Error:
                    return
            if channel == _STDIN and data:
                await session.write(data)
            elif channel == _RESIZE:
                await _resize(session, data)
            elif channel == _CLOSE and data == bytes([_STDIN]):
                await session.close_input()

    async def send(self, stream: str, data: bytes) -> None:
        """Output."""
        await self._send(_NUMBERS[stream], data)

    async def finish(self, status: dict[str, Any]) -> None:
        """The outcome."""
        if data := outcome(status, as_status=self._status):
            await self._send(_ERROR, data)

    async def _send(self, channel: int, data: bytes) -> None:
        if self._base64:
            await self._socket.send_str(f"{channel}{base64.b64encode(data).decode()}")
        else:
            await self._socket.send_bytes(bytes([channel]) + data)


class SpdyWire:
    """A stream for each channel."""

    def __init__(self, connection: SpdySession, streams: dict[str, Stream], protocol: str) -> None:
        self._connection, self._streams = connection, streams
        self._status = protocol.startswith("v4.")

    async def carry_input(self, session: Session) -> None:
        """Input and sizes, until the client hangs up."""
        tasks = [asyncio.ensure_future(self._carry_sizes(session)), asyncio.ensure_future(self._carry_bytes(session))]
        try:
            await self._connection.over.wait()
        finally:
            for task in tasks:
                task.cancel()

    async def _carry_bytes(self, session: Session) -> None:
        if stream := self._streams.get("stdin"):
            while data := await stream.read():
                await session.write(data)
            await session.close_input()

    async def _carry_sizes(self, session: Session) -> None:
        if stream := self._streams.get("resize"):
            pending = b""
            while data := await stream.read():
                # A size is a line of JSON, wherever the pieces are cut.
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    await _resize(session, line)

    async def send(self, stream: str, data: bytes) -> None:
        """Output; what the client has no stream for is dropped."""
        if found := self._streams.get(stream):
            await found.write(data)

    async def finish(self, status: dict[str, Any]) -> None:
        """The outcome, and the end of every stream."""
        for name in ("stdout", "stderr", "stdin", "resize"):
            if found := self._streams.get(name):
                await found.close()
        error = self._streams["error"]
        await error.write(outcome(status, as_status=self._status))
        await error.close()


async def gather(session: SpdySession, wanted: set[str]) -> dict[str, Stream]:
    """The streams of a session, once the client has opened them all. Raises LookupFault."""
    found: dict[str, Stream] = {}
    try:
        async with asyncio.timeout(_CREATION):
            while wanted - found.keys():
                stream = await session.accept()
                if stream is None:
                    raise LookupFault(400, "the client left before its streams were there")
                found[stream.headers.get("streamtype", "")] = stream
    except TimeoutError as error:
        raise LookupFault(400, "timed out waiting for client to create streams") from error
    return found


def outcome(status: dict[str, Any], *, as_status: bool) -> bytes:
    """How a session ended, for the error channel."""
    if as_status:
        return json.dumps(status).encode()
    return str(status.get("message", "")).encode() if status["status"] != "Success" else b""


async def _resize(session: Session, data: bytes) -> None:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        size = json.loads(data)
        await session.resize(width=int(size["Width"]), height=int(size["Height"]))
