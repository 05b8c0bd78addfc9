"""Carrying watches to their clients: one callback of the event loop serves all of them, no task wakes for any.

A change that a thousand clients watch is one line, framed once; for each client what is left is one write to its
connection, past ASGI's messages. `docs/adr/0001-watch-fan-out.md` has the figures.

A `Delivery` joins a watch to the outlet of its connection. When its watcher has news it is due; `Fanout` serves those
that are due in turn, a bounded amount at each turn of the loop, so that other requests are answered in between. A
client that does not read has a full outlet: its delivery is left alone until there is room, its events wait in its
watcher, and the watcher's own bound cuts it off. It may then read what it is owed; if it does not do so in `PATIENCE`,
its connection is ended, for nothing else would ever end it.
"""

from __future__ import annotations

import asyncio
from collections import deque

from ..watching.watch import WatchStream
from .connection import Outlet
from .exchange import chunk

TURN = 64 * 1024
"""Bytes sent in one turn of the event loop."""
PATIENCE = 30.0
"""Seconds that a client has for reading something once its watch has ended."""
LEAST = 2 * 1024
"""What a small piece counts for: its system call takes as long as to encrypt and copy so many bytes more."""


class Fanout:
    """The deliveries that are due."""

    def __init__(self) -> None:
        self._due: deque[Delivery] = deque()
        self._scheduled = False
        self._piece = self._framed = b""

    def add(self, delivery: Delivery) -> None:
        """Serve a delivery soon."""
        self._due.append(delivery)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._serve)

    def frame(self, piece: bytes) -> bytes:
        """A piece as an HTTP chunk. Watchers of the same thing are given the very same object, one after the other."""
        if piece is not self._piece:
            self._piece, self._framed = piece, chunk(piece)
        return self._framed

    def _serve(self) -> None:
        due, sent = self._due, 0
        while due and sent < TURN:
            delivery = due.popleft()
            try:
                sent += max(delivery.deliver(), LEAST)
            except Exception as error:  # one broken stream must not hold up the others
                delivery.fail(error)
        if due:
            asyncio.get_running_loop().call_soon(self._serve)
        else:
            self._scheduled = False
            self._piece = self._framed = b""


class Delivery:
    """One watch on its way to one client. Await `over`, then `stop`."""

    __slots__ = ("_fanout", "_is_due", "_outlet", "_patience", "_stream", "over")

    def __init__(self, stream: WatchStream, *, outlet: Outlet, fanout: Fanout) -> None:
        self._stream = stream
        self._outlet = outlet
        self._fanout = fanout
        self._is_due = False
        self._patience: asyncio.TimerHandle | None = None
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the watch has ended and all of it is written, or the client is known to be gone."""

    def start(self) -> None:
        """Begin to write. The answer's head must have been sent."""
        self._stream.on_ready = self._outlet.on_room = self.due
        self.due()

    def due(self) -> None:
        """There may be something to write, or room for it."""
        if not self._is_due:
            self._is_due = True
            self._fanout.add(self)

    def deliver(self) -> int:
        """Write what is there, unless the client is slow or gone; how many bytes."""
        self._is_due = False
        if self.over.done():
            return 0
        if self._outlet.full:
            if self._stream.ended and self._patience is None:
                self._patience = asyncio.get_running_loop().call_later(PATIENCE, self._lose_patience)
            return 0
        self._keep_patience()
        piece = self._stream.take()
        if piece:
            self._outlet.write(self._fanout.frame(piece))
            if self._stream.pending:
                self.due()
        elif self._stream.ended:
            self.finish()
        return len(piece)

    def _keep_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _lose_patience(self) -> None:
        self._outlet.abort()
        self.finish()

    def finish(self) -> None:
        """Write nothing more."""
        if not self.over.done():
            self.over.set_result(None)

    def fail(self, error: Exception) -> None:
        """Write nothing more; whoever awaits `over` gets the error."""
        if not self.over.done():
            self.over.set_exception(error)

    def stop(self) -> None:
        """Let go of the connection and the watch."""
        self.over.cancel()
        self._keep_patience()
        self._stream.on_ready = self._outlet.on_room = None
