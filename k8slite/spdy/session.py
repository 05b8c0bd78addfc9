"""Streams over one connection: who reads a stream slowly slows the whole connection down, as in Kubernetes' own.

A `Link` is what carries the bytes: a connection, or the binary messages of a WebSocket.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Protocol

from .frames import Codec, Data, Frame, GoAway, Ping, Reset, SpdyError, SynReply, SynStream

_QUEUED = 64 * 1024
"""Bytes of a stream that may wait for its reader before the connection is read no further."""
_PIECE = 64
"""What a piece takes beside its bytes."""
_STREAMS = 1024
"""Streams that may be open, and that may wait to be accepted: a peer that opens more is cut off."""


class Link(Protocol):
    """Carries bytes both ways."""

    async def receive(self) -> bytes:
        """Some bytes; none at the end."""
        ...

    async def send(self, data: bytes) -> None:
        """Send bytes, waiting while the peer is slow. Raises ConnectionError."""
        ...


class Stream:
    """One stream of a session, with one reader."""

    def __init__(self, session: Session, number: int, headers: Mapping[str, str]) -> None:
        self.number, self.headers = number, headers
        self._session = session
        self._pieces: deque[bytes] = deque()
        self._queued = 0
        self._changed = asyncio.Event()
        self._peer_closed = False
        self._closed = False
        self._gone = False
        self.taken = asyncio.Event()
        """Set when the peer has taken a stream that we opened, or when there is no hope of it."""

    async def read(self) -> bytes:
        """The next piece; none at the end."""
        while not self._pieces and not self._peer_closed and not self._gone:
            self._changed.clear()
            await self._changed.wait()
        if not self._pieces:
            return b""
        self._changed.set()
        piece = self._pieces.popleft()
        self._queued -= len(piece) + _PIECE
        return piece

    async def write(self, data: bytes) -> None:
        """Send bytes; dropped if the stream is closed, by either end. Raises ConnectionError."""
        if data and not self._closed:
            await self._session.send(Data(self.number, data))

    async def close(self) -> None:
        """Send no more. Raises ConnectionError."""
        if not self._closed:
            self._closed = True
            await self._session.send(Data(self.number, b"", True))
            self._session.forget(self)

    async def reset(self) -> None:
        """End the stream both ways. Raises ConnectionError."""
        if not self.over:
            self.cut()
            await self._session.send(Reset(self.number))
            self._session.forget(self)

    @property
    def gone(self) -> bool:
        """Whether a reset, or the connection's end, ended the stream both ways at once."""
        return self._gone

    @property
    def over(self) -> bool:
        """Whether both ends are closed."""
        return self._gone or (self._closed and self._peer_closed)

    async def feed(self, piece: bytes, *, last: bool) -> None:
        """What the session has read for this stream; waits while the reader is slow."""
        if self._peer_closed or self._gone:
            return
        if piece:
            self._pieces.append(piece)
            self._queued += len(piece) + _PIECE
        self._peer_closed = last
        self._changed.set()
        while self._queued > _QUEUED and not self._gone:
            self._changed.clear()
            await self._changed.wait()
        self._session.forget(self)

    def cut(self) -> None:
        """The stream is over, whatever was still to come."""
        self._closed = self._gone = True
        self._changed.set()
        self.taken.set()


class Session:
    """One connection. `run` must be running; it ends with the connection."""

    def __init__(self, link: Link, *, server: bool) -> None:
        self._link = link
        self._codec = Codec()
        self._streams: dict[int, Stream] = {}
        self._next = 2 if server else 1
        self._opened: asyncio.Queue[Stream | None] = asyncio.Queue()
        self._sending = asyncio.Lock()
        self.over = asyncio.Event()
        """Set at the connection's end."""

    async def run(self) -> None:
        """Read the connection to its end, then end all streams. Raises SpdyError."""
        try:
            while data := await self._link.receive():
                for frame in self._codec.feed(data):
                    await self._take(frame)
        except ConnectionError:
            pass
        finally:
            for stream in self._streams.values():
                stream.cut()
            self._streams.clear()
            self._opened.put_nowait(None)
            self.over.set()

    async def accept(self) -> Stream | None:
        """The next stream that the peer opens, already taken; None at the end."""
        stream = await self._opened.get()
        if stream is None:
            self._opened.put_nowait(None)
        return stream

    async def open(self, headers: Mapping[str, str]) -> Stream:
        """Open a stream, and wait until the peer has taken it. Raises ConnectionError."""
        stream = Stream(self, self._next, headers)
        self._next += 2
        self._streams[stream.number] = stream
        await self.send(SynStream(stream.number, headers))
        await stream.taken.wait()
        return stream

    async def send(self, frame: Frame) -> None:
        """Send a frame. Raises ConnectionError."""
        async with self._sending:
            await self._link.send(self._codec.encode(frame))

    def forget(self, stream: Stream) -> None:
        """Drop a stream that is closed at both ends."""
        if stream.over:
            self._streams.pop(stream.number, None)

    async def _take(self, frame: Frame) -> None:
        match frame:
            case SynStream(number, headers, fin):
                if number in self._streams or max(len(self._streams), self._opened.qsize()) >= _STREAMS:
                    raise SpdyError(f"stream {number} is one too many")
                stream = self._streams[number] = Stream(self, number, headers)
                await self.send(SynReply(number, {}))
                if fin:
                    await stream.feed(b"", last=True)
                self._opened.put_nowait(stream)
            case SynReply(number, _, fin) if found := self._streams.get(number):
                found.taken.set()
                if fin:
                    await found.feed(b"", last=True)
            case Data(number, payload, fin) if found := self._streams.get(number):
                await found.feed(payload, last=fin)
            case Reset(number, _) if found := self._streams.pop(number, None):
                found.cut()
            case Ping(number) if number % 2 != self._next % 2:
                await self.send(frame)
            case GoAway():
                pass  # streams under way go on; the peer hangs up when they are over
