"""Several watches beside each other: who is told what, in which order, and where a later watch goes on."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import httpx
import pytest

from .watches import watching

pytestmark = pytest.mark.asyncio(loop_scope="module")

MERGE = {"content-type": "application/merge-patch+json"}


async def make(http: httpx.AsyncClient, url: str, name: str, label: str) -> Any:
    made = await http.post(url, json={"metadata": {"name": name, "labels": {"group": label}}})
    assert made.status_code == 201, made.text
    return made.json()


async def change(http: httpx.AsyncClient, url: str, name: str, value: str) -> Any:
    """Write a value into the data; the object then."""
    changed = await http.patch(f"{url}/{name}", headers=MERGE, json={"data": {"mutation": value}})
    assert changed.status_code == 200, changed.text
    return changed.json()


async def relabel(http: httpx.AsyncClient, url: str, name: str, label: str) -> Any:
    changed = await http.patch(f"{url}/{name}", headers=MERGE, json={"metadata": {"labels": {"group": label}}})
    assert changed.status_code == 200, changed.text
    return changed.json()


@pytest.fixture
def url(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


async def test_each_watch_is_told_of_what_it_selects_and_of_nothing_else(http: httpx.AsyncClient, url: str) -> None:
    async with (
        watching(http, url, labelSelector="group=a") as only_a,
        watching(http, url, labelSelector="group=b") as only_b,
        watching(http, url, labelSelector="group in (a, b)") as both,
    ):
        made = await make(http, url, "one", "a")
        changes = [await change(http, url, "one", value) for value in ("1", "2")]
        await http.delete(f"{url}/one")
        other = await make(http, url, "two", "b")
        await http.delete(f"{url}/two")
        for watch in (only_a, both):
            assert await watch.next() == ("ADDED", made)
            assert await watch.next() == ("MODIFIED", changes[0])
            assert await watch.next() == ("MODIFIED", changes[1])
            kind, last = await watch.next()
            assert (kind, last["data"]) == ("DELETED", changes[1]["data"])
        for watch in (only_b, both):  # the first that `only_b` hears: nothing of the others came before
            assert await watch.next() == ("ADDED", other)
            assert (await watch.next())[0] == "DELETED"
        await make(http, url, "three", "a")
        assert (await only_a.next())[1]["metadata"]["name"] == "three"


async def test_a_watch_begins_after_the_revision_that_it_names(http: httpx.AsyncClient, url: str) -> None:
    await make(http, url, "one", "a")
    first, second = [await change(http, url, "one", value) for value in ("1", "2")]
    await http.delete(f"{url}/one")
    async with watching(http, url, resourceVersion=first["metadata"]["resourceVersion"]) as watch:
        assert await watch.next() == ("MODIFIED", second)
        assert (await watch.next())[0] == "DELETED"


async def test_a_watch_goes_on_where_the_last_one_stopped(http: httpx.AsyncClient, url: str) -> None:
    async with watching(http, url, labelSelector="group=a") as watch:
        await make(http, url, "one", "a")
        first = await change(http, url, "one", "1")
        assert (await watch.next())[0] == "ADDED"
        kind, seen = await watch.next()
        assert (kind, seen) == ("MODIFIED", first)
    second = await change(http, url, "one", "2")
    last = seen["metadata"]["resourceVersion"]
    async with watching(http, url, labelSelector="group=a", resourceVersion=last) as watch:
        await http.delete(f"{url}/one")
        assert await watch.next() == ("MODIFIED", second)
        assert (await watch.next())[0] == "DELETED"


async def test_an_object_that_leaves_the_selection_is_deleted_and_silent_until_it_returns(
    http: httpx.AsyncClient, url: str
) -> None:
    async with watching(http, url, labelSelector="group=a") as watch:
        made = await make(http, url, "one", "a")
        first = await change(http, url, "one", "1")
        await relabel(http, url, "one", "elsewhere")
        await change(http, url, "one", "2")
        back = await relabel(http, url, "one", "a")
        third = await change(http, url, "one", "3")
        await http.delete(f"{url}/one")
        assert await watch.next() == ("ADDED", made)
        assert await watch.next() == ("MODIFIED", first)
        kind, left = await watch.next()
        assert (kind, left["metadata"]["labels"], left["data"]) == ("DELETED", {"group": "a"}, first["data"])
        assert await watch.next() == ("ADDED", back)
        assert await watch.next() == ("MODIFIED", third)
        assert (await watch.next())[0] == "DELETED"


async def test_watches_from_many_revisions_are_told_the_same_in_the_same_order(
    http: httpx.AsyncClient, url: str
) -> None:
    writes = 30

    async def write(part: int) -> None:
        for number in range(writes // 3):
            name = f"part-{part}-{number}"
            await make(http, url, name, "order")
            await change(http, url, name, "1")
            if number % 2:
                await http.delete(f"{url}/{name}")

    events = writes * 2 + 3 * (writes // 3 // 2)
    start = (await http.get(url)).json()["metadata"]["resourceVersion"]
    writing = asyncio.gather(*(write(part) for part in range(3)))
    async with contextlib.AsyncExitStack() as stack:
        leading = await stack.enter_async_context(watching(http, url, resourceVersion=start))
        order, followers = [], []
        for position in range(events):
            revision = int((await leading.next())[1]["metadata"]["resourceVersion"])
            order.append(revision)
            if position % 8 == 0:
                follower = await stack.enter_async_context(watching(http, url, resourceVersion=revision))
                followers.append((position, follower))
        await writing
        assert order == sorted(set(order))
        for position, follower in followers:
            rest = order[position + 1 :]
            assert [int((await follower.next())[1]["metadata"]["resourceVersion"]) for _ in rest] == rest
