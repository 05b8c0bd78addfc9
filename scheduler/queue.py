"""Pods waiting for a node: active, backing off after an attempt, unschedulable until something helps, or gated.

Invariants: a pod that was added is in exactly one place (one of the four, or in flight between `pop` and its outcome)
until it is deleted or done. An unschedulable pod leaves its place when something helps it or one like it (see
`rejected.py`), when it asks for something else, and at the latest after `FLUSH_AFTER`. What happens while a pod is in
flight is not missed: it is judged when the pod comes back. A pod that backs off goes early when there is nothing else
to do, unless its last attempt ended in an error or with a plugin that would not let it keep its place.

Source: Kubernetes documentation, "Scheduler queueing"; kube-scheduler for the order of retries and error back-offs.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import Counter
from collections.abc import Mapping

from k8slite.clock import Clock

from . import metrics
from .blame import told
from .change import Change, Event
from .columns import Columns
from .history import History
from .profile import Profile
from .rejected import Rejected
from .shape import Shape
from .view import Pod
from .waiting import DEFAULT_BACKOFF, NOBODY
from .waiting import Backoff as Backoff
from .waiting import Place as Place
from .waiting import Waiting as Waiting

FLUSH_AFTER = 300.0
BUSY = 32
#: For `Waiting.seen`: before anything that is remembered; and that the verdict will be about what is asked no more.
_NEVER, _OUTDATED = -1, -2


class SchedulingQueue:
    """The queue of all profiles, which sort alike. What events helped is looked up in `columns`."""

    def __init__(
        self, profiles: Mapping[str, Profile], *, clock: Clock, columns: Columns, backoff: Backoff = DEFAULT_BACKOFF
    ) -> None:
        self._profiles = profiles
        self._clock = clock
        self._limits = backoff
        self._sort_key = next(iter(profiles.values())).queue_sort.sort_key
        self._pods: dict[str, Waiting] = {}
        self._active: list[Entry] = []
        self._backoff: list[Entry] = []
        self._patient: list[Entry] = []
        self._gated: dict[str, dict[str, Waiting]] = {}
        self._opened: set[str] = set()
        """Gates that may let pods pass because of what happened."""
        self._in_flight: dict[str, Waiting] = {}
        """Those being decided about, or waiting for permits: what happens now may concern them when they come back."""
        self.history = History()
        self._rejected = Rejected(profiles, columns=columns, history=self.history, rank=self.rank, wake=self._wake_for)
        self._order = itertools.count()
        self._wake = asyncio.Event()
        self._counts = dict.fromkeys(Place, 0)
        self.unschedulable: Counter[tuple[str, str]] = Counter()
        """How many pods a plugin of a profile rejected at their last attempt, or keeps from any."""

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
        self._judge()
        waiting = self._pods.get(uid)
        return waiting.place if waiting else None

    def is_in_flight(self, waiting: Waiting) -> bool:
        """Whether a popped pod is still to be bound, and nobody else has taken it up."""
        return self._pods.get(waiting.pod.uid) is waiting and waiting.place is Place.IN_FLIGHT

    def put(self, pod: Pod, shape: Shape) -> None:
        """Add a pod, or bring it up to date; one that now asks for something else is tried again."""
        waiting = self._pods.get(pod.uid)
        if waiting is None:
            waiting = Waiting(pod, shape, self._clock.monotonic(), next(self._order))
            self._pods[pod.uid] = waiting
            self._counts[waiting.place] += 1
            self._move(waiting, Place.ACTIVE, metrics.POD_ADDED)
            return
        before, waiting.pod = waiting.pod, pod
        if not (waiting.place is Place.GATED or self._asks_otherwise(waiting, before, shape)):
            return
        waiting.shape = shape
        match waiting.place:
            case Place.GATED:
                self._move(waiting, Place.ACTIVE, metrics.POD_UPDATED)
            case Place.ACTIVE | Place.BACKOFF:
                self._rejected.leave(waiting)
                self._move(waiting, waiting.place, metrics.POD_UPDATED)
            case Place.UNSCHEDULABLE:
                self._move(waiting, self._after_backoff(waiting), metrics.POD_UPDATED)
            case Place.IN_FLIGHT:
                waiting.seen = _OUTDATED

    def delete(self, uid: str) -> None:
        """The pod is gone, bound, or not ours any more."""
        waiting = self._pods.pop(uid, None)
        if waiting is not None:
            self._leave(waiting)
            self._rejected.leave(waiting)
            self._counts[waiting.place] -= 1
            self._note_rejection(waiting, NOBODY)

    def pop(self, limit: int) -> list[Waiting]:
        """Up to `limit` pods in order; they are in flight until `done`, `reject`, `retry` or `delete`."""
        self._flush()
        self._judge()
        popped: list[Waiting] = []
        for heap in (self._active, self._backoff):
            while heap and len(popped) < limit:
                entry = heapq.heappop(heap)
                if _stale(entry):
                    continue
                waiting = entry[3]
                if heap is self._backoff:
                    if self._gate(waiting.pod):
                        self._move(waiting, Place.ACTIVE)
                        continue
                    metrics.INCOMING.add(Place.ACTIVE, metrics.EARLY)
                waiting.attempts += 1
                waiting.patient = False
                waiting.seen = _NEVER
                self._note_rejection(waiting, NOBODY)
                self._move(waiting, Place.IN_FLIGHT)
                popped.append(waiting)
        return popped

    def begin(self, waiting: Waiting) -> None:
        """The decision on a popped pod begins: what happened until now is known to it."""
        waiting.attempted = self._clock.monotonic()
        waiting.seen = self.history.position
        self._in_flight[waiting.pod.uid] = waiting

    def placed(self, waiting: Waiting, event: Event) -> None:
        """The pod was put on a node: those decided for later know of it."""
        waiting.patient = True
        if waiting.group is not None:
            self._rejected.placed(waiting)
        if self._rejected or self._gated or len(self._in_flight) > 1:
            self.changed(event)

    def committed(self, waiting: Waiting) -> None:
        """No plugin can reject the pod any more: it will be bound, or there is an error."""
        self._in_flight.pop(waiting.pod.uid, None)

    def done(self, uid: str) -> None:
        """The pod is bound."""
        self.delete(uid)

    def reject(self, waiting: Waiting, rejected_by: frozenset[str]) -> None:
        """No node fits, or a plugin would not let the pod keep its place: wait for what may change that."""
        if not rejected_by:
            self.retry(waiting)
        elif self.is_in_flight(waiting):
            waiting.errors = 0
            waiting.rejections += 1
            self._comes_back(waiting, failures=waiting.rejections)
            self._note_rejection(waiting, rejected_by)
            outdated = waiting.seen == _OUTDATED
            if outdated:
                self._rejected.leave(waiting)
            rests = not outdated and self._rejected.rest(waiting, rejected_by)
            self._move(waiting, Place.UNSCHEDULABLE if rests else Place.BACKOFF, metrics.FAILURE)

    def retry(self, waiting: Waiting) -> None:
        """The attempt failed for another reason: try again after a back-off."""
        if self.is_in_flight(waiting):
            waiting.errors += 1
            waiting.patient = True
            self._rejected.leave(waiting)
            self._comes_back(waiting, failures=waiting.errors)
            self._move(waiting, Place.BACKOFF, metrics.FAILURE)

    def activate(self, uid: str) -> None:
        """Somebody knows that the pod should be tried at once."""
        waiting = self._pods.get(uid)
        if waiting is None:
            return
        match waiting.place:
            case Place.UNSCHEDULABLE | Place.BACKOFF:
                self._move(waiting, Place.ACTIVE, metrics.ACTIVATED)
            case Place.IN_FLIGHT:
                waiting.seen = _OUTDATED

    def admit(self, uid: str) -> None:
        """Who keeps the pod from being tried may be of another mind."""
        waiting = self._pods.get(uid)
        if waiting is not None and waiting.place is Place.GATED:
            self._move(waiting, Place.ACTIVE, metrics.ACTIVATED)

    def changed(self, event: Event) -> None:
        """Something happened in the cluster: remember it until those are asked whom it may help."""
        if not event.change or not (self._rejected or self._in_flight or self._gated):
            return
        if self.history.full:
            self._judge()
        self.history.note(event)
        if self._gated:
            self._opened |= {name for name in self._gated if event.change & self._cures_of_gate(name)}
        self._wake.set()

    async def wait(self) -> None:
        """Return when there is a pod to be tried."""
        while True:
            self._flush()
            self._judge()
            if self._counts[Place.ACTIVE] or _first(self._backoff):
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

    def rank(self, waiting: Waiting) -> int:
        """What the queue is sorted by: the lower goes first."""
        return self._sorted(waiting.pod)

    def _sorted(self, pod: Pod) -> int:
        try:
            return self._sort_key(pod)
        except Exception as error:
            told(error)
            return 0

    def _asks_otherwise(self, waiting: Waiting, before: Pod, shape: Shape) -> bool:
        pod, known = waiting.pod, waiting.shape
        if known != shape or known.spread != shape.spread or self._sorted(before) != self._sorted(pod):
            return True
        if waiting.group is None:
            return False
        if pod.status.nominated_node_name not in ("", before.status.nominated_node_name) and not waiting.group.single:
            return True  # it is promised a node, and so not like the others any more
        # Who was rejected for what it is itself may have been for anything that the shape does not tell.
        itself = waiting.group.single or waiting.group.alike
        return bool(itself) and (before.metadata.labels != pod.metadata.labels or before.spec != pod.spec)

    def _comes_back(self, waiting: Waiting, *, failures: int) -> None:
        waiting.returned = self._clock.monotonic()
        waiting.ready_at = waiting.returned + self._limits.seconds(failures)
        waiting.order = next(self._order)
        waiting.flushed = False

    def _after_backoff(self, waiting: Waiting) -> Place:
        return Place.BACKOFF if waiting.ready_at > self._clock.monotonic() else Place.ACTIVE

    def _wake_for(self, waiting: Waiting, event: Event | None) -> None:
        why = metrics.label(event) if event is not None else metrics.ACTIVATED
        self._move(waiting, self._after_backoff(waiting), why)

    def _move(self, waiting: Waiting, place: Place, why: str = "") -> None:
        self._leave(waiting)
        gate = self._gate(waiting.pod) if place is Place.ACTIVE else ""
        if gate:
            place = Place.GATED
        self._counts[waiting.place] -= 1
        self._counts[place] += 1
        before, waiting.place = waiting.place, place
        match place:
            case Place.ACTIVE:
                if before is Place.GATED and not waiting.attempts:
                    waiting.arrived = self._clock.monotonic()
                heapq.heappush(self._active, (self.rank(waiting), waiting.order, waiting.ticket, waiting))
            case Place.BACKOFF:
                heap = self._patient if waiting.patient else self._backoff
                heapq.heappush(heap, (waiting.ready_at, waiting.order, waiting.ticket, waiting))
            case Place.GATED:
                self._gated.setdefault(gate, {})[waiting.pod.uid] = waiting
                self._note_rejection(waiting, frozenset({gate}))
                self._rejected.leave(waiting)
                return
            case Place.IN_FLIGHT:
                return
        metrics.INCOMING.add(place, why)
        self._wake.set()

    def _leave(self, waiting: Waiting) -> None:
        waiting.ticket += 1
        uid = waiting.pod.uid
        match waiting.place:
            case Place.UNSCHEDULABLE if self._rejected.rests(uid):
                self._rejected.leave(waiting)
            case Place.IN_FLIGHT:
                self._in_flight.pop(uid, None)
            case Place.GATED:
                (gate,) = waiting.rejected_by
                del self._gated[gate][uid]
                if not self._gated[gate]:
                    del self._gated[gate]
                self._note_rejection(waiting, NOBODY)

    def _gate(self, pod: Pod) -> str:
        """Who keeps a pod from being tried; empty if nobody does."""
        for plugin in self._profiles[pod.spec.scheduler_name].pre_enqueue:
            try:
                if not plugin.admits(pod):
                    return plugin.name
            except Exception as error:
                told(error)
                return plugin.name
        return ""

    def _cures_of_gate(self, name: str) -> Change:
        cures = Change.NOTHING
        for profile in self._profiles.values():
            cures |= profile.cures.get(name, Change.NOTHING)
        return cures

    def _note_rejection(self, waiting: Waiting, names: frozenset[str]) -> None:
        if names is waiting.rejected_by:
            return
        profile = waiting.pod.spec.scheduler_name
        for name in waiting.rejected_by:
            self.unschedulable[name, profile] -= 1
        for name in names:
            self.unschedulable[name, profile] += 1
        waiting.rejected_by = names

    def _judge(self) -> None:
        """Let those go whom something helped that happened lately, and forget what nobody will ask for any more."""
        for name in self._opened:
            for waiting in list(self._gated.get(name, {}).values()):
                if self._gate(waiting.pod) != name:
                    self._move(waiting, Place.ACTIVE, metrics.POD_UPDATED)
        self._opened.clear()
        self._rejected.judge()
        oldest = next(iter(self._in_flight.values()), None)
        self.history.forget(self.history.position if oldest is None else oldest.seen)

    def _flush(self) -> None:
        """Move pods whose back-off or patience is over."""
        now = self._clock.monotonic()
        for heap in (self._backoff, self._patient):
            while (waiting := _first(heap)) and waiting.ready_at <= now:
                heapq.heappop(heap)
                self._move(waiting, Place.ACTIVE, metrics.BACKOFF_OVER)
        while (waiting := self._rejected.first()) and waiting.returned + FLUSH_AFTER <= now:
            waiting.flushed = True
            self._move(waiting, Place.ACTIVE, metrics.TIMEOUT)

    def _deadline(self) -> float | None:
        """When `_flush` has something to do, if nothing happens before."""
        moments = [waiting.ready_at] if (waiting := _first(self._patient)) else []
        moments += [waiting.returned + FLUSH_AFTER] if (waiting := self._rejected.first()) else []
        return min(moments, default=None)


Entry = tuple[float, int, int, Waiting]


def _first(heap: list[Entry]) -> Waiting | None:
    """Who is first in a heap, once entries that hold no longer are dropped."""
    while heap and _stale(heap[0]):
        heapq.heappop(heap)
    return heap[0][3] if heap else None


def _stale(entry: Entry) -> bool:
    return entry[2] != entry[3].ticket
