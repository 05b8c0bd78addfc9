"""Power that fails: what was written to the SQLite file and not synced may be gone, in any part and any order.

A process that is killed leaves all its writes with the kernel, so a kill cannot show whether they were synced. Here the
system calls of a writing process are recorded (strace), and the files are put together as they may be after the power
failed at one moment or another: everything synced is there, of the rest some sectors are and others are not.
"""

from __future__ import annotations

import ast
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from k8slite.apiserver.storage.sqlite import SqliteStore

from .test_sqlite import WRITER

SECTOR = 512
_CALL = re.compile(r"\d+ +(?P<name>\w+)\((?P<fd>\d+)<(?P<path>[^>]*)>(?P<rest>.*)")
_RESUMED = re.compile(r"(?P<thread>\d+) +<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)")
_REMOVED = re.compile(r'\d+ +unlink\("(?P<path>[^"]*)"')
EXTENTS = [
    pytest.param(2_000, 40, id="small"),
    # So many writes that the log is brought into the database and begun anew.
    pytest.param(20_000, 200, id="large", marks=[pytest.mark.chaos, pytest.mark.timeout(3600)]),
]


@dataclass
class Step:
    """A system call: a write to a file at an offset, a sync of it, its removal, or a text that the process said.

    A file may also be `cut` at the offset.
    """

    path: str
    offset: int = 0
    data: bytes | None = None
    said: str = ""
    removed: bool = False
    cut: bool = False


@dataclass
class Disk:
    """Files as they surely are, and what was written to them since."""

    synced: dict[str, bytearray] = field(default_factory=dict)
    pending: dict[str, list[Step]] = field(default_factory=dict)

    def take(self, step: Step) -> None:
        if step.removed:
            self.synced.pop(step.path, None)
            self.pending.pop(step.path, None)
            return
        if step.cut:
            _size(self.synced.setdefault(step.path, bytearray()), step.offset)
            return
        if step.data is not None:
            self.pending.setdefault(step.path, []).append(step)
            return
        for each in self.pending.pop(step.path, ()):
            _put(self.synced.setdefault(step.path, bytearray()), each.offset, each.data or b"")

    def after_the_power_failed(self, chance: random.Random) -> dict[str, bytes]:
        """The files as they may be now; nothing, all or a part of what was not synced is there."""
        share = chance.choice((0.0, 0.5, 0.9, 1.0))
        found = {path: bytearray(content) for path, content in self.synced.items()}
        for path, steps in self.pending.items():
            for step in steps:
                data = step.data or b""
                for start in range(0, len(data), SECTOR):
                    if chance.random() < share:
                        _put(found.setdefault(path, bytearray()), step.offset + start, data[start : start + SECTOR])
        return {path: bytes(content) for path, content in found.items()}


def _size(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if len(content) < offset:
        _size(content, offset)
    content[offset : offset + len(data)] = data


def recorded(store: Path, *, writes: int) -> Iterator[Step]:
    """The steps of a process that writes to a store until it is killed."""
    trace = store.parent / "trace"
    program = [sys.executable, "-c", WRITER.replace("compaction_age=0.05", "compaction_age=1"), str(store), "x"]
    calls = "trace=pwrite64,fdatasync,fsync,ftruncate,write,unlink"
    # Of the process itself nothing is stopped but at these calls.
    command = ["strace", "-f", "-y", "-xx", "-s", "1000000", "--seccomp-bpf", "-e", calls, "-o", str(trace), *program]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, start_new_session=True) as writer:
        assert writer.stdout is not None
        for number, _ in enumerate(writer.stdout):
            if number == writes:
                os.killpg(writer.pid, signal.SIGKILL)
    syncing: dict[str, str] = {}
    for line in trace.open():
        if (removed := _REMOVED.match(line)) is not None:
            yield Step(_text(removed["path"]), removed=True)  # the next sync of the directory is before the next answer
            continue
        if (resumed := _RESUMED.match(line)) is not None:
            if resumed["name"] in ("fdatasync", "fsync") and (path := syncing.pop(resumed["thread"], "")):
                yield Step(path)
            continue
        if (call := _CALL.match(line)) is None:
            continue
        path, rest = _text(call["path"]), call["rest"]
        if call["name"] in ("fdatasync", "fsync"):
            if "unfinished" in rest:
                syncing[line.split()[0]] = path
            else:
                yield Step(path)
        elif call["name"] == "write":
            if call["fd"] == "1":
                yield Step("", said=_bytes(rest).decode())
        elif call["name"] == "pwrite64":
            yield Step(path, int(rest.rsplit(",", 1)[1].split(")")[0].split()[0]), _bytes(rest))
        else:
            yield Step(path, int(rest.lstrip(", ").split(")")[0].split()[0]), cut=True)


def _text(escaped: str) -> str:
    return str(ast.literal_eval(f'"{escaped}"')) if "\\x" in escaped else escaped


def _bytes(rest: str) -> bytes:
    return bytes.fromhex(rest[rest.index('"') + 1 : rest.rindex('"')].replace("\\x", ""))


@dataclass
class Told:
    """What the process had said at a moment, by key: the revision of the last write, and of the last deletion."""

    last: dict[str, int] = field(default_factory=dict)
    deleted: dict[str, int] = field(default_factory=dict)
    begun: str = ""

    def hear(self, said: str) -> None:
        *lines, self.begun = (self.begun + said).split("\n")
        for line in lines:
            word, *rest = line.split()
            if word in ("acknowledged", "deleted"):
                (self.last if word == "acknowledged" else self.deleted)[rest[0]] = int(rest[1])

    async def compare(self, store: SqliteStore) -> None:
        assert await store.revision() >= max([0, *self.last.values(), *self.deleted.values()])
        for key, at in self.last.items():
            record = await store.get(key)
            if record is None:
                assert await store.revision() > at, f"{key}: lost"
            else:
                assert record.revision >= at, f"{key}: an older state"


@pytest.mark.parametrize(("writes", "failures"), EXTENTS)
async def test_nothing_acknowledged_is_lost_when_the_power_fails(tmp_path: Path, writes: int, failures: int) -> None:
    chance = random.Random(8)
    path = tmp_path / "made" / "store.db"
    path.parent.mkdir()
    steps = list(recorded(path, writes=writes))
    assert sum(step.data is not None for step in steps) > writes / 10
    moments = sorted(chance.sample(range(len(steps) // 20, len(steps)), failures))
    disk, told = Disk(), Told()
    for number, step in enumerate(steps):
        if moments and number == moments[0]:
            moments.pop(0)
            await _fail(disk, told, tmp_path / str(number), chance)
        if step.said:
            told.hear(step.said)
        else:
            disk.take(step)
    assert told.last
    begun = sum(step.path.endswith("-wal") and step.offset == 0 and step.data is not None for step in steps)
    assert begun > 1 or writes < 20_000, "the log was begun anew"


async def _fail(disk: Disk, told: Told, directory: Path, chance: random.Random) -> None:
    directory.mkdir()
    for name, content in disk.after_the_power_failed(chance).items():
        if not name.endswith("-shm"):
            (directory / Path(name).name).write_bytes(content)
    store = SqliteStore(directory / "store.db")
    await store.open()
    await told.compare(store)
    record = await store.create(
        "/core/pods/after/x", b'{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":""}}'
    )
    assert record.revision > max(told.last.values(), default=0)
    await store.close()
    shutil.rmtree(directory)
