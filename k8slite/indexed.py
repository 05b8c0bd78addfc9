"""IndexedStore: objects by key, by namespace and by whatever functions of an object are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic

from .kinds.base import K


class IndexedStore(Generic[K]):
    """The cache of an informer. Invariant: an index holds an object exactly under the values that it yields now."""

    def __init__(self, indexers: Mapping[str, Callable[[K], Iterable[str]]]) -> None:
        self._objects: dict[str, K] = {}
        self._namespaces: dict[str, dict[str, K]] = {}
        self._indexers = dict(indexers)
        self._indexes: dict[str, dict[str, dict[str, K]]] = {name: {} for name in indexers}

    def add_indexer(self, name: str, indexer: Callable[[K], Iterable[str]]) -> None:
        """One more index, over what is there already too."""
        self._indexers[name] = indexer
        index = self._indexes[name] = {}
        for item in self._objects.values():
            for value in set(indexer(item)):
                index.setdefault(value, {})[item.key] = item

    def has_index(self, name: str) -> bool:
        """Whether there is an index of that name."""
        return name in self._indexers

    def put(self, item: K) -> None:
        """Add or replace."""
        key = item.key
        self.remove(key)
        self._objects[key] = item
        if item.namespace:
            self._namespaces.setdefault(item.namespace, {})[key] = item
        for name, indexer in self._indexers.items():
            index = self._indexes[name]
            for value in set(indexer(item)):
                index.setdefault(value, {})[key] = item

    def remove(self, key: str) -> K | None:
        """Take out and return, if it is there."""
        item = self._objects.pop(key, None)
        if item is None:
            return None
        if item.namespace:
            _drop(self._namespaces, item.namespace, key)
        for name, indexer in self._indexers.items():
            for value in set(indexer(item)):
                _drop(self._indexes[name], value, key)
        return item

    def get(self, key: str) -> K | None:
        """The object of that key."""
        return self._objects.get(key)

    def list(self, namespace: str = "") -> Sequence[K]:
        """All objects, or those of a namespace."""
        return list((self._namespaces.get(namespace, {}) if namespace else self._objects).values())

    def by_index(self, index: str, value: str) -> Sequence[K]:
        """The objects under one value of an index. Raises KeyError for an index that was not asked for."""
        return list(self._indexes[index].get(value, {}).values())

    def values(self, index: str) -> Iterable[str]:
        """The values that an index knows."""
        return self._indexes[index].keys()


def _drop(index: dict[str, dict[str, K]], value: str, key: str) -> None:
    members = index.get(value)
    if members is not None and members.pop(key, None) is not None and not members:
        del index[value]
