"""One `up` or `down` of a cluster at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import click

from .spec import ROOTS_HOME, clusters_dir


@contextlib.contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Wait until no other process is at work on the cluster, and keep others waiting until the block ends.

    The lock is one of the process (POSIX), so that a supervisor forked in the block does not hold it.
    """
    path = clusters_dir() / f".{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = _take(path, name)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)
        if path.parent == ROOTS_HOME:  # ours: it goes with the last cluster
            with contextlib.suppress(OSError):
                ROOTS_HOME.rmdir()


def _take(path: Path, name: str) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            click.echo(f"Another command is at work on cluster {name}; waiting for it.", err=True)
            fcntl.lockf(handle, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            # Whoever had the lock before removed the file: then ours is not the one that the next will open.
            if os.path.samestat(path.stat(), os.fstat(handle)):
                return handle
        os.close(handle)
