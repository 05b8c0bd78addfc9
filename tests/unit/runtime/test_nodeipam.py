"""Pod networks for nodes, over the tiny server: every node has its own, and more nodes than networks are no load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from k8slite.clock import VirtualClock
from k8slite.config import ControllerManagerConfig
from k8slite.controllers.context import Context, Informers
from k8slite.controllers.nodeipam.sync import NodeIpamSync
from k8slite.events import EventRecorder
from k8slite.kinds.core import Node
from k8slite.kinds.resources import NODES

from .conftest import eventually


class World:
    """Three networks for whatever nodes there are."""

    def __init__(self, api: Any, context: Context) -> None:
        self.api, self.ipam = api, NodeIpamSync(context)
        self.nodes, self.clock = context.informers.of(NODES), context.clock

    async def node(self, name: str, **spec: Any) -> None:
        await self.api.put(f"/api/v1/nodes/{name}", spec=spec)

    def networks(self) -> list[str]:
        nodes: list[Node] = list(self.nodes.list())
        return sorted(node.spec.pod_cidr for node in nodes if node.spec.pod_cidr)

    def told(self) -> int:
        """How often something was said in events."""
        return sum(method != "GET" and "/events" in path for method, path in self.api.requests)


@pytest.fixture
async def world(api: Any, client: Any, tmp_path: Any) -> AsyncIterator[World]:
    clock = VirtualClock()
    informers = Informers(client, clock=clock)
    config = ControllerManagerConfig(kubeconfig=tmp_path / "unused", cluster_cidr="10.0.0.0/22")
    events = EventRecorder(client, component="test", clock=clock)
    made = World(api, Context(client, informers, events, clock, config))
    running = asyncio.create_task(informers.run())
    await informers.wait_synced()
    tasks = [running, asyncio.create_task(events.run()), asyncio.create_task(made.ipam.controller.run())]
    yield made
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_nodes_that_find_no_network_wait_for_one_and_ask_for_nothing_meanwhile(world: World) -> None:
    for number in range(3):
        await world.node(f"n{number}")
    three = ["10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24"]
    await eventually(lambda: world.networks() == three)
    for name in ("late", "later"):
        await world.node(name)
    await eventually(lambda: world.told() == 2)
    for _ in range(5):
        await world.clock.advance(120)  # type: ignore[attr-defined]
        await asyncio.sleep(0.01)
    assert world.told() == 2
    await world.api.remove("/api/v1/nodes/n1")
    await eventually(lambda: len(world.nodes.list()) == 4 and world.networks() == three)


async def test_nodes_that_bring_a_network_keep_it(world: World) -> None:
    await world.node("own", podCIDR="100.64.0.0/25", podCIDRs=["100.64.0.0/25"])
    await world.node("one", podCIDR="10.0.1.0/24", podCIDRs=["10.0.1.0/24"])
    await world.node("other")
    await eventually(lambda: world.networks() == ["10.0.1.0/24", "10.0.2.0/24", "100.64.0.0/25"])
