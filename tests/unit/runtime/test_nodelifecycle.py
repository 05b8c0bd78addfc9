"""Which nodes are held for dead, over the tiny server and in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from k8slite import errors
from k8slite.clock import VirtualClock, micro_timestamp, timestamp
from k8slite.config import ControllerManagerConfig
from k8slite.controllers.context import Context, Informers
from k8slite.controllers.nodelifecycle.sync import NodeLifecycleSync
from k8slite.controllers.pods import PODS
from k8slite.events import EventRecorder
from k8slite.kinds.resources import LEASES, NODES

from .conftest import eventually

GRACE = 40.0


class World:
    """Two nodes, and the controller that judges them."""

    def __init__(self, api: Any, context: Context) -> None:
        self.api, self.context, self.clock = api, context, context.clock
        self.taints: set[tuple[str, str, str]] = set()
        """Every taint that was ever seen: node, key, effect."""
        self.lifecycle = NodeLifecycleSync(context)
        self.nodes, self.leases = context.informers.of(NODES), context.informers.of(LEASES)
        self.nodes.add_handler(self.changed)

    def changed(self, old: Any, new: Any) -> None:
        for taint in new.spec.taints if new else ():
            self.taints.add((new.name, taint.key.rpartition("/")[2], taint.effect))

    async def node(self, name: str) -> None:
        now = timestamp(self.clock.now())
        ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": now, "lastTransitionTime": now}
        await self.api.put(f"/api/v1/nodes/{name}", spec={}, status={"conditions": [ready]})

    async def beat(self, name: str) -> None:
        path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}"
        written = await self.api.put(path, spec={"renewTime": micro_timestamp(self.clock.now())})
        assert await self.leases.wait_for_revision(name, written["metadata"]["resourceVersion"], timeout=1e9)

    async def pass_time(self, seconds: float, *beating: str) -> None:
        """Let time go by in small steps, with real requests in between."""
        for _ in range(int(seconds)):
            for name in beating:
                await self.beat(name)
            await self.clock.advance(1)
            for _ in range(3):
                await asyncio.sleep(0.002)

    def ready(self, name: str) -> str:
        return self.nodes.get(name).status.conditions[0].status  # type: ignore[union-attr]


@pytest.fixture
async def world(api, client, tmp_path) -> AsyncIterator[World]:
    clock = VirtualClock()
    informers = Informers(client, clock=clock)
    config = ControllerManagerConfig(kubeconfig=tmp_path / "unused", node_monitor_grace_period=GRACE)
    events = EventRecorder(client, component="test", clock=clock)
    made = World(api, Context(client, informers, events, clock, config))
    informers.of(PODS)
    for name in ("n1", "n2"):
        await made.node(name)
    running = asyncio.create_task(informers.run())
    await informers.wait_synced()
    judging = asyncio.create_task(made.lifecycle.controller.run())
    emptying = asyncio.create_task(made.lifecycle.emptying.controller.run())
    await eventually(lambda: len(api.requests) == 6)  # a list and a watch of each resource
    yield made
    for task in (judging, emptying, running):
        task.cancel()
    await asyncio.gather(judging, emptying, running, return_exceptions=True)


async def test_one_silent_node_is_lost_and_evicted(world):
    await world.pass_time(30, "n1", "n2")
    await world.pass_time(GRACE - 5, "n2")
    assert world.ready("n1") == "True"
    await world.pass_time(8, "n2")
    assert world.ready("n1") == "Unknown"
    assert world.taints == {("n1", "unreachable", "NoSchedule"), ("n1", "unreachable", "NoExecute")}
    await world.node("n1")
    await world.pass_time(3, "n1", "n2")
    assert world.ready("n1") == "True"
    assert not world.nodes.get("n1").spec.taints


async def test_nodes_that_fall_silent_together_lose_no_pod_until_one_comes_back(world):
    await world.pass_time(5, "n1", "n2")
    await world.pass_time(8, "n2")
    await world.pass_time(GRACE + 10)
    assert (world.ready("n1"), world.ready("n2")) == ("Unknown", "Unknown")
    assert {effect for _, _, effect in world.taints} == {"NoSchedule"}
    await world.node("n2")
    await world.pass_time(12, "n2")
    assert ("n1", "unreachable", "NoExecute") in world.taints
    assert ("n2", "unreachable", "NoExecute") not in world.taints


async def test_an_api_server_that_was_away_makes_no_node_silent(world):
    await world.pass_time(10, "n1", "n2")
    world.api.fail_next = [errors.service_unavailable("away")] * 100_000
    await world.api.cut_watches()
    await world.pass_time(300)
    world.api.fail_next = []
    await world.pass_time(10)
    assert (world.ready("n1"), world.ready("n2")) == ("True", "True")
    await world.pass_time(60, "n1", "n2")
    assert world.taints == set()
