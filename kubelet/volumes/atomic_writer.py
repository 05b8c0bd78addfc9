"""Writes a directory so that a reader sees the old files or the new ones, never a mixture.

The files stand in a directory of their own; `..data` is a link to it, replaced by one rename; the names that users see
are links through `..data`. Source: Kubernetes documentation, "Mounted ConfigMaps are updated automatically".
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

from .base import File, Payload, make_directory

_DATA = "..data"


def write(directory: Path, payload: Payload, *, group: int | None = None) -> None:
    """Make `directory` hold exactly `payload`; where it does already, nothing is touched."""
    if not _holds(directory / _DATA, payload, group=group):
        made = Path(tempfile.mkdtemp(prefix="..", dir=directory))
        try:
            _fill(made, payload, group=group)
        except OSError:
            shutil.rmtree(made, ignore_errors=True)
            raise
        link = directory / "..data_tmp"
        link.unlink(missing_ok=True)
        link.symlink_to(made.name)
        link.rename(directory / _DATA)
    _show(directory, {name.split("/", 1)[0] for name in payload})


def _holds(data: Path, payload: Payload, *, group: int | None) -> bool:
    found = {str(path.relative_to(data)) for path in data.rglob("*") if not path.is_dir()}
    return data.exists() and found == payload.keys() and all(_same(data / n, f, group) for n, f in payload.items())


def _same(path: Path, file: File, group: int | None) -> bool:
    status = path.stat()
    right = stat.S_IMODE(status.st_mode) == _mode(file, group) and (group is None or status.st_gid == group)
    return right and path.read_bytes() == file.content


def _mode(file: File, group: int | None) -> int:
    return file.mode | (0o040 if group is not None else 0)


def _fill(made: Path, payload: Payload, *, group: int | None) -> None:
    made.chmod(0o755)
    for name, file in payload.items():
        path = made / name
        make_directory(path.parent)
        path.touch(mode=0o600)
        path.write_bytes(file.content)
        if group is not None:
            os.chown(path, -1, group)
        path.chmod(_mode(file, group))


def _show(directory: Path, tops: set[str]) -> None:
    """Link the names, and remove what an earlier write, ended or broken off, has left."""
    for top in tops:
        visible = directory / top
        if not visible.is_symlink():
            visible.symlink_to(f"{_DATA}/{top}")
    current = (directory / _DATA).readlink().name
    for entry in directory.iterdir():
        if entry.is_symlink():
            if entry.name not in tops and entry.name != _DATA:
                entry.unlink()
        elif entry.name.startswith("..") and entry.name != current:
            shutil.rmtree(entry, ignore_errors=True)
