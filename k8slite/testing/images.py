"""Images made from files of this machine, for tests and the example application: no registry is asked.

The tree is one static busybox with a link for each of its commands, and the few directories that programs expect.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BUSYBOX = "k8slite/busybox:1"
_DIRECTORIES = {"bin": 0o755, "etc": 0o755, "root": 0o700, "tmp": 0o1777, "var": 0o755, "www": 0o755}


class NoBusybox(Exception):
    """There is no static busybox; Debian's package `busybox-static` has one."""


def busybox_archive(*, files: Mapping[str, bytes] | None = None) -> bytes:
    """A root file system as a tar stream; `files` are added by absolute path, executable if they start with `#!`."""
    found = shutil.which("busybox")
    if found is None:
        raise NoBusybox("busybox is not installed: apt-get install busybox-static")
    program = Path(found).resolve().read_bytes()
    if b"/lib64/ld-linux" in program[:4096] or b"/lib/ld-" in program[:4096]:
        raise NoBusybox("this busybox is not static: apt-get install busybox-static")
    listed = subprocess.run([found, "--list"], check=True, capture_output=True, text=True)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, mode in _DIRECTORIES.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        _add(tar, "bin/busybox", program, mode=0o755)
        for command in listed.stdout.split():
            if command != "busybox":
                entry = tarfile.TarInfo(f"bin/{command}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(entry)
        _add(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
        _add(tar, "etc/group", b"root:x:0:\nnogroup:x:65534:\n")
        for path, content in (files or {}).items():
            _add(tar, path.lstrip("/"), content, mode=0o755 if content.startswith(b"#!") else 0o644)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, *, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def load_busybox(
    reference: str = BUSYBOX, *, files: Mapping[str, bytes] | None = None, docker_host: str = "", replace: bool = False
) -> str:
    """Import the tree into the Docker engine as `reference` unless it is there; the reference.

    Images of different `reference` hold the same tree; give `replace` when `files` changed.
    """
    client = _engine(docker_host)
    try:
        if not replace and client.images(name=reference):
            return reference
        repository, _, tag = reference.rpartition(":")
        client.import_image_from_data(
            busybox_archive(files=files), repository=repository, tag=tag, changes=['CMD ["/bin/sh"]', "ENV PATH=/bin"]
        )
        return reference
    finally:
        client.close()


def remove_image(reference: str, *, docker_host: str = "") -> None:
    """Take an image's name away again; one that is not there is fine."""
    from docker.errors import ImageNotFound

    client = _engine(docker_host)
    try:
        client.remove_image(reference, force=True)
    except ImageNotFound:
        pass
    finally:
        client.close()


def _engine(docker_host: str) -> Any:
    import docker
    from docker.utils import kwargs_from_env

    settings = {"base_url": docker_host} if docker_host else kwargs_from_env()
    return docker.APIClient(version="auto", **settings)
