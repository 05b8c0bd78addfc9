"""Giving a volume's files to the group of a pod.

The files are another's work, who may change them meanwhile: links are not followed, what is not a plain file is not
opened (a device may do something when it is), and any depth takes one open directory at a time.

Source: Kubernetes documentation, "Configure a Security Context: fsGroupChangePolicy"; volume/volume_linux.go.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from .base import VolumeFault

_SHARED = 0o660
_SEARCHED = 0o110
_SETGID = 0o2000
_OF_FOLDER = _SHARED | _SEARCHED | _SETGID
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class _Level:
    """A directory on the way down: what it is, and which of its directories are still to be seen."""

    identity: tuple[int, int]
    waiting: list[str]


def give(root: Path, *, group: int, policy: str) -> None:
    """Let the group read and write everything below `root`; with `OnRootMismatch` only if `root` is not so already.

    Raises VolumeFault if the tree is being changed meanwhile, and OSError.
    """
    here = os.open(root, _FOLDER)
    try:
        found = os.fstat(here)
        if policy == "OnRootMismatch" and found.st_gid == group and found.st_mode & _OF_FOLDER == _OF_FOLDER:
            return
        way = [_level(here, group)]
        # Each directory comes after what is in it, and so the root last: it tells that all below is done.
        while way:
            if way[-1].waiting:
                there = _enter(here, way[-1].waiting.pop())
                if there is not None:
                    os.close(here)
                    here = there
                    way.append(_level(here, group))
                continue
            _give(here, group, _OF_FOLDER)
            way.pop()
            if way:
                above = os.open("..", _FOLDER, dir_fd=here)
                os.close(here)
                here = above
                if _identity(here) != way[-1].identity:
                    raise VolumeFault(f"directories in {root} are being moved")
    finally:
        os.close(here)


def _level(folder: int, group: int) -> _Level:
    """Give the files of a directory, and note its directories."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if not is_folder:
            _give_file(name, folder, group)
    return _Level(_identity(folder), [name for name, is_folder in found if is_folder])


def _enter(folder: int, name: str) -> int | None:
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):
        return None  # it went away, or became something else


def _give_file(name: str, folder: int, group: int) -> None:
    try:
        handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISLNK(os.fstat(handle).st_mode):
            _give(handle, group, _SHARED)
    finally:
        os.close(handle)


def _give(handle: int, group: int, mode: int) -> None:
    """What is open goes to the group: by its place in /proc, as a file that was only looked up takes no calls."""
    place = f"/proc/self/fd/{handle}"
    os.chown(place, -1, group)
    os.chmod(place, stat.S_IMODE(os.fstat(handle).st_mode) | mode)  # noqa: PTH101 — an open file, not a path


def _identity(folder: int) -> tuple[int, int]:
    found = os.fstat(folder)
    return found.st_dev, found.st_ino
