"""Simulated nodes: one program plays many nodes whose pods run nothing, for scale and for machines without Docker.

Each pod has the real worker, plan and status; what costs time on a real node is left out: no files, no links, no
probes, no events, and one list and watch of pods for all nodes. Nodes, addresses and container ids say what they are.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from k8slite.client import Client, Patch
from k8slite.clock import Clock
from k8slite.config import KubeletConfig
from k8slite.errors import ApiError
from k8slite.events import EventRecorder
from k8slite.informer import Informer
from k8slite.kinds.base import Object
from k8slite.kinds.core import Pod
from k8slite.kinds.resources import NODES, PODS

from . import machine, node
from .addresses import PodAddresses
from .container_spec import pod_ref
from .context import Context
from .handlers import Handlers
from .launch import Launched
from .lease import NodeLease
from .network import NetworkError
from .plan import Plan, spec_hash
from .pod_worker import PodWorker
from .runtime.base import ContainerRuntime, ContainerSpec, PodState, SandboxSpec, State
from .runtime.simulated import SimulatedRuntime
from .server.app import application, serving
from .status_writer import StatusWriter
from .termination import TerminationMessages
from .workers import Workers

log = logging.getLogger(__name__)

_NETWORK = "100.64.0.0/10"
_CAPACITY = machine.Machine(32, 256 << 30, 1 << 40, "amd64", "simulated", "Simulated", "", "", "")
_AT_ONCE = 16
_STATUS_PERIOD = 300.0
_RETRY = 1.0


class SimulatedLauncher:
    """Starts containers that are only noted."""

    def __init__(self, runtime: ContainerRuntime) -> None:
        self._runtime = runtime
        self._addresses = PodAddresses()
        self._addresses.configure(_NETWORK, used={})

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


class _Silent(EventRecorder):
    """Says nothing: events of thousands of pods would be most of the load."""

    def record(self, about: Object, **_: Any) -> None:
        """Dropped."""


def node_names(config: KubeletConfig) -> Iterator[str]:
    """The names of the nodes that this program plays."""
    if config.simulated_nodes == 1:
        yield config.node_name
    else:
        yield from (f"{config.node_name}-{index}" for index in range(config.simulated_nodes))


async def simulate(config: KubeletConfig, *, client: Client, clock: Clock) -> None:
    """Play the nodes until cancelled."""
    config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    runtime = SimulatedRuntime(clock=clock)
    descriptions = [_description(config, name) for name in node_names(config)]
    names = {description.name for description in descriptions}
    writer = StatusWriter(client, clock=clock)
    context = Context(
        runtime=runtime,
        launcher=SimulatedLauncher(runtime),
        health=SimulatedHealth(),
        handlers=Handlers(runtime, clock=clock),
        messages=TerminationMessages(runtime),
        events=_Silent(client, component="kubelet", clock=clock),
        writer=writer,
        client=client,
        clock=clock,
        host_ip=config.node_ip,
        directory=lambda uid: Path("/nonexistent"),
        id_prefix="simulated",
    )
    workers = Workers(lambda pod, ended: PodWorker(pod, context=context, ended=ended))
    # Nothing that these nodes do needs more of a pod than is on some node.
    pods: Informer[Pod] = Informer(client, PODS, clock=clock, field_selector="spec.nodeName!=")

    def handle(old: Pod | None, new: Pod | None) -> None:
        shown = new if new is not None else old
        if shown is not None and shown.spec.node_name in names:
            workers.handle(old, new)

    pods.add_handler(handle)
    try:
        async with (
            serving(config, application(workers=workers, runtime=runtime, clock=clock, connect=_no_network)),
            asyncio.TaskGroup() as tasks,
        ):
            leases = await _register(descriptions, client=client, clock=clock, config=config)
            tasks.create_task(_beat(leases, period=config.node_lease_duration / 2, clock=clock))
            tasks.create_task(_report(descriptions, client=client, clock=clock))
            tasks.create_task(_wake_ended(runtime, workers))
            log.info("playing %d simulated nodes", len(descriptions))
            await pods.run()
    finally:
        await workers.close()
        await writer.close()
        await runtime.close()


def _description(config: KubeletConfig, name: str) -> node.Description:
    return node.Description(
        name=name,
        address=config.node_ip,
        port=config.port,
        machine=_CAPACITY,
        runtime_version="simulated://1",
        max_pods=config.max_pods,
        labels=config.labels,
        taints=config.taints,
        simulated=True,
    )


async def _register(
    descriptions: list[node.Description], *, client: Client, clock: Clock, config: KubeletConfig
) -> list[NodeLease]:
    slots = asyncio.Semaphore(_AT_ONCE)

    async def register(description: node.Description) -> NodeLease:
        async with slots:
            reporter = node.NodeReporter(client, description, clock=clock)
            await reporter.register()
            lease = NodeLease(
                client,
                node=description.name,
                node_uid=lambda: reporter.uid,
                duration=config.node_lease_duration,
                clock=clock,
            )
            while not (await _tried(lease.renew()) and await _tried(_write(description, client, clock))):
                await clock.sleep(_RETRY)
            return lease

    return list(await asyncio.gather(*(register(description) for description in descriptions)))


async def _no_network(*, pid: int, port: int) -> socket.socket:
    raise NetworkError("nothing runs in a simulated pod: there is no network to forward ports to")


async def _write(description: node.Description, client: Client, clock: Clock) -> None:
    body = {"status": node.status(description, node=None, problem="", now=clock.now())}
    await client.patch(NODES, description.name, body, subresource="status", patch=Patch.STRATEGIC)


async def _tried(work: Any) -> bool:
    try:
        await work
    except (ApiError, aiohttp.ClientError, OSError) as error:
        log.warning("simulated node: %s", error)
        return False
    return True


async def _beat(leases: list[NodeLease], *, period: float, clock: Clock) -> None:
    """Renew all leases evenly over each period."""
    for lease in itertools.cycle(leases):
        began = clock.monotonic()
        await _tried(lease.renew())
        await clock.sleep(max(0.0, period / len(leases) - (clock.monotonic() - began)))


async def _report(descriptions: list[node.Description], *, client: Client, clock: Clock) -> None:
    for description in itertools.cycle(descriptions):
        await clock.sleep(_STATUS_PERIOD / len(descriptions))
        await _tried(_write(description, client, clock))


async def _wake_ended(runtime: SimulatedRuntime, workers: Workers) -> None:
    async for event in runtime.events():
        if event.action == "die":
            workers.wake(event.pod_uid)
