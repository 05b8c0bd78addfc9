"""What is to be done about each supervised process, and when: pure. `supervisor` carries it out.

The state says what should be (`wanted`, `stale`) and what is (`pid`); `due` compares the two. So nothing that the
supervisor does ever waits for a process, and a request only changes what should be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from .configs import Service

BACKOFF_FIRST, BACKOFF_MOST, STABLE_AFTER = 0.1, 10.0, 10.0
STOP_GRACE = 10.0
"""Seconds between the request to end and the kill."""
SETTLE = 3.0
"""Seconds that a program gets before the next stale one is replaced."""


@dataclass(slots=True)
class Slot:
    """A service and what became of its process. Times are monotonic seconds.

    Invariant: `pid` is set exactly while the process runs, `kill_at` exactly while it runs and was told to end.
    """

    service: Service
    pid: int = 0
    started: float = 0.0
    starts: int = 0
    wanted: bool = True
    stale: bool = False
    """It began with files that were replaced since: it is to end and begin again."""
    delay: float = BACKOFF_FIRST
    start_at: float = 0.0
    kill_at: float | None = None
    exit_status: int | None = None

    def began(self, pid: int, now: float) -> None:
        """Note the start of a process."""
        self.pid, self.started, self.stale = pid, now, False
        self.starts += 1

    def ended(self, status: int, now: float) -> None:
        """Note the end of the process and when to try again: at once if it was told to end."""
        asked = self.kill_at is not None
        self.pid, self.exit_status, self.kill_at = 0, status, None
        if asked:
            self.delay, self.start_at = BACKOFF_FIRST, now
            return
        self.delay = BACKOFF_FIRST if now - self.started > STABLE_AFTER else min(self.delay * 2, BACKOFF_MOST)
        self.start_at = now + self.delay


class Action(Enum):
    """What to do about a slot."""

    START = auto()
    END = auto()
    """Tell it to end (SIGTERM)."""
    KILL = auto()


def due(slots: Sequence[Slot], *, now: float, stopping: bool) -> Iterator[tuple[Slot, Action]]:
    """What is to be done now. While stopping, a service ends when none of a later tier runs any more."""
    last = max((slot.service.tier for slot in slots if slot.pid), default=0)
    replaced = None if stopping else _next_stale(slots, now)
    for slot in slots:
        if not slot.pid:
            if slot.wanted and not stopping and slot.start_at <= now:
                yield slot, Action.START
        elif slot.kill_at is not None:
            if slot.kill_at <= now:
                yield slot, Action.KILL
        elif not slot.wanted or slot is replaced or (stopping and slot.service.tier == last):
            yield slot, Action.END


def _next_stale(slots: Sequence[Slot], now: float) -> Slot | None:
    """One at a time, so that most of the cluster works on; but one that keeps failing holds up no other for long."""
    for slot in slots:
        starts = slot.wanted and not slot.pid and slot.start_at <= now
        settles = slot.pid and now < slot.started + SETTLE
        if starts or settles or slot.kill_at is not None:
            return None
    return next((slot for slot in slots if slot.stale and slot.pid), None)


def next_moment(slots: Sequence[Slot], *, now: float, stopping: bool) -> float | None:
    """When something becomes due by itself; None if only an event can make it so."""
    starts = [slot.start_at for slot in slots if slot.wanted and not slot.pid and not stopping]
    kills = [slot.kill_at for slot in slots if slot.kill_at is not None]
    stale = any(slot.stale and slot.pid for slot in slots)
    settled = [at for slot in slots if stale and slot.pid and (at := slot.started + SETTLE) > now]
    return min([*starts, *kills, *settled], default=None)
