"""The contract between the kubelet and what runs containers: frozen specs in, frozen states out.

A pod is one *sandbox* (it owns the network and IPC namespaces) and containers that join it. Nothing outside
`kubelet/runtime/` knows what engine does the work. A container runs once: it is created, it runs, it exits; a restart
is a new container with the next attempt number. Everything that the kubelet must remember stands in labels, so that a
kubelet that starts again finds its pods and restarts nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol

from .usage import Usage

MANAGED_LABEL = "k8slite.io/cluster"
NODE_LABEL = "k8slite.io/node"
POD_UID_LABEL = "io.kubernetes.pod.uid"
POD_NAME_LABEL = "io.kubernetes.pod.name"
POD_NAMESPACE_LABEL = "io.kubernetes.pod.namespace"
CONTAINER_LABEL = "io.kubernetes.container.name"
ATTEMPT_LABEL = "k8slite.io/attempt"
SPEC_HASH_LABEL = "k8slite.io/spec-hash"
POD_IP_LABEL = "k8slite.io/pod-ip"
GRACE_LABEL = "k8slite.io/grace-period"


class RuntimeFault(Exception):
    """The engine refused or failed; the text is for the user."""


class RuntimeUnavailable(RuntimeFault):
    """The engine does not answer."""


class NoSuchContainer(RuntimeFault):
    """The container or sandbox is gone."""


class ImagePullFault(RuntimeFault):
    """The image cannot be had."""


class State(StrEnum):
    """Where a container is in its one life."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class Version:
    """What runs containers here."""

    name: str
    version: str
    operating_system: str = ""
    kernel: str = ""


@dataclass(frozen=True, slots=True)
class PodRef:
    """The pod that a sandbox or container belongs to."""

    uid: str
    name: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image that is present. `user` is what the image asks for, `""` is root."""

    id: str
    user: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """The shell of a pod. `pod_ip` is only recorded; `kubelet.network` gives the address."""

    pod: PodRef
    hostname: str
    attempt: int = 0
    pod_ip: str = ""
    grace_period: int = 30
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False


@dataclass(frozen=True, slots=True)
class Mount:
    """A path of the node seen in a container."""

    host_path: str
    container_path: str
    read_only: bool = False
    propagation: Literal["", "rslave", "rshared"] = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Cgroup settings; 0 leaves the engine's default. `cpu_quota` is microseconds per 100 ms, memory is bytes."""

    cpu_shares: int = 0
    cpu_quota: int = 0
    memory: int = 0
    oom_score_adj: int = 0


@dataclass(frozen=True, slots=True)
class Security:
    """What the processes may do. `user` is `uid`, `uid:gid` or a name; empty is the image's."""

    user: str = ""
    groups: tuple[str, ...] = ()
    privileged: bool = False
    read_only_root: bool = False
    no_new_privileges: bool = False
    add_capabilities: tuple[str, ...] = ()
    drop_capabilities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container, everything resolved: no references are left in it.

    `command` replaces the image's entry point, `args` its arguments; empty keeps the image's.
    """

    pod: PodRef
    name: str
    image: str
    attempt: int = 0
    spec_hash: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    working_dir: str = ""
    mounts: tuple[Mount, ...] = ()
    limits: Limits = field(default_factory=Limits)
    security: Security = field(default_factory=Security)
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    host_pid: bool = False
    share_pid: bool = False
    share_pid_with: str = ""
    """A container whose processes this one sees, by id."""

    def __repr__(self) -> str:
        """Never the environment: secrets stand in it."""
        return f"ContainerSpec({self.pod.namespace}/{self.pod.name} {self.name} #{self.attempt} {self.image})"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox as found. `pid` is 0 unless it runs."""

    id: str
    pod: PodRef
    running: bool
    attempt: int = 0
    ip: str = ""
    pid: int = 0
    grace_period: int = 30
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Container:
    """A container as found, and the sandbox that it joined when it was made. `pid` is 0 unless it runs.

    `error` is why it could not start, `stop_signal` what the image wants as a farewell.
    """

    id: str
    pod: PodRef
    name: str
    attempt: int
    state: State
    sandbox_id: str = ""
    image: str = ""
    image_id: str = ""
    spec_hash: str = ""
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    stop_signal: str = "SIGTERM"
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    pid: int = 0


@dataclass(frozen=True, slots=True)
class PodState:
    """What runs, or ran, of one pod; newest attempt first."""

    pod: PodRef
    sandboxes: tuple[Sandbox, ...] = ()
    containers: tuple[Container, ...] = ()

    @property
    def sandbox(self) -> Sandbox | None:
        """The sandbox that runs."""
        return next((s for s in self.sandboxes if s.running), None)

    def newest(self, name: str) -> Container | None:
        """The latest attempt of a container."""
        return next((c for c in self.containers if c.name == name), None)

    def previous(self, name: str) -> Container | None:
        """The attempt before the latest."""
        return next((c for c in [c for c in self.containers if c.name == name][1:]), None)


@dataclass(frozen=True, slots=True)
class RuntimeEvent:
    """A hint that something of a pod changed; the list tells what."""

    pod_uid: str
    action: str


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Which part of a log; `tail` -1 is all of it, `since` is Unix time."""

    follow: bool = False
    tail: int = -1
    since: float = 0.0
    timestamps: bool = False
    stdout: bool = True
    stderr: bool = True


@dataclass(frozen=True, slots=True)
class Output:
    """Bytes that a process wrote."""

    stream: Literal["stdout", "stderr"]
    data: bytes


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How a short command ended; `timed_out` leaves the exit code meaningless."""

    exit_code: int
    output: bytes
    timed_out: bool = False


class Session(Protocol):
    """A process's streams, held open by exec or attach."""

    def output(self) -> AsyncIterator[Output]:
        """What the process writes, until it ends."""
        ...

    async def write(self, data: bytes) -> None:
        """Give the process input."""
        ...

    async def close_input(self) -> None:
        """End of input."""
        ...

    async def resize(self, *, width: int, height: int) -> None:
        """Change the terminal's size, in characters."""
        ...

    async def exit_code(self) -> int | None:
        """The exit code after the output's end; None when attached to a container."""
        ...

    async def close(self) -> None:
        """Let go of the streams; the process runs on."""
        ...


def arrange(sandboxes: Sequence[Sandbox], containers: Sequence[Container]) -> dict[str, PodState]:
    """Everything by pod UID, newest attempt first."""
    refs: dict[str, PodRef] = {}
    shells: dict[str, list[Sandbox]] = {}
    members: dict[str, list[Container]] = {}
    for sandbox in sandboxes:
        refs.setdefault(sandbox.pod.uid, sandbox.pod)
        shells.setdefault(sandbox.pod.uid, []).append(sandbox)
    for container in containers:
        refs.setdefault(container.pod.uid, container.pod)
        members.setdefault(container.pod.uid, []).append(container)
    return {
        uid: PodState(
            pod=ref,
            sandboxes=tuple(sorted(shells.get(uid, []), key=lambda s: -s.attempt)),
            containers=tuple(sorted(members.get(uid, []), key=lambda c: (c.name, -c.attempt))),
        )
        for uid, ref in refs.items()
    }


class ContainerRuntime(Protocol):
    """What runs containers. Every method may raise RuntimeFault; those with an id also NoSuchContainer.

    One value serves one cluster and node: it sees and touches only what carries their labels.
    """

    async def version(self) -> Version:
        """Who answers; RuntimeUnavailable if nobody does."""
        ...

    async def prepare(self) -> None:
        """Make what sandboxes need (their image), once before the first pod."""
        ...

    async def image(self, reference: str) -> Image | None:
        """The image if it is present."""
        ...

    async def pull(self, reference: str, *, auth: Mapping[str, str] | None = None) -> Image:
        """Fetch an image. Raises ImagePullFault; `auth` has `username` and `password` and is never logged."""
        ...

    async def create_sandbox(self, spec: SandboxSpec) -> str:
        """Create a sandbox without starting it; its id."""
        ...

    async def start_sandbox(self, sandbox_id: str) -> int:
        """Start it; the process id whose network namespace is the pod's. A second call changes nothing."""
        ...

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Stop it at once; a stopped or missing one is fine."""
        ...

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Remove it, running or not; a missing one is fine."""
        ...

    async def create_container(self, spec: ContainerSpec, *, sandbox_id: str) -> str:
        """Create a container in a sandbox; its id."""
        ...

    async def start_container(self, container_id: str) -> None:
        """Start it. RuntimeFault says why it cannot (no such executable …)."""
        ...

    async def signal(self, container_id: str, signal: str) -> None:
        """Send a signal to its first process; one that does not run is fine."""
        ...

    async def remove_container(self, container_id: str) -> None:
        """Remove it, running or not; a missing one is fine."""
        ...

    async def list(self, *, pod_uid: str = "") -> dict[str, PodState]:
        """The truth: all of this node by pod UID, or one pod's."""
        ...

    def events(self) -> AsyncIterator[RuntimeEvent]:
        """Hints as they happen, until the engine goes away."""
        ...

    def logs(self, container_id: str, options: LogOptions) -> AsyncIterator[Output]:
        """A container's output, whole lines not promised."""
        ...

    async def exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, stdout: bool, stderr: bool, tty: bool
    ) -> Session:
        """Run a command in a running container, its streams held."""
        ...

    async def exec_sync(self, container_id: str, command: Sequence[str], *, timeout: float) -> ExecResult:
        """Run a command to its end and keep up to 10 kB of its output."""
        ...

    async def attach(self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool) -> Session:
        """Join the streams of the container's own process."""
        ...

    async def usage(self, container_ids: Collection[str]) -> Mapping[str, Usage]:
        """What containers and sandboxes use, by id; those that do not run, or just ended, are left out.

        The ids are all whose usage is asked for: what was remembered of others is forgotten.
        """
        ...

    async def close(self) -> None:
        """Let go of connections and threads; containers run on."""
        ...
