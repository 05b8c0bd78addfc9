"""How long a connection is left unread whose requests are refused, one after the other, faster than they may come.

A refusal costs nearly as much as the answer to a small request: it came through TLS and the parser, and its user was
found. Who is told to come again in a second and does so at once would keep the server busy with refusing. So the second
refusal in a row is followed by a pause, and each further one by a longer one; what comes meanwhile stays in the
kernel's buffers, or with the client. One request that is served, or a second of patience, ends it.
"""

from __future__ import annotations

PATIENCE = 1.0
"""Seconds after a refusal in which the next request is too early: the least that refused clients are told to wait."""
FIRST, LONGEST = 0.125, 1.0


class Restraint:
    """The refusals of one connection. Requests are told from each other by their numbers, which follow each other."""

    __slots__ = ("_number", "_pause", "_until")

    def __init__(self) -> None:
        self._number = -1
        self._pause = 0.0
        self._until = 0.0

    def refused(self, number: int, *, now: float) -> float:
        """A request was refused; seconds for which the connection should not be read."""
        if now >= self._until or number != self._number + 1:
            self._pause = 0.0
        else:
            self._pause = min(2 * self._pause, LONGEST) or FIRST
        self._number = number
        self._until = now + self._pause + PATIENCE
        return self._pause
