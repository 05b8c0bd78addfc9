"""Controller manager and scheduler are killed during a rollout: the counts are exact, nothing is done twice."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from k8slite.client import Client
from k8slite.config import (
    ControllerManagerConfig,
    LeaderElectionConfig,
    SchedulerConfig,
    SimulatorConfig,
    StoreConfig,
)
from k8slite.kinds.core import Pod
from k8slite.kinds.resources import DEPLOYMENTS, NODES, PODS, REPLICA_SETS

from .processes import ControlPlane, Program, control_plane

#: Short, so that a successor does not wait long for the Lease of the dead.
ELECTION = LeaderElectionConfig(lease_duration=3.0, renew_deadline=2.5, retry_period=0.2)


@dataclass(frozen=True)
class Scale:
    nodes: int
    replicas: int
    kills: int
    """In each of the two rollouts."""
    instances: int
    """Of each program; all but one stand by."""


SCALES = [
    pytest.param(Scale(nodes=5, replicas=40, kills=2, instances=1), id="small"),
    pytest.param(
        Scale(nodes=50, replicas=500, kills=50, instances=2),
        id="large",
        marks=[pytest.mark.chaos, pytest.mark.timeout(900)],
    ),
]


@dataclass
class Observer:
    """All that ever happened to pods."""

    pods: dict[str, Pod] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    """By UID, also of those that are gone."""
    made: dict[str, str] = field(default_factory=dict)
    """The owner's UID by the pod's."""
    most: int = 0
    events: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, client: Client, revision: str) -> None:
        async for event in client.watch(PODS, resource_version=revision, namespace="default"):
            if event.type == "BOOKMARK":
                continue
            pod = event.object
            node = pod.spec.node_name
            assert self.nodes.get(pod.uid, "") in ("", node), f"{pod.name} was bound twice"
            self.nodes[pod.uid] = node
            if pod.uid not in self.made:
                assert pod.metadata.controller is not None
                self.made[pod.uid] = pod.metadata.controller.uid
            if event.type == "DELETED":
                self.pods.pop(pod.uid, None)
            else:
                self.pods[pod.uid] = pod
            self.most = max(self.most, sum(not each.deleting for each in self.pods.values()))
            self.events += 1
            self._news.set()
        raise AssertionError("the watch ended")

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(120):
            while not holds():
                self._news.clear()
                await self._news.wait()


def programs(plane: ControlPlane, scale: Scale) -> list[Program]:
    """Simulated nodes, and those that are to be killed: the latter are returned."""
    plane.run(
        "simulator",
        SimulatorConfig(
            name="simulated",
            kubeconfig=plane.kubeconfig("simulator", user="k8slite:simulator", groups=["k8slite:simulators"]),
            nodes=scale.nodes,
            port=0,
        ),
    )
    scheduler = SchedulerConfig(
        kubeconfig=plane.kubeconfig("scheduler", user="system:kube-scheduler"), leader_election=ELECTION
    )
    manager = ControllerManagerConfig(
        kubeconfig=plane.kubeconfig("manager", user="system:kube-controller-manager"), leader_election=ELECTION
    )
    found = []
    for number in range(scale.instances):
        found.append(plane.run("scheduler", scheduler, label=f"scheduler-{number}"))
        found.append(plane.run("controller-manager", manager, label=f"controller-manager-{number}"))
    return found


@contextlib.asynccontextmanager
async def observed(client: Client) -> AsyncIterator[Observer]:
    observer = Observer()
    listing = await client.list(PODS, namespace="default")
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(observer.run(client, listing.resource_version))
        yield observer
        watching.cancel()


def deployment(replicas: int) -> dict[str, Any]:
    container = {"name": "main", "image": "none:1", "resources": {"requests": {"cpu": "10m"}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
        },
    }


async def nodes_ready(client: Client, count: int) -> None:
    async with asyncio.timeout(60):
        while True:
            nodes = (await client.list(NODES)).items
            if sum(node.ready and not node.spec.taints for node in nodes) == count:
                return
            await asyncio.sleep(0.05)


async def rolled_out(client: Client, replicas: int) -> None:
    async with asyncio.timeout(300):
        while True:
            found = await client.get(DEPLOYMENTS, "web", namespace="default")
            status = found.status
            if status.observed_generation == found.metadata.generation and (
                status.updated_replicas == status.ready_replicas == status.replicas == replicas
            ):
                return
            await asyncio.sleep(0.05)


async def kill_during(
    rollout: asyncio.Task[None],
    victims: list[Program],
    observer: Observer,
    *,
    kills: int,
    events: int,
    chance: random.Random,
) -> int:
    """Kill one after the other while the rollout goes on, each some events after the one before; how many were."""
    done = 0
    while done < kills and not rollout.done():
        goal = observer.events + chance.randint(1, max(events // kills, 1))
        going_on = asyncio.create_task(observer.until(lambda goal=goal: observer.events >= goal))
        await asyncio.wait({going_on, rollout}, return_when=asyncio.FIRST_COMPLETED)
        going_on.cancel()
        victim = chance.choice(victims)
        victim.kill()
        victim.start()
        done += 1
    await rollout
    return done


@pytest.mark.parametrize("scale", SCALES)
async def test_controllers_and_scheduler_are_killed_during_a_rollout(tmp_path: Path, scale: Scale) -> None:
    chance = random.Random(3)
    store = StoreConfig(engine="sqlite", path=tmp_path / "store.db")
    with control_plane(tmp_path, store) as plane:
        await plane.ready()
        victims = programs(plane, scale)
        async with plane.admin() as client, observed(client) as observer:
            await nodes_ready(client, scale.nodes)
            replicas = scale.replicas
            await client.create(DEPLOYMENTS, deployment(replicas), namespace="default")
            for image in ("none:1", "none:2"):
                change = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}]
                await client.request(
                    "PATCH",
                    DEPLOYMENTS.path(namespace="default", name="web"),
                    body=change,
                    content_type="application/json-patch+json",
                )
                rollout = asyncio.create_task(rolled_out(client, replicas))
                killed = await kill_during(
                    rollout, victims, observer, kills=scale.kills, events=2 * replicas, chance=chance
                )
                assert killed == scale.kills
                await observer.until(lambda: len(observer.pods) == replicas)

            owners = {found.uid: found for found in (await client.list(REPLICA_SETS, namespace="default")).items}
            assert sorted(found.spec.replicas for found in owners.values()) == [0, replicas]
            (current,) = (uid for uid, found in owners.items() if found.spec.replicas)
            pods = (await client.list(PODS, namespace="default")).items
            assert len(pods) == replicas
            assert all(pod.ready and pod.spec.node_name and observer.made[pod.uid] == current for pod in pods)
            assert len(observer.made) == 2 * replicas, "no pod was made that was not needed"
            assert observer.most <= replicas + math.ceil(replicas / 4), "never more than the surge allows"
