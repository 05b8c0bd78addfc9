"""What to do next for one pod: a pure function of the pod, what runs, what is known of health, and `now`.

The plan is a set of steps that may be taken at once; when they are done the pod is planned again from what the runtime
then shows, until nothing is left to do. So a plan never waits: it says when to look again.

Source: Kubernetes documentation, "Pod Lifecycle", "Init Containers", "Sidecar Containers".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from k8slite.kinds.core import Container as ContainerModel
from k8slite.kinds.core import EphemeralContainer, Pod

from .runtime.base import Container, PodState, State

BACKOFF_FIRST = 10.0
BACKOFF_MOST = 300.0
BACKOFF_RESET = 600.0
"""Seconds without a restart after which a container's crashes are forgotten."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long the next restart of a container waits, counted from its end; since when that holds."""

    delay: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Stopping:
    """A container that was told to end: it is killed at `deadline`, and if it was `killed` already, once more."""

    deadline: datetime
    killed: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What the plan is made from.

    `backoff` by container name; `stopping`, `unhealthy` (with the reason) and `started` (startup probe passed, or none)
    by container id. `terminate` is the grace period in seconds of a pod that must end, else None.
    """

    pod: Pod
    state: PodState
    now: datetime
    backoff: Mapping[str, Backoff] = field(default_factory=dict)
    stopping: Mapping[str, Stopping] = field(default_factory=dict)
    unhealthy: Mapping[str, str] = field(default_factory=dict)
    started: frozenset[str] = frozenset()
    terminate: float | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Start a container; `restart` if it ran before."""

    name: str
    attempt: int
    init: bool = False
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask a container to end (preStop, then its stop signal) within `grace` seconds."""

    container: Container
    grace: float
    message: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container does not run."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps, and what stands in the way. `ended` says that nothing of the pod runs any more, nor will."""

    create_sandbox: int | None = None
    """The attempt number of a sandbox to make before the starts."""
    start: tuple[Start, ...] = ()
    stop: tuple[Stop, ...] = ()
    kill: tuple[Container, ...] = ()
    stop_sandboxes: tuple[str, ...] = ()
    remove_sandboxes: tuple[str, ...] = ()
    remove_containers: tuple[str, ...] = ()
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    look_again: float | None = None
    """Seconds after which time alone changes the plan."""
    ended: bool = False

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do now."""
        return self.create_sandbox is None and not (
            self.start
            or self.stop
            or self.kill
            or self.stop_sandboxes
            or self.remove_sandboxes
            or self.remove_containers
        )


def spec_hash(container: ContainerModel) -> str:
    """Changes when a running container no longer is what its pod asks for: only the image may change in place."""
    return hashlib.sha256(f"{container.name}\0{container.image}".encode()).hexdigest()[:16]


def is_sidecar(container: ContainerModel) -> bool:
    """Whether an init container runs on beside the others."""
    return container.restart_policy == "Always"


def crashed(previous: Backoff | None, *, now: datetime) -> Backoff:
    """The back-off after one more restart."""
    if previous is None or (now - previous.at).total_seconds() > BACKOFF_RESET:
        return Backoff(BACKOFF_FIRST, now)
    return Backoff(min(previous.delay * 2, BACKOFF_MOST), now)


def held_back(backoff: Backoff | None, *, ended: datetime, now: datetime) -> float:
    """Seconds that a restart has still to wait."""
    if backoff is None or (ended - backoff.at).total_seconds() > BACKOFF_RESET:
        return 0.0
    return max(0.0, backoff.delay - (now - ended).total_seconds())


def plan(facts: Facts) -> Plan:
    """What to do next."""
    if facts.terminate is not None or facts.pod.finished:
        return _end(facts)
    return _run(facts)


def _names(facts: Facts) -> tuple[list[ContainerModel], list[ContainerModel]]:
    return facts.pod.spec.init_containers, facts.pod.spec.containers


def _end(facts: Facts) -> Plan:
    """Stop the containers, sidecars last and in reverse order, then the sandbox."""
    grace = facts.terminate if facts.terminate is not None else float(facts.pod.spec.termination_grace_period_seconds)
    running = [c for c in facts.state.containers if c.state is State.RUNNING]
    unborn = tuple(c.id for c in facts.state.containers if c.state is State.CREATED)
    sidecars = [c.name for c in facts.pod.spec.init_containers if is_sidecar(c)]
    first = [c for c in running if c.name not in sidecars]
    if not first:
        last = max((sidecars.index(c.name) for c in running if c.name in sidecars), default=-1)
        first = [c for c in running if c.name in sidecars and sidecars.index(c.name) == last]
    if first:
        return _stop(facts, {c: (grace, f"Stopping container {c.name}") for c in first}, remove=unborn)
    alive = tuple(s.id for s in facts.state.sandboxes if s.running)
    return Plan(stop_sandboxes=alive, remove_containers=unborn, ended=not alive and not unborn)


def _stop(facts: Facts, wanted: Mapping[Container, tuple[float, str]], *, remove: tuple[str, ...] = ()) -> Plan:
    """Begin to stop, or kill what had its time."""
    stop: list[Stop] = []
    kill: list[Container] = []
    again: list[float] = []
    for container, (grace, message) in wanted.items():
        known = facts.stopping.get(container.id)
        if known is None or (not known.killed and known.deadline > facts.now + timedelta(seconds=grace + 0.5)):
            stop.append(Stop(container, grace, message))
        elif known.deadline <= facts.now:
            kill.append(container)
        else:
            again.append((known.deadline - facts.now).total_seconds())
    return Plan(stop=tuple(stop), kill=tuple(kill), remove_containers=remove, look_again=min(again) if again else None)


def _attempt(facts: Facts, name: str) -> int:
    """The next attempt's number; the API remembers the count when the runtime has lost the container."""
    newest = facts.state.newest(name)
    if newest is not None and newest.state is State.CREATED:
        return newest.attempt  # it never ran, and goes before its successor comes
    status = facts.pod.status
    known = next((s for s in (*status.init_container_statuses, *status.container_statuses) if s.name == name), None)
    reported = known.restart_count + 1 if known is not None and known.container_id else 0
    return max(newest.attempt + 1 if newest is not None else 0, reported)


def _wants_restart(facts: Facts, ended: Container, *, sidecar: bool = False) -> bool:
    policy = "Always" if sidecar else facts.pod.spec.restart_policy
    return policy == "Always" or (policy == "OnFailure" and ended.exit_code != 0)


def _run(facts: Facts) -> Plan:
    inits, mains = _names(facts)
    state = facts.state
    sandbox = state.sandbox
    done = [c for m in mains if (c := state.newest(m.name)) is not None and c.state is State.EXITED]
    if len(done) == len(mains) and not any(_wants_restart(facts, c) for c in done):
        return _end(facts)
    stale = tuple(c.id for c in state.containers if c.state is State.CREATED)
    if sandbox is None:
        running = [c for c in state.containers if c.state is State.RUNNING]
        if running:
            grace = float(facts.pod.spec.termination_grace_period_seconds)
            message = "Pod sandbox changed, it will be killed and re-created."
            return _stop(facts, dict.fromkeys(running, (grace, message)))
    steps = _Steps(facts)
    ready = steps.initialise(inits, began=any(_began(state, m.name) for m in mains))
    if steps.failed:
        return _end(facts)
    if ready:
        for model in mains:
            steps.consider(model)
    if sandbox is not None:
        steps.join(facts.pod.spec.ephemeral_containers)
    stopping = _stop(facts, steps.stop)
    again = [seconds for seconds in (steps.look_again, stopping.look_again) if seconds is not None]
    return Plan(
        create_sandbox=_next_sandbox(state) if sandbox is None and steps.start else None,
        start=tuple(steps.start),
        stop=stopping.stop,
        kill=stopping.kill,
        remove_sandboxes=tuple(s.id for s in state.sandboxes if not s.running),
        remove_containers=stale + _surplus(facts),
        waiting=steps.waiting,
        look_again=min(again) if again else None,
    )


def _next_sandbox(state: PodState) -> int:
    return max((s.attempt for s in state.sandboxes), default=-1) + 1


def _began(state: PodState, name: str) -> bool:
    newest = state.newest(name)
    return newest is not None and newest.state is not State.CREATED and _of_sandbox(newest, state)


def _of_sandbox(container: Container, state: PodState) -> bool:
    """Whether a container joined the sandbox that runs: what initialised an earlier one counts no more."""
    return state.sandbox is not None and container.sandbox_id == state.sandbox.id


def _surplus(facts: Facts) -> tuple[str, ...]:
    """Ended containers that nobody can ask for: the newest ended one of each name is kept for its log."""
    found: list[str] = []
    kept: set[str] = set()
    for container in facts.state.containers:
        if container.state is State.EXITED:
            if container.name in kept:
                found.append(container.id)
            kept.add(container.name)
    return tuple(found)


class _Steps:
    """Collects what is to be done for the containers of a pod that should run."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.start: list[Start] = []
        self.stop: dict[Container, tuple[float, str]] = {}
        self.waiting: dict[str, Waiting] = {}
        self.look_again: float | None = None
        self.failed = False

    def initialise(self, models: list[ContainerModel], *, began: bool) -> bool:
        """The init containers in order; whether the others may run."""
        for model in models:
            newest = self.facts.state.newest(model.name)
            if newest is not None and not _of_sandbox(newest, self.facts.state):
                newest = None
            if is_sidecar(model):
                if newest is None or newest.state is not State.RUNNING:
                    self._restart(model, newest, init=True, sidecar=True)
                    if not began:
                        return False
                else:
                    self._watch(model, newest)
                    if newest.id not in self.facts.started and not began:
                        return False
                continue
            if began or (newest is not None and newest.state is State.EXITED and newest.exit_code == 0):
                continue
            if newest is not None and newest.state is State.RUNNING:
                self._watch(model, newest)
            elif newest is not None and newest.state is State.EXITED and self.facts.pod.spec.restart_policy == "Never":
                self.failed = True
            else:
                self._restart(model, newest, init=True)
            return False
        return True

    def consider(self, model: ContainerModel) -> None:
        """One of the pod's containers proper."""
        newest = self.facts.state.newest(model.name)
        if newest is not None and newest.state is State.RUNNING:
            self._watch(model, newest)
        elif newest is None or newest.state is State.CREATED or _wants_restart(self.facts, newest):
            self._restart(model, newest)

    def join(self, models: Sequence[EphemeralContainer]) -> None:
        """Ephemeral containers start once, whatever state the others are in."""
        for model in models:
            newest = self.facts.state.newest(model.name)
            if newest is None or newest.state is State.CREATED:
                self.start.append(Start(model.name, 0))

    def _watch(self, model: ContainerModel, running: Container) -> None:
        """A running container is stopped when it is not what the pod asks for, or not healthy."""
        message, grace = "", float(self.facts.pod.spec.termination_grace_period_seconds)
        if running.spec_hash != spec_hash(model):
            message = f"Container {model.name} definition changed, will be restarted"
        elif running.id in self.facts.unhealthy:
            message = self.facts.unhealthy[running.id]
            probe = model.liveness_probe if running.id in self.facts.started else model.startup_probe
            if probe is not None and probe.termination_grace_period_seconds is not None:
                grace = float(probe.termination_grace_period_seconds)
        elif running.id in self.facts.stopping:
            message = f"Stopping container {model.name}"
        if message:
            self.stop[running] = (grace, message)

    def _restart(
        self, model: ContainerModel, newest: Container | None, *, init: bool = False, sidecar: bool = False
    ) -> None:
        facts = self.facts
        if newest is not None and newest.state is State.EXITED:
            ended = newest.finished_at or facts.now
            wait = held_back(facts.backoff.get(model.name), ended=ended, now=facts.now)
            if wait > 0:
                delay = int(facts.backoff[model.name].delay)
                span = f"{delay // 60}m{delay % 60}s" if delay >= 60 else f"{delay}s"
                pod = facts.pod
                self.waiting[model.name] = Waiting(
                    "CrashLoopBackOff",
                    f"back-off {span} restarting failed container={model.name} "
                    f"pod={pod.name}_{pod.namespace}({pod.uid})",
                )
                self.look_again = wait if self.look_again is None else min(self.look_again, wait)
                return
        restart = newest is not None and newest.state is State.EXITED
        self.start.append(Start(model.name, _attempt(facts, model.name), init=init, restart=restart))
