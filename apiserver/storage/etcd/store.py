"""The store's contract on etcd's terms.

Keys lie under a prefix, `/k8slite/core/pods/…`; values are stored with the placeholder and stamped with their
mod_revision when they are read. The store's own records begin with `/k8slite.` (just before `/k8slite/` in order): the
watch of everything includes them, so that every write of ours, these included, moves the revision that a watcher sees.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakSet

from k8slite.clock import Clock, SystemClock

from ..base import Compacted, KeyExists, Overtaken, Page, Record, RevisionMismatch, StoreUnavailable, Unless, stamp
from ..keyspace import prefix_end
from .compaction import Compaction
from .connection import CompactedAnswer, Connection
from .protocol import (
    COMPARE_EQUAL,
    COMPARE_GREATER,
    COMPARE_LESS,
    TARGET_MOD,
    CompactionRequest,
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)
from .watch import EtcdWatch

PAGE = 500
"""Keys read in one call."""
PATIENCE = 10.0
"""Seconds that `open` waits for a server: it may be starting too."""


class EtcdStore:
    """A `Store` over a cluster of etcd servers."""

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        prefix: str = "/k8slite",
        ca_file: Path | None = None,
        cert_file: Path | None = None,
        key_file: Path | None = None,
        compaction_age: float = 300.0,
        clock: Clock | None = None,
    ) -> None:
        self._endpoints = endpoints
        self._files = {"ca_file": ca_file, "cert_file": cert_file, "key_file": key_file}
        self._prefix = prefix
        self._age = compaction_age
        self._clock = clock or SystemClock()
        self._connection: Connection | None = None
        self._compaction: asyncio.Task[None] | None = None
        self._watches: WeakSet[EtcdWatch] = WeakSet()

    async def open(self) -> None:
        """Reach a server. Raises StoreUnavailable."""
        connection = self._connection = Connection(self._endpoints, **self._files)
        deadline = self._clock.monotonic() + PATIENCE
        while True:
            try:
                await self.revision()
                break
            except StoreUnavailable:
                if self._clock.monotonic() > deadline:
                    await self.close()
                    raise
                await self._clock.sleep(0.1)
        compaction = Compaction(
            connection, record=f"{self._prefix}.compaction".encode(), period=self._age, clock=self._clock
        )
        self._compaction = asyncio.create_task(compaction.run())

    async def close(self) -> None:
        """End the watches, let writes finish, hang up."""
        connection, self._connection = self._connection, None
        for watch in tuple(self._watches):
            await watch.aclose()
        if self._compaction is not None:
            self._compaction.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._compaction
            self._compaction = None
        if connection is not None:
            await connection.close()

    async def revision(self) -> int:
        """The cluster's revision, agreed on by a majority of its servers."""
        answer = await self._connected().read("Range", RangeRequest(key=self._own("revision"), count_only=True))
        return int(answer.header.revision)

    async def create(self, key: str, value: bytes, *, unless: Sequence[Unless] = ()) -> Record:
        """Write a key that must be absent. Raises KeyExists, Overtaken."""
        put = RequestOp(request_put=PutRequest(key=self._key(key), value=value))
        answer = await self._write(key, 0, put, unless)
        if not answer.succeeded:
            raise Overtaken(key) if unless and self._found(key, answer) is None else KeyExists(key)
        return _stamped(key, value, answer.header.revision)

    async def update(self, key: str, value: bytes, *, expected: int, unless: Sequence[Unless] = ()) -> Record:
        """Replace a value at an expected revision. Raises RevisionMismatch, Overtaken."""
        put = RequestOp(request_put=PutRequest(key=self._key(key), value=value))
        answer = await self._write(key, expected or -1, put, unless)
        if not answer.succeeded:
            found = self._found(key, answer)
            overtaken = unless and found is not None and found.revision == expected
            raise Overtaken(key) if overtaken else RevisionMismatch(found)
        return _stamped(key, value, answer.header.revision)

    async def delete(self, key: str, *, expected: int) -> Record:
        """Remove a key at an expected revision. Raises RevisionMismatch."""
        remove = RequestOp(request_delete_range=DeleteRangeRequest(key=self._key(key), prev_kv=True))
        answer = await self._write(key, expected or -1, remove)
        if not answer.succeeded:
            raise RevisionMismatch(self._found(key, answer))
        [before] = answer.responses[0].response_delete_range.prev_kvs
        return _stamped(key, before.value, answer.header.revision)

    async def get(self, key: str) -> Record | None:
        """A key's record, as a majority of the servers knows it."""
        answer = await self._connected().read("Range", RangeRequest(key=self._key(key)))
        return self._record(answer.kvs[0]) if answer.kvs else None

    async def range(self, prefix: str, *, after: str = "", limit: int = 0, revision: int = 0) -> Page:
        """Keys below a prefix, now or at a past revision; read in several calls if they are many."""
        start = self._key(max(prefix, after + "\0") if after else prefix)
        end = prefix_end(self._prefix + (prefix or "/")).encode()
        records: list[Record] = []
        remaining = 0
        while True:
            size = min(PAGE, limit - len(records)) if limit else PAGE
            request = RangeRequest(key=start, range_end=end, limit=size, revision=revision)
            try:
                answer = await self._connected().read("Range", request)
            except CompactedAnswer:
                raise Compacted(await self._oldest()) from None
            revision = revision or answer.header.revision
            records += [self._record(kv) for kv in answer.kvs]
            remaining = answer.count - len(answer.kvs)
            if not answer.more or len(records) == limit:
                return Page(records, revision, remaining)
            start = answer.kvs[-1].key + b"\0"

    def watch(self, prefix: str, *, after: int) -> EtcdWatch:
        """Every change after a revision. Raises Compacted when first awaited."""
        data = self._prefix + prefix
        everything = prefix in ("", "/")
        watch = EtcdWatch(
            self._connected(),
            key=f"{self._prefix}.".encode() if everything else data.encode(),
            end=prefix_end(self._prefix + "/" if everything else data).encode(),
            data=data,
            strip=len(self._prefix),
            after=after,
        )
        self._watches.add(watch)
        return watch

    async def compact(self, revision: int) -> None:
        """Forget history before `revision`, of everything in this etcd."""
        with contextlib.suppress(CompactedAnswer):
            await self._connected().read("Compact", CompactionRequest(revision=revision))

    async def progress(self) -> None:
        """Write a record of our own, so that a watch of everything moves past whatever others wrote to this etcd.

        Not etcd's progress request: until 3.4.25 and 3.5.8 its answer could overtake events.
        """
        await self._connected().read("Put", PutRequest(key=self._own("progress")))

    async def _write(self, key: str, expected: int, operation: Any, unless: Sequence[Unless] = ()) -> Any:
        compare = [Compare(result=COMPARE_EQUAL, target=TARGET_MOD, key=self._key(key), mod_revision=expected)]
        for one in unless:  # an absent key's revision is 0
            bound: Any = {"target": TARGET_MOD, "key": self._key(one.key)}
            compare.append(Compare(result=COMPARE_LESS, mod_revision=one.after + 1, **bound))
            if one.gone:
                compare.append(Compare(result=COMPARE_GREATER, mod_revision=0, **bound))
        read = RequestOp(request_range=RangeRequest(key=self._key(key)))
        request = TxnRequest(compare=compare, success=[operation], failure=[read] if expected or unless else [])
        return await self._connected().write("Txn", request)

    async def _oldest(self) -> int:
        """The revision to which etcd is compacted: only a refused watch tells."""
        probe = self.watch("/", after=0)
        try:
            await anext(probe)
        except Compacted as compacted:
            return compacted.oldest
        finally:
            await probe.aclose()
        return 0

    def _connected(self) -> Connection:
        if self._connection is None:
            raise StoreUnavailable("the store is closed")
        return self._connection

    def _key(self, key: str) -> bytes:
        return (self._prefix + key).encode()

    def _own(self, name: str) -> bytes:
        return f"{self._prefix}.{name}".encode()

    def _record(self, kv: Any) -> Record:
        return _stamped(kv.key.decode()[len(self._prefix) :], kv.value, kv.mod_revision)

    def _found(self, key: str, answer: Any) -> Record | None:
        kvs = answer.responses[0].response_range.kvs
        return _stamped(key, kvs[0].value, kvs[0].mod_revision) if kvs else None


def _stamped(key: str, value: bytes, revision: int) -> Record:
    return Record(key, stamp(value, revision), revision)
