"""What clients have not read of their answers: how much memory that may take, and for how long.

An answer is handed to the connection whole, and lies in memory until the client has read it. Who asks for large lists
and does not read them would fill the memory. A connection with more unread than its transport likes is counted here; if
all together hold too much, those that hold most are ended, and so is one from which nothing at all was read in half a
minute.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

BUDGET = 256 << 20
"""Bytes that all connections together may hold."""
PATIENCE = 30.0
"""Seconds in which a client must read something."""


class Reader(Protocol):
    """A connection to a client."""

    def unread(self) -> int:
        """Bytes that the client has not taken yet."""
        ...

    def abort(self) -> None:
        """End the connection at once."""
        ...


class Unsent:
    """The connections of one server whose clients are slow."""

    def __init__(self, *, budget: int = BUDGET, patience: float = PATIENCE) -> None:
        self._budget = budget
        self._patience = patience
        self._held: dict[Reader, int] = {}
        self._timers: dict[Reader, asyncio.TimerHandle] = {}

    @property
    def held(self) -> int:
        """Bytes that slow clients had left unread when they were looked at last."""
        return sum(self._held.values())

    def add(self, reader: Reader) -> None:
        """A connection holds more than its transport likes."""
        self._held[reader] = reader.unread()
        self._wait(reader)
        while self.held > self._budget:
            greediest = max(self._held, key=self._held.__getitem__)
            self.remove(greediest)
            greediest.abort()

    def remove(self, reader: Reader) -> None:
        """A connection has room again, or is gone."""
        if self._held.pop(reader, None) is not None:
            self._timers.pop(reader).cancel()

    def _wait(self, reader: Reader) -> None:
        self._timers[reader] = asyncio.get_running_loop().call_later(self._patience, self._look, reader)

    def _look(self, reader: Reader) -> None:
        before, now = self._held[reader], reader.unread()
        if now >= before:
            self.remove(reader)
            reader.abort()
        else:
            self._held[reader] = now
            self._wait(reader)
