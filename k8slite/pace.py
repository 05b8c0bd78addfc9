"""Pace: how fast work in the background may go, so that the work in the foreground does not notice it."""

from __future__ import annotations

from .clock import Clock

FIRST_HOLD, LONGEST_HOLD = 0.5, 30.0


class Pace:
    """So many turns at once, then so many a second; none for a while after somebody was overloaded.

    Turns are given in the order in which they were asked for. Holds double while they follow each other.
    """

    def __init__(self, *, clock: Clock, rate: float, burst: int) -> None:
        self._clock = clock
        self._interval = 1.0 / rate
        self._saved = burst / rate
        self._next = float("-inf")
        self._held_until = float("-inf")
        self._hold = FIRST_HOLD

    async def turn(self) -> None:
        """Return when it is the caller's turn."""
        now = self._clock.monotonic()
        self._next = max(self._next + self._interval, now - self._saved)
        if self._next > now:
            await self._clock.sleep(self._next - now)
        while (left := self._held_until - self._clock.monotonic()) > 0:
            await self._clock.sleep(left)

    def hold(self, seconds: float = 0.0) -> None:
        """Give no turns for that long, or for longer if it happens again and again."""
        now = self._clock.monotonic()
        if now < self._held_until:
            return
        self._held_until = now + max(self._hold, seconds)
        self._hold = min(self._hold * 2, LONGEST_HOLD)

    def go_on(self) -> None:
        """Work was done: the next hold is a short one again."""
        self._hold = FIRST_HOLD
