"""The watch cache of one resource: its objects, its recent events, and who watches it.

The history is bounded. A watch from a revision that it covers is answered from memory; one from before reads the
store's own history first (`Watcher.catch_up`) and comes over when it has reached the part that is in memory. The same
history takes a list back to a past revision, so that the pages of one list agree while objects change.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from k8slite.errors import too_old
from k8slite.selectors import EVERYTHING, FieldSelector, LabelSelector

from ..storage.base import Change, Compacted, FutureRevision, Record, Store, revision_of
from .events import Event
from .objects import NO_FIELDS, Entry, Listing, Objects, Scope
from .watch import Watcher

if TYPE_CHECKING:
    from .cache import WatchCache

__all__ = ["Entry", "Listing", "ResourceCache"]

log = logging.getLogger(__name__)


class ResourceCache(Objects):
    """The objects below one key prefix, followed as they change."""

    HISTORY_EVENTS = 4096
    HISTORY_BYTES = 8 << 20
    ENCODED = 64
    """The newest events keep their encoded lines."""

    def __init__(self, cache: WatchCache, prefix: str) -> None:
        super().__init__(prefix)
        self.changed = cache.revision
        """The revision of the last change to this resource, or of the fill."""
        self.fills = 0
        """How often it was filled; revisions may begin anew then."""
        self._cache = cache
        self._history: deque[Event] = deque()
        self._history_bytes = 0
        self._floor = cache.revision
        """Every event after this revision is in the history."""
        self._watchers: dict[Scope, dict[Watcher, None]] = {}
        self._watched_fields: Counter[str] = Counter()

    @property
    def revision(self) -> int:
        """The revision up to which the whole cache is complete: the resourceVersion of a list made now."""
        return self._cache.revision

    @property
    def store(self) -> Store:
        """The store behind the cache."""
        return self._cache.store

    async def page(
        self,
        *,
        namespace: str = "",
        labels: LabelSelector = EVERYTHING,
        fields: FieldSelector = NO_FIELDS,
        after: str = "",
        limit: int = 0,
        revision: int = 0,
    ) -> Listing:
        """What matches at a revision (0: now), at most `limit` objects after the key `after`.

        From memory as far as its history reaches, from the store's history beyond. Raises Compacted, FutureRevision.
        """
        if revision > self.revision:
            raise FutureRevision(f"revision {revision} is in the future; current is {self.revision}")
        at = revision or self.revision
        if at < self.changed:
            found = self._undone(namespace, revision, after)
            if found is None:
                page = await self.store.range(self.below(namespace), after=after, revision=revision)
                found = [Entry(record.key, record.value, record.revision) for record in page.records]
            if labels or fields:
                found = [entry for entry in found if self.matches(entry, labels, fields)]
        elif labels or fields:
            found = self.select(namespace=namespace, labels=labels, fields=fields)
            if after:
                found = found[bisect_right(found, after, key=lambda entry: entry.key) :]
        else:  # cut before anything is collected: the usual case of large lists
            keys = self.span(namespace)
            start = bisect_right(keys, after) if after else 0
            stop = min(len(keys), start + limit) if limit else len(keys)
            return Listing(self.at(keys[start:stop]), at, len(keys) - stop)
        stop = min(len(found), limit) if limit else len(found)
        return Listing(found[:stop], at, len(found) - stop)

    def since(self, revision: int) -> dict[str, Entry | None] | None:
        """What changed after a revision, by key, None for what is gone; None if the history begins later."""
        if revision < self._floor:
            return None
        news: dict[str, Entry | None] = {}
        for event in reversed(self._history):
            if event.revision <= revision:
                break
            news.setdefault(event.entry.key, None if event.type == "DELETED" else event.entry)
        return news

    def _undone(self, namespace: str, revision: int, after: str) -> list[Entry] | None:
        """What was there at a past revision after a key, by undoing events; None if the history begins later."""
        if revision < self._floor:
            return None
        state: dict[str, Entry | None] = {}
        for event in reversed(self._history):
            if event.revision <= revision:
                break
            state[event.entry.key] = event.old
        prefix, entries = self.below(namespace), self._entries
        keys = self.span(namespace)
        keys = keys[bisect_right(keys, after) :]
        removed = [key for key in state if key not in entries and key.startswith(prefix) and key > after]
        if removed:
            keys = sorted([*keys, *removed])
        found = (state[key] if key in state else entries[key] for key in keys)
        return [entry for entry in found if entry is not None]

    def fill(self, records: Iterable[Record], revision: int) -> None:
        """Start over from a list: watches end, history begins here."""
        self.end()
        self.replace_all(records)
        self._history.clear()
        self._history_bytes = 0
        self._floor = self.changed = revision
        self.fills += 1

    def apply(self, change: Change) -> None:
        """Take a change in and offer it to the watchers whose scope it touches."""
        entry = Entry(change.key, change.value, change.revision)
        if change.type == "DELETED":
            old = self.remove(change.key)
            if old is None:
                return
        else:
            old = self.put(entry)
        self.changed = change.revision
        event = Event(change.type, entry, old)
        self._remember(event)
        if self._watchers:
            for watcher in self._interested(event):
                try:
                    watcher.offer(event)
                except Exception:  # neither the cache nor another watcher may miss a change because of one
                    log.exception("a watcher of %s could not be told of a change", self.prefix)
                    watcher.end()

    def _remember(self, event: Event) -> None:
        self._history.append(event)
        self._history_bytes += len(event.entry.value)
        if len(self._history) > self.ENCODED:
            self._history[-1 - self.ENCODED].forget_lines()
        while len(self._history) > self.HISTORY_EVENTS or self._history_bytes > self.HISTORY_BYTES:
            dropped = self._history.popleft()
            self._history_bytes -= len(dropped.entry.value)
            self._floor = dropped.revision

    # Watching

    @property
    def watchers(self) -> int:
        """How many clients are fed from here."""
        return sum(map(len, self._watchers.values()))

    def interested(self, namespace: str) -> int:
        """How many clients are told of every change in a namespace."""
        watchers = self._watchers
        if not watchers:
            return 0
        everywhere = len(watchers.get(("namespace", "", ""), ()))
        return everywhere + len(watchers.get(("namespace", namespace, ""), ())) if namespace else everywhere

    def watch(
        self,
        *,
        namespace: str = "",
        labels: LabelSelector = EVERYTHING,
        fields: FieldSelector = NO_FIELDS,
        after: int | None = None,
        bookmarks: bool = False,
        name: str = "",
        initial_bookmark: bool = False,
    ) -> Watcher:
        """Follow what matches, from after a revision.

        `after` None begins with an ADDED event for everything that is there now, and `initial_bookmark` ends that
        beginning with the bookmark `k8s.io/initial-events-end`. A revision that is compacted shows in the stream, as an
        ERROR event with status 410; one that this server has not reached yet is waited for. Close the watcher.
        """
        scope: Scope = ("name", namespace, name) if name else self.scope(namespace, fields)
        watcher = Watcher(
            self,
            scope=scope,
            namespace=namespace,
            name=name,
            labels=labels,
            fields=fields,
            after=after or 0,
            bookmarks=bookmarks,
        )
        if after is None:
            entries = self.candidates(scope)
            watcher.begin([entry for entry in entries if watcher.sees(entry)], initial_bookmark=initial_bookmark)
            self.attach(watcher, after=self.revision)
        elif not self.attach(watcher, after=after):
            try:
                watcher.catch_up(self.store.watch(self.prefix, after=after), after=after)
            except Compacted as error:
                watcher.fail(too_old(after, error.oldest))
        return watcher

    def attach(self, watcher: Watcher, *, after: int) -> bool:
        """Feed a watcher from memory, from after a revision; False if the history does not reach back so far."""
        if after < self._floor and after < self.changed:
            return False
        if after < self.changed:
            watcher.replay([event for event in self._history if event.revision > after])
        peers = self._watchers.setdefault(watcher.scope, {})
        peers[watcher] = None
        if watcher.scope[0] == "field":
            self._watched_fields[watcher.scope[1]] += 1
        return True

    def event(self, change: Change) -> Event:
        """A change read from the store's history."""
        old = None
        if change.previous is not None:
            old = Entry(change.key, change.previous, revision_of(change.previous))
        return Event(change.type, Entry(change.key, change.value, change.revision), old)

    def detach(self, watcher: Watcher) -> None:
        """Forget a watcher."""
        peers = self._watchers.get(watcher.scope)
        if peers is None or watcher not in peers:
            return
        del peers[watcher]
        if not peers:
            del self._watchers[watcher.scope]
        if watcher.scope[0] == "field":
            self._watched_fields[watcher.scope[1]] -= 1

    def end(self) -> None:
        """End every watch."""
        for watcher in self._all():
            watcher.end()

    def bookmark(self) -> None:
        """Tell the watchers that want to know how far they are."""
        for watcher in self._all():
            watcher.bookmark(self.revision)

    def _all(self) -> list[Watcher]:
        return [watcher for peers in self._watchers.values() for watcher in peers]

    def _interested(self, event: Event) -> list[Watcher]:
        entry, old = event.entry, event.old
        scopes: dict[Scope, None] = {
            ("namespace", "", ""): None,
            ("namespace", entry.namespace, ""): None,
            ("name", entry.namespace, entry.name): None,
            ("name", "", entry.name): None,
        }
        for field, watchers in self._watched_fields.items():
            if not watchers:
                continue
            scopes["field", field, self.value_of(entry, field)] = None
            if old is not None:
                scopes["field", field, self.value_of(old, field)] = None
        return [watcher for scope in scopes if scope in self._watchers for watcher in self._watchers[scope]]
