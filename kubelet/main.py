"""The kubelet program: puts the parts of one node together and runs them until it is cancelled.

Containers outlive it: the next kubelet of this node adopts them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from k8slite.client import Client, ClientConfig
from k8slite.clock import Clock, SystemClock
from k8slite.config import KubeletConfig
from k8slite.events import EventRecorder
from k8slite.informer import Informer
from k8slite.kinds.core import Node as NodeObject
from k8slite.kinds.core import Pod, Service
from k8slite.kinds.resources import NODES, PODS, SERVICES

from . import machine
from .addresses import PodAddresses
from .context import Context
from .handlers import Handlers
from .images import Images
from .launch import Dns, Node, PodLauncher
from .lease import NodeLease
from .measuring.meter import Meter
from .network import BridgeNetwork, NetworkError, PodNetwork
from .node import Description, NodeReporter, allocatable
from .objects import ObjectWatcher
from .pod_worker import PodWorker
from .probes import Probes
from .relist import Relist
from .runtime.base import ContainerRuntime, RuntimeFault, Version
from .server.access import Access
from .server.app import application, serving
from .status_writer import StatusWriter
from .termination import TerminationMessages
from .volumes import LocalData, VolumeFault, VolumeManager
from .workers import Workers

log = logging.getLogger(__name__)

_RETRY = 1.0


async def serve(config: KubeletConfig) -> None:
    """Run a kubelet until cancelled."""
    clock = SystemClock()
    async with Client(_client_config(config)) as client:
        from .runtime.docker import DockerRuntime

        runtime = DockerRuntime(cluster=config.cluster_name, node=config.node_name, host=config.docker_host)
        network = BridgeNetwork(bridge=config.bridge, bridge_address=config.bridge_address)
        try:
            await run_node(config, client=client, runtime=runtime, network=network, clock=clock)
        finally:
            await runtime.close()


def _client_config(config: KubeletConfig) -> ClientConfig:
    from dataclasses import replace

    return replace(ClientConfig.from_kubeconfig(config.kubeconfig), user_agent="k8slite-kubelet")


async def run_node(
    config: KubeletConfig, *, client: Client, runtime: ContainerRuntime, network: PodNetwork, clock: Clock
) -> None:
    """One node on a runtime and a network that are given."""
    config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    version = await _until_answered(runtime, clock)
    description = Description(
        name=config.node_name,
        address=config.node_ip,
        port=config.port,
        machine=machine.read(config.state_dir),
        runtime_version=f"{version.name}://{version.version}",
        max_pods=config.max_pods,
        labels=config.labels,
        taints=config.taints,
        local_volumes=str(config.state_dir / "local-volumes"),
    )
    reporter = NodeReporter(client, description, clock=clock)
    events = EventRecorder(client, component="kubelet", clock=clock, host=config.node_name)
    services: Informer[Service] = Informer(client, SERVICES, clock=clock)
    own = f"spec.nodeName={config.node_name}"
    pods: Informer[Pod] = Informer(client, PODS, clock=clock, field_selector=own)
    addresses = PodAddresses()
    workers: Workers
    wake: Callable[[str], None] = lambda uid: workers.wake(uid)  # noqa: E731 — the workers need the parts that wake them
    handlers = Handlers(runtime, clock=clock)
    objects = ObjectWatcher(client, clock=clock, changed=wake)
    probes = Probes(handlers, clock=clock, events=events, changed=wake, host_ip=config.node_ip)
    volumes = VolumeManager(client, clock=clock, directory=config.state_dir, node=config.node_name)
    writer = StatusWriter(client, clock=clock)
    launcher = PodLauncher(
        runtime=runtime,
        network=network,
        addresses=addresses,
        images=Images(runtime, clock=clock, events=events),
        volumes=volumes,
        objects=objects,
        events=events,
        clock=clock,
        node=Node(config.node_name, config.node_ip, description.machine.memory, dict(allocatable(description))),
        dns=Dns(config.cluster_dns, config.cluster_domain, config.resolv_conf),
        services=services.list,
    )
    context = Context(
        runtime=runtime,
        launcher=launcher,
        health=probes,
        handlers=handlers,
        messages=TerminationMessages(runtime),
        events=events,
        writer=writer,
        client=client,
        clock=clock,
        host_ip=config.node_ip,
        directory=volumes.pod_directory,
    )
    workers = Workers(lambda pod, ended: PodWorker(pod, context=context, ended=ended))
    answering = application(
        workers=workers,
        runtime=runtime,
        clock=clock,
        connect=network.connect,
        access=Access(client, node=config.node_name, clock=clock),
        measure=Meter(node=config.node_name, runtime=runtime, directory=config.state_dir, clock=clock).measure,
    )
    try:
        async with (
            serving(config, answering),
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(events.run())
            tasks.create_task(services.run())
            preparing = tasks.create_task(_prepare(runtime, network, clock))
            node = await reporter.register()
            tasks.create_task(reporter.run(was_ready=node.ready))
            lease = NodeLease(
                client,
                node=node.name,
                node_uid=lambda: reporter.uid,
                duration=config.node_lease_duration,
                clock=clock,
            )
            tasks.create_task(lease.run())
            await preparing
            nodes = Informer(client, NODES, clock=clock, field_selector=f"metadata.name={node.name}")
            tasks.create_task(nodes.run())
            cidr = await _pod_cidr(node, nodes=nodes, reporter=reporter)
            nodes.add_handler(lambda _, new: addresses.move(new.spec.pod_cidr) if new is not None else None)
            found = await runtime.list()
            running = {uid: state.sandbox.ip for uid, state in found.items() if state.sandbox is not None}
            addresses.configure(cidr, used=running)
            reporter.set_problem("")
            pods_task = tasks.create_task(pods.run())
            await services.wait_synced()
            await pods.wait_synced()
            pods.add_handler(workers.handle)
            await _forget_files(volumes, known=found.keys() | {pod.uid for pod in pods.list()})
            relist = Relist(
                runtime,
                clock=clock,
                period=config.relist_period,
                wake=workers.wake,
                known=workers.__contains__,
                orphan=workers.adopt_orphan,
                health=lambda problem: reporter.set_problem(f"container runtime is down: {problem}" if problem else ""),
            )
            tasks.create_task(relist.run())
            tasks.create_task(relist.hints())
            local = LocalData(
                client,
                clock=clock,
                events=events,
                node=node.name,
                directory=volumes.local_volumes,
                used=volumes.used,
            )
            tasks.create_task(local.run())
            log.info("node %s runs pods in %s", config.node_name, cidr)
            await pods_task
    finally:
        await workers.close()
        await probes.close()
        await objects.close()
        await writer.close()
        await handlers.close()


async def _until_answered(runtime: ContainerRuntime, clock: Clock) -> Version:
    said = ""
    while True:
        try:
            return await runtime.version()
        except RuntimeFault as fault:
            log.log(logging.DEBUG if str(fault) == said else logging.WARNING, "%s", fault)
            said = str(fault)
        await clock.sleep(_RETRY)


async def _prepare(runtime: ContainerRuntime, network: PodNetwork, clock: Clock) -> None:
    """The sandbox image and the bridge, tried until they are there."""
    while True:
        try:
            await asyncio.gather(runtime.prepare(), network.ensure_bridge())
        except (RuntimeFault, NetworkError) as fault:
            log.warning("%s", fault)
            await clock.sleep(_RETRY)
        else:
            return


async def _pod_cidr(node: NodeObject, *, nodes: Informer[NodeObject], reporter: NodeReporter) -> str:
    """Wait until the node has its pod CIDR; go on watching the node for others who change its conditions."""
    given: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    if not node.spec.pod_cidr:
        reporter.set_problem("the node has no pod CIDR yet")

    def handle(_: NodeObject | None, new: NodeObject | None) -> None:
        if new is None:
            reporter.report_again()
            return
        if new.spec.pod_cidr and not given.done():
            given.set_result(new.spec.pod_cidr)
        ready = next((c for c in new.status.conditions if c.type == "Ready"), None)
        # The node lifecycle controller writes Unknown when it has missed heartbeats.
        if ready is not None and ready.status == "Unknown":
            reporter.report_again()

    nodes.add_handler(handle)
    return node.spec.pod_cidr or await given


async def _forget_files(volumes: VolumeManager, *, known: set[str]) -> None:
    """Remove what pods left that were removed while no kubelet ran."""
    for uid in volumes.known_pods() - known:
        try:
            await volumes.tear_down(uid)
        except VolumeFault as fault:
            log.warning("%s", fault)
