"""What every pod worker of a node shares, and what it asks of probes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from k8slite.client import Client
from k8slite.clock import Clock
from k8slite.events import EventRecorder
from k8slite.kinds.core import Pod

from .handlers import Handlers
from .launch import Launcher
from .runtime.base import ContainerRuntime, PodState
from .status_writer import StatusWriter
from .termination import TerminationMessages


class Health(Protocol):
    """What probes say."""

    def follow(self, pod: Pod, state: PodState) -> None:
        """Probe what runs of a pod."""
        ...

    def stop_liveness(self, pod_uid: str) -> None:
        """The pod is ending."""
        ...

    def forget(self, pod_uid: str) -> None:
        """The pod is gone."""
        ...

    def ready(self, pod_uid: str) -> frozenset[str]:
        """Containers of a pod that may get requests."""
        ...

    def started(self, pod_uid: str) -> frozenset[str]:
        """Containers of a pod whose startup probe passed."""
        ...

    def unhealthy(self, pod_uid: str) -> Mapping[str, str]:
        """Containers of a pod to restart, and why."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What every worker of a node shares."""

    runtime: ContainerRuntime
    launcher: Launcher
    health: Health
    handlers: Handlers
    messages: TerminationMessages
    events: EventRecorder
    writer: StatusWriter
    client: Client
    clock: Clock
    host_ip: str
    directory: Callable[[str], Path]
    """Where a pod's files stand, by UID."""
    id_prefix: str = "docker"

    def tell(self, pod: Pod, reason: str, message: str, *, container: str = "", warn: bool = False) -> None:
        """Record an event about a pod or one of its containers."""
        path = pod.spec.field_path(container) if container else ""
        self.events.record(pod, reason=reason, message=message, type="Warning" if warn else "Normal", field_path=path)
