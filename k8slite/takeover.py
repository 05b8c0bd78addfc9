"""A connection taken from the HTTP server that holds it, to speak another protocol on it after an upgrade.

The event loop lets a transport change its protocol; the former one only learns when the connection is gone, so that the
server's own accounts stay right.
"""

from __future__ import annotations

import asyncio
import contextlib

PIECE = 256 * 1024
"""Bytes that are read ahead, at most, and moved at once."""


class Taken(asyncio.StreamReaderProtocol):
    """The protocol of a connection that was taken from `former`."""

    def __init__(self, reader: asyncio.StreamReader, *, former: asyncio.BaseProtocol) -> None:
        super().__init__(reader)
        self._former = former

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: both protocols learn of it."""
        super().connection_lost(exc)
        self._former.connection_lost(exc)


def take_over(
    transport: asyncio.Transport, *, former: asyncio.BaseProtocol, early: bytes = b""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The connection as a reader and a writer. Nothing is sent; what the peer sends from now on is read.

    `early` is what it has sent of the new protocol already. A peer that has left is one whose input has ended.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=PIECE, loop=loop)
    protocol = Taken(reader, former=former)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    if early:
        reader.feed_data(early)
    if transport.is_closing():
        reader.feed_eof()  # nobody will tell the new protocol that the peer has left already
    else:
        transport.resume_reading()
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Move bytes until the reader's end, or until either connection breaks."""
    with contextlib.suppress(ConnectionError, OSError):
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()
