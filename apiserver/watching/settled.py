"""A store that answers its writers only when the watch cache has seen their write.

An embedded store does so by itself; etcd does not, and a client that creates a namespace and then a pod in it must not
hear that there is no such namespace. If the cache lags for long, the writer is answered all the same: its write stands.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

from ..storage.base import Change, FutureRevision, Page, Record, Store, Unless
from .cache import WatchCache

PATIENCE = 3.0
"""Seconds to wait for the cache."""


class SettledStore:
    """A `Store` over another one and the cache that follows it."""

    def __init__(self, store: Store, cache: WatchCache) -> None:
        self._store = store
        self._cache = cache
        self.open = store.open
        self.close = store.close
        self.revision = store.revision
        self.get = store.get
        self.compact = store.compact
        self.progress = getattr(store, "progress", None)
        self.stale = getattr(store, "stale", None)

    async def create(self, key: str, value: bytes, *, unless: Sequence[Unless] = ()) -> Record:
        """Write a key that must be absent. Raises KeyExists, Overtaken."""
        return await self._settle(await self._store.create(key, value, unless=unless))

    async def update(self, key: str, value: bytes, *, expected: int, unless: Sequence[Unless] = ()) -> Record:
        """Replace a value at an expected revision. Raises RevisionMismatch, Overtaken."""
        return await self._settle(await self._store.update(key, value, expected=expected, unless=unless))

    async def delete(self, key: str, *, expected: int) -> Record:
        """Remove a key at an expected revision. Raises RevisionMismatch."""
        return await self._settle(await self._store.delete(key, expected=expected))

    async def range(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """Keys below a prefix."""
        return await self._store.range(prefix, after=after, limit=limit, revision=revision)

    def watch(self, prefix: str, *, after: int) -> AsyncIterator[list[Change]]:
        """Every change after a revision."""
        return self._store.watch(prefix, after=after)

    async def _settle(self, record: Record) -> Record:
        with contextlib.suppress(FutureRevision):
            await self._cache.wait_for(record.revision, PATIENCE)
        return record


def settled(store: Store, cache: WatchCache) -> Store:
    """The store itself if it tells the cache before it answers, otherwise one that waits."""
    return store if hasattr(store, "follow") else SettledStore(store, cache)
