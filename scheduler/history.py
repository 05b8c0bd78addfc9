"""The last things that happened, so that what happened during an attempt is not missed when the attempt fails.

Bounded: whoever asks for what is no longer known has to assume that it may have helped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .change import Event

LIMIT = 1024


class History:
    """Events by position; `start` is the first one that is still known, `position` that of the next."""

    def __init__(self, *, limit: int = LIMIT) -> None:
        self._limit = limit
        self._events: list[Event] = []
        self.start = 0

    @property
    def position(self) -> int:
        """The position of the next event."""
        return self.start + len(self._events)

    @property
    def full(self) -> bool:
        """Whether the next event drives others out."""
        return len(self._events) >= self._limit

    def note(self, event: Event) -> None:
        """Something happened."""
        if self.full:
            self.forget(self.start + self._limit // 2)
        self._events.append(event)

    def since(self, position: int) -> Sequence[Event] | None:
        """What happened from a position on; None if that is forgotten in part."""
        return None if position < self.start else self._events[position - self.start :]

    def forget(self, position: int) -> None:
        """Nobody will ask for what happened before a position."""
        if position > self.start:
            del self._events[: position - self.start]
            self.start = position

    def __iter__(self) -> Iterator[Event]:
        """What is known."""
        return iter(self._events)
