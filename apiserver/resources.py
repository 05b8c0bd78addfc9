"""The watch cache of one resource: its objects in key order, indexes for field selectors, and its recent events.

Objects are bytes. A document is decoded only when a selector looks at it; what the selector saw (labels, selectable
fields) is kept, the document is not.

The history is bounded. A watch from a revision that it covers is answered from memory; one from before reads the
store's own history first (`Watcher.catch_up`) and comes over when it has reached the part that is in memory.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from k8slite.errors import expired
from k8slite.selectors import EVERYTHING, FieldSelector, LabelSelector

from .storage.base import Change, Compacted, FutureRevision, Record, Store
from .storage.keyspace import prefix_end
from .watch import Event, Scope, Watcher

if TYPE_CHECKING:
    from .cache import WatchCache

FieldReader = Callable[[dict[str, Any]], str]
NO_FIELDS = FieldSelector()


class Entry:
    """One object: its key taken apart, its bytes, and what selectors asked of it so far."""

    __slots__ = ("_fields", "_labels", "key", "name", "namespace", "revision", "value")

    def __init__(self, key: str, value: bytes, revision: int) -> None:
        parts = key.split("/")
        self.key = key
        self.namespace = parts[3] if len(parts) == 5 else ""
        self.name = parts[-1]
        self.value = value
        self.revision = revision
        self._labels: Mapping[str, str] | None = None
        self._fields: dict[str, str] | None = None

    @property
    def document(self) -> dict[str, Any]:
        """The object, decoded anew at each call: the caller may change it."""
        decoded: dict[str, Any] = orjson.loads(self.value)
        return decoded

    @property
    def labels(self) -> Mapping[str, str]:
        """metadata.labels."""
        if self._labels is None:
            self._labels = self.document["metadata"].get("labels") or {}
        return self._labels

    def fields(self, selectable: Mapping[str, FieldReader]) -> Mapping[str, str]:
        """The values of the selectable fields, metadata.name and metadata.namespace among them."""
        if self._fields is None:
            self._fields = {"metadata.name": self.name, "metadata.namespace": self.namespace}
            if selectable:
                document = self.document
                self._labels = document["metadata"].get("labels") or {}
                self._fields.update((field, read(document)) for field, read in selectable.items())
        return self._fields


@dataclass(frozen=True, slots=True)
class Listing:
    """Part of a list in key order: `remaining` objects follow, after the key `last`. Complete if that is 0."""

    entries: list[Entry]
    revision: int
    remaining: int

    @property
    def last(self) -> str:
        """The key to go on after."""
        return self.entries[-1].key if self.entries else ""


class ResourceCache:
    """The objects below one key prefix."""

    HISTORY_EVENTS = 4096
    HISTORY_BYTES = 8 << 20
    ENCODED = 64
    """The newest events keep their encoded lines."""

    def __init__(self, cache: WatchCache, prefix: str) -> None:
        self.prefix = prefix
        self.selectable: Mapping[str, FieldReader] = {}
        """What field selectors may name, besides metadata.name and metadata.namespace."""
        self.changed = cache.revision
        """The revision of the last change to this resource, or of the fill."""
        self._cache = cache
        self._entries: dict[str, Entry] = {}
        self._keys: list[str] = []
        self._indexes: dict[str, dict[str, dict[str, Entry]]] = {}
        """field -> value -> key -> entry; a field is indexed when it is first asked for."""
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

    def index(self, selectable: Mapping[str, FieldReader]) -> None:
        """Declare the selectable fields (the strategy's). Call before the resource is used."""
        self.selectable = selectable

    def __len__(self) -> int:
        return len(self._keys)

    # Reading

    def get(self, namespace: str, name: str) -> Entry | None:
        """One object; `namespace` is empty for cluster-scoped resources."""
        return self._entries.get(self.key(namespace, name))

    def key(self, namespace: str, name: str) -> str:
        """The store key of an object."""
        return f"{self.prefix}{namespace}/{name}" if namespace else self.prefix + name

    def select(
        self, *, namespace: str = "", labels: LabelSelector = EVERYTHING, fields: FieldSelector = NO_FIELDS
    ) -> list[Entry]:
        """What matches now, in key order."""
        scope = self.scope(namespace, fields)
        candidates = self._candidates(scope)
        if not labels and not fields:
            return candidates
        if scope[0] == "field" and namespace:
            candidates = [entry for entry in candidates if entry.namespace == namespace]
        return [entry for entry in candidates if self.matches(entry, labels, fields)]

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

        From memory if nothing changed since, from the store's history otherwise. Raises Compacted, FutureRevision.
        """
        if revision > self.revision:
            raise FutureRevision(f"revision {revision} is in the future; current is {self.revision}")
        if revision and revision < self.changed:
            return await self._past(namespace, labels, fields, after=after, limit=limit, revision=revision)
        entries = self.select(namespace=namespace, labels=labels, fields=fields)
        start = bisect_right(entries, after, key=lambda entry: entry.key) if after else 0
        stop = min(len(entries), start + limit) if limit else len(entries)
        return Listing(entries[start:stop], revision or self.revision, len(entries) - stop)

    async def _past(
        self,
        namespace: str,
        labels: LabelSelector,
        fields: FieldSelector,
        *,
        after: str,
        limit: int,
        revision: int,
    ) -> Listing:
        prefix = f"{self.prefix}{namespace}/" if namespace else self.prefix
        if not labels and not fields:
            page = await self.store.range(prefix, after=after, limit=limit, revision=revision)
            return Listing([_entry(record) for record in page.records], revision, page.remaining)
        page = await self.store.range(prefix, after=after, revision=revision)
        found = [entry for entry in map(_entry, page.records) if self.matches(entry, labels, fields)]
        shown = found[:limit] if limit else found
        return Listing(shown, revision, len(found) - len(shown))

    def matches(self, entry: Entry, labels: LabelSelector, fields: FieldSelector) -> bool:
        """Whether an object meets both selectors."""
        if fields and not fields.matches(entry.fields(self.selectable)):
            return False
        return not labels or labels.matches(entry.labels)

    def scope(self, namespace: str, fields: FieldSelector) -> Scope:
        """The narrowest part of the resource that holds everything these can match."""
        name = fields.value_of("metadata.name")
        namespace = namespace or fields.value_of("metadata.namespace") or ""
        if name is not None:
            return ("name", namespace, name)
        for requirement in fields.requirements:
            if requirement.equal and requirement.field in self.selectable:
                return ("field", requirement.field, requirement.value)
        return ("namespace", namespace, "")

    def _candidates(self, scope: Scope) -> list[Entry]:
        kind, first, second = scope
        entries = self._entries
        if kind == "name":
            found = entries.get(self.key(first, second))
            if found is not None or first:
                return [found] if found is not None else []
            return [entries[key] for key in self._keys if key.endswith("/" + second)]
        if kind == "field":
            bucket = self._index(first).get(second, {})
            return [bucket[key] for key in sorted(bucket)]
        if not first:
            return [entries[key] for key in self._keys]
        prefix = f"{self.prefix}{first}/"
        start = bisect_left(self._keys, prefix)
        return [entries[key] for key in self._keys[start : bisect_left(self._keys, prefix_end(prefix), start)]]

    def _index(self, field: str) -> dict[str, dict[str, Entry]]:
        index = self._indexes.get(field)
        if index is None:
            index = self._indexes[field] = {}
            for entry in self._entries.values():
                index.setdefault(entry.fields(self.selectable).get(field, ""), {})[entry.key] = entry
        return index

    # Changing

    def fill(self, records: Iterable[Record], revision: int) -> None:
        """Start over from a list: watches end, history begins here."""
        self.end()
        self._entries = {record.key: _entry(record) for record in records}
        self._keys = sorted(self._entries)
        self._indexes.clear()
        self._history.clear()
        self._history_bytes = 0
        self._floor = self.changed = revision

    def apply(self, change: Change) -> None:
        """Take a change in and offer it to the watchers whose scope it touches."""
        key = change.key
        old = self._entries.get(key)
        entry = Entry(key, change.value, change.revision)
        if change.type == "DELETED":
            if old is None:
                return
            del self._entries[key]
            del self._keys[bisect_left(self._keys, key)]
        else:
            if old is None:
                insort(self._keys, key)
            self._entries[key] = entry
        if self._indexes:
            self._reindex(old, entry, gone=change.type == "DELETED")
        self.changed = change.revision
        event = Event("MODIFIED" if old and change.type == "ADDED" else change.type, entry, old)
        self._remember(event)
        if self._watchers:
            for watcher in self._interested(event):
                watcher.offer(event)

    def _reindex(self, old: Entry | None, entry: Entry, *, gone: bool) -> None:
        for field, index in self._indexes.items():
            if old is not None:
                value = old.fields(self.selectable).get(field, "")
                bucket = index[value]
                del bucket[old.key]
                if not bucket:
                    del index[value]
            if not gone:
                index.setdefault(entry.fields(self.selectable).get(field, ""), {})[entry.key] = entry

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
            entries = self._candidates(scope)
            watcher.begin([entry for entry in entries if watcher.sees(entry)], initial_bookmark=initial_bookmark)
            self.attach(watcher, after=self.revision)
        elif not self.attach(watcher, after=after):
            try:
                watcher.catch_up(self.store.watch(self.prefix, after=after), after=after)
            except Compacted:
                watcher.fail(expired())
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
            old = Entry(change.key, change.previous, _revision_of(change.previous))
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
            scopes["field", field, entry.fields(self.selectable).get(field, "")] = None
            if old is not None:
                scopes["field", field, old.fields(self.selectable).get(field, "")] = None
        return [watcher for scope in scopes if scope in self._watchers for watcher in self._watchers[scope]]


def _entry(record: Record) -> Entry:
    return Entry(record.key, record.value, record.revision)


def _revision_of(value: bytes) -> int:
    start = value.index(b'"resourceVersion":"') + 19
    return int(value[start : value.index(b'"', start)])
