"""The engine of the embedded stores: decide a batch, make it durable, make it true, tell everyone, answer.

All state is touched on the event loop only. One batch is under way at a time; writes that arrive meanwhile share the
next, so that one durable commit serves them all. The order in `_finish` is the promise: current records, then
followers (the watch cache), then subscriptions, and only then the writers' answers.

What differs between engines is the journal: where rows go, and how history is read back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from .base import Change, Compacted, FutureRevision, Page, Record, StoreError, StoreUnavailable, Unless
from .batch import Plan, Row, Write, plan
from .feed import Batch, Feed, Follower, Subscription
from .keyspace import Keyspace

BATCH = 64
"""Writes in one commit, at most."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a journal finds when it is opened."""

    records: list[Record]
    revision: int
    compacted: int


class Journal(Protocol):
    """Where an embedded store keeps its rows."""

    async def open(self) -> Recovered:
        """Recover. Raises StoreUnavailable."""
        ...

    async def close(self) -> None:
        """Release everything."""
        ...

    def append(self, rows: list[Row], done: Callable[[StoreError | None], None]) -> None:
        """Make rows durable, then call `done` on the event loop."""
        ...

    async def range(self, prefix: str, *, after: str, limit: int, revision: int) -> tuple[list[Record], int]:
        """As `Keyspace.range`, at a past revision."""
        ...

    async def changes(self, prefix: str, after: int, until: int) -> list[Change]:
        """Changes in (after, until] below a prefix, in order; a first part of them if there are many."""
        ...

    async def compact(self, revision: int) -> None:
        """Forget what no read at `revision` or later needs."""
        ...


class EmbeddedStore:
    """A `Store` over a journal in this process."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._keys = Keyspace()
        self._revision = 0
        self._compacted = 0
        self._feed = Feed()
        self._pending: list[tuple[Write, asyncio.Future[Record]]] = []
        self._busy = False
        """A batch is under way, or about to be."""
        self._idle = asyncio.Event()
        self._open = False

    async def open(self) -> None:
        """Recover what the journal holds. Raises StoreUnavailable."""
        self._loop = asyncio.get_running_loop()  # asked once: it costs a system call
        found = await self._journal.open()
        self._keys = Keyspace(found.records)
        self._revision = found.revision
        self._compacted = found.compacted
        self._idle.set()
        self._open = True

    async def close(self) -> None:
        """Finish the writes that began, end the watches, close the journal."""
        if not self._open:
            return
        self._open = False
        await self._idle.wait()
        self._feed.close()
        await self._journal.close()

    async def revision(self) -> int:
        """The revision of the last write."""
        return self._revision

    async def create(self, key: str, value: bytes, *, unless: Sequence[Unless] = ()) -> Record:
        """Write a key that must be absent. Raises KeyExists, Overtaken."""
        return await self._write(Write(key, value, 0, unless))

    async def update(self, key: str, value: bytes, *, expected: int, unless: Sequence[Unless] = ()) -> Record:
        """Replace a value at an expected revision. Raises RevisionMismatch, Overtaken."""
        return await self._write(Write(key, value, expected or -1, unless))

    async def delete(self, key: str, *, expected: int) -> Record:
        """Remove a key at an expected revision. Raises RevisionMismatch."""
        return await self._write(Write(key, None, expected or -1))

    async def get(self, key: str) -> Record | None:
        """A key's record."""
        return self._keys.get(key)

    async def range(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """Keys below a prefix, now or at a past revision. Raises Compacted, FutureRevision."""
        if revision in (0, self._revision):
            records, remaining = self._keys.range(prefix, after=after, limit=limit)
            return Page(records, self._revision, remaining)
        if revision > self._revision:
            raise FutureRevision(f"revision {revision} is in the future; current is {self._revision}")
        self._check_compacted(revision)
        records, remaining = await self._journal.range(prefix, after=after, limit=limit, revision=revision)
        self._check_compacted(revision)
        return Page(records, revision, remaining)

    def watch(self, prefix: str, *, after: int) -> Subscription:
        """Every change after a revision. Raises Compacted."""
        self._check_compacted(after)
        subscription = Subscription(prefix, after=after, until=self._revision, replay=self._replay)
        self._feed.subscribe(subscription)
        return subscription

    def follow(self, follower: Follower) -> Callable[[], None]:
        """Call `follower` with every batch before its writers are answered."""
        return self._feed.follow(follower)

    async def compact(self, revision: int) -> None:
        """Forget history before `revision`."""
        if revision > self._revision:
            raise FutureRevision(f"revision {revision} is in the future; current is {self._revision}")
        if revision > self._compacted:
            self._compacted = revision
            await self._journal.compact(revision)

    def _check_compacted(self, revision: int) -> None:
        if revision < self._compacted:
            raise Compacted(self._compacted)

    async def _replay(self, prefix: str, after: int, until: int) -> list[Change]:
        self._check_compacted(after)
        changes = await self._journal.changes(prefix, after, until)
        self._check_compacted(after)
        return changes

    def _write(self, write: Write) -> asyncio.Future[Record]:
        if not self._open:
            raise StoreUnavailable("the store is closed")
        future: asyncio.Future[Record] = self._loop.create_future()
        self._pending.append((write, future))
        if not self._busy:
            self._busy = True
            self._idle.clear()
            self._loop.call_soon(self._commit)  # not at once: writes of this turn of the loop share the batch
        return future

    def _commit(self) -> None:
        taken, self._pending = self._pending[:BATCH], self._pending[BATCH:]
        decided = plan([write for write, _ in taken], current=self._keys.get, revision=self._revision)
        futures = [future for _, future in taken]
        if decided.rows:
            self._journal.append(decided.rows, lambda failure: self._finish(decided, futures, failure))
        else:
            self._finish(decided, futures, None)

    def _finish(self, decided: Plan, futures: list[asyncio.Future[Record]], failure: StoreError | None) -> None:
        if failure is None and decided.changes:
            for change in decided.changes:
                if change.type == "DELETED":
                    self._keys.remove(change.key)
                else:
                    self._keys.put(Record(change.key, change.value, change.revision))
            self._revision = decided.changes[-1].revision
            self._feed.publish(Batch(decided.changes, self._revision))
            self.written(decided.changes)
        for future, outcome in zip(futures, decided.outcomes, strict=True):
            if future.done():  # the caller was cancelled; the write stands
                continue
            result = failure or outcome
            if isinstance(result, StoreError):
                future.set_exception(result)
            else:
                future.set_result(result)
        if self._pending:
            self._commit()
        else:
            self._busy = False
            self._idle.set()

    def written(self, changes: list[Change]) -> None:
        """Called after each batch; engines that compact by themselves take note here."""
