"""An API server that dies at every named point of start, write, commit and compaction, while clients write and watch.

What must hold is said in `history.py`; besides, the revision is never behind what a client was told before the death.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from k8slite.client import Client
from k8slite.kinds.resources import CONFIG_MAPS

from .history import NAMESPACE, Scale, Traffic, traffic
from .points import (
    COMPACTION,
    ETCD_COMPACTION,
    ETCD_START,
    ETCD_WRITE,
    START,
    WRITE,
    Point,
)
from .processes import Program, control_plane
from .test_apiserver import store

AGE = 4.0
"""Seconds of history kept: longer than a server is away, so that no watcher misses its place."""


@dataclass(frozen=True)
class Extent:
    """How much of it: `rounds` of each point; a twin leaves out what strace must be there for, and later moments."""

    scale: Scale
    rounds: int
    twin: bool = False

    def chosen(self, points: Sequence[Point]) -> list[Point]:
        if not self.twin:
            return list(points)
        return [point for point in points if not point.place.startswith("syscall") and point.moment == "after"]


SMALL = Extent(Scale(writers=4, watchers=6, kills=0), rounds=1, twin=True)
LARGE = Extent(Scale(writers=8, watchers=64, kills=0), rounds=8)
EXTENTS = [
    pytest.param(SMALL, id="small", marks=pytest.mark.timeout(180)),
    pytest.param(LARGE, id="large", marks=[pytest.mark.chaos, pytest.mark.timeout(3600)]),
]
POINTS = {"sqlite": (START, WRITE, COMPACTION), "etcd": (ETCD_START, ETCD_WRITE, ETCD_COMPACTION)}


@pytest.mark.parametrize("extent", EXTENTS)
@pytest.mark.parametrize("engine", POINTS)
async def test_an_api_server_dies_at_every_named_point(tmp_path: Path, engine: str, extent: Extent) -> None:
    chance = random.Random(3)
    start, write, compaction = map(extent.chosen, POINTS[engine])
    with store(engine, tmp_path) as config, control_plane(tmp_path, config.model_copy(update=_KEEPING)) as plane:
        await plane.ready()
        server = plane.servers[0]
        async with plane.admin() as client, traffic([client], extent.scale, chance=chance) as it:
            for _ in range(extent.rounds):
                for point in (*start, *write, *compaction):
                    await it.ledger.more(10)
                    server.kill()
                    server.start(until=point, count=chance.randint(1, 60) if point in write else 1)
                    await _dies(server, point)
                    server.start()
                    await plane.ready()
                    await _goes_on(client, it)
            await it.ledger.more(50)


_KEEPING = {"compaction_age": AGE}


async def _dies(server: Program, point: Point) -> None:
    try:
        await server.died()
    except (TimeoutExpired, AssertionError) as error:
        raise AssertionError(f"{point}: {error}") from error


async def _goes_on(client: Client, it: Traffic) -> None:
    told = it.ledger.highest
    listing = await client.list(CONFIG_MAPS, namespace=NAMESPACE)
    assert int(listing.resource_version) >= told, "the revision never falls"
