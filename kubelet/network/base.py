"""The contract between the kubelet's pod workers and whatever connects pods."""

from __future__ import annotations

import socket
from typing import Protocol


class NetworkError(Exception):
    """The kernel refused a step; the message names the step and the kernel's reason. Trying again is safe."""


class PodNetwork(Protocol):
    """Connects pods. Every method may be repeated after success or failure."""

    async def ensure_bridge(self) -> None:
        """Make the machine ready for pods. Raises NetworkError."""
        ...

    async def attach(self, *, pod_uid: str, pid: int, address: str) -> None:
        """Give the network namespace of process `pid` an `eth0` with `address` (no prefix). Raises NetworkError."""
        ...

    async def detach(self, *, pod_uid: str) -> None:
        """Take the pod's link away; nothing happens if there is none. Raises NetworkError."""
        ...

    async def connect(self, *, pid: int, port: int) -> socket.socket:
        """A connection to localhost inside the network namespace of process `pid`. Raises NetworkError."""
        ...
