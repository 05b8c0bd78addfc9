"""Files that may change while the server runs: certificates that are renewed, configurations that are edited.

Nothing watches them. Whoever uses one asks whether it has changed; the file system is looked at once a second at most.

Source: Kubernetes' apiserver, server/dynamiccertificates.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

PERIOD = 1.0

_State = tuple[int, int, int] | None


class ChangingFiles:
    """Some files, and whether any of them differs from when that was last asked."""

    def __init__(self, paths: Sequence[Path], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._paths = tuple(paths)
        self._monotonic = monotonic
        self._looked = monotonic()
        self._states = self._look()

    def changed(self) -> bool:
        """Whether a file was replaced or written since the last call that said so, or since the start."""
        now = self._monotonic()
        if now - self._looked < PERIOD:
            return False
        self._looked = now
        states = self._look()
        if states == self._states:
            return False
        self._states = states
        return True

    def _look(self) -> list[_State]:
        return [_state(path) for path in self._paths]


def _state(path: Path) -> _State:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
