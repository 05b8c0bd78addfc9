"""Letting connections in: a few in each turn of the event loop, and no more than there is room for.

A handshake costs as much as ten requests. Accepting a few at a time leaves the others to the kernel's queue, and the
loop to requests. When the room is full, whoever has most connections loses some, those first that have no request under
way: a newcomer is nobody's until a request of it has said whose it is, so strangers push strangers out, and a tenant
who opens thousands pushes out its own. The same holds for connections whose handshake does not come to its end.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

BACKLOG = 2048
"""Connections that wait in the kernel."""
AT_ONCE = 4
"""Connections that are accepted in one turn of the loop."""
ARRIVING = 512
"""Handshakes that may be under way."""
HANDSHAKE = 10.0
"""Seconds for a handshake."""
_EXHAUSTED = 0.5
"""Seconds until connections are accepted again when the process has no file descriptor left."""
_PART = 32
"""One connection in so many is ended when there is no room."""
_log = logging.getLogger(__name__)


class Guest(Protocol):
    """A connection that has been let in."""

    @property
    def owner(self) -> str:
        """Whose it is by its last request; empty while nobody knows."""
        ...

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        ...

    def abort(self) -> None:
        """End it at once."""
        ...


def superfluous(guests: Collection[Guest], *, count: int) -> list[Guest]:
    """Which connections go when there is no room: of whoever has most of them, the idle ones first."""
    owners = Counter(guest.owner for guest in guests)
    if not owners:
        return []
    greediest = owners.most_common(1)[0][0]
    return sorted((guest for guest in guests if guest.owner == greediest), key=lambda guest: guest.busy)[:count]


class Doorway:
    """The listening sockets of one server. `taken` counts the connections that are open, `guests` are they."""

    def __init__(
        self,
        listening: Sequence[socket.socket],
        *,
        context: ssl.SSLContext,
        make: Callable[[], asyncio.Protocol],
        taken: Callable[[], int],
        guests: Callable[[], Collection[Guest]],
        most: int,
    ) -> None:
        self._listening = tuple(listening)
        self._context = context
        self._make = make
        self._taken = taken
        self._guests = guests
        self._most = most
        self._arriving: dict[asyncio.Task[None], None] = {}
        self._loop = asyncio.get_running_loop()
        self._closed = False

    def open(self) -> None:
        """Begin to accept. Raises OSError."""
        for listening in self._listening:
            listening.setblocking(False)
            listening.listen(BACKLOG)
            self._loop.add_reader(listening, self._accept, listening)

    def close(self) -> None:
        """Accept those who wait already, and nobody after them. The sockets are the caller's to close."""
        for listening in self._listening:
            self._accept(listening, most=ARRIVING)
            self._loop.remove_reader(listening)
        self._closed = True

    async def empty(self, *, within: float) -> None:
        """Wait for those who have been let in and whose handshake is under way; whoever takes longer is let go."""
        if self._arriving:
            await asyncio.wait(list(self._arriving), timeout=within)
        for task in self._arriving:
            task.cancel()

    def _accept(self, listening: socket.socket, most: int = AT_ONCE) -> None:
        for _ in range(most):
            try:
                connection, _address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                _log.warning("no connection can be accepted: %s", error)
                self._loop.remove_reader(listening)
                self._loop.call_later(_EXHAUSTED, self._resume, listening)
                return
            self._make_room()
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = self._loop.create_task(self._welcome(connection))
            self._arriving[task] = None
            task.add_done_callback(self._arrived)

    def _resume(self, listening: socket.socket) -> None:
        if not self._closed:
            self._loop.add_reader(listening, self._accept, listening)

    def _make_room(self) -> None:
        if len(self._arriving) >= ARRIVING:
            oldest = next(iter(self._arriving))
            del self._arriving[oldest]
            oldest.cancel()
        if self._taken() + len(self._arriving) >= self._most:
            for guest in superfluous(self._guests(), count=max(1, self._most // _PART)):
                guest.abort()

    async def _welcome(self, connection: socket.socket) -> None:
        await self._loop.connect_accepted_socket(
            self._make, connection, ssl=self._context, ssl_handshake_timeout=HANDSHAKE
        )

    def _arrived(self, task: asyncio.Task[None]) -> None:
        self._arriving.pop(task, None)
        if not task.cancelled():
            task.exception()  # a handshake that failed is the client's business
