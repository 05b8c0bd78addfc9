"""Answers given before, by question, within a budget of memory: whoever asks may make up any number of questions."""

from __future__ import annotations

from typing import Generic, TypeVar

V = TypeVar("V")

BUDGET = 8 << 20
"""Bytes that one cache may hold."""
_OVERHEAD = 250
"""Bytes that an entry takes besides its key and value, roughly."""


class Cache(Generic[V]):
    """A dictionary that is emptied when it has become too large: what is asked often is soon there again."""

    def __init__(self, *, budget: int = BUDGET) -> None:
        self._budget = budget
        self._size = 0
        self._entries: dict[bytes, tuple[V, int]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> V | None:
        """What is kept under a key."""
        found = self._entries.get(key)
        return found[0] if found else None

    def put(self, key: bytes, value: V, *, size: int) -> None:
        """Keep a value of so many bytes; one that is too large for the budget is not kept at all."""
        size += len(key) + _OVERHEAD
        if size > self._budget:
            return
        if before := self._entries.pop(key, None):
            self._size -= before[1]
        if self._size + size > self._budget:
            self.clear()
        self._entries[key] = (value, size)
        self._size += size

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._size = 0
