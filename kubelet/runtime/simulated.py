"""A runtime that runs nothing: states move by the clock that is passed in, so that a kubelet can be tried without
containers. Every container that it names says so in its id. (`k8slite up --simulate` is another, lighter thing:
`kubelet/simulated/`.)

A container's first command word is played: `true` exits with 0 at once, `false` with 1, `sleep N` with 0 after N
seconds of the clock, `exit N` with N at once. Anything else runs until it is stopped.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from k8slite.clock import Clock

from .base import (
    Container,
    ContainerSpec,
    ExecResult,
    Image,
    LogOptions,
    NoSuchContainer,
    Output,
    PodState,
    RuntimeEvent,
    RuntimeFault,
    Sandbox,
    SandboxSpec,
    Session,
    State,
    Version,
    arrange,
)
from .usage import Usage

_FATAL = {"SIGTERM": 143, "SIGKILL": 137, "SIGINT": 130, "SIGQUIT": 131, "SIGHUP": 129}


@dataclass(slots=True)
class _Played:
    """A container and what it will do: `lasts` seconds, then `ends_with`; None runs on."""

    container: Container
    sandbox_id: str
    lasts: float | None
    ends_with: int = 0


def _script(words: Sequence[str]) -> tuple[float | None, int]:
    match list(words):
        case ["true", *_]:
            return 0.0, 0
        case ["false", *_]:
            return 0.0, 1
        case ["exit", code, *_]:
            return 0.0, int(code)
        case ["sleep", seconds, *_] if seconds.replace(".", "", 1).isdigit():
            return float(seconds), 0
        case _:
            return None, 0


class SimulatedSession:
    """Streams of a process that is not there: it writes nothing and has ended already."""

    def __init__(self, code: int | None) -> None:
        self._code = code

    async def output(self) -> AsyncIterator[Output]:
        """Nothing."""
        nothing: tuple[Output, ...] = ()
        for item in nothing:
            yield item

    async def write(self, data: bytes) -> None:
        """Dropped."""

    async def close_input(self) -> None:
        """Nothing to close."""

    async def resize(self, *, width: int, height: int) -> None:
        """No terminal."""

    async def exit_code(self) -> int | None:
        """What the command word means."""
        return self._code

    async def close(self) -> None:
        """Nothing to close."""


class SimulatedRuntime:
    """ContainerRuntime without containers. Every image is present."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._numbers = itertools.count(1)
        self._sandboxes: dict[str, Sandbox] = {}
        self._containers: dict[str, _Played] = {}
        self._by_pod: dict[str, set[str]] = {}
        self._listeners: set[asyncio.Queue[RuntimeEvent]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def version(self) -> Version:
        """It says plainly what it is."""
        return Version("simulated", "1", "linux", "simulated")

    async def prepare(self) -> None:
        """Nothing to make."""

    async def image(self, reference: str) -> Image | None:
        """Every image is present."""
        return Image(f"simulated:{reference}")

    async def pull(self, reference: str, *, auth: Mapping[str, str] | None = None) -> Image:
        """Every image can be had."""
        return Image(f"simulated:{reference}")

    def _hint(self, pod_uid: str, action: str) -> None:
        for listener in self._listeners:
            listener.put_nowait(RuntimeEvent(pod_uid, action))

    async def create_sandbox(self, spec: SandboxSpec) -> str:
        """Note a sandbox."""
        key = f"simulated-{next(self._numbers)}"
        self._sandboxes[key] = Sandbox(
            key, spec.pod, False, spec.attempt, spec.pod_ip, 0, spec.grace_period, self._clock.now()
        )
        self._by_pod.setdefault(spec.pod.uid, set()).add(key)
        return key

    async def start_sandbox(self, sandbox_id: str) -> int:
        """It runs; there is no process, so the id is 1."""
        sandbox = self._sandbox(sandbox_id)
        self._sandboxes[sandbox_id] = replace(sandbox, running=True, pid=1)
        self._hint(sandbox.pod.uid, "start")
        return 1

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """It stops."""
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is not None and sandbox.running:
            self._sandboxes[sandbox_id] = replace(sandbox, running=False, pid=0)
            self._hint(sandbox.pod.uid, "die")

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Forget it."""
        if (sandbox := self._sandboxes.pop(sandbox_id, None)) is not None:
            self._forget(sandbox.pod.uid, sandbox_id)

    def _forget(self, pod_uid: str, key: str) -> None:
        keys = self._by_pod.get(pod_uid, set())
        keys.discard(key)
        if not keys:
            self._by_pod.pop(pod_uid, None)
        self._hint(pod_uid, "destroy")

    async def create_container(self, spec: ContainerSpec, *, sandbox_id: str) -> str:
        """Note a container."""
        self._sandbox(sandbox_id)
        key = f"simulated-{next(self._numbers)}"
        lasts, code = _script((*spec.command, *spec.args))
        container = Container(
            id=key,
            pod=spec.pod,
            name=spec.name,
            attempt=spec.attempt,
            state=State.CREATED,
            sandbox_id=sandbox_id,
            image=spec.image,
            image_id=f"simulated:{spec.image}",
            spec_hash=spec.spec_hash,
            created_at=self._clock.now(),
        )
        self._containers[key] = _Played(container, sandbox_id, lasts, code)
        self._by_pod.setdefault(spec.pod.uid, set()).add(key)
        return key

    async def start_container(self, container_id: str) -> None:
        """It runs, or ends as its first word says."""
        played = self._played(container_id)
        if not self._sandbox(played.sandbox_id).running:
            raise RuntimeFault("the sandbox does not run")
        played.container = replace(played.container, state=State.RUNNING, started_at=self._clock.now())
        self._hint(played.container.pod.uid, "start")
        if played.lasts is not None:
            task = asyncio.ensure_future(self._play(container_id, played.lasts, played.ends_with))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _play(self, container_id: str, seconds: float, code: int) -> None:
        await self._clock.sleep(seconds)
        self._end(container_id, code)

    def _end(self, container_id: str, code: int) -> None:
        played = self._containers.get(container_id)
        if played is None or played.container.state is not State.RUNNING:
            return
        played.container = replace(played.container, state=State.EXITED, exit_code=code, finished_at=self._clock.now())
        self._hint(played.container.pod.uid, "die")

    async def signal(self, container_id: str, signal: str) -> None:
        """A fatal signal ends it; others do nothing."""
        if signal in _FATAL:
            self._end(container_id, _FATAL[signal])

    async def remove_container(self, container_id: str) -> None:
        """Forget it."""
        if (played := self._containers.pop(container_id, None)) is not None:
            self._forget(played.container.pod.uid, container_id)

    async def list(self, *, pod_uid: str = "") -> dict[str, PodState]:
        """What was noted."""
        uids = [pod_uid] if pod_uid else list(self._by_pod)
        found: dict[str, PodState] = {}
        for uid in uids:
            keys = self._by_pod.get(uid, set())
            found |= arrange(
                [self._sandboxes[key] for key in keys if key in self._sandboxes],
                [self._containers[key].container for key in keys if key in self._containers],
            )
        return found

    async def events(self) -> AsyncIterator[RuntimeEvent]:
        """Hints as states move."""
        queue: asyncio.Queue[RuntimeEvent] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)

    async def logs(self, container_id: str, options: LogOptions) -> AsyncIterator[Output]:
        """One line that says that there is no log."""
        self._played(container_id)
        yield Output("stdout", b"(simulated container: nothing runs)\n")

    async def exec(
        self, container_id: str, command: Sequence[str], *, stdin: bool, stdout: bool, stderr: bool, tty: bool
    ) -> Session:
        """A session that has ended already."""
        if self._played(container_id).container.state is not State.RUNNING:
            raise RuntimeFault("the container is not running")
        return SimulatedSession(_script(command)[1])

    async def exec_sync(self, container_id: str, command: Sequence[str], *, timeout: float) -> ExecResult:
        """The exit code that the command word means; `sleep` longer than the timeout runs into it."""
        if self._played(container_id).container.state is not State.RUNNING:
            raise RuntimeFault("the container is not running")
        lasts, code = _script(command)
        return ExecResult(code, b"", timed_out=lasts is not None and lasts > timeout)

    async def attach(self, container_id: str, *, stdin: bool, stdout: bool, stderr: bool) -> Session:
        """A session that has ended already."""
        self._played(container_id)
        return SimulatedSession(None)

    async def usage(self, container_ids: Collection[str]) -> Mapping[str, Usage]:
        """A little of each, so that metrics have something to show."""
        now = self._clock.now()
        found = {}
        for key in container_ids:
            played = self._containers.get(key)
            if played is None or played.container.state is not State.RUNNING:
                continue
            ran = now - (played.container.started_at or now)
            found[key] = Usage(now.timestamp(), int(ran.total_seconds() * 1e6), 1 << 20, 1 << 20)
        return found

    async def close(self) -> None:
        """Stop playing."""
        for task in list(self._tasks):
            task.cancel()

    def _sandbox(self, key: str) -> Sandbox:
        if key not in self._sandboxes:
            raise NoSuchContainer(f"no such sandbox: {key}")
        return self._sandboxes[key]

    def _played(self, key: str) -> _Played:
        if key not in self._containers:
            raise NoSuchContainer(f"no such container: {key}")
        return self._containers[key]
