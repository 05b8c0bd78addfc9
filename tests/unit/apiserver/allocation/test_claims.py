"""Records in the store behind addresses and node ports: who gets one, when it is free again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from k8slite.apiserver.allocation.claims import Claims
from k8slite.apiserver.allocation.holdings import Holdings, Item
from k8slite.apiserver.storage.base import Overtaken, StoreUnavailable, Unless
from k8slite.apiserver.storage.memory import MemoryStore
from k8slite.apiserver.watching.cache import WatchCache

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
ADDRESS: Item = ("10.96.0.9", 0)
PORT: Item = ("TCP", 30080)


class World:
    """A store, its cache, and the claims of two servers over it."""

    def __init__(self) -> None:
        self.store, self.cache = MemoryStore(), WatchCache()
        holdings = Holdings(self.cache.resource("", "services"))
        self.first, self.second = (
            Claims(self.store, holdings=holdings, consistent=self.cache.consistent) for _ in range(2)
        )

    async def service(self, name: str, *, address: str, unless: Sequence[Unless] = ()) -> int:
        document = {"kind": "Service", "apiVersion": "v1", "metadata": {"resourceVersion": "", "name": name}}
        value = orjson.dumps(document | {"spec": {"clusterIPs": [address]}})
        return (await self.store.create(f"/core/services/default/{name}", value, unless=unless)).revision


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.store.open()
    await made.cache.start(made.store)
    yield made
    await made.cache.stop()
    await made.store.close()


@pytest.mark.parametrize("item", [ADDRESS, PORT])
async def test_an_item_is_given_once(world: World, item: Item) -> None:
    assert await world.first.take(item, namespace="default", name="a", now=NOW) is not None
    assert await world.second.take(item, namespace="default", name="b", now=NOW) is None


@pytest.mark.parametrize("item", [ADDRESS, PORT])
async def test_what_a_failed_write_took_is_free_again(world: World, item: Item) -> None:
    claim = await world.first.take(item, namespace="default", name="a", now=NOW)
    assert claim is not None
    await world.first.give_back([claim])
    assert await world.second.take(item, namespace="default", name="b", now=NOW) is not None


async def test_what_a_service_left_is_free_again(world: World) -> None:
    assert await world.first.take(ADDRESS, namespace="default", name="a", now=NOW) is not None
    written = await world.service("a", address=ADDRESS[0])
    await world.store.delete("/core/services/default/a", expected=written)
    await world.first.release([ADDRESS], before=written, now=NOW)
    assert await world.second.take(ADDRESS, namespace="default", name="b", now=NOW) is not None


async def test_a_late_release_leaves_a_new_claim_alone(world: World) -> None:
    assert await world.first.take(ADDRESS, namespace="default", name="a", now=NOW) is not None
    written = await world.service("a", address=ADDRESS[0])
    await world.store.delete("/core/services/default/a", expected=written)
    assert await world.second.take(ADDRESS, namespace="default", name="a", now=LATER) is not None
    await world.first.release([ADDRESS], before=written, now=NOW)
    assert await world.first.take(ADDRESS, namespace="default", name="c", now=NOW) is None


async def test_an_abandoned_claim_is_taken_over_once_no_write_can_be_under_way(world: World) -> None:
    assert await world.first.take(PORT, namespace="default", name="a", now=NOW) is not None
    assert await world.second.take(PORT, namespace="default", name="b", now=NOW + timedelta(minutes=1)) is None
    assert await world.second.take(PORT, namespace="default", name="b", now=LATER) is not None


async def test_a_service_without_a_record_keeps_its_address(world: World) -> None:
    await world.service("old", address=ADDRESS[0])
    assert await world.first.take(ADDRESS, namespace="default", name="b", now=LATER) is None
    assert await world.store.get("/networking.k8s.io/ipaddresses/10.96.0.9") is None


async def test_a_claim_that_was_taken_over_is_good_for_no_write(world: World) -> None:
    slow = await world.first.take(PORT, namespace="default", name="a", now=NOW)
    quick = await world.second.take(PORT, namespace="default", name="b", now=LATER)
    assert slow is not None and quick is not None
    with pytest.raises(Overtaken):
        await world.service("a", address="", unless=[Unless(slow.key, slow.revision, gone=True)])
    await world.service("b", address="", unless=[Unless(quick.key, quick.revision, gone=True)])


async def test_nothing_is_kept_when_the_store_goes_away_in_between(world: World) -> None:
    async def unreachable() -> None:
        raise StoreUnavailable("gone")

    claims = Claims(world.store, holdings=Holdings(world.cache.resource("", "services")), consistent=unreachable)
    with pytest.raises(StoreUnavailable):
        await claims.take(ADDRESS, namespace="default", name="a", now=NOW)
    assert await world.second.take(ADDRESS, namespace="default", name="b", now=NOW) is not None


async def test_what_a_user_labelled_is_free_again_too(world: World) -> None:
    claim = await world.first.take(ADDRESS, namespace="default", name="a", now=NOW)
    assert claim is not None
    written = await world.service("a", address=ADDRESS[0])
    record = await world.store.get(claim.key)
    assert record is not None
    labelled = orjson.loads(record.value)
    labelled["metadata"] |= {"resourceVersion": "", "labels": {"mine": "yes"}}
    await world.store.update(claim.key, orjson.dumps(labelled), expected=record.revision)
    await world.store.delete("/core/services/default/a", expected=written)
    await world.first.release([ADDRESS], before=written, now=LATER)
    assert await world.store.get(claim.key) is None


async def test_a_server_that_starts_sets_records_right(world: World) -> None:
    abandoned = await world.first.take(PORT, namespace="default", name="gone", now=NOW)
    under_way = await world.first.take(("TCP", 30081), namespace="default", name="coming", now=LATER)
    assert abandoned is not None and under_way is not None
    await world.service("old", address=ADDRESS[0])
    await world.second.repair(LATER)
    assert await world.store.get(abandoned.key) is None
    assert await world.store.get(under_way.key) is not None
    made = await world.store.get("/networking.k8s.io/ipaddresses/10.96.0.9")
    assert made is not None
    assert orjson.loads(made.value)["spec"]["parentRef"]["name"] == "old"


async def test_an_address_has_one_holder_however_it_is_written(world: World) -> None:
    await world.service("a", address="FD00:0::0:5")
    holdings = Holdings(world.cache.resource("", "services"))
    assert holdings.holder(("fd00::5", 0)) == "/core/services/default/a"


async def test_an_address_that_is_somebody_elses_is_left_alone(world: World) -> None:
    parent = {"group": "gateway.networking.k8s.io", "resource": "gateways", "namespace": "default", "name": "g"}
    metadata = {"resourceVersion": "", "name": ADDRESS[0], "creationTimestamp": "2020-01-01T00:00:00Z"}
    document = {"kind": "IPAddress", "apiVersion": "networking.k8s.io/v1", "metadata": metadata}
    value = orjson.dumps(document | {"spec": {"parentRef": parent}})
    await world.store.create("/networking.k8s.io/ipaddresses/10.96.0.9", value)
    assert await world.first.take(ADDRESS, namespace="default", name="a", now=LATER) is None
