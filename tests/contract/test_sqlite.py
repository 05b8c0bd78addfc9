"""What the SQLite store promises beyond the contract: durability, its file, compaction by itself."""

import asyncio
import functools
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from k8slite.apiserver.storage.base import (
    Change,
    Compacted,
    Record,
    RevisionMismatch,
    StoreError,
    StoreUnavailable,
)
from k8slite.apiserver.storage.batch import Row
from k8slite.apiserver.storage.embedded import EmbeddedStore
from k8slite.apiserver.storage.memory import MemoryJournal
from k8slite.apiserver.storage.sqlite import SqliteStore
from k8slite.clock import VirtualClock

from .engines import document, take

WRITER = """
import asyncio, itertools, sys
from pathlib import Path
from k8slite.apiserver.storage.sqlite import SqliteStore
from tests.contract.engines import document

async def main():
    store = SqliteStore(Path(sys.argv[1]), compaction_age=0.05)
    await store.open()
    print("start", await store.revision(), flush=True)

    async def write(writer):
        key = f"/core/pods/{writer}/" + sys.argv[2]
        record = await store.create(key, document("0"))
        for number in itertools.count(1):
            print("acknowledged", key, record.revision, flush=True)
            if number % 7:
                record = await store.update(key, document(str(number)), expected=record.revision)
            else:
                gone = await store.delete(key, expected=record.revision)
                print("deleted", key, gone.revision, flush=True)
                record = await store.create(key, document(str(number)))

    await asyncio.gather(*(write(number) for number in range(8)))

asyncio.run(main())
"""


async def reopened(path: Path, **settings: float) -> SqliteStore:
    store = SqliteStore(path, **settings)  # type: ignore[arg-type]
    await store.open()
    return store


def kill_a_writer(path: Path, name: str, *, after: int, script: str = WRITER) -> list[str]:
    """The whole lines that a writing process printed until it was killed, some time after a number of them."""
    command = [sys.executable, "-c", script, str(path), name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as writer:
        assert writer.stdout is not None
        lines = []
        for line in writer.stdout:
            lines.append(line)
            if len(lines) == after:
                os.kill(writer.pid, signal.SIGKILL)
    assert len(lines) >= after
    return [line for line in lines if line.endswith("\n")]


async def test_nothing_acknowledged_is_lost_by_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    chance = random.Random(7)
    highest = 0
    for round_number in range(4):
        lines = kill_a_writer(path, str(round_number), after=chance.randint(50, 1500))
        last: dict[str, int] = {}
        deleted: dict[str, int] = {}
        for word, *rest in map(str.split, lines):
            if word == "start":
                assert int(rest[0]) >= highest
            else:
                (last if word == "acknowledged" else deleted)[rest[0]] = int(rest[1])
        store = await reopened(path)
        revision = await store.revision()
        assert revision >= max(last.values())
        for key, at in last.items():
            record = await store.get(key)
            if record is None:  # a deletion that was durable but not yet acknowledged
                assert deleted.get(key, 0) <= at
                assert revision > at
            else:
                assert record.revision >= at
        highest = revision
        await store.close()


async def test_a_watch_resumes_across_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    lines = kill_a_writer(path, "0", after=100, script=WRITER.replace(", compaction_age=0.05", ""))
    seen = {int(line.split()[2]): line.split()[1] for line in lines if not line.startswith("start")}
    store = await reopened(path)
    changes = await take(store.watch("/core/", after=0), await store.revision())
    assert [change.revision for change in changes] == list(range(1, len(changes) + 1))
    assert seen.items() <= {change.revision: change.key for change in changes}.items()
    await store.close()


async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "made" / "store.db"
    store = await reopened(path)
    await store.create("/core/secrets/a/x", document("x"))
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    await store.close()


async def test_a_second_server_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = await reopened(path)
    with pytest.raises(StoreUnavailable, match="in use by another process"):
        await reopened(path)
    await store.close()
    await (await reopened(path)).close()


async def test_files_that_are_not_ours_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("this is not a database, but it is long enough to be taken for one by its size " * 50)
    with pytest.raises(StoreUnavailable, match="not a usable k8slite store"):
        await reopened(text)
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE accounts (name TEXT)")
    with pytest.raises(StoreUnavailable, match="another program"):
        await reopened(foreign)
    newer = tmp_path / "newer.db"
    await (await reopened(newer)).close()
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreUnavailable, match="layout 99"):
        await reopened(newer)
    with pytest.raises(StoreUnavailable):
        await reopened(tmp_path)  # a directory


async def test_damage_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = await reopened(path)
    for number in range(20):
        await store.create(f"/core/pods/a/{number}", document(str(number), data="sound" * 100))
    await store.close()
    content = path.read_bytes()
    path.write_bytes(content.replace(b"soundsound", b"soundsOund", 1))
    with pytest.raises(StoreUnavailable, match="damaged"):
        await reopened(path)


async def test_old_history_goes_by_itself(tmp_path: Path) -> None:
    clock = VirtualClock()
    store = SqliteStore(tmp_path / "store.db", compaction_age=300, clock=clock)
    await store.open()
    first = await store.create("/core/pods/a/x", document("x"))
    await clock.advance(200)
    second = await store.update("/core/pods/a/x", document("y"), expected=first.revision)
    assert (await store.range("/core/", revision=first.revision)).records == [first]
    await clock.advance(200)
    third = await store.update("/core/pods/a/x", document("z"), expected=second.revision)
    assert (await store.range("/core/", revision=second.revision)).records == [second]
    await _until_compacted(store, second.revision, clock=clock)
    assert (await store.range("/core/", revision=third.revision)).records == [third]
    with sqlite3.connect(tmp_path / "store.db") as connection:
        async with asyncio.timeout(10):
            while connection.execute("SELECT revision FROM log").fetchall() != [(third.revision,)]:
                await clock.advance(1)
    await store.close()
    store = await reopened(tmp_path / "store.db")
    with pytest.raises(Compacted):
        store.watch("/core/", after=first.revision)
    assert await store.revision() == third.revision
    await store.close()


async def test_too_much_history_goes_before_its_time(tmp_path: Path) -> None:
    clock = VirtualClock()
    store = SqliteStore(tmp_path / "store.db", compaction_age=3600, history_limit=3 << 20, clock=clock)
    await store.open()
    record = first = await store.create("/core/pods/a/x", document("x"))
    for _ in range(20):
        record = await store.update(record.key, document("y", data="x" * (1 << 19)), expected=record.revision)
    await _until_compacted(store, first.revision, clock=clock)
    assert (await store.range("/core/")).records == [record]
    await store.close()


async def _until_compacted(store: SqliteStore, revision: int, *, clock: VirtualClock) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                await store.range("/core/", revision=revision)
            except Compacted:
                return
            await clock.advance(20)


async def test_an_interrupted_compaction_is_finished_by_the_next(tmp_path: Path) -> None:
    from k8slite.apiserver.storage import sqlite_log

    path = tmp_path / "store.db"
    store = await reopened(path)
    record = await store.create("/core/pods/a/x", document("x"))
    for _ in range(10):
        record = await store.update(record.key, document("y"), expected=record.revision)
    await store.close()
    connection = sqlite_log.connect(path)
    sqlite_log.mark_compacted(connection, 5)  # and killed before anything was removed
    connection.close()
    store = await reopened(path)
    with pytest.raises(Compacted):
        store.watch("/", after=4)
    await store.compact(8)
    await store.close()
    with sqlite3.connect(path) as connection:
        assert [row[0] for row in connection.execute("SELECT revision FROM log ORDER BY 1")] == [8, 9, 10, 11]


async def test_the_revision_stays_when_compaction_leaves_nothing(tmp_path: Path) -> None:
    store = await reopened(tmp_path / "store.db")
    record = await store.create("/core/pods/a/x", document("x"))
    gone = await store.delete(record.key, expected=record.revision)
    await store.compact(gone.revision)
    await store.close()
    store = await reopened(tmp_path / "store.db")
    assert await store.revision() == gone.revision
    assert (await store.create("/core/pods/a/x", document("x"))).revision == gone.revision + 1
    await store.close()


async def test_a_write_that_fails_on_disk_is_reported_and_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = await reopened(path)
    record = await store.create("/core/pods/a/x", document("x"))
    with sqlite3.connect(path) as other:
        other.execute(
            "CREATE TRIGGER full BEFORE INSERT ON log WHEN NEW.key LIKE '%full%' BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    other.close()
    outcomes = await asyncio.gather(
        store.create("/core/pods/a/full", document("y")),
        store.update(record.key, document("y"), expected=record.revision),
        return_exceptions=True,
    )
    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    assert await store.get(record.key) == record
    assert await store.revision() == record.revision
    later = await store.update(record.key, document("z"), expected=record.revision)
    assert later.revision == record.revision + 1
    await store.close()


async def test_writes_of_one_batch_are_judged_in_order(tmp_path: Path) -> None:
    store = await reopened(tmp_path / "store.db")
    first = await store.create("/core/pods/a/x", document("x"))
    outcomes = await asyncio.gather(
        store.update(first.key, document("a"), expected=first.revision),
        store.update(first.key, document("b"), expected=first.revision),
        store.delete(first.key, expected=first.revision + 1),
        store.create(first.key, document("c")),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [Record, RevisionMismatch, Record, Record]
    await store.close()


class Held(MemoryJournal):
    """A journal whose disk is slow: nothing is durable before `release`."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Callable[[], None]] = []

    def append(self, rows: list[Row], done: Callable[[StoreError | None], None]) -> None:
        self.waiting.append(functools.partial(super().append, rows, done))

    def release(self) -> None:
        for each in self.waiting:
            each()
        self.waiting.clear()


async def test_nobody_sees_a_write_before_it_is_durable() -> None:
    journal = Held()
    store = EmbeddedStore(journal)
    await store.open()
    told: list[list[Change]] = []
    store.follow(told.append)
    watch = store.watch("/", after=0)
    writing = asyncio.ensure_future(store.create("/core/pods/a/x", document("x")))
    reading = asyncio.ensure_future(anext(watch))
    for _ in range(10):
        await asyncio.sleep(0)
    assert journal.waiting and not told and not reading.done() and not writing.done()
    assert await store.get("/core/pods/a/x") is None and await store.revision() == 0
    assert (await store.range("/")).records == []
    journal.release()
    record = await writing
    assert [change.revision for change in await reading] == [record.revision] == [told[0][0].revision]
    await store.close()
