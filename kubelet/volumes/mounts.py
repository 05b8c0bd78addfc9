"""Mounting and unmounting by system call, and what is mounted where."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

from .base import VolumeFault

_NOSUID, _NODEV, _BIND, _SLAVE = 1 << 1, 1 << 2, 1 << 12, 1 << 19
_DETACH = 2
_ESCAPE = re.compile(r"\\([0-7]{3})")


def tmpfs(path: Path, *, size: int = 0, mode: int = 0o755, group: int | None = None) -> None:
    """Mount a tmpfs; `size` in bytes, 0 is the kernel's default. Raises VolumeFault."""
    options = [f"mode={mode:o}", *([f"size={size}"] if size else []), *([f"gid={group}"] if group is not None else [])]
    _mount("tmpfs", path, "tmpfs", _NOSUID | _NODEV, ",".join(options), what=f"a tmpfs at {path}")


def bind(descriptor: int, path: Path) -> None:
    """Show an open file or directory at `path`, whatever its own path leads to meanwhile. Raises VolumeFault.

    What is mounted below the original later appears here too, but unmounting here leaves the original alone.
    """
    _mount(f"/proc/self/fd/{descriptor}", path, "", _BIND, "", what=str(path))
    _mount("none", path, "", _SLAVE, "", what=str(path))


def _mount(source: str, path: Path, kind: str, flags: int, options: str, *, what: str) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.mount(source.encode(), os.fsencode(path), kind.encode(), flags, options.encode()) != 0:
        raise VolumeFault(f"mount of {what}: {os.strerror(ctypes.get_errno())}")


def unmount(path: Path) -> None:
    """Take a mount away, at once from the tree and for good when its last user is gone. Raises VolumeFault."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.umount2(os.fsencode(path), _DETACH) != 0:
        raise VolumeFault(f"unmount of {path}: {os.strerror(ctypes.get_errno())}")


def unmount_all(root: Path) -> None:
    """Take away every mount at or below `root`, the innermost first. Raises VolumeFault."""
    root = root.resolve()
    for path in reversed(mount_points(Path("/proc/self/mountinfo").read_text())):
        if path.is_relative_to(root):
            unmount(path)


def mount_points(mountinfo: str) -> list[Path]:
    """The places where something is mounted, in the order in which it was, from `/proc/<pid>/mountinfo`."""
    places = [line.split()[4] for line in mountinfo.splitlines()]
    return [Path(_ESCAPE.sub(lambda found: chr(int(found[1], 8)), place)) for place in places]
