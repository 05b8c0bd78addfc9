"""`k8slite cluster logs [program]`: the programs' own output."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from ..failure import Failure
from .spec import ClusterSpec


def files(spec: ClusterSpec, program: str = "") -> list[Path]:
    """The log files of one program, or of all. Raises Failure naming the programs there are."""
    found = sorted((spec.directory / "logs").glob("*.log"))
    if not program:
        return found
    chosen = [path for path in found if path.stem == program or path.stem.rstrip("0123456789").rstrip("-") == program]
    if not chosen:
        raise Failure(f"no log of {program!r}; there are logs of {', '.join(path.stem for path in found) or 'nothing'}")
    return chosen


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a file; none if it is not there."""
    try:
        return path.read_text(errors="replace").splitlines()[-lines:] if lines > 0 else []
    except FileNotFoundError:
        return []


def follow(paths: list[Path]) -> Iterator[tuple[str, str]]:
    """New lines as they are written, each with its program's name; never ends."""
    followed = {path.stem: _Followed(path) for path in paths}
    while True:
        quiet = True
        for name, file in followed.items():
            for line in file.lines():
                quiet = False
                yield name, line
        if quiet:
            time.sleep(0.2)


class _Followed:
    """A growing file, from its end on. One that shrank was cut off by the supervisor, and begins anew."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._file.seek(0, os.SEEK_END)
        self._rest = b""

    def lines(self) -> list[str]:
        """The whole lines that have come since."""
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)
            self._rest = b""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        return [line.decode(errors="replace") for line in lines]
