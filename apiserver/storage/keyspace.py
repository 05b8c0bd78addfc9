"""What is there now: the current record of every key, in key order, in memory.

The embedded engines answer reads of the present from here and check expected revisions against it; only history is
read from a journal. The values are the very bytes objects that the watch cache holds, so they are in memory once.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable

from .base import Record


def prefix_end(prefix: str) -> str:
    """The first string, in code point order, after all that start with `prefix` (which must not be empty)."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


class Keyspace:
    """An ordered map of keys to records."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._records = {record.key: record for record in records}
        self._keys = sorted(self._records)

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, key: str) -> Record | None:
        """A key's record, None if absent."""
        return self._records.get(key)

    def put(self, record: Record) -> None:
        """Add or replace a record."""
        if record.key not in self._records:
            insort(self._keys, record.key)
        self._records[record.key] = record

    def remove(self, key: str) -> None:
        """Remove a key that is there."""
        del self._records[key]
        del self._keys[bisect_left(self._keys, key)]

    def range(self, prefix: str, *, after: str = "", limit: int = 0) -> tuple[list[Record], int]:
        """The records below `prefix` after the key `after`, and how many more there are past `limit` (0: no limit)."""
        start = bisect_left(self._keys, prefix)
        if after:
            start = max(start, bisect_right(self._keys, after))
        end = bisect_left(self._keys, prefix_end(prefix), start) if prefix else len(self._keys)
        stop = min(end, start + limit) if limit else end
        records = self._records
        return [records[key] for key in self._keys[start:stop]], end - stop
