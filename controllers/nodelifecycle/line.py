"""The nodes of one zone that wait to be emptied, and a bucket of one token that says when the next may be."""

from __future__ import annotations

_NEARLY_ONE = 1 - 1e-9
"""Sums of small parts may stay a hair below."""


class Line:
    """First come, first served, never more than one and `rate` a second. Times are seconds of the caller's clock."""

    def __init__(self, *, rate: float, now: float) -> None:
        self._rate = rate
        self._tokens = 1.0 if rate > 0 else 0.0
        self._settled = now
        self._names: dict[str, None] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __len__(self) -> int:
        return len(self._names)

    def add(self, name: str) -> bool:
        """Put a node at the end unless it waits; whether it is new here."""
        if name in self._names:
            return False
        self._names[name] = None
        return True

    def remove(self, name: str) -> None:
        """The node need not be emptied."""
        self._names.pop(name, None)

    def set_rate(self, rate: float, *, now: float) -> bool:
        """Nodes a second from now on; whether that is new. After a halt nobody is taken in the very first moment."""
        if rate == self._rate:
            return False
        self._settle(now)
        self._rate = rate
        if rate <= 0:
            self._tokens = 0.0
        return True

    def first(self) -> str | None:
        """Who waits longest."""
        return next(iter(self._names), None)

    def take(self, *, now: float) -> str | None:
        """Who is emptied now; None if nobody waits or may be."""
        self._settle(now)
        if not self._names or self._rate <= 0 or self._tokens < _NEARLY_ONE:
            return None
        self._tokens = max(0.0, self._tokens - 1)
        name = next(iter(self._names))
        del self._names[name]
        return name

    def give_back(self, name: str) -> None:
        """Nothing was done to the one taken: it stands first again, and the token counts."""
        self._tokens = min(1.0, self._tokens + 1)
        self._names = {name: None} | self._names

    def wait(self, *, now: float) -> float | None:
        """Seconds until somebody may be taken; None if nobody waits, or as long as nobody may be."""
        self._settle(now)
        if not self._names or self._rate <= 0:
            return None
        return max(0.0, (1 - self._tokens) / self._rate)

    def _settle(self, now: float) -> None:
        self._tokens = min(1.0, self._tokens + max(0.0, now - self._settled) * max(0.0, self._rate))
        self._settled = max(now, self._settled)
