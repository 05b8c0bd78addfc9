"""Pods waiting for a node: active, backing off after an attempt, unschedulable until something changes, or gated.

Invariants: a pod that was added is in exactly one place (one of the four, or in flight between `pop` and its outcome)
until it is deleted or done. An unschedulable pod leaves its place when a change may cure one of the plugins that
rejected it, and at the latest after `FLUSH_AFTER`. A change that comes while a pod is in flight is not missed: the pod
then backs off instead of becoming unschedulable.

Source: Kubernetes documentation, "Scheduler queueing"; its initial and longest back-off.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from k8slite.clock import Clock

from .change import Change, Event
from .shape import Shape
from .view import Pod

FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 10.0
FLUSH_AFTER = 300.0
BUSY = 32


class Place(StrEnum):
    """Where a pod is."""

    ACTIVE = "active"
    BACKOFF = "backoff"
    UNSCHEDULABLE = "unschedulable"
    GATED = "gated"
    IN_FLIGHT = "in flight"


@dataclass(slots=True, eq=False)
class Waiting:
    """A pod on its way to a node. Times are of the monotonic clock."""

    pod: Pod
    shape: Shape
    arrived: float
    order: int
    place: Place = Place.ACTIVE
    attempts: int = 0
    attempted: float = 0.0
    ticket: int = 0
    """Entries of the heaps with another ticket are stale."""
    cures: Change = Change.NOTHING
    seen: int = 0
    """The number of changes when it was popped."""


class SchedulingQueue:
    """The queue. `sort_key` orders active pods, `admits` holds gated ones back, `cures` maps plugins to changes."""

    def __init__(
        self,
        *,
        clock: Clock,
        sort_key: Callable[[Pod], int],
        admits: Callable[[Pod], bool],
        cures: Mapping[str, Change],
    ) -> None:
        self._clock = clock
        self._sort_key = sort_key
        self._admits = admits
        self._cures = cures
        self._pods: dict[str, Waiting] = {}
        self._active: list[tuple[int, int, int, Waiting]] = []
        self._backoff: list[tuple[float, int, int, Waiting]] = []
        self._unschedulable: dict[Change, dict[str, Waiting]] = {}
        self._order = itertools.count()
        self._changes = 0
        self._wake = asyncio.Event()
        self._counts = dict.fromkeys(Place, 0)

    def __len__(self) -> int:
        return len(self._pods)

    def __contains__(self, uid: str) -> bool:
        return uid in self._pods

    def counts(self) -> dict[Place, int]:
        """How many pods are in each place."""
        return dict(self._counts)

    @property
    def busy(self) -> bool:
        """Whether more pods are active than are decided about in one go."""
        return self._counts[Place.ACTIVE] > BUSY

    def place_of(self, uid: str) -> Place | None:
        """Where a pod is; None if it is not here."""
        waiting = self._pods.get(uid)
        return waiting.place if waiting else None

    def put(self, pod: Pod, shape: Shape) -> None:
        """Add a pod, or bring it up to date; a pod that now asks for something else is tried again."""
        waiting = self._pods.get(pod.uid)
        if waiting is None:
            waiting = Waiting(pod, shape, self._clock.monotonic(), next(self._order))
            self._pods[pod.uid] = waiting
            self._counts[waiting.place] += 1
            self._move(waiting, self._gate(waiting, Place.ACTIVE))
            return
        before, waiting.pod = waiting.pod, pod
        changed = waiting.shape != shape or self._sort_key(before) != self._sort_key(pod)
        waiting.shape = shape
        match waiting.place:
            case Place.GATED if self._admits(pod):
                self._move(waiting, Place.ACTIVE)
            case Place.ACTIVE if changed:
                self._move(waiting, Place.ACTIVE)
            case Place.UNSCHEDULABLE if changed:
                self._move(waiting, self._after_backoff(waiting))
            case Place.IN_FLIGHT if changed:
                waiting.seen = -1

    def delete(self, uid: str) -> None:
        """The pod is gone, bound, or not ours any more."""
        waiting = self._pods.pop(uid, None)
        if waiting is not None:
            self._leave(waiting)
            self._counts[waiting.place] -= 1

    def pop(self, limit: int) -> list[Waiting]:
        """Up to `limit` active pods in order; they are in flight until `done`, `reject`, `retry` or `delete`."""
        self._flush()
        popped: list[Waiting] = []
        while self._active and len(popped) < limit:
            *_, ticket, waiting = heapq.heappop(self._active)
            if ticket != waiting.ticket or waiting.place is not Place.ACTIVE:
                continue
            waiting.attempts += 1
            waiting.attempted = self._clock.monotonic()
            waiting.seen = self._changes
            self._move(waiting, Place.IN_FLIGHT)
            popped.append(waiting)
        return popped

    def done(self, uid: str) -> None:
        """The pod is bound."""
        self.delete(uid)

    def reject(self, waiting: Waiting, rejected_by: frozenset[str]) -> None:
        """No node fits: wait for a change that may cure one of the plugins."""
        if not self._in_flight(waiting):
            return
        waiting.cures = Change.NOTHING
        for name in rejected_by:
            waiting.cures |= self._cures.get(name, Change.NOTHING)
        self._move(waiting, Place.UNSCHEDULABLE if waiting.seen == self._changes else Place.BACKOFF)

    def retry(self, waiting: Waiting) -> None:
        """The attempt failed for another reason: try again after a back-off."""
        if self._in_flight(waiting):
            self._move(waiting, Place.BACKOFF)

    def activate(self, uid: str) -> None:
        """Somebody knows that the pod should be tried at once."""
        waiting = self._pods.get(uid)
        if waiting is not None and waiting.place in (Place.UNSCHEDULABLE, Place.BACKOFF):
            self._move(waiting, Place.ACTIVE)

    def changed(self, event: Event) -> None:
        """Something happened in the cluster: let those try again whom it may help."""
        if event.change:
            self._changes += 1
            self._wake_those(event.change)

    def placed(self) -> None:
        """A pod was put on a node, before any other pod was decided for: those decided for later know of it."""
        self._wake_those(Change.PEERS)

    def _wake_those(self, change: Change) -> None:
        for cures in [cures for cures in self._unschedulable if cures & change]:
            for waiting in list(self._unschedulable[cures].values()):
                self._move(waiting, self._after_backoff(waiting))

    async def wait(self) -> None:
        """Return when a pod is active."""
        while True:
            self._flush()
            if self._counts[Place.ACTIVE]:
                return
            self._wake.clear()
            deadline = self._deadline()
            if deadline is None:
                await self._wake.wait()
                continue
            timers = [
                asyncio.ensure_future(self._wake.wait()),
                asyncio.ensure_future(self._clock.sleep(deadline - self._clock.monotonic())),
            ]
            try:
                await asyncio.wait(timers, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for timer in timers:
                    timer.cancel()

    def _in_flight(self, waiting: Waiting) -> bool:
        return self._pods.get(waiting.pod.uid) is waiting and waiting.place is Place.IN_FLIGHT

    def _gate(self, waiting: Waiting, place: Place) -> Place:
        return place if self._admits(waiting.pod) else Place.GATED

    def _after_backoff(self, waiting: Waiting) -> Place:
        return Place.BACKOFF if self._ready_at(waiting) > self._clock.monotonic() else Place.ACTIVE

    def _ready_at(self, waiting: Waiting) -> float:
        doublings = min(max(waiting.attempts - 1, 0), 10)
        return waiting.attempted + min(FIRST_BACKOFF * 2.0**doublings, LONGEST_BACKOFF)

    def _move(self, waiting: Waiting, place: Place) -> None:
        self._leave(waiting)
        self._counts[waiting.place] -= 1
        self._counts[place] += 1
        waiting.place = place
        match place:
            case Place.ACTIVE:
                key = self._sort_key(waiting.pod)
                heapq.heappush(self._active, (key, waiting.order, waiting.ticket, waiting))
                self._wake.set()
            case Place.BACKOFF:
                heapq.heappush(self._backoff, (self._ready_at(waiting), waiting.order, waiting.ticket, waiting))
                self._wake.set()
            case Place.UNSCHEDULABLE:
                self._unschedulable.setdefault(waiting.cures, {})[waiting.pod.uid] = waiting
                self._wake.set()

    def _leave(self, waiting: Waiting) -> None:
        waiting.ticket += 1
        if waiting.place is Place.UNSCHEDULABLE:
            group = self._unschedulable.get(waiting.cures)
            if group and group.pop(waiting.pod.uid, None) and not group:
                del self._unschedulable[waiting.cures]

    def _flush(self) -> None:
        """Move pods whose back-off or patience is over."""
        now = self._clock.monotonic()
        while self._backoff and (self._stale(self._backoff[0]) or self._backoff[0][0] <= now):
            entry = heapq.heappop(self._backoff)
            if not self._stale(entry):
                self._move(entry[3], Place.ACTIVE)
        for group in list(self._unschedulable.values()):
            for waiting in list(itertools.takewhile(lambda w: w.attempted + FLUSH_AFTER <= now, group.values())):
                self._move(waiting, Place.ACTIVE)

    @staticmethod
    def _stale(entry: tuple[float, int, int, Waiting]) -> bool:
        return entry[2] != entry[3].ticket or entry[3].place is not Place.BACKOFF

    def _deadline(self) -> float | None:
        moments = [self._backoff[0][0]] if self._backoff else []
        moments += [next(iter(group.values())).attempted + FLUSH_AFTER for group in self._unschedulable.values()]
        return min(moments, default=None)
