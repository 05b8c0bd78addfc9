"""The simulator program: puts its parts together and runs them until it is cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from k8slite import metrics, quantity
from k8slite.client import Client, ClientConfig
from k8slite.clock import Clock, SystemClock
from k8slite.config import ConfigError, SimulatorConfig

from ..measuring.model import NodeUsage
from . import server, stages
from .addresses import Block, blocks
from .facts import Pod
from .node_objects import Description, describe
from .nodes import NodePlayer
from .pods import PodPlayer
from .usage import Counters
from .wire import Wire

log = logging.getLogger(__name__)

_ADDRESSES = "100.64.0.0/10"
"""Where pods' addresses come from while their node has no pod CIDR (RFC 6598: nobody's on the internet)."""


async def serve(config: SimulatorConfig) -> None:
    """Play nodes until cancelled."""
    clock = SystemClock()
    access = ClientConfig.from_kubeconfig(config.kubeconfig, context=config.context)
    async with Client(replace(access, user_agent="k8slite-simulator")) as client:
        await simulate(config, client=client, clock=clock)


async def simulate(config: SimulatorConfig, *, client: Client, clock: Clock) -> None:
    """Play nodes by a client that is given, until cancelled. Raises ConfigError, OSError."""
    table = stages.load(config.stages_file)
    pods: PodPlayer
    nodes: NodePlayer
    counters = Counters()

    def find(namespace: str, name: str) -> Pod | None:  # asked when both are there: nodes are made with the port
        return pods.find(namespace, name)

    def measure(name: str) -> NodeUsage | None:
        played, since = nodes.find(name), nodes.since(name)
        if played is None or since is None or not played.works:
            counters.forget(name)
            return None
        return counters.page(
            name,
            pods.on(name),
            since=since.timestamp(),
            uses=table.usage,
            node_labels=played.labels,
            now=clock.now().timestamp(),
        )

    async with (
        Wire(client.config, connections=config.connections) as wire,
        server.serving(config, server.application(find, measure)) as port,
        metrics.serve_metrics(config.metrics_port),
    ):
        wake: Callable[[str], None] = lambda name: pods.wake(name)  # noqa: E731 — each of the two needs the other
        nodes = NodePlayer(
            described(config, port=port),
            config=config,
            client=client,
            wire=wire,
            clock=clock,
            stages=table,
            woken=wake,
        )
        pods = PodPlayer(
            client=client, wire=wire, clock=clock, stages=table, workers=config.connections, find=nodes.find
        )
        log.info("playing %d nodes, %s-0 and on", config.nodes, config.name)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(nodes.run())
                tasks.create_task(pods.informer.run())
                tasks.create_task(pods.controller.run())
        finally:
            if config.remove_nodes:
                await nodes.remove()


def described(config: SimulatorConfig, *, port: int) -> list[tuple[Description, Block]]:
    """Every node and the addresses of its pods. Raises ConfigError."""
    try:
        pods = quantity.whole(config.capacity.get("pods", "0"))
        for amount in config.capacity.values():
            quantity.parse(amount)
    except quantity.QuantityError as error:
        raise ConfigError(f"capacity: {error}") from error
    cut = blocks(config.pod_cidr or _ADDRESSES, nodes=config.nodes, pods=pods)
    return [
        (describe(config, index, pod_cidr=cidr if config.pod_cidr else "", port=port), Block.of(cidr))
        for index, cidr in enumerate(cut)
    ]
