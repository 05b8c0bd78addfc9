"""One group commit, decided: which writes of a batch succeed, at which revisions, and what each caller gets.

Pure: the writes are judged in order against the current records and against what earlier writes of the same batch
leave behind. Nothing here is true until the journal has made the rows durable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .base import Change, KeyExists, Overtaken, Record, RevisionMismatch, StoreError, Unless, stamp


@dataclass(slots=True)  # not frozen, as that costs: one is made for every write
class Write:
    """A wish: the key's revision must be `expected` (0: absent); `value` None removes the key, which must be there."""

    key: str
    value: bytes | None
    expected: int
    unless: Sequence[Unless] = ()


class Row(NamedTuple):
    """A line of the journal. `value` still has the placeholder, None marks a deletion; `previous` 0: was absent."""

    revision: int
    key: str
    value: bytes | None
    previous: int


@dataclass(slots=True)  # not frozen, as that costs: one is made for every write
class Plan:
    """`outcomes` stands in the order of the writes; rows and changes only hold those that succeed."""

    rows: list[Row]
    changes: list[Change]
    outcomes: list[Record | StoreError]


def restamp(value: bytes, old: int, new: int) -> bytes:
    """Put another revision in a stamped document."""
    return value.replace(b'"resourceVersion":"%d"' % old, b'"resourceVersion":"%d"' % new, 1)


def plan(writes: Sequence[Write], *, current: Callable[[str], Record | None], revision: int) -> Plan:
    """Judge a batch that starts after `revision`."""
    rows: list[Row] = []
    changes: list[Change] = []
    outcomes: list[Record | StoreError] = []
    overlay: dict[str, Record | None] = {}

    def now(key: str) -> Record | None:
        return overlay[key] if key in overlay else current(key)

    for write in writes:
        key = write.key
        there = now(key)
        found = there.revision if there else 0
        if found != write.expected:
            outcomes.append(KeyExists(key) if write.expected == 0 else RevisionMismatch(there))
            continue
        if write.unless and any(_happened(one, now(one.key)) for one in write.unless):
            outcomes.append(Overtaken(key))
            continue
        revision += 1
        if write.value is None:
            assert there is not None  # a deletion expects a revision, so something is there
            record = Record(key, restamp(there.value, found, revision), revision)
            overlay[key] = None
            changes.append(Change("DELETED", key, record.value, revision, there.value, found))
        else:
            record = Record(key, stamp(write.value, revision), revision)
            overlay[key] = record
            previous = there.value if there else None
            changes.append(Change("MODIFIED" if there else "ADDED", key, record.value, revision, previous, found))
        rows.append(Row(revision, key, write.value, found))
        outcomes.append(record)
    return Plan(rows, changes, outcomes)


def _happened(unless: Unless, there: Record | None) -> bool:
    """Whether what a write was not to be made after has happened."""
    return unless.gone if there is None else there.revision > unless.after
