"""Pace: how fast work in the background may go, so that the work in the foreground does not notice it."""

from __future__ import annotations

from .clock import Clock

FIRST_HOLD, LONGEST_HOLD = 0.5, 30.0


class Pace:
    """So many turns at once, then so many a second; fewer while work comes fast, none for a while after an overload.

    Work that comes faster than `busy` a second says that the foreground has its hands full: `busy_rate` holds until a
    second or two after. Holds double while they follow each other.
    """

    def __init__(self, *, clock: Clock, rate: float, burst: int, busy: int, busy_rate: float) -> None:
        self._clock = clock
        self._interval = 1.0 / rate
        self._burst = float(burst)
        self._busy = busy
        self._busy_interval = 1.0 / busy_rate
        self._second = float("-inf")
        """When the present second began; work is counted by the second."""
        self._came = self._came_before = 0
        self._saved = self._burst
        """Turns that may be taken at once; below zero those that are waited for."""
        self._refilled = clock.monotonic()
        self._held_until = float("-inf")
        self._hold = FIRST_HOLD

    def came(self) -> None:
        """More work came."""
        now = self._clock.monotonic()
        if now - self._second >= 1.0:
            self._came_before = self._came if now - self._second < 2.0 else 0
            self._second, self._came = now, 0
        self._came += 1

    def _interval_at(self, now: float) -> float:
        lately = max(self._came, self._came_before) if now - self._second < 2.0 else 0
        return self._busy_interval if lately > self._busy else self._interval

    async def turn(self) -> None:
        """Return when it is the caller's turn."""
        now = self._clock.monotonic()
        interval = self._interval_at(now)
        self._saved = min(self._saved + (now - self._refilled) / interval, self._burst) - 1
        self._refilled = now
        if self._saved < 0:
            await self._clock.sleep(-self._saved * interval)
        while (left := self._held_until - self._clock.monotonic()) > 0:
            await self._clock.sleep(left)

    @property
    def held(self) -> bool:
        """Whether nobody gets a turn now."""
        return self._clock.monotonic() < self._held_until

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


class Allowance:
    """So many at once, then so many a second; what is beyond is refused, not held up."""

    def __init__(self, *, clock: Clock, rate: float, burst: int) -> None:
        self._clock = clock
        self._rate = rate
        self._burst = float(burst)
        self._left = self._burst
        self._refilled = clock.monotonic()

    def take(self) -> bool:
        """Whether one more is allowed now."""
        now = self._clock.monotonic()
        self._left = min(self._left + (now - self._refilled) * self._rate, self._burst)
        self._refilled = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
