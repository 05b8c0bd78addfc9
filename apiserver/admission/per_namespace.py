"""What a namespace's configuration objects say, read once and kept until one of them changes.

Most namespaces have none of a kind; for these a write costs a look into a dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from ..lookup import Rows
from ..strategies.base import Document

_NAMESPACES = 10_000

T = TypeVar("T")


class PerNamespace(Generic[T]):
    """Remembers what `read` makes of a namespace's objects."""

    def __init__(self, rows: Rows, read: Callable[[Sequence[Document]], T]) -> None:
        self._rows = rows
        self._read = read
        self._changed = -1
        self._known: dict[str, T] = {}

    def get(self, namespace: str) -> T:
        """What the objects of a namespace say now."""
        if self._changed != self._rows.changed or len(self._known) > _NAMESPACES:
            self._changed = self._rows.changed
            self._known.clear()
        known = self._known.get(namespace)
        if known is None:
            documents = [entry.document for entry in self._rows.select(namespace=namespace)]
            known = self._known[namespace] = self._read(documents)
        return known
