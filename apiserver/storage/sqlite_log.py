"""The SQLite file: its layout, and every statement that runs on it.

`log` holds one row per write: `revision` is the row id, so history is read in order without an index; the index on
`key` (which carries the row id) finds the last row of each key at or before a revision, and so serves ordered ranges
at any time that is not compacted. A NULL `value` is a deletion. `previous` is the revision of the row that the write
replaced, 0 if the key was absent. `checksum` is the CRC-32 of all the rest.

`meta` holds `compacted` (history before it is gone), `swept` (superseded rows up to it are removed; a crash in the
middle of a compaction leaves the rest to the next), and a checksum of the two.

**Damage** is found when the file is opened, or when the past is read: rows have checksums, SQLite compares tables with
their index, and the write-ahead log is looked at (`sqlite_wal.py`). A damaged file is not opened. What a crash may have
left unfinished, at the end of the log, is no damage.
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
from .sqlite_wal import loses_commits

APPLICATION_ID = 0x6B38736C  # "k8sl"
LAYOUT = 2
"""2: checksums cover whole rows, and `meta`."""
SWEEP = 1_000
"""Revisions whose superseded rows are removed in one transaction: writers wait no longer than that takes."""
CHANGES = 1_000
"""Changes read at once."""
_META = ("compacted", "swept")

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
INSERT INTO meta VALUES ('compacted', 0), ('swept', 0), ('checksum', {crc32(b"0,0")});
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
    if not fresh and layout not in (1, LAYOUT):
        raise StoreUnavailable(f"{path}: layout {layout} is not known to this version, which knows {LAYOUT}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.execute("PRAGMA cache_size = -16000")
    if loses_commits(connection, path):
        raise StoreUnavailable(f"{path}-wal is damaged: what was written after the damage would be lost")
    if fresh:
        connection.executescript(_SCHEMA)
    elif layout == 1:
        _renew_checksums(connection)


def _renew_checksums(connection: sqlite3.Connection) -> None:
    """Bring a file of layout 1 up to date. Raises StoreUnavailable for a row that is damaged."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        renewed = []
        for revision, key, value, previous, checksum in connection.execute("SELECT * FROM log"):
            if crc32(value or b"", crc32(key.encode())) != checksum:
                raise StoreUnavailable(f"the row of revision {revision} is damaged")
            renewed.append((_checksum(revision, key, value, previous), revision))
        connection.executemany("UPDATE log SET checksum = ? WHERE revision = ?", renewed)
        numbers = (_number(connection, f"SELECT number FROM meta WHERE name = '{name}'") for name in _META)
        connection.execute("INSERT INTO meta VALUES ('checksum', ?)", (crc32(b"%d,%d" % tuple(numbers)),))
        connection.execute(f"PRAGMA user_version = {LAYOUT}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open the file for reading history beside the writer."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _number(connection: sqlite3.Connection, statement: str, *parameters: object) -> int:
    row = connection.execute(statement, parameters).fetchone()
    return int(row[0] or 0)


def _checksum(revision: int, key: str, value: bytes | None, previous: int) -> int:
    # A deletion is told from an empty value by the sign.
    return crc32(value or b"", crc32(b"%d,%d,%b" % (revision, -previous if value is None else previous, key.encode())))


def _intact(row: Row, checksum: int) -> Row:
    if _checksum(*row) != checksum:
        raise StoreUnavailable(f"the row of revision {row.revision} is damaged")
    return row


def recover(connection: sqlite3.Connection) -> Recovered:
    """Read every current record. Raises StoreUnavailable when one is damaged."""
    [problem] = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if problem != "ok":
        raise StoreUnavailable(f"damaged: {problem}")
    compacted = _compacted(connection)
    revision = max(compacted, _number(connection, "SELECT MAX(revision) FROM log"))
    statement = """
        SELECT log.revision, log.key, value, previous, checksum
        FROM (SELECT MAX(revision) AS last FROM log GROUP BY key) JOIN log ON log.revision = last
    """
    records = []
    for *parts, checksum in connection.execute(statement):
        row = _intact(Row(*parts), checksum)
        if row.value is not None:
            records.append(Record(row.key, stamp(row.value, row.revision), row.revision))
    return Recovered(records, revision, compacted)


def _compacted(connection: sqlite3.Connection) -> int:
    numbers = dict(connection.execute("SELECT name, number FROM meta"))
    compacted, swept, checksum = (numbers.get(name, -1) for name in (*_META, "checksum"))
    if crc32(b"%d,%d" % (compacted, swept)) != checksum:
        raise StoreUnavailable("the row of what is compacted is damaged")
    return int(compacted)


def _set(connection: sqlite3.Connection, name: str, number: int) -> None:
    connection.execute("UPDATE meta SET number = ? WHERE name = ?", (number, name))
    numbers = dict(connection.execute("SELECT name, number FROM meta"))
    checksum = crc32(b"%d,%d" % tuple(numbers[each] for each in _META))
    connection.execute("UPDATE meta SET number = ? WHERE name = 'checksum'", (checksum,))


def append(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Write rows durably.

    One statement, so that the thread gives up the interpreter once for the whole batch, insertion and commit included:
    each return from SQLite would have to win it back from a busy event loop.
    """
    parameters: list[object] = []
    for row in rows:
        parameters += (*row, _checksum(*row))
    values = ",".join(["(?,?,?,?,?)"] * len(rows))
    connection.execute(f"INSERT INTO log (revision, key, value, previous, checksum) VALUES {values}", parameters)


def read_range(
    connection: sqlite3.Connection, prefix: str, *, after: str, limit: int, revision: int
) -> tuple[list[Record], int]:
    """The records below a prefix at a revision, and how many follow."""
    first = max(prefix, after + "\0" if after else "")
    bounds = (first, prefix_end(prefix) if prefix else chr(0x10FFFF), revision)
    columns = "log.revision, log.key, log.value, log.previous, log.checksum"
    records = []
    for *parts, checksum in connection.execute(
        f"SELECT {columns} {_AT} ORDER BY log.key LIMIT ?", (*bounds, limit or -1)
    ):
        row = _intact(Row(*parts), checksum)
        assert row.value is not None  # deletions are left out
        records.append(Record(row.key, stamp(row.value, row.revision), row.revision))
    if not limit or len(records) < limit:
        return records, 0
    return records, _number(connection, f"SELECT COUNT(*) {_AT}", *bounds) - len(records)


def read_changes(connection: sqlite3.Connection, prefix: str, after: int, until: int) -> list[Change]:
    """The first changes in (after, until] below a prefix."""
    statement = """
        SELECT log.revision, log.key, log.value, log.previous, log.checksum,
               before.revision, before.key, before.value, before.previous, before.checksum
        FROM log NOT INDEXED LEFT JOIN log AS before ON before.revision = log.previous
        WHERE log.revision > ? AND log.revision <= ? AND log.key >= ? AND log.key < ?
        ORDER BY log.revision LIMIT ?
    """
    bounds = (prefix, prefix_end(prefix) if prefix else chr(0x10FFFF))
    changes = []
    for parts in connection.execute(statement, (after, until, *bounds, CHANGES)):
        row = _intact(Row(*parts[:4]), parts[4])
        before = _intact(Row(*parts[5:9]), parts[9]).value if parts[5] is not None else None
        changes.append(change_of(row, before))
    return changes


def mark_compacted(connection: sqlite3.Connection, revision: int) -> None:
    """Remember that history before a revision is gone."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        _set(connection, "compacted", revision)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


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
            " (SELECT before.revision FROM log NOT INDEXED JOIN log AS before ON before.revision = log.previous"
            " WHERE log.revision > ? AND log.revision <= ? AND before.key = log.key)",
            window,
        )
        connection.execute("DELETE FROM log WHERE revision > ? AND revision <= ? AND value IS NULL", window)
        _set(connection, "swept", stop)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return stop < revision
