"""A directory that lives as long as its pod, on disk or in memory."""

from __future__ import annotations

import os
from pathlib import Path

from k8slite import quantity
from k8slite.kinds.core import EmptyDirVolumeSource

from . import mounts
from .base import make_directory


def setup(source: EmptyDirVolumeSource, path: Path, *, group: int | None) -> None:
    """Make the directory, open to all, its files the `group`'s; one that is there is left as its pod made it."""
    mode = 0o777 if group is None else 0o2777
    make_directory(path.parent)
    if source.medium == "Memory":
        path.mkdir(exist_ok=True)
        if not path.is_mount():
            size = quantity.whole(source.size_limit) if source.size_limit else 0
            mounts.tmpfs(path, size=size, mode=mode, group=group)
    elif not path.exists():
        # Under another name first: what bears the volume's name is complete, whenever the kubelet is killed.
        made = path.with_name(f".{path.name}")
        made.mkdir(exist_ok=True)
        if group is not None:
            os.chown(made, -1, group)
        made.chmod(mode)
        made.rename(path)
