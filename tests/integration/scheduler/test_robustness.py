"""Schedulers that are killed at any moment, and two at once, against a real API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Any

import pytest

from k8slite.client import Client
from k8slite.clock import SystemClock
from k8slite.kinds.core import Pod
from k8slite.kinds.resources import NODES, PODS
from k8slite.scheduler.scheduler import Scheduler
from k8slite.testing.server import RunningServer, running_server

from .test_scheduling import add_node, add_pod, until

NODE_COUNT, ROOM = 4, 8
PODS_IN_ALL = NODE_COUNT * ROOM + 6


@pytest.fixture
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[Client]:
    async with Client(server.admin) as connected:
        yield connected


class Life:
    """One scheduler after the other; each can be killed and replaced."""

    def __init__(self, server: RunningServer, *, seed: int) -> None:
        self._server = server
        self._seed = seed
        self._stack = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        self._seed += 1
        client = await self._stack.enter_async_context(Client(self._server.client_config("system:kube-scheduler")))
        scheduler = Scheduler(client, clock=SystemClock(), random=Random(self._seed))
        self._task = asyncio.create_task(scheduler.run())

    async def end(self) -> None:
        assert self._task is not None
        assert not self._task.done(), "it ended by itself"
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._stack.aclose()


@asynccontextmanager
async def schedulers(server: RunningServer, number: int) -> AsyncIterator[list[Life]]:
    lives = [Life(server, seed=100 * each) for each in range(number)]
    for life in lives:
        await life.begin()
    try:
        yield lives
    finally:
        for life in lives:
            await life.end()


async def placed(client: Client) -> dict[str, list[str]]:
    """The pods on each node; those on none under an empty name."""
    found: dict[str, list[str]] = {}
    for pod in (await client.list(PODS, namespace="default")).items:
        found.setdefault(pod.spec.node_name, []).append(pod.name)
    return found


async def follow(client: Client, moved: list[str]) -> None:
    """Note pods whose node changes after they had one."""
    where: dict[str, str] = {}
    listing = await client.list(PODS, namespace="default")
    async for event in client.watch(PODS, namespace="default", resource_version=listing.resource_version):
        pod: Pod = event.object
        if event.type != "BOOKMARK" and where.setdefault(pod.uid, pod.spec.node_name) != pod.spec.node_name:
            if where[pod.uid]:
                moved.append(pod.name)
            where[pod.uid] = pod.spec.node_name


async def disturb(lives: list[Life], random: Random, *, times: int) -> None:
    """Kill schedulers in the middle of their work, and start others."""
    for _ in range(times):
        await asyncio.sleep(random.uniform(0.02, 0.3))  # at any moment
        life = random.choice(lives)
        await life.end()
        await life.begin()


@pytest.mark.parametrize(("number", "seed"), [(1, 1), (1, 2), (2, 3)])
async def test_every_pod_is_bound_once_whoever_is_killed_meanwhile(
    server: RunningServer, client: Client, number: int, seed: int
) -> None:
    for each in range(NODE_COUNT):
        await add_node(client, f"n{each}", cpu=str(ROOM))
    moved: list[str] = []
    watching = asyncio.create_task(follow(client, moved))
    try:
        async with schedulers(server, number) as lives:
            disturbing = asyncio.create_task(disturb(lives, Random(seed), times=6))
            for each in range(PODS_IN_ALL):
                await add_pod(client, f"p{each}", cpu="1")
            await disturbing

            async def settled() -> dict[str, list[str]] | None:
                found = await placed(client)
                # Two that do not know of each other may both use the last room of a node, where a kubelet would judge.
                full = sum(min(len(found.get(f"n{each}", ())), ROOM) for each in range(NODE_COUNT))
                return found if full == NODE_COUNT * ROOM else None

            found: dict[str, list[str]] = await until(settled)
            if number == 1:
                assert {name: len(pods) for name, pods in found.items() if name} == {
                    f"n{each}": ROOM for each in range(NODE_COUNT)
                }
            await client.delete(NODES, "n0")
            for name in found["n0"]:
                await client.delete(PODS, name, namespace="default", grace_period=0)
            await add_node(client, "n9", cpu=str(PODS_IN_ALL))

            async def all_bound() -> bool:
                return "" not in await placed(client)

            await until(all_bound)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert moved == []


def document(name: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "none"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [container]} | spec,
    }


async def test_what_pods_are_told_while_they_wait(server: RunningServer, client: Client) -> None:
    await add_node(client, "only", cpu="1")
    async with schedulers(server, 1):
        await client.create(PODS, document("gated", schedulingGates=[{"name": "later"}]), namespace="default")
        await add_pod(client, "big", cpu="2")

        async def told(name: str, reason: str) -> bool:
            pod: Pod = await client.get(PODS, name, namespace="default")
            conditions = [found for found in pod.status.conditions if found.type == "PodScheduled"]
            return [(c.status, c.reason, c.observed_generation) for c in conditions] == [("False", reason, 1)]

        await until(lambda: told("big", "Unschedulable"))
        gated: Pod = await client.get(PODS, "gated", namespace="default")
        assert [c.reason for c in gated.status.conditions if c.type == "PodScheduled"] == ["SchedulingGated"]
        await client.patch(PODS, "gated", {"spec": {"schedulingGates": None}}, namespace="default")

        async def bound() -> bool:
            return bool((await client.get(PODS, "gated", namespace="default")).spec.node_name)

        await until(bound)
