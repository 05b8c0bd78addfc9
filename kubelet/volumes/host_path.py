"""A path of the node, checked to be what the pod expects."""

from __future__ import annotations

import stat
from pathlib import Path

from k8slite.kinds.core import HostPathVolumeSource

from .base import VolumeFault, make_directory

_CHECKS = {
    "Directory": (stat.S_ISDIR, "is not a directory"),
    "File": (stat.S_ISREG, "is not a file"),
    "Socket": (stat.S_ISSOCK, "is not a socket"),
    "CharDevice": (stat.S_ISCHR, "is not a character device"),
    "BlockDevice": (stat.S_ISBLK, "is not a block device"),
}


def setup(source: HostPathVolumeSource) -> Path:
    """The path, made if the type asks for it. Raises VolumeFault."""
    path = Path(source.path)
    wanted = source.type
    try:
        if wanted == "DirectoryOrCreate" and not path.exists():
            make_directory(path)
        elif wanted == "FileOrCreate" and not path.exists():
            path.touch()
            path.chmod(0o644)
        kind = wanted.removesuffix("OrCreate")
        if kind in _CHECKS:
            check, problem = _CHECKS[kind]
            if not check(path.stat().st_mode):
                raise VolumeFault(f"hostPath type check failed: {source.path} {problem}")
        elif not path.exists():
            # The engine would refuse a bind of nothing; without a type a directory is made, as Kubernetes' runtimes do.
            make_directory(path)
    except OSError as error:
        raise VolumeFault(f"hostPath {source.path}: {error.strerror}") from error
    return path
