"""The loop that looks after addresses: what it mends, what it says, and when it looks at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import orjson
import pytest

from k8slite.apiserver.allocation.claims import Claims, address_record
from k8slite.apiserver.allocation.holdings import Holdings
from k8slite.apiserver.allocation.ranges import Ranges
from k8slite.apiserver.allocation.repair import Repair
from k8slite.apiserver.storage.memory import MemoryStore
from k8slite.apiserver.watching.cache import WatchCache
from k8slite.clock import VirtualClock

ADDRESSES = "/networking.k8s.io/ipaddresses/"


class World:
    def __init__(self) -> None:
        self.store, self.cache, self.clock = MemoryStore(), WatchCache(), VirtualClock()
        holdings = Holdings(self.cache.resource("", "services"))
        self.claims = Claims(self.store, holdings=holdings, consistent=self.cache.consistent)
        self.repair = Repair(
            self.claims,
            holdings=holdings,
            ranges=Ranges("10.96.0.0/16"),
            objects=self.cache,
            store=self.store,
            clock=self.clock,
        )

    async def service(self, name: str, address: str) -> None:
        metadata = {"resourceVersion": "", "name": name, "namespace": "default", "uid": f"uid-{name}"}
        document = {"kind": "Service", "apiVersion": "v1", "metadata": metadata, "spec": {"clusterIPs": [address]}}
        await self.store.create(f"/core/services/default/{name}", orjson.dumps(document))

    async def record(self, address: str, name: str) -> None:
        value = orjson.dumps(address_record(address, namespace="default", name=name, now=self.clock.now()))
        await self.store.create(ADDRESSES + address, value)

    async def parents(self) -> dict[str, str]:
        records = (await self.store.range(ADDRESSES)).records
        return {
            each.key.removeprefix(ADDRESSES): orjson.loads(each.value)["spec"]["parentRef"]["name"] for each in records
        }

    async def events(self) -> list[tuple[str, str, str]]:
        found: list[dict[str, Any]] = [
            orjson.loads(each.value) for each in (await self.store.range("/core/events/")).records
        ]
        return sorted((each["reason"], each["involvedObject"]["name"], each["message"]) for each in found)

    async def once(self) -> list[str]:
        await self.cache.consistent()
        return sorted(finding.reason for finding in await self.repair.once())


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.store.open()
    await made.cache.start(made.store)
    yield made
    await made.cache.stop()
    await made.store.close()


async def test_a_record_that_somebody_deleted_is_made_again(world: World) -> None:
    await world.service("web", "10.96.0.9")
    assert await world.once() == ["ClusterIPNotAllocated"]
    assert await world.parents() == {"10.96.0.9": "web"}
    [(reason, name, message)] = await world.events()
    assert (reason, name) == ("ClusterIPNotAllocated", "web")
    assert message == "Cluster IP [IPv4]: 10.96.0.9 is not allocated; repairing"
    assert await world.once() == []


async def test_a_record_that_nobody_stands_behind_goes_once_no_write_can_be_under_way(world: World) -> None:
    await world.record("10.96.0.9", "gone")
    assert await world.once() == [] and await world.parents()
    await world.clock.advance(timedelta(minutes=5).total_seconds())
    assert await world.once() == ["IPAddressNotAllocated"]
    assert await world.parents() == {}


async def test_a_record_that_names_another_service_is_corrected(world: World) -> None:
    await world.service("web", "10.96.0.9")
    await world.record("10.96.0.9", "other")
    assert await world.once() == ["IPAddressWrongReference"]
    assert await world.parents() == {"10.96.0.9": "web"}


async def test_what_cannot_be_mended_is_said_once(world: World) -> None:
    await world.service("a", "10.96.0.9")
    await world.service("b", "10.96.0.9")
    await world.service("far", "192.0.2.1")
    for address, name in (("10.96.0.9", "a"), ("192.0.2.1", "far")):
        await world.record(address, name)
    for _ in range(2):
        assert await world.once() == ["ClusterIPAlreadyAllocated", "ClusterIPOutOfRange"]
    said = [(reason, name) for reason, name, _ in await world.events()]
    assert said == [("ClusterIPAlreadyAllocated", "b"), ("ClusterIPOutOfRange", "far")]


async def test_nothing_is_read_while_nothing_changes(world: World) -> None:
    await world.service("web", "10.96.0.9")
    await world.record("10.96.0.9", "web")
    assert await world.once() == []

    async def never(*_: object, **__: object) -> None:
        raise AssertionError("the store was read")

    world.store.range = never  # type: ignore[method-assign, assignment]
    assert await world.repair.once() == []
