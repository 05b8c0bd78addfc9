"""What volume sources share: the fault, and a directory's contents as a value."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from k8slite.kinds.core import KeyToPath

DEFAULT_MODE = 0o644


class VolumeFault(Exception):
    """A volume cannot be set up; the text goes into the event `FailedMount`."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a volume. Its content may be secret."""

    content: bytes
    mode: int = DEFAULT_MODE

    def __repr__(self) -> str:
        return f"File({len(self.content)} bytes, {self.mode:o})"


def make_directory(path: Path, *, mode: int = 0o755) -> None:
    """Make a directory that pods see, and what leads to it, with this very mode.

    The kubelet's own files are private, so its umask may take away what other users in a container need.
    """
    missing = [one for one in (path, *path.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        one.chmod(mode)


Payload = dict[str, File]
"""The files of a directory by relative path."""


def project(
    data: Mapping[str, bytes],
    *,
    items: Sequence[KeyToPath],
    default_mode: int | None,
    optional: bool,
    what: str,
) -> Payload:
    """The keys that `items` name, or all of them. Raises VolumeFault for a key that is not there."""
    mode = DEFAULT_MODE if default_mode is None else default_mode
    if not items:
        return {safe_path(key): File(content, mode) for key, content in data.items()}
    found: Payload = {}
    for item in items:
        if item.key in data:
            found[safe_path(item.path)] = File(data[item.key], mode if item.mode is None else item.mode)
        elif not optional:
            raise VolumeFault(f"{what} references non-existent key: {item.key}")
    return found


def safe_path(path: str) -> str:
    """A relative path inside a volume. Raises VolumeFault for one that leads out of it."""
    parts = path.split("/")
    if not path or path.startswith("/") or ".." in parts or parts[0].startswith(".."):
        raise VolumeFault(f"invalid path: {path!r}")
    return path


def decoded(data: Mapping[str, str]) -> dict[str, bytes]:
    """base64 values as bytes."""
    return {key: base64.b64decode(value) for key, value in data.items()}
