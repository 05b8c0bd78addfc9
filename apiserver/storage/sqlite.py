"""The embedded default: one SQLite file, durable before a write is acknowledged, history until compacted.

A writer thread commits batches (WAL, synchronous=FULL), a reader thread, started when first needed, answers questions
about the past. Compaction is by age and by size: every written megabyte or so leaves a mark of when and at which
revision, and old marks say how far to compact. Without writes nothing wakes.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sqlite3
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from k8slite.clock import Clock, SystemClock

from . import sqlite_log
from .base import Change, Record, StoreError, StoreUnavailable
from .batch import Row
from .embedded import EmbeddedStore, Recovered
from .sqlite_thread import SqliteThread

T = TypeVar("T")


class SqliteJournal:
    """Rows in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: int | None = None
        self._writer: SqliteThread | None = None
        self._reader: SqliteThread | None = None

    async def open(self) -> Recovered:
        """Take the file for this process alone and read what it holds. Raises StoreUnavailable."""
        try:
            self._lock = _claim(self._path)
            self._writer = SqliteThread("sqlite-writer", lambda: sqlite_log.connect(self._path))
            await self._writer.start()
            return await self._writer.run(sqlite_log.recover)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close both connections and give the file back."""
        for thread in (self._reader, self._writer):
            if thread is not None:
                await thread.stop()
        self._reader = self._writer = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def append(self, rows: list[Row], done: Callable[[StoreError | None], None]) -> None:
        """Commit rows."""
        self._writing().submit(lambda connection: sqlite_log.append(connection, rows), done)

    async def range(self, prefix: str, *, after: str, limit: int, revision: int) -> tuple[list[Record], int]:
        """A range of the past."""
        return await self._read(
            lambda connection: sqlite_log.read_range(connection, prefix, after=after, limit=limit, revision=revision)
        )

    async def changes(self, prefix: str, after: int, until: int) -> list[Change]:
        """A stretch of history."""
        return await self._read(lambda connection: sqlite_log.read_changes(connection, prefix, after, until))

    async def compact(self, revision: int) -> None:
        """Forget, in small steps between which writers have their turn."""
        await self._writing().run(lambda connection: sqlite_log.mark_compacted(connection, revision))
        while await self._writing().run(lambda connection: sqlite_log.sweep(connection, revision)):
            pass

    def _writing(self) -> SqliteThread:
        if self._writer is None:
            raise StoreUnavailable("the store is closed")
        return self._writer

    async def _read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        if self._reader is None:
            self._writing()
            self._reader = SqliteThread("sqlite-reader", lambda: sqlite_log.connect_reader(self._path))
            await self._reader.start()
        return await self._reader.run(job)


def _claim(path: Path) -> int:
    """Make the file readable by its owner only, and lock it against a second server. Returns the lock's descriptor."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            path.chmod(0o600)
        except BaseException:
            os.close(lock)
            raise
    except BlockingIOError as error:
        raise StoreUnavailable(f"{path}: in use by another process") from error
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror}") from error
    return lock


class SqliteStore(EmbeddedStore):
    """A `Store` in a file.

    `compaction_age` is how many seconds of history are kept at least, unless there are more than `history_limit` bytes.
    """

    MARK_BYTES = 1 << 20
    PERIOD = 60.0
    """Seconds between looks at the marks, while anything is left to compact."""

    def __init__(
        self,
        path: Path,
        *,
        compaction_age: float = 300.0,
        history_limit: int = 256 << 20,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(SqliteJournal(path))
        self._age = compaction_age
        self._limit = history_limit
        self._clock = clock or SystemClock()
        self._marks: deque[tuple[float, int, int]] = deque()
        """When, at which revision, after how many written bytes."""
        self._bytes = 0
        self._compaction: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Stop compacting, finish writes, close the file."""
        if self._compaction is not None:
            self._compaction.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._compaction
            self._compaction = None
        await super().close()

    def written(self, changes: list[Change]) -> None:
        """Leave a mark now and then; see to it that compaction will run."""
        self._bytes += sum(len(change.value) for change in changes)
        now = self._clock.monotonic()
        if not self._marks or self._bytes - self._marks[-1][2] > self.MARK_BYTES or now - self._marks[-1][0] > 10:
            self._marks.append((now, changes[-1].revision, self._bytes))
        if self._compaction is None or self._compaction.done():
            self._compaction = asyncio.get_running_loop().create_task(self._compact_old())

    async def _compact_old(self) -> None:
        """Compact until no mark is left: the history is as short as it may be, and nothing wakes until a write."""
        while self._marks:
            await self._clock.sleep(min(self.PERIOD, self._age))
            horizon, target = self._clock.monotonic() - self._age, 0
            while self._marks and (self._marks[0][0] <= horizon or self._bytes - self._marks[0][2] > self._limit):
                target = self._marks.popleft()[1]
            if target:
                with contextlib.suppress(StoreError):  # the disk may be full; the next round tries again
                    await self.compact(target)
