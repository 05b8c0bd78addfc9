"""A SQLite file that was damaged behind our back: it is refused, or what it holds is right; never something else.

Only the end of the write-ahead log may be missing without a word: a crash leaves it just so.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from k8slite.apiserver.storage import sqlite_log
from k8slite.apiserver.storage.base import Change, Compacted, Record, StoreUnavailable
from k8slite.apiserver.storage.sqlite import SqliteStore

from .engines import document, take

COUNTS = [
    pytest.param(150, id="small"),
    pytest.param(1000, id="large", marks=[pytest.mark.chaos, pytest.mark.timeout(1800)]),
]
Damage = Callable[[bytearray, random.Random], None]


def flip(content: bytearray, chance: random.Random) -> None:
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def tear(content: bytearray, chance: random.Random) -> None:
    del content[chance.randrange(len(content)) :]


def blank(content: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(content)) // 512 * 512
    content[start : start + 512] = bytes(len(content[start : start + 512]))


DAMAGES = [flip, tear, blank]


@dataclass
class State:
    """What a store holds, and all that has happened."""

    records: list[Record]
    revision: int
    history: list[Change]


async def state_of(store: SqliteStore) -> State:
    revision = await store.revision()
    history = await take(store.watch("/", after=0), revision)
    return State((await store.range("/")).records, revision, history)


async def fill(path: Path, chance: random.Random) -> SqliteStore:
    store = SqliteStore(path)
    await store.open()
    for number in range(60):
        record = await store.create(f"/core/pods/a/{number}", document(str(number), data="x" * chance.randint(9, 900)))
        for _ in range(number % 3):
            record = await store.update(record.key, document(str(number), data="y" * 300), expected=record.revision)
        if number % 7 == 0:
            await store.delete(record.key, expected=record.revision)
    return store


async def opened(path: Path) -> State | None:
    """What a damaged file is taken for, None if it is refused, at the latest when the past is read."""
    store = SqliteStore(path)
    try:
        await store.open()
        return await state_of(store)
    except StoreUnavailable:
        return None
    finally:
        await store.close()


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("count", COUNTS)
async def test_a_damaged_file_is_noticed(tmp_path: Path, count: int, damage: Damage) -> None:
    chance = random.Random(5)
    store = await fill(tmp_path / "store.db", chance)
    whole = await state_of(store)
    await store.close()
    content = (tmp_path / "store.db").read_bytes()
    outcomes: Counter[bool] = Counter()
    for number in range(count):
        damaged = bytearray(content)
        damage(damaged, chance)
        path = tmp_path / str(number) / "store.db"
        path.parent.mkdir()
        path.write_bytes(damaged)
        found = await opened(path)
        assert found in (None, whole) or not damaged, f"{number}: something else was read"
        outcomes[found is None] += 1
        shutil.rmtree(path.parent)
    assert outcomes[True] > count / 4, "most of the file matters"


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("count", COUNTS)
async def test_a_damaged_log_loses_no_more_than_its_end(tmp_path: Path, count: int, damage: Damage) -> None:
    chance = random.Random(6)
    store = await fill(tmp_path / "store.db", chance)
    whole = await state_of(store)
    copies = {name: (tmp_path / name).read_bytes() for name in ("store.db", "store.db-wal")}  # as a kill leaves them
    await store.close()
    outcomes: Counter[str] = Counter()
    for number in range(count):
        damaged = bytearray(copies["store.db-wal"])
        damage(damaged, chance)
        path = tmp_path / str(number) / "store.db"
        path.parent.mkdir()
        path.write_bytes(copies["store.db"])
        path.with_name("store.db-wal").write_bytes(damaged)
        found = await opened(path)
        if found is None:
            outcomes["refused"] += 1
        elif found == whole:
            outcomes["whole"] += 1
        else:
            outcomes["cut"] += 1
            assert found.history == whole.history[: found.revision], f"{number}: no past of ours"
            if damage is not tear:  # two writes pass for one if it was the mark between them that was hit
                assert found.revision >= whole.revision - 2, f"{number}: more than the last write is gone"
        shutil.rmtree(path.parent)
    if damage is not tear:
        assert outcomes["refused"] > count / 3


async def test_numbers_of_the_compaction_are_guarded_as_well(tmp_path: Path) -> None:
    """A lower one would promise history that is gone."""
    path = tmp_path / "store.db"
    store = await fill(path, random.Random(1))
    await store.compact(50)
    await store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET number = 20 WHERE name = 'compacted'")
    connection.close()
    assert await opened(path) is None


async def test_a_file_of_the_first_layout_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = await fill(path, random.Random(1))
    whole = await state_of(store)
    await store.close()
    _as_before(path)
    store = SqliteStore(path)
    await store.open()
    assert await state_of(store) == whole
    await store.compact(50)
    await store.close()
    store = SqliteStore(path)
    await store.open()
    with pytest.raises(Compacted):
        store.watch("/", after=49)
    assert (await store.range("/")).records == whole.records
    await store.close()


def _as_before(path: Path) -> None:
    """Write a file as the first version did: checksums of keys and values, none in `meta`."""
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT revision, key, value FROM log").fetchall()
        connection.executemany(
            "UPDATE log SET checksum = ? WHERE revision = ?",
            [(sqlite_log.crc32(value or b"", sqlite_log.crc32(key.encode())), at) for at, key, value in rows],
        )
        connection.execute("DELETE FROM meta WHERE name = 'checksum'")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
