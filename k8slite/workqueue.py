"""WorkQueue: deduplicating, delaying, backing off.

Invariants: a key is never worked on twice at once; a key added while it is being worked on is worked on again after.
Every key in the queue is dirty and not being worked on; a key that is dirty and being worked on is queued by `done`.

A queue may let its keys rest: after a key was worked on, it is not worked on again for a moment. The first of many
changes is then seen to at once, and the rest of a burst together.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import OrderedDict, deque

from .clock import Clock
from .metrics import QueueMetrics

_STALE = 64
"""So many delays that were dropped or came forward may wait beside as many as stand."""


class WorkQueue:
    """Keys waiting for a worker. A `name` gives the queue its metrics, `rest` is in seconds."""

    def __init__(
        self, *, clock: Clock, base_delay: float = 0.005, max_delay: float = 60.0, rest: float = 0.0, name: str = ""
    ) -> None:
        self._clock = clock
        self._rest = rest
        self._resting: OrderedDict[str, float] = OrderedDict()
        """When each key may be worked on again, in that order."""
        self._since: dict[str, float] = {}
        """When each key that waits was added."""
        self._base_delay = base_delay
        self._max_delay = max_delay
        self._queue: deque[str] = deque()
        self._dirty: set[str] = set()
        self._processing: dict[str, float] = {}
        """Since when each key is being worked on."""
        self._failures: dict[str, int] = {}
        self._getters: deque[asyncio.Future[None]] = deque()
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._order = itertools.count()
        self._timer: asyncio.Task[None] | None = None
        self._timer_due = 0.0
        self._metrics = QueueMetrics(name, working=self.working) if name else None

    def add(self, key: str) -> None:
        """Queue a key unless it waits already."""
        if key in self._dirty:
            return
        if self._resting and (left := self._resting.get(key, 0.0) - self._clock.monotonic()) > 0:
            self.add_after(key, left)
            return
        self._dirty.add(key)
        if self._metrics is not None:
            self._metrics.adds.inc()
            self._since[key] = self._clock.monotonic()
        if key not in self._processing:
            self._enqueue(key)

    def add_after(self, key: str, seconds: float) -> None:
        """Queue a key later; the earliest of several delays wins."""
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock.monotonic() + seconds
        if due >= self._due.get(key, float("inf")):
            return
        self._due[key] = due
        heapq.heappush(self._heap, (due, next(self._order), key))
        self._set_timer()

    def add_rate_limited(self, key: str, *, at_least: float = 0.0) -> None:
        """Queue a key after a delay that doubles with each failure, `at_least` seconds if the server asked for that."""
        if self._metrics is not None:
            self._metrics.retries.inc()
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.add_after(key, max(at_least, min(self._base_delay * 2.0 ** min(failures, 40), self._max_delay)))

    def forget(self, key: str) -> None:
        """The key succeeded: its next failure starts from the base delay."""
        self._failures.pop(key, None)

    def drop(self, key: str) -> None:
        """The key's object is gone: it need not be worked on later, which might be in a year."""
        self.forget(key)
        self._due.pop(key, None)
        if len(self._heap) > 2 * len(self._due) + _STALE:
            self._heap = [entry for entry in self._heap if self._due.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)

    async def get(self) -> str:
        """The next key; call `done` when finished with it."""
        while not self._queue:
            getter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                if getter.done() and not getter.cancelled():
                    self._wake_getter()  # this worker was chosen, but goes: another must take the key
                elif getter in self._getters:
                    self._getters.remove(getter)
                raise
        key = self._queue.popleft()
        self._dirty.discard(key)
        now = self._processing[key] = self._clock.monotonic()
        if self._metrics is not None:
            self._metrics.depth.dec()
            self._metrics.wait.observe(now - self._since.pop(key, now))
        return key

    def done(self, key: str) -> None:
        """The worker is finished with the key."""
        since = self._processing.pop(key, None)
        if self._metrics is not None and since is not None:
            self._metrics.work.observe(self._clock.monotonic() - since)
        if self._rest:
            self._let_rest(key)
        elif key in self._dirty:
            self._enqueue(key)

    def _let_rest(self, key: str) -> None:
        now = self._clock.monotonic()
        while self._resting and next(iter(self._resting.values())) <= now:
            self._resting.popitem(last=False)
        self._resting[key] = now + self._rest
        self._resting.move_to_end(key)
        if key in self._dirty:
            self._dirty.discard(key)
            self.add(key)

    def working(self) -> list[float]:
        """For how many seconds each key has been worked on that is."""
        now = self._clock.monotonic()
        return [now - since for since in self._processing.values()]

    def close(self) -> None:
        """Drop what is delayed, so that no timer outlives the queue."""
        self._heap.clear()
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __len__(self) -> int:
        return len(self._queue)

    def _enqueue(self, key: str) -> None:
        self._queue.append(key)
        if self._metrics is not None:
            self._metrics.depth.inc()
        self._wake_getter()

    def _wake_getter(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _set_timer(self) -> None:
        """One timer, for the earliest delay only: a queue without delays has none."""
        due = self._heap[0][0]
        if self._timer is not None and not self._timer.done():
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer_due = due
        self._timer = asyncio.get_running_loop().create_task(self._deliver())

    async def _deliver(self) -> None:
        while self._heap:
            self._timer_due = self._heap[0][0]
            await self._clock.sleep(self._timer_due - self._clock.monotonic())
            now = self._clock.monotonic()
            while self._heap and self._heap[0][0] <= now:
                due, _, key = heapq.heappop(self._heap)
                if self._due.get(key) == due:
                    del self._due[key]
                    self.add(key)
