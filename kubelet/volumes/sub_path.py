"""A part of a volume as a mount, never outside the volume, whatever the containers that share it do meanwhile.

A path that was looked at is no promise: another container of the pod may replace a directory by a link before the
engine follows the path. So each step is opened without following links, and what is open is bound to a place of the
kubelet's own, which is what the container gets.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from . import mounts
from .base import VolumeFault

_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def publish(root: str, sub: str, *, at: Path) -> None:
    """Bind `sub` inside `root` to `at`; a missing directory is made, as open as the volume. Raises VolumeFault."""
    descriptor = _open(root, sub)
    try:
        _clear(at)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            at.mkdir()
        else:
            at.touch()
        mounts.bind(descriptor, at)
    except OSError as error:
        raise VolumeFault(f"subPath {sub!r}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _clear(at: Path) -> None:
    at.parent.mkdir(parents=True, exist_ok=True)
    if at.exists():
        mounts.unmount_all(at)
        if at.is_dir():
            at.rmdir()
        else:
            at.unlink()


def _open(root: str, sub: str) -> int:
    try:
        volume = Path(root).resolve()
        path = (volume / sub).resolve()
    except (OSError, RuntimeError) as error:  # links in a circle, or a very long chain of them
        raise VolumeFault(f"subPath {sub!r}: its links lead nowhere") from error
    if not path.is_relative_to(volume):
        raise VolumeFault(f"subPath {sub!r} leads out of its volume")
    try:
        here = os.open(volume, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        raise VolumeFault(f"subPath {sub!r}: {error.strerror}") from error
    mode = stat.S_IMODE(os.fstat(here).st_mode)
    try:
        for part in path.relative_to(volume).parts:
            here = _step(here, part, mode)
            if stat.S_ISLNK(os.fstat(here).st_mode):
                raise VolumeFault(f"subPath {sub!r} is being changed")
    except OSError as error:
        os.close(here)
        raise VolumeFault(f"subPath {sub!r}: {error.strerror}") from error
    except VolumeFault:
        os.close(here)
        raise
    return here


def _step(here: int, part: str, mode: int) -> int:
    """Open one name in the directory `here`, and close that."""
    try:
        there = os.open(part, _STEP, dir_fd=here)
    except FileNotFoundError:
        os.mkdir(part, dir_fd=here)
        there = os.open(part, _STEP, dir_fd=here)
        os.chmod(f"/proc/self/fd/{there}", mode)  # noqa: PTH101 — an open directory, not a path
    os.close(here)
    return there
