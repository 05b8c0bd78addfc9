"""The objects of one resource in memory, in key order, with what selectors need to find them.

Objects are bytes. A document is decoded only when a selector looks at it; what the selector saw (labels, selectable
fields) is kept, the document is not. A field is indexed when a selector first asks for one of its values.
"""

from __future__ import annotations

import sys
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import orjson

from k8slite.selectors import EVERYTHING, FieldSelector, LabelSelector

from ..storage.base import Record
from ..storage.keyspace import prefix_end
from .paths import Path

Scope: TypeAlias = tuple[Literal["namespace", "name", "field"], str, str]
"""Which events a watcher can be interested in at all: a namespace ("" is all of them), a namespace and a name, or a
field and its value."""

FieldReader = Callable[[dict[str, Any]], str]
NO_FIELDS = FieldSelector()


class Entry:
    """One object: its key taken apart, its bytes, and what selectors asked of it so far."""

    __slots__ = ("_fields", "_labels", "key", "name", "namespace", "revision", "value")

    def __init__(self, key: str, value: bytes, revision: int) -> None:
        parts = key.split("/")
        self.key = key
        self.namespace = sys.intern(parts[3]) if len(parts) == 5 else ""
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
            self._labels = _labels(self.document)
        return self._labels

    def fields(self, selectable: Mapping[str, FieldReader]) -> Mapping[str, str]:
        """The values of the selectable fields, metadata.name and metadata.namespace among them."""
        if self._fields is None:
            self._fields = {"metadata.name": self.name, "metadata.namespace": self.namespace}
            if selectable:
                document = self.document
                self._labels = _labels(document)
                self._fields.update((field, _read(read, document)) for field, read in selectable.items())
        return self._fields

    def forget_fields(self) -> None:
        """Read the fields again when next asked: others are selectable now."""
        self._fields = None


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


def _labels(document: dict[str, Any]) -> Mapping[str, str]:
    return (document.get("metadata") or {}).get("labels") or {}


def _read(read: FieldReader, document: dict[str, Any]) -> str:
    """A selectable field; a document that lacks what the reader expects has none: one object must not stop a list."""
    try:
        return read(document)
    except (AttributeError, IndexError, KeyError, TypeError):
        return ""


class Objects:
    """The entries below one key prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.selectable: Mapping[str, FieldReader] = {}
        """What field selectors may name, besides metadata.name and metadata.namespace."""
        self._entries: dict[str, Entry] = {}
        self._keys: list[str] = []
        self._indexes: dict[str, dict[str, dict[str, Entry]]] = {}
        """field -> value -> key -> entry"""

    def index(self, selectable: Mapping[str, FieldReader]) -> None:
        """Declare the selectable fields (the strategy's). Call before the resource is watched."""
        self.selectable = selectable
        self._indexes.clear()
        for entry in self._entries.values():
            entry.forget_fields()

    def __len__(self) -> int:
        return len(self._keys)

    # Reading

    def get(self, namespace: str, name: str) -> Entry | None:
        """One object; `namespace` is empty for cluster-scoped resources."""
        return self._entries.get(self.key(namespace, name))

    def key(self, namespace: str, name: str) -> str:
        """The store key of an object."""
        return f"{self.prefix}{namespace}/{name}" if namespace else self.prefix + name

    def below(self, namespace: str) -> str:
        """What the keys of a namespace (of all, if empty) start with."""
        return f"{self.prefix}{namespace}/" if namespace else self.prefix

    def span(self, namespace: str) -> list[str]:
        """The keys of a namespace (all, if empty), in order."""
        if not namespace:
            return self._keys
        prefix = self.below(namespace)
        start = bisect_left(self._keys, prefix)
        return self._keys[start : bisect_left(self._keys, prefix_end(prefix), start)]

    def count(self, namespace: str) -> int:
        """How many objects there are in a namespace (all, if empty)."""
        if not namespace:
            return len(self._keys)
        prefix = self.below(namespace)
        start = bisect_left(self._keys, prefix)
        return bisect_left(self._keys, prefix_end(prefix), start) - start

    def at(self, keys: Iterable[str]) -> list[Entry]:
        """The entries of keys that are there."""
        entries = self._entries
        return [entries[key] for key in keys]

    def select(
        self, *, namespace: str = "", labels: LabelSelector = EVERYTHING, fields: FieldSelector = NO_FIELDS
    ) -> list[Entry]:
        """What matches now, in key order."""
        scope = self.scope(namespace, fields)
        candidates = self.candidates(scope)
        if not labels and not fields:
            return candidates
        if scope[0] == "field" and namespace:
            candidates = [entry for entry in candidates if entry.namespace == namespace]
        return [entry for entry in candidates if self.matches(entry, labels, fields)]

    def matches(self, entry: Entry, labels: LabelSelector, fields: FieldSelector) -> bool:
        """Whether an object meets both selectors."""
        if fields and (self._ruled_out(entry, fields) or not fields.matches(entry.fields(self.selectable))):
            return False
        return not labels or labels.matches(entry.labels)

    def value_of(self, entry: Entry, field: str) -> str:
        """An object's value of a selectable field, empty if unset."""
        read = self.selectable.get(field)
        if isinstance(read, Path) and read.told(entry.value, ""):
            return ""
        return entry.fields(self.selectable).get(field, "")

    def _ruled_out(self, entry: Entry, fields: FieldSelector) -> bool:
        """Whether the bytes of an object tell already that it does not meet the selector."""
        for requirement in fields.requirements:
            read = self.selectable.get(requirement.field)
            if isinstance(read, Path) and read.told(entry.value, requirement.value) is (not requirement.equal):
                return True
        return False

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

    def candidates(self, scope: Scope) -> list[Entry]:
        """The entries of a scope, in key order."""
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
        return self.at(self.span(first))

    def _index(self, field: str) -> dict[str, dict[str, Entry]]:
        index = self._indexes.get(field)
        if index is None:
            index = self._indexes[field] = {}
            for entry in self._entries.values():
                index.setdefault(entry.fields(self.selectable).get(field, ""), {})[entry.key] = entry
        return index

    # Changing

    def replace_all(self, records: Iterable[Record]) -> None:
        """Start over."""
        self._entries = {record.key: Entry(record.key, record.value, record.revision) for record in records}
        self._keys = sorted(self._entries)
        self._indexes.clear()

    def put(self, entry: Entry) -> Entry | None:
        """Add or replace an entry; what was there before."""
        old = self._entries.get(entry.key)
        if old is None:
            insort(self._keys, entry.key)
        self._entries[entry.key] = entry
        for field, index in self._indexes.items():
            if old is not None:
                self._unindex(index, field, old)
            index.setdefault(entry.fields(self.selectable).get(field, ""), {})[entry.key] = entry
        return old

    def remove(self, key: str) -> Entry | None:
        """Remove a key; what was there."""
        old = self._entries.pop(key, None)
        if old is not None:
            del self._keys[bisect_left(self._keys, key)]
            for field, index in self._indexes.items():
                self._unindex(index, field, old)
        return old

    def _unindex(self, index: dict[str, dict[str, Entry]], field: str, entry: Entry) -> None:
        value = entry.fields(self.selectable).get(field, "")
        del index[value][entry.key]
        if not index[value]:
            del index[value]
