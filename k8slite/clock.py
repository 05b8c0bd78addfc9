"""Time as an argument: nothing outside this module reads the wall clock or sleeps.

`SystemClock` is the real one. `VirtualClock` moves only when a test steps it, so that a test of back-off, leases or
grace periods takes no time at all.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

import orjson

_WHOLE_SECONDS = orjson.OPT_OMIT_MICROSECONDS | orjson.OPT_UTC_Z


class Clock(Protocol):
    """What a component may know of time."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards; the origin means nothing."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds of the machine's monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await asyncio.sleep(seconds)


class VirtualClock:
    """A clock that stands still until `advance` moves it."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        """The virtual wall clock."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Virtual seconds since the start."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Return once `advance` has passed the moment."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move time on, waking every sleeper in order and letting all that are ready run before each step."""
        await _settle()
        goal = self._elapsed + seconds
        while self._sleepers and self._sleepers[0][0] <= goal:
            moment, _, future = heapq.heappop(self._sleepers)
            self._elapsed = moment
            if not future.done():
                future.set_result(None)
            await _settle()
        self._elapsed = goal
        await _settle()


async def _settle() -> None:
    """Let the tasks that are ready run, and those that they wake."""
    for _ in range(20):
        await asyncio.sleep(0)


def timestamp(moment: datetime) -> str:
    """`metav1.Time` on the wire: RFC 3339, whole seconds, UTC."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return orjson.dumps(moment, option=_WHOLE_SECONDS)[1:-1].decode()  # a third of what isoformat takes


def micro_timestamp(moment: datetime) -> str:
    """`metav1.MicroTime` on the wire: RFC 3339 with six decimals, UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
