"""Mounting and unmounting tmpfs by system call."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from .base import VolumeFault

_NOSUID, _NODEV = 2, 4
_DETACH = 2


def mount(path: Path, *, size: int = 0, mode: int = 0o755) -> None:
    """Mount a tmpfs; `size` in bytes, 0 is the kernel's default. Raises VolumeFault."""
    options = f"mode={mode:o}" + (f",size={size}" if size else "")
    library = ctypes.CDLL(None, use_errno=True)
    if library.mount(b"tmpfs", os.fsencode(path), b"tmpfs", _NOSUID | _NODEV, options.encode()) != 0:
        raise VolumeFault(f"mount of a tmpfs at {path}: {os.strerror(ctypes.get_errno())}")


def unmount(path: Path) -> None:
    """Take a mount away, at once from the tree and for good when its last user is gone. Raises VolumeFault."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.umount2(os.fsencode(path), _DETACH) != 0:
        raise VolumeFault(f"unmount of {path}: {os.strerror(ctypes.get_errno())}")
