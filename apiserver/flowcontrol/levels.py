"""Priority levels at work: seats, flows, and those that wait. No I/O; the event loop is reached only through `Turn`.

One event loop serves all requests, and many of them within a single turn of it. Requests that are served in the same
turn are concurrent as far as everyone else is concerned: the next connection is not read before they are done. A seat
is therefore given back at the end of the turn, not before, so that the seats of a level also bound how much of a turn
it can take, and how long a lease has to wait behind a flood of requests that never wait for anything themselves.

Taking and giving back a seat are additions, as long as there is room: a `Flow` is its own seat then. Only who waits, or
is wider than one seat, gets a `Ticket`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .allocation import Bounds, Shares
from .demand import DemandMeter
from .queues import FairQueues, Waiting
from .sharding import deal, flow_hash

UNLIMITED = sys.maxsize
WIDEST = 10
"""Seats that one request takes at most."""
SLICE = 20
"""Seats that are given to those who wait in one turn of the event loop: some milliseconds of everybody's time."""
_WIDEST_PART = 0.15
"""The part of a level's seats that one request takes at most."""
FULL, NO_SEAT, TIMED_OUT, CANCELLED = "queue-full", "concurrency-limit", "time-out", "cancelled"
"""Why requests are refused."""
BUCKETS = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0)

Headers = tuple[tuple[bytes, bytes], ...]


class Distribution:
    """Seconds, counted by bucket."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


class Tally:
    """What became of the requests of one flow schema in one priority level."""

    __slots__ = (
        "dispatched",
        "durations",
        "executing",
        "extra_seats",
        "level",
        "no_room",
        "queued",
        "queued_seats",
        "rejected",
        "schema",
        "waited",
        "waited_in_vain",
        "wide",
    )

    def __init__(self, level: str, schema: str) -> None:
        self.level = level
        self.schema = schema
        self.dispatched = self.executing = self.queued = self.queued_seats = 0
        self.extra_seats = 0
        """What those that are served hold beyond one seat each."""
        self.no_room = 0
        """How often one of them was next and did not fit."""
        self.rejected: dict[str, int] = {}
        self.durations = Distribution()
        self.waited = Distribution()
        """How long those waited that were served after waiting."""
        self.waited_in_vain = Distribution()
        self.wide: dict[int, int] = {}
        """How many requests were of which width, other than one seat."""

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return bool(self.executing or self.queued)


class Turn:
    """The end of this turn of the event loop: seats are given back, and who waits may go on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, after: Callable[[float], None]) -> None:
        self._loop = loop
        self._after = after
        self._levels: list[Level] = []

    def add(self, level: Level) -> None:
        """A level has seats to get back, or more to serve."""
        if not self._levels:
            self._loop.call_soon(self._over)
        level.due = True
        self._levels.append(level)

    def _over(self) -> None:
        levels, self._levels = self._levels, []
        now = time.monotonic()
        for level in levels:
            level.settle(now)
        self._after(now)


@dataclass(frozen=True, slots=True)
class Config:
    """A level's configuration. `queues` is 0 if nobody may wait."""

    name: str
    uid: str
    shares: Shares
    queues: int = 0
    hand: int = 0
    length: int = 0


class Level:
    """One priority level: its seats and its queues."""

    def __init__(self, config: Config, *, turn: Turn, now: float) -> None:
        self.turn = turn
        self.in_use = 0
        """Seats taken, those among them that come back at the end of this turn."""
        self.spent = 0
        """Seats that come back at the end of this turn."""
        self.due = False
        """Whether `settle` will be called at the end of this turn."""
        self.limit = UNLIMITED if config.shares.exempt else 1
        self.demand = DemandMeter(now)
        self.bounds = Bounds(0, 0, 0, config.shares.exempt)
        self.target = 0.0
        self.removed = False
        """No longer configured; it serves what it has."""
        self.rejected = self.timed_out = self.cancelled = 0
        self.queues: FairQueues[Ticket] = FairQueues(0, length=0, now=now)
        self.tickets: dict[Ticket, None] = {}
        """Requests that are served on a ticket."""
        self.config = config
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Take over a new configuration; who waits goes on waiting."""
        self.config = config
        self.removed = False
        self.queues.resize(config.queues, length=config.length)

    def bound(self, bounds: Bounds) -> None:
        """Take over what the configuration of all levels means for this one's seats."""
        self.bounds = bounds
        most = min(-(-bounds.nominal * _WIDEST_PART // 1), bounds.nominal // max(1, self.config.hand))
        self.widest = max(1, min(WIDEST, int(most)))

    @property
    def name(self) -> str:
        """Its name."""
        return self.config.name

    @property
    def exempt(self) -> bool:
        """Whether it has no limit."""
        return self.config.shares.exempt

    @property
    def idle(self) -> bool:
        """Whether nobody is served or waits."""
        return not self.in_use and not self.queues.waiting

    def has_room(self, seats: int) -> bool:
        """Whether so many seats are free. Who needs more than there are at all may go if nobody else is served."""
        return self.in_use + seats <= self.limit or (seats > self.limit and not self.in_use)

    def set_limit(self, seats: int, now: float) -> None:
        """Have so many seats from now on."""
        self.queues.advance(now, limit=self.limit)
        self.limit = UNLIMITED if self.exempt else seats
        self.dispatch(now)

    def settle(self, now: float) -> None:
        """The turn is over: take back what was spent in it, and serve who waits."""
        self.due = False
        before, queues = self.in_use, self.queues
        self.in_use -= self.spent
        self.spent = 0
        if not queues.waiting:
            self.demand.note(self.in_use, now, peak=before)
            return
        peak = before + queues.wanted
        queues.advance(now, limit=self.limit)
        self.dispatch(now)
        self.demand.note(self.in_use + queues.wanted, now, peak=peak)

    def dispatch(self, now: float) -> None:
        """Serve those that wait, as far as there are seats; some now, others in the turns that follow.

        The queues must have been advanced.
        """
        begun = 0
        while (request := self.queues.next()) is not None:
            ticket = request.owner
            if ticket.gone():
                self.withdraw(ticket, CANCELLED, now)
                continue
            if not self.has_room(request.seats):
                ticket.flow.tally.no_room += 1
                return
            if begun >= SLICE:
                if not self.due:
                    self.turn.add(self)
                return
            begun += request.seats
            self.queues.begin(request, now=now)
            ticket.admit(now)

    def withdraw(self, ticket: Ticket, reason: str, now: float) -> None:
        """Refuse a request that waits. The queues must have been advanced."""
        assert ticket.request is not None
        self.queues.withdraw(ticket.request)
        if reason == TIMED_OUT:
            self.timed_out += 1
        else:
            self.cancelled += 1
        ticket.refuse(reason, now)


class Flow:
    """Requests that are treated alike: those of one schema and one distinguisher. Also the seat of one of them."""

    __slots__ = ("_hand", "distinguisher", "headers", "level", "tally")

    def __init__(self, level: Level, tally: Tally, *, distinguisher: str, headers: Headers) -> None:
        self.level = level
        self.tally = tally
        self.distinguisher = distinguisher
        self.headers = headers
        """What tells clients how they were classified."""
        self._hand: tuple[int, ...] = ()

    @property
    def hand(self) -> Sequence[int]:
        """Its queues; empty if nobody may wait."""
        config = self.level.config
        if not self._hand and config.queues:
            entropy = flow_hash(self.tally.schema, self.distinguisher)
            self._hand = deal(entropy, deck=config.queues, hand=config.hand)
        return self._hand

    def enter(self) -> bool:
        """Take one seat, if one is free and nobody waits for one."""
        level = self.level
        if level.in_use >= level.limit or level.queues.waiting:
            return False
        level.in_use += 1
        tally = self.tally
        tally.dispatched += 1
        tally.executing += 1
        return True

    def leave(self, seconds: float) -> None:
        """Give the seat back. `seconds` is how long the request was served."""
        tally = self.tally
        tally.executing -= 1
        tally.durations.observe(seconds)
        level = self.level
        if not level.due:
            level.turn.add(level)
        level.spent += 1


class Ticket:
    """The seats of one request that waits, or has waited, or takes more than one."""

    __slots__ = ("admitted", "arrived", "began", "flow", "gone", "outcome", "request", "seats")

    def __init__(self, flow: Flow, seats: int, *, arrived: float, gone: Callable[[], bool]) -> None:
        self.flow = flow
        self.seats = seats
        self.arrived = arrived
        self.gone = gone
        """Whether the client has left."""
        self.began = 0.0
        self.request: Waiting[Ticket] | None = None
        """Its place in a queue, None if it never waited."""
        self.outcome: asyncio.Future[bool] | None = None
        """Whether it may go on, once that is decided."""

    def admit(self, now: float) -> None:
        """It is served from now on."""
        level, tally = self.flow.level, self.flow.tally
        level.in_use += self.seats
        level.tickets[self] = None
        self.began = now
        tally.dispatched += 1
        tally.executing += 1
        tally.extra_seats += self.seats - 1
        if self.seats != 1:
            tally.wide[self.seats] = tally.wide.get(self.seats, 0) + 1
        if self.request is not None:
            self._stop_waiting()
            tally.waited.observe(now - self.arrived)
            self._decide(True)

    def wait(self, request: Waiting[Ticket], outcome: asyncio.Future[bool]) -> None:
        """It waits from now on."""
        self.request, self.outcome = request, outcome
        tally = self.flow.tally
        tally.queued += 1
        tally.queued_seats += self.seats

    def refuse(self, reason: str, now: float) -> None:
        """It has waited in vain."""
        self._stop_waiting()
        self.flow.tally.waited_in_vain.observe(now - self.arrived)
        reject(self.flow, reason)
        self._decide(False)

    def _stop_waiting(self) -> None:
        tally = self.flow.tally
        tally.queued -= 1
        tally.queued_seats -= self.seats

    def _decide(self, admitted: bool) -> None:
        if self.outcome is not None and not self.outcome.done():
            self.outcome.set_result(admitted)

    def leave(self, seconds: float) -> None:
        """Give the seats back. How long the request was served is known here better than by the caller."""
        level, tally, now = self.flow.level, self.flow.tally, time.monotonic()
        del level.tickets[self]
        tally.executing -= 1
        tally.extra_seats -= self.seats - 1
        tally.durations.observe(now - self.began)
        if self.request is not None:
            level.queues.advance(now, limit=level.limit)
            level.queues.end(self.request, now=now)
        if not level.due:
            level.turn.add(level)
        level.spent += self.seats


def reject(flow: Flow, reason: str) -> None:
    """Count a refusal."""
    flow.level.rejected += 1
    rejected = flow.tally.rejected
    rejected[reason] = rejected.get(reason, 0) + 1
