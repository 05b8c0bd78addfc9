"""A part of a volume as a mount: resolved on the node, and never outside the volume."""

from __future__ import annotations

from pathlib import Path

from .base import VolumeFault, make_directory


def resolve(root: str, sub: str) -> str:
    """The real path of `sub` inside `root`, made as a directory if it is missing. Raises VolumeFault."""
    volume = Path(root).resolve()
    path = volume
    for part in Path(sub).parts:
        path = (path / part).resolve()
        if not path.is_relative_to(volume):
            raise VolumeFault(f"subPath {sub!r} leads out of its volume")
        if not path.exists():
            make_directory(path)
    return str(path)
