"""One quota, two API servers over one etcd, the real controller: what is used never exceeds what is allowed.

At every revision of the store no more objects are there than the quota says are used, and no more are used than it
allows, although many writers come and go at both servers, and some of the writes are slow between charge and store.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest

from k8slite.apiserver.storage.base import Record, Store, Unless
from k8slite.config import StoreConfig
from k8slite.controllers.resourcequota.sync import QUOTAS
from k8slite.kinds.resources import SECRETS
from k8slite.testing import RunningServer, running_server
from tests.contract.etcd_server import etcd

HARD = 4
WRITERS = 16
ROUNDS = 12
PATH = "/api/v1/namespaces/default/secrets"


@pytest.fixture
def settings(tmp_path) -> Iterator[dict[str, Any]]:
    with etcd(tmp_path / "etcd") as [member]:
        yield {"store": StoreConfig(engine="etcd", endpoints=[member.endpoint])}


@pytest.fixture
async def other(cluster, settings) -> AsyncIterator[RunningServer]:
    async with running_server(serviceaccounts=False, **settings) as server:
        yield server


class Slow:
    """A store that some new Secrets reach late: later than the controller waits before it counts."""

    def __init__(self, store: Store, source: random.Random) -> None:
        self._store = store
        self._source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def create(self, key: str, value: bytes, *, unless: Sequence[Unless] = ()) -> Record:
        if "/secrets/" in key and self._source.random() < 0.4:
            await asyncio.sleep(self._source.uniform(0.3, 1.0))
        return await self._store.create(key, value, unless=unless)


@dataclass
class Ledger:
    """What the store says, revision by revision."""

    there: set[str] = field(default_factory=set)
    used: int = 0
    exhausted: bool = False
    wrong: list[str] = field(default_factory=list)

    async def follow(self, store: Store, after: int) -> None:
        async with aclosing(store.watch("/core/", after=after)) as changes:  # type: ignore[type-var]
            async for batch in changes:
                for change in batch:
                    if change.key.startswith("/core/secrets/default/"):
                        (self.there.discard if change.type == "DELETED" else self.there.add)(change.key)
                    elif change.key == "/core/resourcequotas/default/quota":
                        used = orjson.loads(change.value).get("status", {}).get("used", {})
                        self.used = int(used.get("secrets", self.used))
                    self.exhausted = self.exhausted or self.used == HARD
                    if not len(self.there) <= self.used <= HARD:
                        self.wrong.append(f"{change.revision}: {len(self.there)} there, {self.used} used")


async def write(clients: Sequence[httpx.AsyncClient], number: int, source: random.Random) -> int:
    """Make Secrets and remove them again; how many could be made."""
    made = 0
    for turn in range(ROUNDS):
        name, http = f"s{number}-{turn}", source.choice(clients)
        answer = await http.post(PATH, json={"metadata": {"name": name}})
        if answer.status_code == 201:
            made += 1
            await asyncio.sleep(source.uniform(0.1, 0.5))
            assert (await source.choice(clients).delete(f"{PATH}/{name}")).status_code == 200
        elif answer.status_code == 503:
            assert "overtaken" in answer.json()["message"] and answer.headers["retry-after"] == "1"
        else:
            assert "exceeded quota: quota, requested: secrets=1" in answer.json()["message"], answer.text
            await asyncio.sleep(source.uniform(0.05, 0.3))
    return made


async def test_a_quota_holds_at_every_revision(cluster, other):
    source = random.Random(7)
    for server in (cluster.server, other):
        registry = server.app.registry
        registry.store = Slow(registry.store, source)
    body = {"metadata": {"name": "quota"}, "spec": {"hard": {"secrets": str(HARD)}}}
    await cluster.client.create(QUOTAS, {"apiVersion": "v1", "kind": "ResourceQuota", **body}, namespace="default")

    async def used(number: int) -> bool:
        found = await cluster.get(QUOTAS, "quota")
        return found.status.get("used") == {"secrets": str(number)}

    await cluster.until(lambda: used(0))
    ledger = Ledger()
    store: Store = other.app.store
    following = asyncio.create_task(ledger.follow(store, await store.revision()))
    try:
        async with cluster.server.http() as first, other.http() as second:
            sources = [random.Random(number) for number in range(WRITERS)]
            made = await asyncio.gather(*(write((first, second), number, own) for number, own in enumerate(sources)))
        await cluster.until(lambda: used(0))
        assert not await cluster.list(SECRETS)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert ledger.wrong == []
    # It was tight, and what was given back was used again.
    assert ledger.exhausted
    assert sum(made) > HARD
