"""Files of the audit log: put aside when full, removed when old or many."""

from __future__ import annotations

import gzip
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from k8slite.apiserver.audit.rotation import RotatingFile

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Time:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


def rotating(directory: Path, time: Time, **settings: Any) -> RotatingFile:
    bounds: dict[str, Any] = {"max_size": 10, "max_age": timedelta(0), "max_backups": 0, "compress": False}
    return RotatingFile(directory / "audit.log", now=time, **(bounds | settings))


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def test_a_full_file_is_put_aside_between_lines(tmp_path: Path) -> None:
    file = rotating(tmp_path, Time())
    file.write([b"1234\n", b"5678\n", b"abcd\n"])
    assert contents(tmp_path) == {"audit-2026-03-01T12-00-00.000.log": b"1234\n5678\n", "audit.log": b"abcd\n"}


def test_files_put_aside_in_one_moment_keep_their_order(tmp_path: Path) -> None:
    file = rotating(tmp_path, Time(), max_size=5)
    file.write([b"%04d\n" % number for number in range(4)])
    assert b"".join(contents(tmp_path).values()) == b"0000\n0001\n0002\n0003\n"
    assert len(contents(tmp_path)) == 4


def test_a_line_that_is_longer_than_a_file_has_one_of_its_own(tmp_path: Path) -> None:
    file = rotating(tmp_path, Time())
    file.write([b"a\n", b"x" * 30 + b"\n", b"b\n"])
    assert [len(text) for text in contents(tmp_path).values()] == [2, 31, 2]


def test_a_file_that_is_there_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "audit.log").write_bytes(b"before\n")
    (tmp_path / "audit.log").chmod(0o644)
    file = rotating(tmp_path, Time())
    file.write([b"ab\n"])
    file.close()
    file.write([b"c\n"])
    assert contents(tmp_path) == {"audit-2026-03-01T12-00-00.000.log": b"before\nab\n", "audit.log": b"c\n"}
    assert stat.S_IMODE((tmp_path / "audit.log").stat().st_mode) == 0o600


def test_the_oldest_go_when_there_are_too_many(tmp_path: Path) -> None:
    time = Time()
    file = rotating(tmp_path, time, max_size=1, max_backups=2)
    for number in range(5):
        file.write([b"%d\n" % number])
        time.now += timedelta(seconds=1)
    assert list(contents(tmp_path).values()) == [b"2\n", b"3\n", b"4\n"]


def test_old_ones_go_whatever_their_number(tmp_path: Path) -> None:
    time = Time()
    file = rotating(tmp_path, time, max_size=1, max_age=timedelta(days=2))
    for number in range(5):
        file.write([b"%d\n" % number])
        time.now += timedelta(days=1)
    assert list(contents(tmp_path).values()) == [b"1\n", b"2\n", b"3\n", b"4\n"]  # put aside on the 2nd, 3rd, 4th day
    time.now += timedelta(days=1)
    rotating(tmp_path, time, max_age=timedelta(days=2)).open()
    assert list(contents(tmp_path).values()) == [b"3\n", b"4\n"]


def test_what_is_put_aside_may_be_packed(tmp_path: Path) -> None:
    file = rotating(tmp_path, Time(), max_size=2, max_backups=1, compress=True)
    file.write([b"1\n", b"2\n", b"3\n"])
    packed = tmp_path / "audit-2026-03-01T12-00-00.001.log.gz"
    assert sorted(path.name for path in tmp_path.iterdir()) == [packed.name, "audit.log"]
    assert gzip.decompress(packed.read_bytes()) == b"2\n"
    assert stat.S_IMODE(packed.stat().st_mode) == 0o600


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    others = {"audit-notes.log", "audit-2026.log", "other.log"}
    for name in others:
        (tmp_path / name).write_text("mine")
    rotating(tmp_path, Time(), max_size=1, max_backups=1).write([b"1\n", b"2\n", b"3\n", b"4\n"])
    assert others <= set(contents(tmp_path))


@pytest.mark.parametrize("moved", [True, False])
def test_a_file_that_others_took_away_is_begun_anew(tmp_path: Path, moved: bool) -> None:
    file, path = rotating(tmp_path, Time(), max_size=0), tmp_path / "audit.log"
    file.write([b"1\n"])
    path.rename(tmp_path / "audit.log.1") if moved else path.unlink()
    file.write([b"2\n"])
    assert contents(tmp_path) == {"audit.log": b"2\n"} | ({"audit.log.1": b"1\n"} if moved else {})


def test_a_file_that_others_shortened_is_not_put_aside_for_what_it_held(tmp_path: Path) -> None:
    file = rotating(tmp_path, Time())
    file.write([b"12345678\n"])
    os.truncate(tmp_path / "audit.log", 0)
    file.write([b"1234\n", b"5678\n"])
    assert contents(tmp_path) == {"audit.log": b"1234\n5678\n"}


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = rotating(tmp_path, Time(), max_size=0)
    file.write([b"first\n"])
    real, room = os.write, [4]

    def write(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        written = real(descriptor, data[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space"):
        file.write([b"a\n", b"lost\n"])
    monkeypatch.undo()
    file.close()
    file.write([b"kept\n"])
    assert contents(tmp_path) == {"audit.log": b"first\nkept\n"}


def test_what_was_begun_when_the_server_was_killed_gets_its_end(tmp_path: Path) -> None:
    (tmp_path / "audit.log").write_bytes(b'{"kind"')
    rotating(tmp_path, Time(), max_size=0).write([b"1\n"])
    assert contents(tmp_path) == {"audit.log": b'{"kind"\n1\n'}


def test_a_pipe_is_left_as_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "audit.log"
    os.mkfifo(pipe)
    pipe.chmod(0o644)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        file = rotating(tmp_path, Time(), max_size=2)
        file.write([b"1\n", b"2\n"])
        file.write([b"3\n"])
        assert os.read(reader, 100) == b"1\n2\n3\n"
    finally:
        os.close(reader)
    assert list(tmp_path.iterdir()) == [pipe]
    assert stat.S_IMODE(pipe.stat().st_mode) == 0o644


@pytest.mark.parametrize("settings", [{"compress": True}, {"max_age": timedelta(days=1)}])
def test_an_old_file_that_cannot_go_is_no_reason_to_lose_events(tmp_path: Path, settings: dict[str, Any]) -> None:
    (tmp_path / "audit-2025-03-01T12-00-00.000.log").mkdir()  # neither to be packed nor to be removed
    rotating(tmp_path, Time(), **settings).write([b"1\n"])
    assert (tmp_path / "audit.log").read_bytes() == b"1\n"
    assert not list(tmp_path.glob("*.gz"))


def test_any_age_may_be_asked_for(tmp_path: Path) -> None:
    time = Time()
    file = rotating(tmp_path, time, max_size=1, max_age=timedelta(days=999_999_999))
    file.write([b"1\n", b"2\n"])
    assert list(contents(tmp_path).values()) == [b"1\n", b"2\n"]


def test_a_directory_that_is_missing_is_made_for_its_owner(tmp_path: Path) -> None:
    rotating(tmp_path / "audit", Time()).write([b"1\n"])
    assert stat.S_IMODE((tmp_path / "audit").stat().st_mode) == 0o700


def test_a_file_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    (tmp_path / "audit.log").mkdir()
    with pytest.raises(IsADirectoryError):
        rotating(tmp_path, Time()).write([b"1\n"])
