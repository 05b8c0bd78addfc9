"""Talking to a cluster's supervisor: whether one runs, and asking it over its socket."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from pathlib import Path
from typing import Any

from .spec import ClusterSpec

PATIENCE = 10.0
"""Seconds that an answer may take: the supervisor loads every program before it first looks at its socket."""


def socket_path(spec: ClusterSpec) -> Path:
    """Where the supervisor answers."""
    return spec.directory / "supervisor.sock"


def lock_path(spec: ClusterSpec) -> Path:
    """Held locked by a running supervisor: the truth about whether one runs."""
    return spec.directory / "supervisor.lock"


def is_running(spec: ClusterSpec) -> bool:
    """Whether a supervisor holds the cluster's lock."""
    try:
        handle = os.open(lock_path(spec), os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def ask(spec: ClusterSpec, **request: str) -> dict[str, Any]:
    """Ask a running supervisor. Raises OSError if none answers."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(socket_path(spec)))
        connection.sendall(json.dumps(request).encode())
        chunks = []
        while chunk := connection.recv(65536):
            chunks.append(chunk)
    if not chunks:
        raise ConnectionResetError("the supervisor ended before it answered")
    answer: dict[str, Any] = json.loads(b"".join(chunks))
    return answer
