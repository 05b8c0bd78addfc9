"""A file that is put aside when it is full: `audit.log` becomes `audit-2026-01-31T12-00-00.000.log`.

Old files go when there are too many of them, or when they are too old by the time in their names. Others may move the
file away as well (logrotate): what is written next begins a new one. Only whole lines stay in a file. What is no file,
a pipe or a device, is written to and left as it is. All of it is plain blocking I/O for a thread of its own.

Source: the behaviour of Kubernetes' --audit-log-maxage, -maxbackup, -maxsize and -compress.
"""

from __future__ import annotations

import contextlib
import gzip
import logging
import os
import shutil
import stat
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

_FORM = "%Y-%m-%dT%H-%M-%S.%f"
_PACKED = ".gz"
_log = logging.getLogger(__name__)


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
        self._is_regular = True

    def write(self, lines: Iterable[bytes]) -> None:
        """Append lines. Raises OSError; the first of them may be written then, in a file put aside."""
        waiting: list[bytes] = []
        size = 0
        if self._file < 0 or not self._is_in_place():
            self.close()
            self.open()
        bounded = self._max_size and self._is_regular
        for line in lines:
            if bounded and self._size + size and self._size + size + len(line) > self._max_size:
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
        found = os.fstat(self._file)
        self._size, self._is_regular = found.st_size, stat.S_ISREG(found.st_mode)
        if not self._is_regular:
            return
        os.fchmod(self._file, 0o600)
        self._end_line()
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

    def _is_in_place(self) -> bool:
        """Whether the file that is open is still the one of that name; how long it is, whoever shortened it."""
        if not self._is_regular:
            return True
        own = os.fstat(self._file)
        self._size = own.st_size
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(own, self._path.stat())
        return False

    def _end_line(self) -> None:
        """End what a server that was killed began to write."""
        if not self._size:
            return
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":
                self._append([b"\n"])

    def _append(self, lines: list[bytes]) -> None:
        before, rest = self._size, memoryview(b"".join(lines))
        try:
            while rest:
                written = os.write(self._file, rest)
                self._size += written
                rest = rest[written:]
        except OSError:
            if self._is_regular and self._size > before:  # no half line, where the next one would go on
                os.ftruncate(self._file, before)
            raise

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
        now = self._now()
        for index, (made, path) in enumerate(self.backups()):
            try:
                if (self._max_backups and index >= self._max_backups) or (self._max_age and now - made > self._max_age):
                    path.unlink(missing_ok=True)
                elif self._compress and path.suffix != _PACKED:
                    _pack(path)
            except OSError as error:  # no reason to lose what is to be written now
                _log.error("the audit log %s stays as it is: %s", path, error)


def _pack(path: Path) -> None:
    packed = path.with_name(path.name + _PACKED)
    opened = os.open(packed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(opened, "wb") as raw, path.open("rb") as plain, gzip.GzipFile(fileobj=raw, mode="wb") as file:
            shutil.copyfileobj(plain, file)
    except OSError:
        packed.unlink(missing_ok=True)
        raise
    path.unlink()
