"""Probes: a task for each probe of a running container, and what they have found.

Liveness and readiness wait until the startup probe has passed. Results are kept by container id, so that a new attempt
starts unknown. Source: Kubernetes documentation, "Configure Liveness, Readiness and Startup Probes".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from k8slite.clock import Clock
from k8slite.events import EventRecorder
from k8slite.kinds.core import Container as ContainerModel
from k8slite.kinds.core import ContainerStatus, Pod, Probe

from .handlers import Handlers, Target
from .plan import is_sidecar
from .runtime.base import Container, PodState, State

Kind = Literal["Startup", "Liveness", "Readiness"]


@dataclass(frozen=True, slots=True)
class Tally:
    """Results in a row, and what they amount to: pure, so that thresholds can be tested."""

    verdict: bool | None = None
    last: bool | None = None
    run: int = 0

    def add(self, ok: bool, probe: Probe) -> Tally:
        """After one more result."""
        run = self.run + 1 if ok == self.last else 1
        threshold = probe.success_threshold if ok else probe.failure_threshold
        return Tally(ok if run >= threshold else self.verdict, ok, run)


@dataclass(slots=True)
class _Watched:
    """What is known of one container."""

    started: bool
    ready: bool
    unhealthy: str = ""
    pod_uid: str = ""
    tasks: dict[Kind, asyncio.Task[None]] = field(default_factory=dict)
    startup_passed: asyncio.Event = field(default_factory=asyncio.Event)


class Probes:
    """The probes of one node. `changed` is called with the pod's UID whenever a verdict changes."""

    def __init__(
        self,
        handlers: Handlers,
        *,
        clock: Clock,
        events: EventRecorder,
        changed: Callable[[str], None],
        host_ip: str,
    ) -> None:
        self._host_ip = host_ip
        self._handlers = handlers
        self._clock = clock
        self._events = events
        self._changed = changed
        self._watched: dict[str, _Watched] = {}

    def follow(self, pod: Pod, state: PodState) -> None:
        """Probe what runs of a pod, and nothing else of it."""
        running: set[str] = set()
        for model in (*pod.spec.init_containers, *pod.spec.containers):
            container = state.newest(model.name)
            if container is None or container.state is not State.RUNNING:
                continue
            running.add(container.id)
            if container.id not in self._watched:
                init = model in pod.spec.init_containers and not is_sidecar(model)
                self._begin(pod, model, container, ip=self._address(pod, state), probed=not init)
        for key, watched in list(self._watched.items()):
            if watched.pod_uid == pod.uid and key not in running:
                self._end(key)

    def _begin(self, pod: Pod, model: ContainerModel, container: Container, *, ip: str, probed: bool) -> None:
        startup, readiness = model.startup_probe, model.readiness_probe
        known = next((s for s in _statuses(pod) if s.container_id.endswith(container.id) and s.container_id), None)
        # After a restart of the kubelet the last report holds until a probe says otherwise.
        started = startup is None or not probed or bool(known and known.started)
        ready = started and (readiness is None or bool(known and known.ready))
        watched = _Watched(started=started, ready=ready and probed, pod_uid=pod.uid)
        self._watched[container.id] = watched
        if started:
            watched.startup_passed.set()
        target = Target(model, container.id, ip)
        kinds: list[tuple[Kind, Probe | None]] = [("Liveness", model.liveness_probe), ("Readiness", readiness)]
        if not started:
            kinds.append(("Startup", startup))
        for kind, probe in kinds:
            if probe is not None and probed:
                work = self._probe(kind, probe, target, pod=pod, watched=watched, container=container)
                watched.tasks[kind] = asyncio.ensure_future(work)

    async def _probe(
        self, kind: Kind, probe: Probe, target: Target, *, pod: Pod, watched: _Watched, container: Container
    ) -> None:
        if kind != "Startup":
            await watched.startup_passed.wait()
        tally = Tally(verdict=True if kind == "Liveness" else None)
        if probe.initial_delay_seconds and container.started_at is not None:
            ran = (self._clock.now() - container.started_at).total_seconds()
            await self._clock.sleep(max(0.0, probe.initial_delay_seconds - ran))
        while True:
            outcome = await self._handlers.run(probe, target, timeout=float(max(1, probe.timeout_seconds)))
            tally = tally.add(outcome.ok, probe)
            if not outcome.ok:
                self._events.record(
                    pod,
                    reason="Unhealthy",
                    message=f"{kind} probe failed: {outcome.message}",
                    type="Warning",
                    field_path=pod.spec.field_path(target.container.name),
                )
            if self._judge(kind, tally.verdict, watched, name=target.container.name, needs=target.container):
                self._changed(pod.uid)
            if kind == "Startup" and watched.started:
                return
            await self._clock.sleep(float(max(1, probe.period_seconds)))

    def _judge(self, kind: Kind, verdict: bool | None, watched: _Watched, *, name: str, needs: ContainerModel) -> bool:
        """Note a verdict; whether anything changed."""
        before = (watched.started, watched.ready, watched.unhealthy)
        match kind:
            case "Startup" if verdict:
                watched.started = True
                watched.ready = needs.readiness_probe is None
                watched.startup_passed.set()
            case "Readiness" if verdict is not None:
                watched.ready = verdict
            case "Liveness" | "Startup" if verdict is False:
                watched.unhealthy = f"Container {name} failed {kind.lower()} probe, will be restarted"
        return before != (watched.started, watched.ready, watched.unhealthy)

    def _of(self, pod_uid: str) -> Iterator[tuple[str, _Watched]]:
        return ((key, watched) for key, watched in self._watched.items() if watched.pod_uid == pod_uid)

    def ready(self, pod_uid: str) -> frozenset[str]:
        """Containers of a pod that may get requests."""
        return frozenset(key for key, watched in self._of(pod_uid) if watched.started and watched.ready)

    def started(self, pod_uid: str) -> frozenset[str]:
        """Containers of a pod whose startup probe passed, or that have none."""
        return frozenset(key for key, watched in self._of(pod_uid) if watched.started)

    def unhealthy(self, pod_uid: str) -> dict[str, str]:
        """Containers of a pod to restart, and why."""
        return {key: watched.unhealthy for key, watched in self._of(pod_uid) if watched.unhealthy}

    def stop_liveness(self, pod_uid: str) -> None:
        """The pod is ending: no probe may restart what is being stopped. Readiness goes on to be asked: while the pod
        drains, a proxy without other endpoints needs to know whether this one still answers.
        """
        for _, watched in self._of(pod_uid):
            for kind, task in watched.tasks.items():
                if kind != "Readiness":
                    task.cancel()

    def forget(self, pod_uid: str) -> None:
        """The pod is gone."""
        for key, watched in list(self._watched.items()):
            if watched.pod_uid == pod_uid:
                self._end(key)

    def _address(self, pod: Pod, state: PodState) -> str:
        if pod.spec.host_network:
            return self._host_ip
        return state.sandbox.ip if state.sandbox is not None else ""

    def _end(self, key: str) -> None:
        for task in self._watched.pop(key).tasks.values():
            task.cancel()

    async def close(self) -> None:
        """Stop every probe."""
        for key in list(self._watched):
            self._end(key)


def _statuses(pod: Pod) -> tuple[ContainerStatus, ...]:
    return (*pod.status.init_container_statuses, *pod.status.container_statuses)
