"""The watch cache over the memory store: reading one's writes, selecting, paging, watching."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from k8slite.apiserver.storage.base import PLACEHOLDER, FutureRevision, Record
from k8slite.apiserver.storage.feed import Batch
from k8slite.apiserver.storage.memory import MemoryStore
from k8slite.apiserver.watching.cache import ResourceCache, WatchCache
from k8slite.apiserver.watching.events import Shown
from k8slite.apiserver.watching.watch import Watcher, WatchStream
from k8slite.selectors import parse_field_selector, parse_label_selector


def pod(name: str, *, node: str = "", **labels: str) -> bytes:
    metadata = json.dumps({"name": name, "labels": labels})[1:]
    return b'{"kind":"Pod","apiVersion":"v1","metadata":{%b,%b,"spec":{"nodeName":"%b"}}' % (
        PLACEHOLDER,
        metadata.encode(),
        node.encode(),
    )


class World:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.cache = WatchCache()

    @property
    def pods(self) -> ResourceCache:
        return self.cache.resource("", "pods")

    async def start(self) -> None:
        await self.store.open()
        self.pods.index({"spec.nodeName": lambda document: document.get("spec", {}).get("nodeName", "")})
        await self.cache.start(self.store)

    async def stop(self) -> None:
        await self.cache.stop()
        await self.store.close()

    async def create(self, namespace: str, name: str, *, node: str = "", **labels: str) -> Record:
        return await self.store.create(self.pods.key(namespace, name), pod(name, node=node, **labels))

    async def update(self, record: Record, *, node: str = "", **labels: str) -> Record:
        name = record.key.rpartition("/")[2]
        return await self.store.update(record.key, pod(name, node=node, **labels), expected=record.revision)


class Client:
    """Reads a watch to its lines."""

    def __init__(self, watcher: Watcher, timeout: float = 60) -> None:
        self.watcher = watcher
        self._pieces = WatchStream(watcher, Shown("Pod", "v1"), timeout=timeout)
        self._lines: list[dict[str, Any]] = []

    async def next(self) -> tuple[str, str, int]:
        """Type, name and revision of the next event."""
        event = await self.line()
        metadata = event["object"]["metadata"]
        return event["type"], metadata.get("name", ""), int(metadata["resourceVersion"])

    async def line(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            while not self._lines:
                self._lines = [json.loads(text) for text in (await anext(self._pieces)).splitlines()]
        return self._lines.pop(0)

    async def rest(self) -> list[dict[str, Any]]:
        async with asyncio.timeout(5):
            return self._lines + [json.loads(text) async for piece in self._pieces for text in piece.splitlines()]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.start()
    yield world
    await world.stop()


def names(entries: list[Any]) -> list[str]:
    return [f"{entry.namespace}/{entry.name}" for entry in entries]


async def test_what_was_written_is_read_at_once(world: World) -> None:
    record = await world.create("a", "x")
    entry = world.pods.get("a", "x")
    assert entry is not None
    assert (entry.value, entry.revision) == (record.value, record.revision)
    assert world.cache.revision == record.revision
    await world.store.delete(record.key, expected=record.revision)
    assert world.pods.get("a", "x") is None


async def test_what_was_there_before_the_start_is_in_the_cache(world: World) -> None:
    await world.create("a", "x")
    cache = WatchCache()
    await cache.start(world.store)
    assert names(cache.resource("", "pods").select()) == ["a/x"]
    assert cache.revision == world.cache.revision
    await cache.stop()


async def test_selecting(world: World) -> None:
    await world.create("b", "x", node="n1", app="web")
    await world.create("a", "y", node="n2", app="web")
    moving = await world.create("a", "x", node="n1", app="db")
    pods = world.pods
    assert names(pods.select()) == ["a/x", "a/y", "b/x"]
    assert names(pods.select(namespace="a")) == ["a/x", "a/y"]
    assert names(pods.select(labels=parse_label_selector("app=web"))) == ["a/y", "b/x"]
    assert names(pods.select(fields=parse_field_selector("spec.nodeName=n1"))) == ["a/x", "b/x"]
    assert names(pods.select(namespace="a", fields=parse_field_selector("spec.nodeName=n1"))) == ["a/x"]
    assert names(pods.select(fields=parse_field_selector("metadata.name=x"))) == ["a/x", "b/x"]
    assert names(pods.select(namespace="b", fields=parse_field_selector("metadata.name=x"))) == ["b/x"]
    assert names(pods.select(fields=parse_field_selector("metadata.namespace=b"))) == ["b/x"]
    moved = await world.update(moving, node="n3")
    assert names(pods.select(fields=parse_field_selector("spec.nodeName=n1"))) == ["b/x"]
    assert names(pods.select(fields=parse_field_selector("spec.nodeName=n3"))) == ["a/x"]
    await world.store.delete(moved.key, expected=moved.revision)
    assert names(pods.select(fields=parse_field_selector("spec.nodeName=n3"))) == []
    assert names(pods.select(fields=parse_field_selector("spec.nodeName!=n1"))) == ["a/y"]


async def test_pages_stay_consistent_while_objects_change(world: World) -> None:
    records = [await world.create("a", f"{i}", app="web") for i in range(6)]
    first = await world.pods.page(limit=4)
    assert (names(first.entries), first.remaining) == (["a/0", "a/1", "a/2", "a/3"], 2)
    await world.store.delete(records[4].key, expected=records[4].revision)
    await world.create("a", "45", app="web")
    second = await world.pods.page(limit=4, after=first.last, revision=first.revision)
    assert (names(second.entries), second.remaining) == (["a/4", "a/5"], 0)
    second = await world.pods.page(
        limit=1, after=first.last, revision=first.revision, labels=parse_label_selector("app=web")
    )
    assert (names(second.entries), second.remaining) == (["a/4"], 1)
    with pytest.raises(FutureRevision):
        await world.pods.page(revision=world.cache.revision + 1)


async def test_a_watch_follows_from_a_revision(world: World) -> None:
    first = await world.create("a", "x")
    second = await world.create("a", "y")
    client = Client(world.pods.watch(after=first.revision))
    assert await client.next() == ("ADDED", "y", second.revision)
    third = await world.update(second)
    assert await client.next() == ("MODIFIED", "y", third.revision)
    gone = await world.store.delete(second.key, expected=third.revision)
    assert await client.next() == ("DELETED", "y", gone.revision)


async def test_an_object_that_starts_or_stops_matching_is_added_or_deleted(world: World) -> None:
    for watch in (
        lambda: world.pods.watch(after=world.cache.revision, labels=parse_label_selector("app=web")),
        lambda: world.pods.watch(after=world.cache.revision, fields=parse_field_selector("spec.nodeName=n1")),
    ):
        client = Client(watch())
        first = await world.create("a", "x", node="n2", app="db")
        second = await world.update(first, node="n1", app="web")
        third = await world.update(second, node="n1", app="web")
        fourth = await world.update(third, node="n2", app="db")
        assert await client.next() == ("ADDED", "x", second.revision)
        assert await client.next() == ("MODIFIED", "x", third.revision)
        left = await client.line()
        assert left["type"] == "DELETED"
        assert left["object"]["metadata"] | {"resourceVersion": ""} == {
            "resourceVersion": "",
            "name": "x",
            "labels": {"app": "web"},
        }
        assert int(left["object"]["metadata"]["resourceVersion"]) == fourth.revision
        await world.store.delete(first.key, expected=fourth.revision)
        client.watcher.close()


async def test_a_watch_sees_only_its_namespace_or_name(world: World) -> None:
    namespaced = Client(world.pods.watch(namespace="a", after=world.cache.revision))
    named = Client(world.pods.watch(namespace="a", name="y", after=world.cache.revision))
    by_field = Client(world.pods.watch(fields=parse_field_selector("metadata.name=y"), after=world.cache.revision))
    await world.create("b", "x")
    await world.create("a", "x")
    await world.create("a", "y")
    await world.create("b", "y")
    assert [(await namespaced.next())[1] for _ in range(2)] == ["x", "y"]
    assert (await named.next())[1] == "y"
    assert [(await by_field.next())[1] for _ in range(2)] == ["y", "y"]


async def test_a_watch_without_a_revision_begins_with_what_is_there(world: World) -> None:
    record = await world.create("a", "x", app="web")
    await world.create("a", "y", app="db")
    web = parse_label_selector("app=web")
    client = Client(world.pods.watch(labels=web, after=None, bookmarks=True, initial_bookmark=True))
    assert await client.next() == ("ADDED", "x", record.revision)
    end = await client.line()
    assert end == {
        "type": "BOOKMARK",
        "object": {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {
                "resourceVersion": str(world.cache.revision),
                "annotations": {"k8s.io/initial-events-end": "true"},
            },
        },
    }
    later = await world.create("a", "z", app="web")
    assert await client.next() == ("ADDED", "z", later.revision)


async def test_the_end_of_the_time_comes_with_a_bookmark(world: World) -> None:
    await world.create("a", "x")
    after = world.cache.revision
    last = await world.store.create("/core/secrets/a/s", pod("s"))
    told = await Client(world.pods.watch(after=after, bookmarks=True), timeout=0.01).rest()
    assert [(e["type"], e["object"]["metadata"]["resourceVersion"]) for e in told] == [("BOOKMARK", str(last.revision))]
    assert await Client(world.pods.watch(after=after), timeout=0.01).rest() == []


async def test_a_slow_watcher_is_cut_off_and_the_others_go_on(world: World) -> None:
    slow = world.pods.watch(after=world.cache.revision)
    quick = Client(world.pods.watch(after=world.cache.revision))
    for index in range(Watcher.LIMIT + 10):
        await world.create("a", f"{index}")
        assert (await quick.next())[1] == f"{index}"
    assert slow.ended
    assert len(await Client(slow).rest()) == Watcher.LIMIT
    assert not quick.watcher.ended


async def test_a_watch_that_caught_up_beyond_the_cache_sees_nothing_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over etcd the store's history can be ahead of the cache, which follows by a stream of its own."""
    monkeypatch.setattr(ResourceCache, "HISTORY_EVENTS", 1)
    for name in "abc":
        await world.create("ns", name)
    late: list[Batch] = []
    assert world.cache._stop_following is not None
    world.cache._stop_following()
    world.cache._stop_following = world.store.follow(late.append)
    await world.create("ns", "d")
    client = Client(world.pods.watch(after=1))
    assert [await client.next() for _ in range(3)] == [("ADDED", "b", 2), ("ADDED", "c", 3), ("ADDED", "d", 4)]
    await world.create("ns", "e")
    for batch in late:
        world.cache._apply(batch)
    assert await client.next() == ("ADDED", "e", 5)
    client.watcher.close()


async def test_a_watch_from_before_the_memory_reads_the_stores_history(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ResourceCache, "HISTORY_EVENTS", 5)
    web = parse_label_selector("app=web")
    start = world.cache.revision
    client = Client(world.pods.watch(labels=web, after=start))
    record = await world.create("a", "x", app="web")
    for index in range(30):
        record = await world.update(record, app="web" if index % 3 else "db")
    live = [await client.next() for _ in range(31)]
    again = Client(world.pods.watch(labels=web, after=start))
    assert [await again.next() for _ in range(31)] == live
    last = await world.update(record, app="web")
    assert (await again.next())[2] == (await client.next())[2] == last.revision


async def test_a_watch_from_a_compacted_revision_ends_with_410(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ResourceCache, "HISTORY_EVENTS", 1)
    start = world.cache.revision
    for index in range(5):
        await world.create("a", f"{index}")
    await world.store.compact(world.cache.revision)
    [error] = await Client(world.pods.watch(after=start)).rest()
    assert error["type"] == "ERROR"
    assert (error["object"]["code"], error["object"]["reason"]) == (410, "Expired")


async def test_a_transformation_runs_once_for_all_watchers(world: World) -> None:
    calls = []

    def table(document: bytes) -> bytes:
        calls.append(document)
        return b'{"kind":"Table"}'

    streams = [
        WatchStream(world.pods.watch(after=world.cache.revision), Shown("Pod", "v1", table), timeout=5)
        for _ in range(10)
    ]
    waiting = [asyncio.ensure_future(anext(pieces)) for pieces in streams]
    await asyncio.sleep(0)
    record = await world.create("a", "x")
    for piece in await asyncio.gather(*waiting):
        assert piece == b'{"type":"ADDED","object":{"kind":"Table"}}\n'
    assert calls == [record.value]
    for pieces in streams:
        await pieces.aclose()


async def test_waiting_for_a_revision(world: World) -> None:
    record = await world.create("a", "x")
    await world.cache.wait_for(record.revision, 1)
    waiting = asyncio.create_task(world.cache.wait_for(record.revision + 1, 5))
    await asyncio.sleep(0)
    await world.create("a", "y")
    await waiting
    with pytest.raises(FutureRevision):
        await world.cache.wait_for(record.revision + 100, 0.01)


async def test_a_watch_from_a_revision_that_another_server_has_reached_waits_for_it(world: World) -> None:
    client = Client(world.pods.watch(after=world.cache.revision + 1))
    await world.create("a", "x")
    second = await world.create("a", "y")
    assert await client.next() == ("ADDED", "y", second.revision)


async def test_nothing_is_kept_of_those_who_waited_in_vain(world: World) -> None:
    for _ in range(3):
        with pytest.raises(FutureRevision):
            await world.cache.wait_for(world.cache.revision + 1_000_000, 0)
    leaving = asyncio.create_task(world.cache.wait_for(world.cache.revision + 1_000_000, 60))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert world.cache._waiting == []


async def test_who_leaves_as_the_revision_comes_leaves_in_peace(world: World) -> None:
    leaving = asyncio.create_task(world.cache.wait_for(world.cache.revision + 1, 60))
    await asyncio.sleep(0)
    leaving.cancel()
    world.cache._apply(Batch([], world.cache.revision + 1))
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_a_watch_that_resumes_after_a_restart_is_told_how_far_it_is(world: World) -> None:
    record = await world.create("a", "x")
    last = await world.store.create("/core/secrets/a/s", pod("s"))
    restarted = WatchCache()
    await restarted.start(world.store)
    pods = restarted.resource("", "pods")
    client = Client(pods.watch(after=record.revision, bookmarks=True))
    async with asyncio.timeout(5):
        while not pods.watchers:  # noqa: ASYNC110 — memory takes over without waiting for a change
            await asyncio.sleep(0)
    pods.bookmark()
    assert await client.next() == ("BOOKMARK", "", last.revision)
    later = await world.create("a", "y")
    assert await client.next() == ("ADDED", "y", later.revision)
    await restarted.stop()


async def test_one_watcher_that_fails_costs_no_other_a_change(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken, whole = world.pods.watch(after=world.cache.revision), world.pods.watch(after=world.cache.revision)
    client = Client(whole)

    def fail() -> None:
        monkeypatch.setattr(broken, "on_ready", None)
        raise ValueError("not today")

    broken.on_ready = fail
    record = await world.create("a", "x")
    assert await client.next() == ("ADDED", "x", record.revision)
    assert world.cache.revision == record.revision
    assert broken.ended
    assert "not today" in caplog.text


async def test_large_objects_leave_in_several_pieces(world: World) -> None:
    for name in "abc":
        await world.create("ns", name, text="x" * 50_000)
    watcher = world.pods.watch(after=None, bookmarks=True, initial_bookmark=True)
    for name in "def":
        await world.create("ns", name, text="x" * 50_000)
    pieces = []
    while watcher.pending:
        pieces.append(watcher.take(Shown("Pod", "v1")))
    assert max(map(len, pieces)) < 120_000
    events = [json.loads(line) for line in b"".join(pieces).splitlines()]
    assert [event["object"]["metadata"].get("name", event["type"]) for event in events] == [*"abc", "BOOKMARK", *"def"]
