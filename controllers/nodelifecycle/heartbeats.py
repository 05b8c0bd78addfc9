"""When each node was last heard of, and who has been silent for too long.

Nodes of one grace stand in the order in which they were heard, so that a heartbeat costs a move to the end and only the
first of the line is ever looked at: thousands of nodes that live cost nothing but their heartbeats. Times are seconds
of any clock that the caller keeps to.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

SLACK = 0.05
"""Seconds beyond the grace, so that a look comes after the end of it and not in the same moment."""


class Heartbeats:
    """Every node is either in line, by its grace, or lost."""

    def __init__(self) -> None:
        self._lines: dict[float, OrderedDict[str, float]] = {}
        self._grace: dict[str, float] = {}
        self._lost: set[str] = set()

    def __contains__(self, name: object) -> bool:
        return name in self._grace

    def hear(self, name: str, *, now: float, grace: float | None = None) -> bool:
        """The node was heard of; unset, its grace stays what it was. Whether `next_due` may be sooner than before."""
        grace = self._grace.get(name, 0.0) if grace is None else grace
        old = self._grace.get(name)
        line = self._lines.setdefault(grace, OrderedDict())
        in_line = old == grace and name in line
        if old is not None and old != grace:
            self._lines[old].pop(name, None)
        self._grace[name] = grace
        self._lost.discard(name)
        line[name] = now
        line.move_to_end(name)
        return not in_line

    def hear_all(self, *, now: float) -> None:
        """Everybody in line has the whole grace again."""
        for line in self._lines.values():
            for name in line:
                line[name] = now

    def forget(self, name: str) -> None:
        """The node is gone."""
        grace = self._grace.pop(name, None)
        if grace is not None:
            self._lines[grace].pop(name, None)
        self._lost.discard(name)

    def lost(self, name: str) -> bool:
        """Whether the node has been silent for longer than its grace, as far as `overdue` was asked."""
        return name in self._lost

    def overdue(self, *, now: float) -> list[str]:
        """The nodes that are lost from now on; each is named once until it is heard of again."""
        found = []
        for grace, line in self._lines.items():
            while line and now - next(iter(line.values())) >= grace:
                name, _ = line.popitem(last=False)
                self._lost.add(name)
                found.append(name)
        return found

    def next_due(self, *, now: float) -> float | None:
        """Seconds until somebody might be lost; None if nobody is in line."""
        ends = [next(iter(line.values())) + grace for grace, line in self._lines.items() if line]
        return max(0.0, min(ends) - now) + SLACK if ends else None

    def heard_since(self, moment: float) -> Iterator[str]:
        """Who was heard of after that moment, the latest first."""
        for line in self._lines.values():
            for name in reversed(line):
                if line[name] <= moment:
                    break
                yield name
