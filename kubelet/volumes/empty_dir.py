"""A directory that lives as long as its pod, on disk or in memory."""

from __future__ import annotations

from pathlib import Path

from k8slite import quantity
from k8slite.kinds.core import EmptyDirVolumeSource

from . import tmpfs


def setup(source: EmptyDirVolumeSource, path: Path) -> None:
    """Make the directory; one that is there is left as it is."""
    path.mkdir(mode=0o777, parents=True, exist_ok=True)
    if source.medium == "Memory" and not path.is_mount():
        tmpfs.mount(path, size=quantity.whole(source.size_limit) if source.size_limit else 0, mode=0o777)
    path.chmod(0o777)
