"""Long lists in chunks: whole, in order, of one state, and what follows when that state has been forgotten."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from k8slite.testing import RunningServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNT = 40
SPEC = {"template": {"spec": {"containers": [{"name": "main", "image": "web:1"}]}}}


@pytest.fixture
def url(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/podtemplates"


async def fill(http: httpx.AsyncClient, url: str) -> list[str]:
    names = [f"template-{number:04}" for number in range(COUNT)]
    made = await asyncio.gather(*(http.post(url, json={"metadata": {"name": name}, **SPEC}) for name in names))
    assert {answer.status_code for answer in made} == {201}
    return names


def names_of(body: Any) -> list[str]:
    return [item["metadata"]["name"] for item in body["items"]]


async def test_chunks_of_any_size_make_up_the_list(http: httpx.AsyncClient, url: str) -> None:
    names = await fill(http, url)
    for size in (1, 7, 17, COUNT, COUNT + 1):
        found: list[str] = []
        token, revision = "", ""
        while True:
            page = (await http.get(url, params={"limit": size, "continue": token} if token else {"limit": size})).json()
            meta, items = page["metadata"], names_of(page)
            assert len(items) <= size and meta["resourceVersion"] == (revision or meta["resourceVersion"])
            found, revision, token = found + items, meta["resourceVersion"], meta.get("continue") or ""
            assert meta.get("remainingItemCount") == (COUNT - len(found) or None)
            if not token:
                break
        assert found == names
    assert names_of((await http.get(url, params={"limit": 0})).json()) == names


async def test_an_expired_token_offers_one_that_goes_on_after_the_last_key(
    http: httpx.AsyncClient, url: str, server: RunningServer
) -> None:
    names = await fill(http, url)
    first = (await http.get(url, params={"limit": 10})).json()
    await http.delete(f"{url}/{names[20]}")
    await http.post(url, json={"metadata": {"name": "template-0020-new"}, **SPEC})
    latest = (await http.get(url, params={"limit": 1})).json()["metadata"]["resourceVersion"]
    cache = server.app.registry.cache
    await cache.store.compact(int(latest))
    resource = cache.resource("", "podtemplates")
    resource._history.clear()
    resource._floor = int(latest)

    refused = await http.get(url, params={"limit": 10, "continue": first["metadata"]["continue"]})
    status = refused.json()
    assert (refused.status_code, status["reason"]) == (410, "Expired")
    token = status["metadata"]["continue"]
    page = (await http.get(url, params={"limit": 10, "continue": token})).json()
    assert page["metadata"]["resourceVersion"] == latest, "the rest is of a later state"
    assert names_of(page) == names[10:20]
    rest = (await http.get(url, params={"continue": page["metadata"]["continue"]})).json()
    assert rest["metadata"]["resourceVersion"] == latest
    assert names_of(rest) == ["template-0020-new", *names[21:]]
