"""Pod workers in virtual time, on the simulated runtime, over an API that keeps what it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from k8slite.clock import VirtualClock
from k8slite.errors import not_found
from k8slite.kinds.core import Pod
from k8slite.kubelet.addresses import PodAddresses
from k8slite.kubelet.container_spec import pod_ref
from k8slite.kubelet.context import Context
from k8slite.kubelet.handlers import Handlers
from k8slite.kubelet.launch import Launched
from k8slite.kubelet.plan import Plan, spec_hash
from k8slite.kubelet.pod_worker import PodWorker
from k8slite.kubelet.runtime.base import (
    ContainerRuntime,
    ContainerSpec,
    PodState,
    RuntimeUnavailable,
    SandboxSpec,
    State,
)
from k8slite.kubelet.runtime.simulated import SimulatedRuntime
from k8slite.kubelet.status_writer import StatusWriter
from k8slite.kubelet.termination import TerminationMessages
from k8slite.kubelet.workers import Workers


class SimulatedLauncher:
    """Starts containers that are only noted."""

    def __init__(self, runtime: ContainerRuntime) -> None:
        self._runtime = runtime
        self._addresses = PodAddresses()
        self._addresses.configure("100.64.0.0/10", used={})

    async def launch(self, pod: Pod, plan: Plan, state: PodState, *, wake: Callable[[], None]) -> Launched:
        """Everything succeeds at once."""
        if plan.create_sandbox is not None:
            spec = SandboxSpec(
                pod_ref(pod), hostname=pod.name, attempt=plan.create_sandbox, pod_ip=self._addresses.give(pod.uid)
            )
            sandbox_id = await self._runtime.create_sandbox(spec)
            await self._runtime.start_sandbox(sandbox_id)
        else:
            sandbox_id = state.sandbox.id if state.sandbox is not None else ""
        models = {c.name: c for c in pod.spec.every_container}
        running: dict[str, str] = {}
        for start in plan.start:
            model = models[start.name]
            made = await self._runtime.create_container(
                ContainerSpec(
                    pod=pod_ref(pod),
                    name=start.name,
                    image=model.image,
                    attempt=start.attempt,
                    spec_hash=spec_hash(model),
                    # An init container that never ends would hold its pod up for ever.
                    command=("true",) if start.init and model.restart_policy != "Always" else tuple(model.command),
                    args=tuple(model.args),
                ),
                sandbox_id=sandbox_id,
            )
            await self._runtime.start_container(made)
            running[start.name] = made
        return Launched(running)

    async def refresh(self, pod: Pod) -> None:
        """There are no volumes."""

    def refresh_in(self, pod: Pod) -> float | None:
        """Nothing to refresh."""
        return None

    async def disconnect(self, pod: Pod) -> None:
        """The address is free again."""
        self._addresses.release(pod.uid)

    async def clean(self, pod: Pod, state: PodState) -> None:
        """Forget the pod."""
        for container in state.containers:
            await self._runtime.remove_container(container.id)
        for sandbox in state.sandboxes:
            await self._runtime.remove_sandbox(sandbox.id)
        await self.disconnect(pod)


class SimulatedHealth:
    """Whatever runs is well."""

    def __init__(self) -> None:
        self._running: dict[str, frozenset[str]] = {}

    def follow(self, pod: Pod, state: PodState) -> None:
        """Note what runs."""
        self._running[pod.uid] = frozenset(c.id for c in state.containers if c.state is State.RUNNING)

    def stop_liveness(self, pod_uid: str) -> None:
        """The pod is ending."""
        self._running.pop(pod_uid, None)

    def forget(self, pod_uid: str) -> None:
        """The pod is gone."""
        self._running.pop(pod_uid, None)

    def well(self, pod_uid: str) -> frozenset[str]:
        """Containers of a pod that run."""
        return self._running.get(pod_uid, frozenset())

    ready = started = well

    def unhealthy(self, pod_uid: str) -> Mapping[str, str]:
        """None."""
        return {}


class Api:
    """Keeps what workers write."""

    def __init__(self) -> None:
        self.statuses: list[dict[str, Any]] = []
        self.deleted: list[dict[str, Any]] = []
        self.pod = Pod()

    async def patch(self, _: Any, name: str, body: Any, **__: Any) -> Pod:
        self.statuses.append(body["status"])
        return self.pod

    async def delete(self, _: Any, name: str, **options: Any) -> None:
        self.deleted.append({"name": name, **options})
        raise not_found("pods", name)


class Said:
    """Keeps the events."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def record(self, about: Any, *, reason: str, **_: Any) -> None:
        self.reasons.append(reason)


class BreakableRuntime(SimulatedRuntime):
    """A runtime that can be away, and whose containers can be lost with it, as those of a restarted engine are."""

    def __init__(self, *, clock: VirtualClock) -> None:
        super().__init__(clock=clock)
        self.away = False
        self.deaf = False
        """Signals are lost, everything else is answered."""
        self.signals: list[str] = []
        self.asked = 0

    def _answer(self) -> None:
        self.asked += 1
        if self.away:
            raise RuntimeUnavailable("the engine does not answer")

    async def list(self, *, pod_uid: str = "") -> dict[str, PodState]:
        self._answer()
        return await super().list(pod_uid=pod_uid)

    async def signal(self, container_id: str, signal: str) -> None:
        self._answer()
        if self.deaf:
            raise RuntimeUnavailable("the engine does not answer")
        self.signals.append(signal)
        await super().signal(container_id, signal)

    async def lose_everything(self) -> None:
        """The engine went down and took every process with it."""
        for state in (await SimulatedRuntime.list(self)).values():
            for sandbox in state.sandboxes:
                await SimulatedRuntime.stop_sandbox(self, sandbox.id)
            for container in state.containers:
                await SimulatedRuntime.signal(self, container.id, "SIGKILL")


class Rig:
    def __init__(self) -> None:
        self.clock, self.api, self.events = VirtualClock(), Api(), Said()
        self.runtime = BreakableRuntime(clock=self.clock)
        self.writer = StatusWriter(self.api, clock=self.clock)  # type: ignore[arg-type]
        self.context = Context(
            runtime=self.runtime,
            launcher=SimulatedLauncher(self.runtime),
            health=SimulatedHealth(),
            handlers=Handlers(self.runtime, clock=self.clock),
            messages=TerminationMessages(self.runtime),
            events=self.events,  # type: ignore[arg-type]
            writer=self.writer,
            client=self.api,  # type: ignore[arg-type]
            clock=self.clock,
            host_ip="192.0.2.1",
            directory=lambda uid: Path("/nonexistent"),
        )
        self.workers = self.new_workers()

    def new_workers(self) -> Workers:
        """Those of a kubelet that has just started."""
        return Workers(lambda pod, ended: PodWorker(pod, context=self.context, ended=ended))

    async def pass_time(self, seconds: float) -> None:
        """Time passes; as the runtime's hints would, every step wakes the worker."""
        await self.clock.advance(seconds)
        self.workers.wake_all()
        await self.clock.advance(0)

    async def newest(self) -> tuple[int, State]:
        found = (await SimulatedRuntime.list(self.runtime, pod_uid="u1"))["u1"].newest("main")
        assert found is not None
        return found.attempt, found.state

    def deleted(self, of: Pod, *, grace: int, ago: float = 0) -> Pod:
        """The pod as the API shows it `ago` seconds after a deletion."""
        when = self.clock.now() + timedelta(seconds=grace - ago)
        ending = of.metadata.model_copy(update={"deletion_timestamp": when, "deletion_grace_period_seconds": grace})
        return of.model_copy(update={"metadata": ending})

    async def close(self) -> None:
        await self.workers.close()
        await self.writer.close()
        await self.runtime.close()
