"""The store for tests: everything in this process, gone with it. History is kept until compacted."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Literal

from .base import Change, Record, StoreError, stamp
from .batch import Row
from .embedded import EmbeddedStore, Recovered
from .keyspace import Keyspace


class MemoryJournal:
    """Rows in a list."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._base: dict[str, Row] = {}
        """Per key, the last row at or before the compacted revision, deletions left out."""

    async def open(self) -> Recovered:
        """Nothing is there."""
        return Recovered([], 0, 0)

    async def close(self) -> None:
        """Nothing to release."""

    def append(self, rows: list[Row], done: Callable[[StoreError | None], None]) -> None:
        """Keep rows."""
        # A copy of its own: what the encoder gave holds on to several times the memory that the value needs.
        self._rows += [row._replace(value=bytes(memoryview(row.value))) if row.value else row for row in rows]
        done(None)

    async def range(self, prefix: str, *, after: str, limit: int, revision: int) -> tuple[list[Record], int]:
        """Build the keyspace as it was."""
        state = dict(self._base)
        for row in self._rows[: self._position(revision)]:
            state[row.key] = row
        records = (Record(r.key, stamp(r.value, r.revision), r.revision) for r in state.values() if r.value is not None)
        return Keyspace(records).range(prefix, after=after, limit=limit)

    async def changes(self, prefix: str, after: int, until: int) -> list[Change]:
        """Rows as changes; the value before each is found by its revision."""
        window = self._rows[self._position(after) : self._position(until)]
        wanted = {row.previous for row in window if row.previous}
        values = {r.revision: r.value for r in (*self._base.values(), *self._rows) if r.revision in wanted}
        return [change_of(row, values.get(row.previous)) for row in window if row.key.startswith(prefix)]

    async def compact(self, revision: int) -> None:
        """Fold old rows into the base."""
        position = self._position(revision)
        for row in self._rows[:position]:
            self._base[row.key] = row
        self._base = {key: row for key, row in self._base.items() if row.value is not None}
        del self._rows[:position]

    def _position(self, revision: int) -> int:
        return bisect_right(self._rows, revision, key=lambda row: row.revision)


def change_of(row: Row, previous: bytes | None) -> Change:
    """A journal's row as a change; `previous` is the value, with the placeholder, that it replaced."""
    before = stamp(previous, row.previous) if previous is not None else None
    if row.value is None:
        return Change("DELETED", row.key, stamp(previous or b"", row.revision), row.revision, before, row.previous)
    kind: Literal["ADDED", "MODIFIED"] = "MODIFIED" if row.previous else "ADDED"
    return Change(kind, row.key, stamp(row.value, row.revision), row.revision, before, row.previous)


class MemoryStore(EmbeddedStore):
    """A `Store` in memory."""

    def __init__(self) -> None:
        super().__init__(MemoryJournal())
