"""The watch cache: every object's current bytes in memory, and the one place where watches are fed.

One per API server process over one store; it follows the store as a whole and hands each change to the cache of its
resource (`resources.py`). An embedded store calls the cache before it answers the writer, so that whoever wrote reads
the write at once. Over etcd, which others write too, `wait_for` waits for one's own write and `consistent` for
everyone's.

If etcd has compacted what the cache has not seen yet, the cache lists again, and every open watch is cut off: its
client resumes from what it saw last, or lists again as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
from collections.abc import AsyncIterator, Callable
from typing import cast

from ..storage.base import Change, Compacted, FutureRevision, Record, Store, StoreError, StoreUnavailable
from ..storage.feed import Batch, Embedded, reached
from .objects import Entry
from .resources import ResourceCache

__all__ = ["Entry", "ResourceCache", "WatchCache"]

log = logging.getLogger(__name__)

BOOKMARK_PERIOD = 60.0
"""Seconds between bookmarks on watches that asked for them."""


class WatchCache:
    """All resources of one store."""

    def __init__(self) -> None:
        self.revision = 0
        """Every change up to this revision is in the cache."""
        self._store: Store | None = None
        self._resources: dict[str, ResourceCache] = {}
        self._stop_following: Callable[[], None] | None = None
        self._follower: asyncio.Task[None] | None = None
        self._bookmarks: asyncio.TimerHandle | None = None
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._reading: asyncio.Task[int] | None = None

    @property
    def store(self) -> Store:
        """The store behind the cache."""
        if self._store is None:
            raise StoreUnavailable("the watch cache is not started")
        return self._store

    async def start(self, store: Store) -> None:
        """Fill the cache from an open store and follow it. Raises StoreUnavailable."""
        self._store = store
        if hasattr(store, "follow"):
            early: list[Batch] = []
            stop = cast(Embedded, store).follow(early.append)
            page = await store.range("/")
            stop()
            self._fill(page.records, page.revision)
            for batch in early:
                if batch.revision > page.revision:
                    self._apply(batch)
            self._stop_following = cast(Embedded, store).follow(self._apply)
        else:
            page = await store.range("/")
            self._fill(page.records, page.revision)
            self._follower = asyncio.create_task(self._follow(store))
        self._bookmarks = asyncio.get_running_loop().call_later(BOOKMARK_PERIOD, self._bookmark)

    async def stop(self) -> None:
        """Stop following; end every watch."""
        if self._stop_following is not None:
            self._stop_following()
            self._stop_following = None
        if self._follower is not None:
            self._follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._follower
            self._follower = None
        if self._bookmarks is not None:
            self._bookmarks.cancel()
        self.end_watches()

    def end_watches(self) -> None:
        """End every watch; its client resumes elsewhere, or later."""
        for resource in list(self._resources.values()):  # whoever is woken may ask for one more
            resource.end()

    def resource(self, group: str, plural: str) -> ResourceCache:
        """The cache of one resource; `group` is empty for the core group. Kinds without objects are there too."""
        return self._below(f"/{group or 'core'}/{plural}/")

    def known(self, group: str, plural: str) -> ResourceCache | None:
        """The cache of a resource if there is one yet; what clients make up leaves nothing behind."""
        return self._resources.get(f"/{group or 'core'}/{plural}/")

    async def wait_for(self, revision: int, timeout: float) -> None:
        """Return once the cache has reached a revision. Raises FutureRevision after `timeout` seconds."""
        if self.revision >= revision:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = (revision, next(self._order), future)
        heapq.heappush(self._waiting, waiting)
        try:
            async with asyncio.timeout(timeout):
                await future
        except TimeoutError:
            raise FutureRevision(f"revision {revision} not reached; current is {self.revision}") from None
        finally:
            # Nobody waits any more, and the revision may never come; or it came in the same turn of the loop.
            if future.cancelled() and waiting in self._waiting:
                self._waiting.remove(waiting)
                heapq.heapify(self._waiting)

    async def consistent(self) -> None:
        """Wait until every write that was acknowledged before this call, by any server, is in the cache.

        Raises StoreUnavailable, FutureRevision (the cache lags for long).
        """
        if self._stop_following is not None:  # embedded: always so
            return
        revision = await self._read_revision()
        if self.revision < revision:
            await self._reach(revision)

    async def _read_revision(self) -> int:
        """The store's revision, read after this call began; callers that come meanwhile share the next read."""
        running = self._reading
        if running is not None and not running.done():
            with contextlib.suppress(StoreUnavailable):
                await asyncio.shield(running)
        if self._reading is running or self._reading is None:
            self._reading = asyncio.ensure_future(self.store.revision())
        return await asyncio.shield(self._reading)

    async def _reach(self, revision: int) -> None:
        """Wait for a revision that may belong to a key which is not ours, on an etcd shared with others."""
        try:
            await self.wait_for(revision, 0.1)
        except FutureRevision:
            progress = getattr(self.store, "progress", None)
            if progress is not None:
                await progress()
            await self.wait_for(revision, 3.0)

    def _below(self, prefix: str) -> ResourceCache:
        resource = self._resources.get(prefix)
        if resource is None:
            resource = self._resources[prefix] = ResourceCache(self, prefix)
        return resource

    def _fill(self, records: list[Record], revision: int) -> None:
        by_prefix: dict[str, list[Record]] = {}
        for record in records:
            by_prefix.setdefault(_prefix(record.key), []).append(record)
        for prefix in {*self._resources, *by_prefix}:
            self._below(prefix).fill(by_prefix.get(prefix, []), revision)
        self.revision = revision
        self._answer()

    def _apply(self, batch: list[Change]) -> None:
        for change in batch:
            self._below(_prefix(change.key)).apply(change)
        self.revision = max(self.revision, reached(batch))
        if self._waiting:
            self._answer()

    def _answer(self) -> None:
        while self._waiting and self._waiting[0][0] <= self.revision:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)

    async def _follow(self, store: Store) -> None:
        while True:
            try:
                changes: AsyncIterator[list[Change]] = store.watch("/", after=self.revision)
                async for batch in changes:
                    self._apply(batch)
                return  # the store closed
            except Compacted:
                log.warning("the store compacted changes that the cache had not seen; listing again")
            except StoreUnavailable as error:
                log.warning("the store's watch broke: %s", error)
            except Exception:  # a cache that follows no longer would answer with the past for ever
                log.exception("a change could not be taken in; listing again")
            await self._refill(store)

    async def _refill(self, store: Store) -> None:
        delay = 0.1
        while True:
            try:
                page = await store.range("/")
            except StoreError:
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)
                continue
            self._fill(page.records, page.revision)
            return

    def _bookmark(self) -> None:
        self._bookmarks = asyncio.get_running_loop().call_later(BOOKMARK_PERIOD, self._bookmark)
        for resource in list(self._resources.values()):
            resource.bookmark()


def _prefix(key: str) -> str:
    return key[: key.index("/", key.index("/", 1) + 1) + 1]
