"""The SQLite file: its layout, and every statement that runs on it.

`log` holds one row per write: `revision` is the row id, so history is read in order without an index; the index on
`key` (which carries the row id) finds the last row of each key at or before a revision, and so serves ordered ranges
at any time that is not compacted. A NULL `value` is a deletion. `previous` is the revision of the row that the write
replaced, 0 if the key was absent. `checksum` is the CRC-32 of key and value: a damaged page is found when it is read.

`meta` holds `compacted` (history before it is gone) and `swept` (superseded rows up to it are removed; a crash in the
middle of a compaction leaves the rest to the next).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

from .base import Change, Record, StoreUnavailable, stamp
from .batch import Row
from .embedded import Recovered
from .keyspace import prefix_end
from .memory import change_of

APPLICATION_ID = 0x6B38736C  # "k8sl"
LAYOUT = 1
SWEEP = 1_000
"""Revisions whose superseded rows are removed in one transaction: writers wait no longer than that takes."""
CHANGES = 1_000
"""Changes read at once."""

_SCHEMA = f"""
BEGIN;
CREATE TABLE log (
    revision INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    value BLOB,
    previous INTEGER NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE INDEX log_key ON log (key);
CREATE TABLE meta (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('compacted', 0), ('swept', 0);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {LAYOUT};
COMMIT;
"""

_AT = """
FROM (SELECT MAX(revision) AS last FROM log WHERE key >= ? AND key < ? AND revision <= ? GROUP BY key)
JOIN log ON log.revision = last WHERE log.value IS NOT NULL
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file for writing, making it if it is not there. Raises StoreUnavailable if it is not ours or damaged."""
    try:
        connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        _prepare(connection, path)
    except sqlite3.DatabaseError as error:
        raise StoreUnavailable(f"{path}: not a usable k8slite store: {error}") from error
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    application = _number(connection, "PRAGMA application_id")
    layout = _number(connection, "PRAGMA user_version")
    fresh = _number(connection, "SELECT COUNT(*) FROM sqlite_master") == 0 and not application
    if not fresh and application != APPLICATION_ID:
        raise StoreUnavailable(f"{path}: a database of another program")
    if not fresh and layout != LAYOUT:
        raise StoreUnavailable(f"{path}: layout {layout} is not known to this version, which knows {LAYOUT}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.execute("PRAGMA cache_size = -16000")
    if fresh:
        connection.executescript(_SCHEMA)


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open the file for reading history beside the writer."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _number(connection: sqlite3.Connection, statement: str, *parameters: object) -> int:
    row = connection.execute(statement, parameters).fetchone()
    return int(row[0] or 0)


def _checksum(key: str, value: bytes | None) -> int:
    return crc32(value or b"", crc32(key.encode()))


def _intact(revision: int, key: str, value: bytes | None, checksum: int) -> bytes | None:
    if _checksum(key, value) != checksum:
        raise StoreUnavailable(f"the row of revision {revision} is damaged")
    return value


def recover(connection: sqlite3.Connection) -> Recovered:
    """Read every current record. Raises StoreUnavailable when one is damaged."""
    compacted = _number(connection, "SELECT number FROM meta WHERE name = 'compacted'")
    revision = max(compacted, _number(connection, "SELECT MAX(revision) FROM log"))
    statement = """
        SELECT log.revision, log.key, value, checksum
        FROM (SELECT MAX(revision) AS last FROM log GROUP BY key) JOIN log ON log.revision = last
        WHERE value IS NOT NULL
    """
    records = []
    for at, key, value, checksum in connection.execute(statement):
        _intact(at, key, value, checksum)
        records.append(Record(key, stamp(value, at), at))
    return Recovered(records, revision, compacted)


def append(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Write rows durably.

    One statement, so that the thread gives up the interpreter once for the whole batch, insertion and commit included:
    each return from SQLite would have to win it back from a busy event loop.
    """
    parameters: list[object] = []
    for row in rows:
        parameters += (*row, _checksum(row.key, row.value))
    values = ",".join(["(?,?,?,?,?)"] * len(rows))
    connection.execute(f"INSERT INTO log (revision, key, value, previous, checksum) VALUES {values}", parameters)


def read_range(
    connection: sqlite3.Connection, prefix: str, *, after: str, limit: int, revision: int
) -> tuple[list[Record], int]:
    """The records below a prefix at a revision, and how many follow."""
    first = max(prefix, after + "\0" if after else "")
    bounds = (first, prefix_end(prefix) if prefix else chr(0x10FFFF), revision)
    statement = f"SELECT log.key, log.value, log.revision, log.checksum {_AT} ORDER BY log.key LIMIT ?"
    records = []
    for key, value, at, checksum in connection.execute(statement, (*bounds, limit or -1)):
        _intact(at, key, value, checksum)
        records.append(Record(key, stamp(value, at), at))
    if not limit or len(records) < limit:
        return records, 0
    return records, _number(connection, f"SELECT COUNT(*) {_AT}", *bounds) - len(records)


def read_changes(connection: sqlite3.Connection, prefix: str, after: int, until: int) -> list[Change]:
    """The first changes in (after, until] below a prefix."""
    statement = """
        SELECT log.revision, log.key, log.value, log.previous, log.checksum, before.value
        FROM log NOT INDEXED LEFT JOIN log AS before ON before.revision = log.previous
        WHERE log.revision > ? AND log.revision <= ? AND log.key >= ? AND log.key < ?
        ORDER BY log.revision LIMIT ?
    """
    bounds = (prefix, prefix_end(prefix) if prefix else chr(0x10FFFF))
    changes = []
    for at, key, value, previous, checksum, before in connection.execute(statement, (after, until, *bounds, CHANGES)):
        changes.append(change_of(Row(at, key, _intact(at, key, value, checksum), previous), before))
    return changes


def mark_compacted(connection: sqlite3.Connection, revision: int) -> None:
    """Remember that history before a revision is gone."""
    connection.execute("UPDATE meta SET number = ? WHERE name = 'compacted'", (revision,))


def sweep(connection: sqlite3.Connection, revision: int) -> bool:
    """Remove some rows that no read at `revision` or later needs; whether there are more."""
    start = _number(connection, "SELECT number FROM meta WHERE name = 'swept'")
    stop = min(revision, start + SWEEP)
    if start >= revision:
        return False
    window = (start, stop)
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(
            "DELETE FROM log WHERE revision IN"
            " (SELECT previous FROM log NOT INDEXED WHERE revision > ? AND revision <= ? AND previous > 0)",
            window,
        )
        connection.execute("DELETE FROM log WHERE revision > ? AND revision <= ? AND value IS NULL", window)
        connection.execute("UPDATE meta SET number = ? WHERE name = 'swept'", (stop,))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return stop < revision
