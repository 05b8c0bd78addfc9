"""Informer: list, watch, cache, index, relist on 410. What a component knows of the cluster stands in informers."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic

import aiohttp

from .client import Client, WatchEvent
from .clock import Clock
from .errors import ApiError
from .indexed import IndexedStore
from .kinds.base import K, ResourceType

log = logging.getLogger(__name__)

Indexer = Callable[[K], Iterable[str]]
Handler = Callable[[K | None, K | None], None]

WATCH_TIMEOUT = 300.0
"""Seconds after which a watch is asked to end (times 1 to 2, by chance), so that servers can shed old connections."""
MIN_BACKOFF, MAX_BACKOFF = 0.1, 5.0
UNSERVED = 30.0
"""Seconds (times 1 to 2, by chance) until a resource that the server does not have is asked for again."""
SHORT_WATCH = 1.0
"""A watch that ends within so many seconds did not help: the next one waits."""


class Informer(Generic[K]):
    """A local, always catching-up copy of one resource.

    Invariants: an object in the cache is never replaced by an older revision; handlers see every change in order, after
    the cache holds it, as `(old, new)` with None for absent; a handler must not block (it maps objects to queue keys).

    Lists are consistent reads (no resource version), so that a cache once synced holds everything that was written
    before. To save memory, hand in a resource whose model reads less: `replace(PODS, model=PodMetadata)`; what a model
    does not name is never decoded.
    """

    def __init__(
        self,
        client: Client,
        resource: ResourceType[K],
        *,
        clock: Clock,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        indexers: Mapping[str, Indexer[K]] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.resource = resource
        self._client = client
        self._clock = clock
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._jitter = jitter
        self._store: IndexedStore[K] = IndexedStore(indexers or {})
        self._handlers: list[Handler[K]] = []
        self._synced = asyncio.Event()
        self._revision = ""
        self._lists = 0
        self._listed = 0
        self._listened = 0.0
        self._up_since: float | None = None
        self._last_heard = 0.0
        self._backoff = MIN_BACKOFF
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    async def run(self) -> None:
        """List and watch until cancelled; network faults and 410 are handled inside, with back-off."""
        while True:
            try:
                if not self._revision:
                    await self._relist()
                await self._watch()
            except ApiError as error:
                if _asks_for_relist(error):
                    self._revision = ""
                self._complain(str(error))
                if error.code == 404 and not self.synced and await self._is_unserved():
                    self._synced.set()
                    await self._clock.sleep(UNSERVED * (1.0 + self._jitter()))
                else:
                    await self._back_off(error.retry_after or 0.0)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                self._complain(f"{type(error).__name__}: {error}")
                await self._back_off()

    def add_handler(self, handler: Handler[K]) -> None:
        """Call `handler(old, new)` for every change, and once `(None, object)` for each object already there."""
        self._handlers.append(handler)
        for found in self._store.list():
            self._call(handler, None, found)

    def add_indexer(self, name: str, indexer: Indexer[K]) -> None:
        """Index what is there and what comes by one more function; several users of one informer each add theirs."""
        self._store.add_indexer(name, indexer)

    def has_index(self, name: str) -> bool:
        """Whether somebody has asked for an index of that name."""
        return self._store.has_index(name)

    async def wait_synced(self) -> None:
        """Return when the first list is in the cache, or it is certain that the server does not have the resource."""
        await self._synced.wait()

    @property
    def lists(self) -> int:
        """How many lists were begun. A write that ended before one of them began is in the cache once it is done."""
        return self._lists

    def listened(self) -> float:
        """Seconds during which a watch was up, all told: a clock that stands still while nothing can be heard."""
        up = self._clock.monotonic() - self._up_since if self._up_since is not None else 0.0
        return self._listened + up

    @property
    def synced(self) -> bool:
        """Whether the first list is in the cache, or there is none to be had."""
        return self._synced.is_set()

    def get(self, key: str) -> K | None:
        """The object of `namespace/name` (or `name`)."""
        return self._store.get(key)

    def list(self, namespace: str = "") -> Sequence[K]:
        """All objects, or those of a namespace."""
        return self._store.list(namespace)

    def by_index(self, index: str, value: str) -> Sequence[K]:
        """The objects for which the named indexer yields `value`."""
        return self._store.by_index(index, value)

    async def wait_for_revision(
        self, key: str, resource_version: str, *, lists: int | None = None, timeout: float = 5.0
    ) -> bool:
        """Read your writes: wait until the cache has seen `key` at that revision or later; False on timeout.

        Revisions are those of the whole store and a watch delivers them in order, so that any later one will do. With
        `lists` as it was when the write ended, a list that was begun later will do too, whatever the revisions say:
        they begin anew when the store is replaced.
        """
        wanted = int(resource_version)
        found = self._store.get(key)
        if _number(self._revision) >= wanted or (found and _number(found.metadata.resource_version) >= wanted):
            return True
        if lists is not None and self._listed > lists:
            return True
        seen: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiters, (wanted, next(self._order), seen))
        sleeper = asyncio.ensure_future(self._clock.sleep(timeout))
        try:
            await asyncio.wait({seen, sleeper}, return_when=asyncio.FIRST_COMPLETED)
            return seen.done()
        finally:
            sleeper.cancel()
            seen.cancel()

    async def _relist(self) -> None:
        self._lists += 1
        earlier = next(self._order)
        listing = await self._client.list(
            self.resource,
            namespace=self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
        )
        present = set()
        for item in listing.items:
            present.add(item.key)
            old = self._store.get(item.key)
            if old is None or old.metadata.resource_version != item.metadata.resource_version:
                self._replace(old, item)
        for gone in [found for found in self._store.list() if found.key not in present]:
            self._remove(gone, gone)
        self._listed = self._lists
        self._see(listing.resource_version)
        self._release(lambda _, order: order < earlier)
        self._synced.set()

    async def _is_unserved(self) -> bool:
        """Whether the server itself says that it does not have the resource: a 404 alone may be anybody's."""
        group, version = self.resource.group, self.resource.version
        if not group:
            return False
        with contextlib.suppress(ApiError, aiohttp.ClientError, OSError, LookupError, TypeError):
            groups = (await self._client.request("GET", "/apis"))["groups"]
            versions = {each["groupVersion"] for listed in groups for each in listed["versions"]}
            if f"{group}/{version}" not in versions:
                return True
            resources = (await self._client.request("GET", f"/apis/{group}/{version}"))["resources"]
            return all(each["name"] != self.resource.plural for each in resources)
        return False

    async def _watch(self) -> None:
        batches = self._client.watch_batches(
            self.resource,
            resource_version=self._revision,
            namespace=self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            timeout=WATCH_TIMEOUT * (1.0 + self._jitter()),
        )
        started = self._clock.monotonic()
        try:
            async with contextlib.aclosing(batches):
                async for batch in batches:
                    self._hear()
                    for event in batch:
                        self._apply(event)
            self._hear()
        finally:
            self._hang_up()
            helped = self._clock.monotonic() - started >= SHORT_WATCH
            if helped:
                self._backoff = MIN_BACKOFF
        if not helped:
            await self._back_off()

    def _hear(self) -> None:
        self._last_heard = self._clock.monotonic()
        if self._up_since is None:
            self._up_since = self._last_heard

    def _hang_up(self) -> None:
        """The silence before a watch broke does not count: nobody knows when it ceased to be one."""
        if self._up_since is not None:
            self._listened += self._last_heard - self._up_since
            self._up_since = None

    def _apply(self, event: WatchEvent[K]) -> None:
        new = event.object
        if event.type != "BOOKMARK":
            old = self._store.get(new.key)
            if old is not None and _number(old.metadata.resource_version) > _number(new.metadata.resource_version):
                return
            if event.type != "DELETED":
                self._replace(old, new)
            elif old is not None:
                self._remove(old, new)
        self._see(new.metadata.resource_version)

    def _replace(self, old: K | None, new: K) -> None:
        if old is not None and old.uid != new.uid:
            self._remove(old, old)
            old = None
        self._store.put(new)
        self._notify(old, new)

    def _remove(self, old: K, last: K) -> None:
        """Handlers get the last state that was seen, which the deletion itself may have brought."""
        self._store.remove(old.key)
        self._notify(last if last.uid == old.uid else old, None)

    def _notify(self, old: K | None, new: K | None) -> None:
        for handler in self._handlers:
            self._call(handler, old, new)

    def _call(self, handler: Handler[K], old: K | None, new: K | None) -> None:
        try:
            handler(old, new)
        except Exception:
            log.exception("%s: a handler failed", self.resource.plural)

    def _see(self, resource_version: str) -> None:
        self._revision = resource_version
        reached = _number(resource_version)
        if self._waiters and self._waiters[0][0] <= reached:
            self._release(lambda wanted, _: wanted <= reached)

    def _release(self, shown: Callable[[int, int], bool]) -> None:
        """Wake who waits for what the cache shows now, and forget who has given up."""
        kept = []
        for waiter in self._waiters:
            wanted, order, seen = waiter
            if seen.done():
                continue
            if shown(wanted, order):
                seen.set_result(None)
            else:
                kept.append(waiter)
        heapq.heapify(kept)
        self._waiters = kept

    def _complain(self, problem: str) -> None:
        """Aloud once a fault lasts: every restart of the API server breaks all watches for a moment."""
        lasting = MAX_BACKOFF / 4 <= self._backoff < MAX_BACKOFF / 2
        log.log(logging.WARNING if lasting else logging.DEBUG, "%s: %s", self.resource.plural, problem)

    async def _back_off(self, at_least: float = 0.0) -> None:
        delay = max(at_least, self._backoff * (0.5 + self._jitter()))
        self._backoff = min(self._backoff * 2, MAX_BACKOFF)
        await self._clock.sleep(delay)


def _number(resource_version: str) -> int:
    return int(resource_version) if resource_version.isdigit() else 0


def _asks_for_relist(error: ApiError) -> bool:
    """The revision is compacted, or the store was replaced and has not reached it yet."""
    return error.code == 410 or error.has_cause("ResourceVersionTooLarge")
