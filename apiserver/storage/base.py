"""The contract of every store: an append-only log of revisions over a flat, ordered map of keys to bytes.

There is one global revision; each successful write raises it by at least one, and the revision of an object's last
write is its `resourceVersion`. The contract suite in `tests/contract/` says the rest and runs over every engine.

**The placeholder.** A document is stored as compact JSON that starts with `kind` and `apiVersion`, and its metadata
starts with `"resourceVersion":""`. The store fills the empty string in when the revision is known (`stamp`), so every
value that leaves a store is a complete document and nothing is decoded or encoded for it.

Source: the etcd v3 API guarantees (revisions, watch, compaction).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

PLACEHOLDER = b'"resourceVersion":""'


def stamp(value: bytes, revision: int) -> bytes:
    """Fill in the revision at the first placeholder (kind and apiVersion, which come before it, cannot contain one)."""
    return value.replace(PLACEHOLDER, b'"resourceVersion":"%d"' % revision, 1)


def revision_of(value: bytes) -> int:
    """The revision of a stored document."""
    start = value.index(b'"resourceVersion":"') + 19
    return int(value[start : value.index(b'"', start)])


@dataclass(slots=True)  # not frozen, as that costs: one is made for every write
class Record:
    """A key's value, stamped, and the revision of the write that made it."""

    key: str
    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a range in key order: `revision` is the one at which it was read, `remaining` how many keys follow."""

    records: list[Record]
    revision: int
    remaining: int


@dataclass(slots=True)  # not frozen, as that costs: one is made for every write
class Change:
    """One write, in revision order. For DELETED `value` is the last document, stamped with the deletion's revision.

    `previous` is the value before the write, None for ADDED.
    """

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    key: str
    value: bytes
    revision: int
    previous: bytes | None
    previous_revision: int = field(default=0, compare=False)
    """Of `previous`; 0 without one."""


@dataclass(frozen=True, slots=True)
class Unless:
    """What a write is bound to: it fails if `key` was written after the revision `after`, or if it is `gone`.

    Without `gone`, what is absent was never written.
    """

    key: str
    after: int
    gone: bool = False


class StoreError(Exception):
    """The store cannot do what was asked."""


class KeyExists(StoreError):
    """create: the key has a value."""


class RevisionMismatch(StoreError):
    """update, delete: the key's revision is not the expected one. `current` is the record there now, or None."""

    def __init__(self, current: Record | None) -> None:
        super().__init__("revision mismatch")
        self.current = current


class Overtaken(StoreError):
    """create, update: another key was written, unless which the write was to be made."""


class Compacted(StoreError):
    """The wanted revision is older than the history kept; `oldest` is the first one still there."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"revision compacted; oldest is {oldest}")
        self.oldest = oldest


class FutureRevision(StoreError):
    """The wanted revision has not happened yet."""


class StoreUnavailable(StoreError):
    """The store cannot be reached or cannot write now; whether a write took effect is unknown."""


class Store(Protocol):
    """An engine. All methods are safe to call concurrently from one event loop."""

    async def open(self) -> None:
        """Connect, create what is missing, recover. Raises StoreUnavailable."""
        ...

    async def close(self) -> None:
        """Let writes that began finish, end all watches, release everything."""
        ...

    async def revision(self) -> int:
        """The store's current revision (etcd: a linearizable read)."""
        ...

    async def create(self, key: str, value: bytes, *, unless: Sequence[Unless] = ()) -> Record:
        """Write a key that must be absent; returns when the write is durable. Raises KeyExists, Overtaken."""
        ...

    async def update(self, key: str, value: bytes, *, expected: int, unless: Sequence[Unless] = ()) -> Record:
        """Replace a value whose revision must be `expected`; returns when durable.

        Raises RevisionMismatch, Overtaken.
        """
        ...

    async def delete(self, key: str, *, expected: int) -> Record:
        """Remove a key whose revision must be `expected`; the last document, stamped with the deletion's revision."""
        ...

    async def get(self, key: str) -> Record | None:
        """A key's record, None if absent."""
        ...

    async def range(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """Keys that start with `prefix` and come after the key `after`, as of `revision` (0: now).

        Raises Compacted, FutureRevision.
        """
        ...

    def watch(self, prefix: str, *, after: int) -> AsyncIterator[list[Change]]:
        """Every change after revision `after`, in order, without gap or repeat, in batches as they come.

        Raises Compacted at once when `after` is too old. Ends when the store closes. The subscription starts when the
        iterator is created, not when it is first awaited: no change made after the call is missed.
        """
        ...

    async def compact(self, revision: int) -> None:
        """Forget history before `revision`; the current values stay."""
        ...
