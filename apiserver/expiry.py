"""Events go some time after they were written last: an hour, unless the settings say otherwise.

Every server looks for itself, a few times in that span. What it deletes must still be what it saw, so that several
servers do no harm to each other. A server knows when a revision was written that it has seen being written; of events
that were there before it the times that stand in them are believed, and those of which none stands there count from its
start.

Source: Kubernetes documentation, "kube-apiserver", `--event-ttl`; upstream lets leases of etcd do it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from k8slite.clock import Clock

from .lookup import Entry, Objects
from .storage.base import RevisionMismatch, Store, StoreError

_log = logging.getLogger(__name__)
_LOOKS = 30
"""So many times in the life of an event: none lives much longer than it should."""
_LONGEST = 60.0
_AT_ONCE = 32
"""Deletions under way."""
_SLICE = 200
"""Events decoded without a pause."""


class Expiry:
    """The loop of one server. `ttl` is in seconds."""

    def __init__(self, *, ttl: float, objects: Objects, store: Store, clock: Clock) -> None:
        self._ttl = ttl
        self._events = objects.resource("", "events")
        self._store = store
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque()
        """Moments, and the revision of the last event that was written before each."""
        self._horizon = 0
        """All that was written at this revision or before has lived long enough."""
        self._earlier: dict[tuple[str, int], float] | None = None
        """When events end that were written before this server began; None until they were looked at."""
        self._start = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look; the cache must be filled."""
        self._start = self._events.changed
        self._marks.append((self._clock.monotonic(), self._start))
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Cease."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def once(self) -> int:
        """Look once; how many went. Raises StoreError for one that could not be deleted for any other reason than
        that it had changed."""
        now = self._clock.monotonic()
        if self._marks[-1][1] != self._events.changed:
            self._marks.append((now, self._events.changed))
        while self._marks and self._marks[0][0] <= now - self._ttl:
            self._horizon = self._marks.popleft()[1]
        if not self._marks:
            self._marks.append((now, self._horizon))
        if self._earlier is None:
            self._earlier = await self._judged()
        elif self._horizon >= self._start:
            self._earlier.clear()
        return await self._delete([entry for entry in self._events.select() if self._over(entry, now)])

    def _over(self, entry: Entry, now: float) -> bool:
        if entry.revision <= self._horizon:
            return True
        ends = self._earlier.get((entry.key, entry.revision)) if self._earlier else None
        return ends is not None and ends <= now

    async def _judged(self) -> dict[tuple[str, int], float]:
        """When the events end that were there before this server."""
        now, wall = self._clock.monotonic(), self._clock.now()
        found = {}
        for number, entry in enumerate(self._events.select()):
            if entry.revision > self._start:
                continue
            if written := max(_times(entry.document), default=None):
                found[entry.key, entry.revision] = now + self._ttl - max((wall - written).total_seconds(), 0.0)
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
        return found

    async def _delete(self, entries: list[Entry]) -> int:
        gone = 0
        for begin in range(0, len(entries), _AT_ONCE):
            outcomes = await asyncio.gather(*map(self._delete_one, entries[begin : begin + _AT_ONCE]))
            gone += sum(outcomes)
        return gone

    async def _delete_one(self, entry: Entry) -> bool:
        if self._earlier:
            self._earlier.pop((entry.key, entry.revision), None)
        try:
            await self._store.delete(entry.key, expected=entry.revision)
        except RevisionMismatch:
            return False  # it was written again, or another server was faster
        return True

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(min(self._ttl / _LOOKS, _LONGEST))
            try:
                await self.once()
            except StoreError as error:
                _log.warning("events that are over stay for now: %s", error)


def _times(event: dict[str, Any]) -> Iterator[datetime]:
    """The moments that an event names."""
    texts: Iterable[Any] = (
        (event.get("series") or {}).get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event.get("firstTimestamp"),
        event["metadata"].get("creationTimestamp"),
    )
    for text in texts:
        if text:
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                continue
            yield moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
