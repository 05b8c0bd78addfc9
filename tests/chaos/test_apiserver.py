"""API servers that are killed while clients write and watch: nothing acknowledged is lost, no watcher misses a thing.

The properties are those of etcd's own robustness tests: durable and linearizable writes, and watches that are ordered,
unique, without gaps and resumable.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8slite.config import StoreConfig
from tests.contract.etcd_server import etcd

from .history import Scale, traffic
from .processes import control_plane

SMALL = Scale(writers=4, watchers=6, kills=2)
LARGE = Scale(writers=8, watchers=64, kills=260)
SCALES = [
    pytest.param(SMALL, id="small"),
    pytest.param(LARGE, id="large", marks=[pytest.mark.chaos, pytest.mark.timeout(3600)]),
]


@contextlib.contextmanager
def store(engine: str, directory: Path) -> Iterator[StoreConfig]:
    if engine == "sqlite":
        yield StoreConfig(engine="sqlite", path=directory / "store.db")
        return
    with etcd(directory) as [member]:
        yield StoreConfig(engine="etcd", endpoints=[member.endpoint])


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("engine", ["sqlite", "etcd"])
async def test_an_api_server_is_killed_again_and_again(tmp_path: Path, engine: str, scale: Scale) -> None:
    chance = random.Random(1)
    with store(engine, tmp_path) as config, control_plane(tmp_path, config) as plane:
        await plane.ready()
        async with plane.admin() as client, traffic([client], scale, chance=chance) as it:
            for number in range(scale.kills):
                await it.ledger.more(chance.randint(30, 300))
                plane.servers[0].kill()
                plane.servers[0].start()
                if number % 4 == 3:  # now and then before it is up again
                    await asyncio.sleep(chance.uniform(0, 2))
                    plane.servers[0].kill()
                    plane.servers[0].start()
                await plane.ready()
            await it.ledger.more(50)
        assert all(watcher.resumed >= scale.kills for watcher in it.watchers)


@pytest.mark.parametrize("scale", SCALES)
async def test_two_api_servers_over_one_store_of_which_one_is_killed(tmp_path: Path, scale: Scale) -> None:
    chance = random.Random(2)
    with store("etcd", tmp_path) as config, control_plane(tmp_path, config, servers=2) as plane:
        await plane.ready(0)
        await plane.ready(1)
        async with (
            plane.admin(0) as first,
            plane.admin(1) as second,
            traffic([first, second], scale, chance=chance) as it,
        ):
            for _ in range(scale.kills):
                await it.ledger.more(chance.randint(30, 300))
                victim = chance.randrange(2)
                plane.servers[victim].kill()
                await it.ledger.more(chance.randint(10, 100))
                plane.servers[victim].start()
                await plane.ready(victim)
            await it.ledger.more(50)
