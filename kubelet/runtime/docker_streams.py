"""Docker's streams: the frames of stdout and stderr, and the raw connection behind exec and attach.

Without a terminal Docker frames output: one byte stream number, three zero bytes, four bytes length, payload. With a
terminal the bytes come as they are. Source: Docker Engine API v1.41, ContainerAttach, "Stream format".
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal

from .base import Output

_CHUNK = 64 * 1024
_HEAD = 8


class Frames:
    """Turns the bytes of a stream into outputs, whatever pieces they arrive in; no payload is held back."""

    def __init__(self, *, tty: bool) -> None:
        self._tty = tty
        self._head = b""
        self._stream: Literal["stdout", "stderr"] = "stdout"
        self._due = 0
        """Bytes of the current frame's payload that have not come yet."""

    def feed(self, data: bytes) -> list[Output]:
        """What `data` brings."""
        if self._tty:
            return [Output("stdout", data)] if data else []
        found: list[Output] = []
        position = 0
        while position < len(data):
            if self._due:
                payload = data[position : position + self._due]
                found.append(Output(self._stream, payload))
                self._due -= len(payload)
                position += len(payload)
            else:
                part = data[position : position + _HEAD - len(self._head)]
                self._head += part
                position += len(part)
                if len(self._head) == _HEAD:
                    number, self._due = struct.unpack(">BxxxL", self._head)
                    self._stream = "stderr" if number == 2 else "stdout"
                    self._head = b""
        return found


class Hijacked:
    """An upgraded HTTP connection, read and written on the event loop.

    The HTTP library may have read more than the response's headers: those bytes are the stream's first.
    """

    def __init__(
        self,
        raw: Any,
        *,
        tty: bool,
        resize: Callable[[int, int], Awaitable[None]],
        exit_code: Callable[[], Awaitable[int | None]],
    ) -> None:
        self._response = raw._response
        self._socket: socket.socket = getattr(raw, "_sock", raw)
        self._socket.setblocking(False)
        buffered = self._response.raw._fp.fp
        self._early: bytes = buffered.read1(_CHUNK) if buffered.peek(1) else b""
        self._frames = Frames(tty=tty)
        self._resize, self._exit_code = resize, exit_code

    async def output(self) -> AsyncIterator[Output]:
        """What the process writes, until it ends."""
        loop = asyncio.get_running_loop()
        for item in self._frames.feed(self._early):
            yield item
        while True:
            try:
                data = await loop.sock_recv(self._socket, _CHUNK)
            except OSError:
                return
            if not data:
                return
            for item in self._frames.feed(data):
                yield item

    async def write(self, data: bytes) -> None:
        """Give the process input; input to one that has ended is dropped."""
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def close_input(self) -> None:
        """End of input."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    async def resize(self, *, width: int, height: int) -> None:
        """Change the terminal's size."""
        await self._resize(width, height)

    async def exit_code(self) -> int | None:
        """The exit code, once output has ended."""
        return await self._exit_code()

    async def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._response.close()
