"""Damage in SQLite's write-ahead log, which SQLite itself takes for the traces of a crash.

SQLite reads the log up to the first frame whose checksum is wrong, and goes on as if there were nothing behind it.
After a crash that is right: only the last commit can be incomplete, as each is synced before the next begins. Where
whole commits follow, something was damaged that had been acknowledged, and opening the file would lose it without a
word.

Frames of an older log lie behind those of the present one, which is begun anew with other salts once all of it is in
the database. So if the head of the log is damaged, or was just being written, what its newest frames hold tells the two
cases apart: it is in the database, or would be lost.

Source: SQLite's documentation, "Database File Format: The Write-Ahead Log".
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

_HEADER, _FRAME = 32, 24
_MAGIC = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")


class Frame(NamedTuple):
    """One page in the log: `commits` says that it ends a commit; `generation` are the salts, which only grow."""

    offset: int
    page: int
    commits: bool
    generation: bytes


def loses_commits(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether there are whole commits in the log of a database that SQLite has not read."""
    _, read, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    [size] = connection.execute("PRAGMA page_size").fetchone()
    if not (wal := Path(f"{path}-wal")).exists():
        return False
    with wal.open("rb") as log:
        head = log.read(_HEADER)
        generation = head[16:24] if head[:4] in _MAGIC else b""
        frames = list(_frames(log, size, first=max(read, 0)))
        present = [frame for frame in frames if frame.generation == generation]
        if present:
            return any(frame.commits for frame in present[:-1])
        if read > 0 or not frames:
            return False
        newest = max(frame.generation for frame in frames)
        last = {frame.page: frame.offset for frame in frames if frame.generation == newest}
        return not _are_there(last, log=log, path=path, size=size)


def _frames(log: BinaryIO, size: int, *, first: int) -> Iterator[Frame]:
    offset = _HEADER + first * (_FRAME + size)
    end = log.seek(0, 2)
    while offset + _FRAME + size <= end:
        log.seek(offset)
        head = log.read(_FRAME)
        yield Frame(offset, int.from_bytes(head[:4]), any(head[4:8]), head[8:16])
        offset += _FRAME + size


def _are_there(frames: dict[int, int], *, log: BinaryIO, path: Path, size: int) -> bool:
    """Whether pages, given with where they stand in the log, are the same in the database."""
    with path.open("rb") as database:
        for page, offset in frames.items():
            log.seek(offset + _FRAME)
            database.seek(max(page - 1, 0) * size)
            if log.read(size) != database.read(size):
                return False
    return True
