"""Charging over a real store while another server charges too."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from k8slite.apiserver import documents
from k8slite.apiserver.admission.quota.charging import Charging
from k8slite.apiserver.admission.quota.evaluate import Limited, Request
from k8slite.apiserver.storage.base import Record
from k8slite.apiserver.storage.memory import MemoryStore
from k8slite.catalogue import builtin
from k8slite.errors import ApiError, forbidden
from k8slite.usage.measures import measure_of

from .rig import NOW, pod, resources

QUOTAS = next(row for row in builtin() if (row.group, row.plural) == ("", "resourcequotas"))


@dataclass
class Server:
    """What charging asks of a registry: the quotas as its cache has them, which lags behind the store."""

    store: MemoryStore
    cached: list[Record]

    def find(self, *place: str) -> Any:
        entries = [
            SimpleNamespace(
                name=record.key.rpartition("/")[2], key=record.key, value=record.value, revision=record.revision
            )
            for record in self.cached
        ]
        return SimpleNamespace(stored=QUOTAS, cache=SimpleNamespace(select=lambda *, namespace: entries))


async def quota(store: MemoryStore, name: str, **hard: str) -> Record:
    status = {"hard": hard, "used": dict.fromkeys(hard, "0")}
    document = {"metadata": {"name": name, "namespace": "default"}, "spec": {"hard": hard}, "status": status}
    return await store.create(f"/core/resourcequotas/default/{name}", documents.encode(document, QUOTAS))


async def used(store: MemoryStore, name: str) -> dict[str, str]:
    record = await store.get(f"/core/resourcequotas/default/{name}")
    assert record is not None
    found: dict[str, str] = documents.decode(record.value)["status"]["used"]
    return found


def refuse(detail: str) -> ApiError:
    return forbidden("pods", "p", detail)


def request(cpu: str = "1", **members: Any) -> Request:
    return Request(measure_of("", "pods"), pod(resources({"cpu": cpu})), None, NOW, **members)


async def test_a_quota_that_another_server_charged_is_judged_again_alone() -> None:
    store = MemoryStore()
    await store.open()
    cached = [await quota(store, "cpu", **{"requests.cpu": "4"}), await quota(store, "pods", pods="2")]
    first, second = (Charging(lambda: Server(store, cached)) for _ in range(2))  # type: ignore[arg-type,return-value]
    limited = (Limited(contains=("requests.cpu",)),)
    # The second server's cache has not seen what the first one charged.
    await first.charge("default", request("0"), refuse=refuse, dry_run=False)
    answer = await second.charge("default", request(limited=limited), refuse=refuse, dry_run=False)
    assert {name: list(amounts) for name, amounts in answer.charged.items()} == {
        "cpu": ["requests.cpu"],
        "pods": ["pods"],
    }
    assert (await used(store, "cpu"), await used(store, "pods")) == ({"requests.cpu": "1"}, {"pods": "2"})
    with pytest.raises(ApiError, match="exceeded quota: pods, requested: pods=1, used: pods=2, limited: pods=2"):
        await second.charge("default", request(), refuse=refuse, dry_run=False)


async def test_a_charge_is_as_old_as_the_first_quota_that_was_written_for_it() -> None:
    store = MemoryStore()
    await store.open()
    cached = [await quota(store, "cpu", **{"requests.cpu": "4"}), await quota(store, "pods", pods="4")]
    charging = Charging(lambda: Server(store, cached))  # type: ignore[arg-type,return-value]
    answers = await asyncio.gather(
        *(charging.charge("default", request(), refuse=refuse, dry_run=False) for _ in range(3))
    )
    written = [record.revision for record in (await store.range("/")).records]
    assert {answer.revision for answer in answers} == {min(written)}
    assert (await charging.charge("default", request(), refuse=refuse, dry_run=True)).revision == 0
