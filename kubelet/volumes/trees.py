"""Removing a directory that a pod could write: whatever the pod made of it, it goes, and nothing else does.

The usual walk keeps a directory open for each level, and Python's own calls itself for each: a pod that makes one
directory in another a thousand times would stop the kubelet. Here every directory first comes up to the top, under a
name of its own, and is emptied there. That needs two open directories for any depth, and cannot enter a place where
something is mounted: such a directory cannot be renamed.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from . import mounts
from .base import VolumeFault

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(root: Path) -> None:
    """Remove a directory with all that is in it, if it is there. Raises VolumeFault.

    What is mounted inside is somebody else's: unmounted first. Links are not followed.
    """
    if not os.path.lexists(root):
        return
    mounts.unmount_all(root)
    try:
        top = os.open(root, _FOLDER)
        try:
            _empty(top)
        finally:
            os.close(top)
        root.rmdir()
    except OSError as error:
        raise VolumeFault(f"removal of {root}: {error.strerror}") from error


def _empty(top: int) -> None:
    waiting = _strip(top, top=top)
    while waiting:
        name = waiting.pop()
        folder = os.open(name, _FOLDER, dir_fd=top)
        try:
            waiting += _strip(folder, top=top)
        finally:
            os.close(folder)
        os.rmdir(name, dir_fd=top)


def _strip(folder: int, *, top: int) -> list[str]:
    """Leave nothing in a directory. Returns the names below `top` of the directories that were in it."""
    moved = []
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if is_folder:
            moved.append(secrets.token_hex(8))
            os.rename(name, moved[-1], src_dir_fd=folder, dst_dir_fd=top)
        else:
            os.unlink(name, dir_fd=folder)
    return moved
