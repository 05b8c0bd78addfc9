"""A StatefulSet is updated while its controller is cut off again and again: nothing twice, and never too many down."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from k8slite.client import Client
from k8slite.kinds.resources import CONTROLLER_REVISIONS, PODS, STATEFUL_SETS

from .simulated import simulated_cluster
from .test_statefulsets import image_patch, statefulset

REPLICAS = 8
DOWN = 3


class Watched:
    """What a watch of the pods has shown."""

    def __init__(self) -> None:
        self.ready: set[str] = set()
        self.made: list[str] = []
        self.fewest = REPLICAS
        self.counting = False
        self.events = 0
        self.news = asyncio.Event()

    async def run(self, client: Client, resource_version: str) -> None:
        async for event in client.watch(PODS, namespace="default", resource_version=resource_version):
            if event.type == "BOOKMARK":
                continue
            pod = event.object
            if event.type == "ADDED":
                self.made.append(pod.name)
            if pod.ready and not pod.deleting and event.type != "DELETED":
                self.ready.add(pod.name)
            else:
                self.ready.discard(pod.name)
            if self.counting:
                self.fewest = min(self.fewest, len(self.ready))
            self.events += 1
            self.news.set()

    async def more(self, events: int) -> None:
        """Return after so many changes of pods."""
        wanted = self.events + events
        while self.events < wanted:
            self.news.clear()
            await self.news.wait()


@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
async def test_a_controller_that_is_cut_off_goes_on_with_an_update(tmp_path: Path, policy: str) -> None:
    chance = random.Random(policy)
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": DOWN}}
    body = statefulset(replicas=REPLICAS, podManagementPolicy=policy, updateStrategy=rolling)
    async with simulated_cluster(tmp_path, nodes=3) as cluster:
        watched = Watched()
        revision = (await cluster.client.list(PODS)).resource_version
        watching = asyncio.create_task(watched.run(cluster.client, revision))

        async def rolled_out() -> Any:
            found = await cluster.get(STATEFUL_SETS, "db")
            assert found is not None
            status = found.status
            seen = status.observed_generation == found.metadata.generation
            whole = status.available_replicas == status.updated_replicas == status.replicas == REPLICAS
            return seen and whole and status.current_revision == status.update_revision

        async def restarting(done: asyncio.Task[Any]) -> None:
            while not done.done():
                waiting = asyncio.create_task(watched.more(chance.randint(3, 16)))
                await asyncio.wait({waiting, done}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                if not done.done():
                    await cluster.restart_manager()

        try:
            await cluster.client.create(STATEFUL_SETS, body, namespace="default")
            await restarting(asyncio.create_task(cluster.until(rolled_out)))
            names = [f"db-{number}" for number in range(REPLICAS)]
            assert sorted(watched.made) == sorted(names)
            while len(watched.ready) < REPLICAS:
                await watched.more(1)
            watched.counting = True
            await cluster.client.patch(STATEFUL_SETS, "db", image_patch("db:2"), namespace="default")
            await restarting(asyncio.create_task(cluster.until(rolled_out)))
            pods = await cluster.list(PODS, "app=db")
            assert {pod.spec.containers[0].image for pod in pods} == {"db:2"}
            assert sorted(watched.made) == sorted(names * 2), "nobody was made that was not needed"
            assert REPLICAS - DOWN <= watched.fewest < REPLICAS
            assert len(await cluster.list(CONTROLLER_REVISIONS)) == 2
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
