"""What every benchmark is given."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .kube import Kube
from .report import Figure


@dataclass(frozen=True, slots=True)
class Context:
    """The target and how to measure it.

    `kubeconfig` is its file, `seconds` is how long a rate is measured, `pids` are the control plane's processes (empty
    if unknown), `ready` is the time that our own cluster took to be ready (0 if it is not ours), `image` is what
    replicas run.
    """

    kube: Kube
    seconds: float
    image: str
    pids: Sequence[int] = ()
    ready: float = 0.0
    containers: bool = True
    groups: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """The processes of single programs by name, where they are known."""
    kubeconfig: Path | None = None
    suffix: str = field(default_factory=lambda: secrets.token_hex(3))

    def name(self, benchmark: str) -> str:
        """A name that nothing else in the cluster has."""
        return f"k8slite-bench-{benchmark}-{self.suffix}"


class Skipped(Exception):
    """The benchmark cannot be run on this target, and why."""


Benchmark = Callable[[Context], Awaitable[list[Figure]]]
