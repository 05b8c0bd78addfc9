"""A file that is put aside when it is full: `audit.log` becomes `audit-2026-01-31T12-00-00.000.log`.

Old files go when there are too many of them, or when they are too old by the time in their names. All of it is plain
blocking I/O for a thread of its own.

Source: the behaviour of Kubernetes' --audit-log-maxage, -maxbackup, -maxsize and -compress.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

_FORM = "%Y-%m-%dT%H-%M-%S.%f"
_PACKED = ".gz"


class RotatingFile:
    """Lines at the end of a file, readable by its owner only. Zero means no bound for size, age and number."""

    def __init__(
        self,
        path: Path,
        *,
        max_size: int,
        max_age: timedelta,
        max_backups: int,
        compress: bool,
        now: Callable[[], datetime],
    ) -> None:
        self._path = path
        self._max_size = max_size
        self._max_age = max_age
        self._max_backups = max_backups
        self._compress = compress
        self._now = now
        self._file = -1
        self._size = 0

    def write(self, lines: Iterable[bytes]) -> None:
        """Append lines. Raises OSError; part of them may be written then."""
        waiting: list[bytes] = []
        size = 0
        if self._file < 0:
            self.open()
        for line in lines:
            if self._max_size and self._size + size and self._size + size + len(line) > self._max_size:
                self._append(waiting)
                self._rotate()
                waiting, size = [], 0
            waiting.append(line)
            size += len(line)
        self._append(waiting)

    def open(self) -> None:
        """Go on with the file there is, or begin one. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.fchmod(self._file, 0o600)
        self._size = os.fstat(self._file).st_size
        self._prune()

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def backups(self) -> list[tuple[datetime, Path]]:
        """The files put aside with the times in their names, newest first."""
        found = []
        for path in self._path.parent.glob(f"{self._path.stem}-*"):
            name = path.name.removesuffix(_PACKED)
            stamp = name.removeprefix(f"{self._path.stem}-").removesuffix(self._path.suffix)
            with contextlib.suppress(ValueError):
                found.append((datetime.strptime(stamp, _FORM).replace(tzinfo=UTC), path))
        return sorted(found, reverse=True)

    def _append(self, lines: list[bytes]) -> None:
        rest = memoryview(b"".join(lines))
        while rest:
            written = os.write(self._file, rest)
            self._size += written
            rest = rest[written:]

    def _rotate(self) -> None:
        self.close()
        stamp = self._now().strftime(_FORM)[:-3]
        aside = self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}")
        while aside.exists() or aside.with_name(aside.name + _PACKED).exists():  # within one millisecond
            stamp = (datetime.strptime(stamp, _FORM) + timedelta(milliseconds=1)).strftime(_FORM)[:-3]
            aside = self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}")
        with contextlib.suppress(FileNotFoundError):
            self._path.rename(aside)
        self.open()

    def _prune(self) -> None:
        oldest = self._now() - self._max_age
        for index, (made, path) in enumerate(self.backups()):
            if (self._max_backups and index >= self._max_backups) or (self._max_age and made < oldest):
                path.unlink(missing_ok=True)
            elif self._compress and path.suffix != _PACKED:
                _pack(path)


def _pack(path: Path) -> None:
    packed = path.with_name(path.name + _PACKED)
    opened = os.open(packed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with path.open("rb") as plain, os.fdopen(opened, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb") as file:
        shutil.copyfileobj(plain, file)
    path.unlink()
