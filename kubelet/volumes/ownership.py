"""Giving a volume's files to the group of a pod.

Source: Kubernetes documentation, "Configure a Security Context: fsGroupChangePolicy"; volume/volume_linux.go.
"""

from __future__ import annotations

import os
from pathlib import Path

_SHARED = 0o660
_SEARCHED = 0o110
_SETGID = 0o2000


def give(root: Path, *, group: int, policy: str) -> None:
    """Let the group read and write everything below `root`; with `OnRootMismatch` only if `root` is not so already.

    Links are not followed: a pod may have put them there.
    """
    found = root.stat()
    wanted = _SHARED | _SEARCHED | _SETGID
    if policy == "OnRootMismatch" and found.st_gid == group and found.st_mode & wanted == wanted:
        return
    # The root comes last: it tells that all below is done, whenever this is cut off.
    for folder, directories, files, descriptor in os.fwalk(root, topdown=False, follow_symlinks=False):
        for name in files:
            _give(name, descriptor, group, _SHARED)
        for name in directories:
            _give(name, descriptor, group, wanted)
        if folder == str(root):
            os.chown(".", -1, group, dir_fd=descriptor)
            os.fchmod(descriptor, (found.st_mode & 0o7777) | wanted)


def _give(name: str, directory: int, group: int, mode: int) -> None:
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    except OSError:
        return  # a link, a socket, or gone: not a file that a group could be given
    try:
        os.fchown(handle, -1, group)
        os.fchmod(handle, (os.fstat(handle).st_mode & 0o7777) | mode)
    finally:
        os.close(handle)
