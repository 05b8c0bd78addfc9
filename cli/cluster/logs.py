"""`k8slite cluster logs [program]`: the programs' own output."""

from __future__ import annotations

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
    """The last lines of a file."""
    return path.read_text(errors="replace").splitlines()[-lines:]


def follow(paths: list[Path]) -> Iterator[tuple[str, str]]:
    """New lines as they are written, each with its program's name; never ends."""
    handles = {path.stem: path.open(errors="replace") for path in paths}
    for handle in handles.values():
        handle.seek(0, 2)
    while True:
        quiet = True
        for name, handle in handles.items():
            while line := handle.readline():
                quiet = False
                yield name, line.rstrip("\n")
        if quiet:
            time.sleep(0.2)
