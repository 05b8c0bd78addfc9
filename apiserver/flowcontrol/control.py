"""Flow control at work: which flow a request is of, and whether it may go on, waits, or is refused.

The configuration is followed in the watch cache; what a request falls under is remembered until it changes. Limits are
adjusted when somebody gives a seat back and the last adjustment is long enough ago: a server that does nothing does not
wake for this.

Source: KEP-1040; Kubernetes' apiserver, util/flowcontrol and server/filters/priority-and-fairness.go.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ..authn.base import User
from ..watching.cache import WatchCache
from ..watching.signal import Signal
from ..wire.options import Options
from ..wire.request import RequestInfo
from . import allocation, configuration, objects
from .demand import PERIOD
from .keeper import Keeper
from .levels import CANCELLED, FULL, NO_SEAT, TIMED_OUT, Config, Flow, Level, Tally, Ticket, Turn, reject
from .refusal import Refused
from .retrying import RetryAfter
from .widths import width

PATIENCE = 15.0
"""Seconds that a request waits at most: a quarter of the time that it has in all."""
_REMEMBERED = 8192
_LONGEST = 1024
"""Characters of what is remembered of one request."""
_NARROW = frozenset({"get"})

Seat = Flow | Ticket
Key = tuple[str, tuple[str, ...], str, str, str, str, str]


def never() -> bool:
    """A client that does not leave."""
    return False


class FlowControl:
    """One server's flow control. It limits nothing before `start`."""

    def __init__(self, *, cache: WatchCache, keeper: Keeper, seats: int) -> None:
        self.levels: dict[str, Level] = {}
        self.tallies: dict[tuple[str, str], Tally] = {}
        """By level and schema."""
        self.fair_fraction = 0.0
        self._cache = cache
        self._keeper = keeper
        self._seats = seats
        self._known: dict[Key, Flow] = {}
        self._flows: dict[tuple[str, str], Flow] = {}
        self._retry: dict[str, RetryAfter] = {}
        self._configuration = configuration.read((), ())
        self._signals: list[Signal] = []
        self._adjusted = 0.0
        self._leaving = False
        """Whether a level that is no longer configured still serves what it has."""

    async def start(self) -> None:
        """Make the objects that every cluster has, and begin. The cache must be filled. Raises ApiError, StoreError."""
        await self._keeper.keep()
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._turn = Turn(loop, after=self._after_turn)
        self._configure()
        places = ((objects.GROUP, plural) for plural in (objects.LEVELS, objects.SCHEMAS))
        self._signals = [Signal(self._cache.resource(*place), self._changed) for place in places]

    async def stop(self) -> None:
        """Follow nothing any more."""
        for signal in self._signals:
            signal.close()
        self._signals.clear()
        await self._keeper.stop()

    # Requests

    def flow(self, user: User, info: RequestInfo) -> Flow:
        """The flow that a request is of."""
        key = (
            user.name,
            user.groups,
            info.verb,
            info.group,
            info.plural or info.path,
            info.subresource,
            info.namespace,
        )
        flow = self._known.get(key)
        return flow if flow is not None else self._classify(key, user, info)

    def _classify(self, key: Key, user: User, info: RequestInfo) -> Flow:
        schemas = self._configuration.schemas
        # The catch-all takes what falls under none, though all users should be under it.
        schema = next(each for each in schemas if each.match(user, info) or each.name == objects.CATCH_ALL)
        level = self.levels[schema.level]
        distinguisher = schema.distinguisher(user, info) if level.config.queues > 1 else ""
        place = (schema.name, distinguisher)
        flow = self._flows.get(place)
        if flow is None:
            tally = self.tallies.get((level.name, schema.name))
            if tally is None:
                tally = self.tallies[level.name, schema.name] = Tally(level.name, schema.name)
            headers = (
                (b"x-kubernetes-pf-flowschema-uid", schema.uid.encode()),
                (b"x-kubernetes-pf-prioritylevel-uid", level.config.uid.encode()),
            )
            flow = Flow(level, tally, distinguisher=distinguisher, headers=headers)
        if sum(map(len, key)) + sum(map(len, user.groups)) <= _LONGEST:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
                self._flows.clear()
            self._known[key] = self._flows[place] = flow
        return flow

    def take(self, flow: Flow, info: RequestInfo, options: Options) -> Seat | None:
        """A seat, if there is one at once; None if the request has to `wait` for it."""
        seats = 1
        if info.verb not in _NARROW and info.plural and not flow.level.exempt:
            seats = min(width(info, options, self._cache), flow.level.widest)
        if seats == 1:
            return flow if flow.enter() else None
        level = flow.level
        if level.queues.waiting or not level.has_room(seats):
            return None
        now = time.monotonic()
        ticket = Ticket(flow, seats, arrived=now, gone=never)
        ticket.admit(now)
        return ticket

    async def wait(self, flow: Flow, info: RequestInfo, options: Options, *, gone: Callable[[], bool] = never) -> Seat:
        """A seat after waiting. Raises Refused: too many wait, or it has waited for too long."""
        level, now = flow.level, time.monotonic()
        seats = min(width(info, options, self._cache), level.widest) if info.plural else 1
        ticket = Ticket(flow, seats, arrived=now, gone=gone)
        if not level.config.queues:
            if not level.has_room(seats):
                reject(flow, NO_SEAT)
                raise self._refusal(flow)
            ticket.admit(now)
            return ticket
        level.queues.advance(now, limit=level.limit)
        request = level.queues.add(ticket, seats=seats, hand=flow.hand, now=now)
        if request is None:
            reject(flow, FULL)
            raise self._refusal(flow)
        outcome: asyncio.Future[bool] = self._loop.create_future()
        ticket.wait(request, outcome)
        level.dispatch(now)
        impatience = self._loop.call_later(PATIENCE, self._withdraw, ticket, TIMED_OUT)
        try:
            admitted = await outcome
        except asyncio.CancelledError:
            self._abandon(ticket, outcome)
            raise
        finally:
            impatience.cancel()
        if not admitted:
            raise self._refusal(flow)
        return ticket

    def _refusal(self, flow: Flow) -> Refused:
        retry = self._retry.get(flow.level.name)
        if retry is None:
            retry = self._retry[flow.level.name] = RetryAfter()
        return Refused(retry.refused(int(time.monotonic())))

    def _withdraw(self, ticket: Ticket, reason: str) -> None:
        level, now = ticket.flow.level, time.monotonic()
        level.queues.advance(now, limit=level.limit)
        level.withdraw(ticket, reason, now)

    def _abandon(self, ticket: Ticket, outcome: asyncio.Future[bool]) -> None:
        """Whoever waited for the ticket has been cancelled."""
        if ticket in ticket.flow.level.tickets:
            ticket.leave(0.0)
        elif outcome.cancelled():
            self._withdraw(ticket, CANCELLED)

    # Configuration

    def _changed(self) -> None:
        self._loop.call_soon(self._reconfigure)

    def _reconfigure(self) -> None:
        if not self._signals:
            return
        for signal in self._signals:
            signal.renew()
        self._configure()
        self._keeper.look()

    def _configure(self) -> None:
        """Take over what the objects say now."""
        now = time.monotonic()
        rows = [self._cache.resource(objects.GROUP, plural) for plural in (objects.LEVELS, objects.SCHEMAS)]
        levels, schemas = ([entry.document for entry in row.select()] for row in rows)
        self._configuration = configuration.read(levels, schemas)
        self._known.clear()
        self._flows.clear()
        for name, config in self._configuration.levels.items():
            self._take_over(name, config, now)
        for name, level in list(self.levels.items()):
            if name not in self._configuration.levels:
                level.removed = True
                if level.idle:
                    del self.levels[name]
                    self._retry.pop(name, None)
        self._leaving = any(level.removed for level in self.levels.values())
        places = {(schema.level, schema.name) for schema in self._configuration.schemas}
        self.tallies = {place: tally for place, tally in self.tallies.items() if place in places or tally.busy}
        shares = {name: level.config.shares for name, level in self.levels.items()}
        for name, bounds in allocation.bounds(shares, total=self._seats).items():
            self.levels[name].bound(bounds)
        self._adjust(now)

    def _take_over(self, name: str, config: Config, now: float) -> None:
        level = self.levels.get(name)
        if level is None:
            self.levels[name] = Level(config, turn=self._turn, now=now)
        else:
            level.configure(config)

    def _after_turn(self, now: float) -> None:
        if now - self._adjusted >= PERIOD:
            self._adjust(now)
        if self._leaving and any(level.removed and level.idle for level in self.levels.values()):
            self._configure()

    def _adjust(self, now: float) -> None:
        """Let levels lend and borrow by what each could have used since the last time."""
        self._adjusted = now
        for level in self.levels.values():
            level.demand.close(now)
        found = allocation.adjust(
            {name: level.bounds for name, level in self.levels.items()},
            {name: allocation.Demand(level.demand.peak, level.demand.smoothed) for name, level in self.levels.items()},
        )
        self.fair_fraction = found.fair_fraction
        for name, level in self.levels.items():
            level.target = found.targets[name]
            level.set_limit(found.seats[name], now)
