"""The controller manager dies at random writes, again and again: counts stay exact, nothing is lost, nothing leaks."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from k8slite.config import (
    ControllerManagerConfig,
    LeaderElectionConfig,
    SchedulerConfig,
    SimulatorConfig,
    StoreConfig,
)

from .daemons import daemons
from .pieces import Cluster, Piece, graph, job, namespace, rollout
from .points import MANAGER, MANAGER_SELDOM
from .processes import ControlPlane, Program, control_plane
from .stateful import stateful
from .storage import storage


@dataclass(frozen=True)
class Scale:
    nodes: int
    deaths: int
    writes: int
    """At most so many until the manager dies."""
    replicas: int
    completions: int
    objects: int


SCALES = [
    pytest.param(
        Scale(nodes=5, deaths=6, writes=40, replicas=20, completions=30, objects=40),
        id="small",
        marks=pytest.mark.timeout(300),
    ),
    pytest.param(
        Scale(nodes=60, deaths=100, writes=150, replicas=500, completions=1000, objects=1000),
        id="large",
        marks=[pytest.mark.chaos, pytest.mark.timeout(1800)],
    ),
]


@dataclass
class Mortal:
    """A manager that dies so many times, each at some write; then one that lives."""

    program: Program
    chance: random.Random
    deaths: int
    writes: int
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        for _ in range(self.deaths):
            seldom = self.chance.random() < 0.2
            point = self.chance.choice(MANAGER_SELDOM if seldom else MANAGER)
            self.program.start(until=point, count=1 if seldom else self.chance.randint(1, self.writes))
            await self.program.died()
        self.over.set()
        self.program.start()


async def play(piece: Piece, cluster: Cluster, *, over: asyncio.Event) -> int:
    """One piece after the other while the manager dies; the last one ends with a manager that lives. How many."""
    played = 0
    while not over.is_set() or not played:
        await piece(cluster, f"{piece.__name__}-{played}")
        played += 1
    return played


def others(plane: ControlPlane, scale: Scale) -> None:
    """Simulated nodes and a scheduler, which nobody kills."""
    simulators = plane.kubeconfig("simulator", user="k8slite:simulator", groups=["k8slite:simulators"])
    plane.run("simulator", SimulatorConfig(name="simulated", kubeconfig=simulators, nodes=scale.nodes, port=0))
    alone = LeaderElectionConfig(enabled=False)
    scheduler = plane.kubeconfig("scheduler", user="system:kube-scheduler")
    plane.run("scheduler", SchedulerConfig(kubeconfig=scheduler, leader_election=alone))


@pytest.mark.parametrize("scale", SCALES)
async def test_the_manager_dies_at_random_writes(tmp_path: Path, scale: Scale) -> None:
    store = StoreConfig(engine="sqlite", path=tmp_path / "store.db")
    with control_plane(tmp_path, store) as plane:
        await plane.ready()
        others(plane, scale)
        config = ControllerManagerConfig(
            kubeconfig=plane.kubeconfig("manager", user="system:kube-controller-manager"),
            leader_election=LeaderElectionConfig(enabled=False),
        )
        program = Program("controller-manager", config, plane.directory)
        plane.others.append(program)
        chance = random.Random(5)
        manager = Mortal(program, chance, deaths=scale.deaths, writes=scale.writes)
        async with plane.admin() as client, Cluster.watched(client, random.Random(6)) as cluster:
            cluster.nodes = scale.nodes
            cluster.replicas, cluster.completions, cluster.objects = scale.replicas, scale.completions, scale.objects
            async with asyncio.TaskGroup() as group:
                group.create_task(manager.run())
                played = [
                    group.create_task(play(piece, cluster, over=manager.over))
                    for piece in (job, rollout, stateful, daemons, storage, namespace, graph)
                ]
            assert all(task.result() for task in played)
            assert await cluster.left(client) == []
