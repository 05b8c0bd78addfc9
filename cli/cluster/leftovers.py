"""Programs that outlived their supervisor (it was killed, they hang): known by pid and start, and ended.

A program dies with its supervisor, but it takes its time; and two kubelets of one node, or two writers of one store,
must not meet. So whoever starts a supervisor or removes a cluster sees the old programs out first.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from . import process
from .slots import STOP_GRACE
from .spec import ClusterSpec


def note(spec: ClusterSpec, pids: Mapping[str, int]) -> None:
    """Write down which processes run, for whoever comes after us. Raises OSError."""
    found = {name: [pid, process.started_at(pid)] for name, pid in pids.items()}
    path = _path(spec)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(found))
    fresh.replace(path)


def end(spec: ClusterSpec) -> list[str]:
    """End those that still run, by force after a grace; their names. Returns when they are gone."""
    try:
        noted = json.loads(_path(spec).read_text())
    except (OSError, ValueError):  # none, or cut off by a crash
        return []
    alive = {name: pid for name, (pid, born) in noted.items() if born is not None and process.started_at(pid) == born}
    for pid in alive.values():
        _signal(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_GRACE
    for pid in alive.values():
        if not _wait(pid, deadline - time.monotonic()):
            _signal(pid, signal.SIGKILL)
            _wait(pid, STOP_GRACE)
    return list(alive)


def _path(spec: ClusterSpec) -> Path:
    return spec.directory / "programs.json"


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _wait(pid: int, timeout: float) -> bool:
    """Whether the process ended in time."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(handle, selectors.EVENT_READ)
            return bool(selector.select(max(0.0, timeout)))
    finally:
        os.close(handle)
