"""Writes a directory so that a reader sees the old files or the new ones, never a mixture.

The files stand in a directory of their own; `..data` is a link to it, replaced by one rename; the names that users see
are links through `..data`. Source: Kubernetes documentation, "Mounted ConfigMaps are updated automatically".
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from .base import Payload, make_directory

_DATA = "..data"


def write(directory: Path, payload: Payload, *, group: int | None = None) -> None:
    """Make `directory` hold exactly `payload`."""
    made = Path(tempfile.mkdtemp(prefix="..", dir=directory))
    made.chmod(0o755)
    for name, file in payload.items():
        path = made / name
        make_directory(path.parent)
        path.touch(mode=0o600)
        path.write_bytes(file.content)
        mode = file.mode
        if group is not None:
            os.chown(path, -1, group)
            mode |= 0o040
        path.chmod(mode)
    link = directory / "..data_tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(made.name)
    data = directory / _DATA
    old = data.readlink().name if data.is_symlink() else ""
    link.rename(data)
    tops = {name.split("/", 1)[0] for name in payload}
    for top in tops:
        visible = directory / top
        if not visible.is_symlink():
            visible.symlink_to(f"{_DATA}/{top}")
    for entry in directory.iterdir():
        if entry.name not in tops and not entry.name.startswith("..") and entry.is_symlink():
            entry.unlink()
    if old:
        with contextlib.suppress(OSError):
            shutil.rmtree(directory / old)
