"""Watches through a webhook: every object converted, in order, and the failure told to the client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from k8slite.apiserver.documents import encode
from k8slite.apiserver.registry import Served
from k8slite.apiserver.storage.memory import MemoryStore
from k8slite.apiserver.strategies.simple import SimpleStrategy
from k8slite.apiserver.verbs.converted_watch import ConvertedWatch
from k8slite.apiserver.watching.cache import WatchCache
from k8slite.apiserver.watching.events import Shown
from k8slite.apiserver.watching.watch import WatchStream
from k8slite.catalogue import Resource, builtin
from k8slite.errors import internal

Document = dict[str, Any]


class Converter:
    instant = False
    broken = False

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def is_current(self, revision: int) -> bool:
        return True

    def convert_now(self, document: Document, to: Resource) -> Document:
        raise AssertionError("a webhook must be asked")

    async def convert(self, documents: list[Document], to: Resource) -> list[Document]:
        self.batches.append([each["metadata"]["name"] for each in documents])
        if self.broken:
            raise internal("conversion webhook for x failed")
        return [{**each, "apiVersion": to.api_version, "converted": True} for each in documents]


class World:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.cache = WatchCache()
        self.converter = Converter()
        old, new = (builtin().by_path("autoscaling", each, "horizontalpodautoscalers") for each in ("v1", "v2"))
        assert old is not None and new is not None
        self.stored, rows = new, self.cache.resource("autoscaling", "horizontalpodautoscalers")
        self.rows = rows
        self.served = Served(old, old, new, SimpleStrategy(), rows, self.converter)

    async def write(self, name: str) -> None:
        document = {"metadata": {"name": name, "namespace": "n"}, "spec": {}}
        await self.store.create(self.rows.key("n", name), encode(document, self.stored))

    def watch(self, served: Served, *, keeps_plain: bool = True) -> ConvertedWatch:
        lines = WatchStream(self.rows.watch(bookmarks=True), Shown("K", "v"), timeout=60)
        return ConvertedWatch(lines, served=served, render=served.encode, keeps_plain=keeps_plain)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.store.open()
    await made.cache.start(made.store)
    yield made
    await made.cache.stop()
    await made.store.close()


def events(piece: bytes) -> list[Document]:
    return [json.loads(line) for line in piece.splitlines()]


async def test_lines_that_come_together_are_converted_together(world: World) -> None:
    for name in ("a", "b"):
        await world.write(name)
    watch = world.watch(world.served)
    seen = events(await anext(watch))
    assert [(each["type"], each["object"]["metadata"]["name"]) for each in seen] == [("ADDED", "a"), ("ADDED", "b")]
    assert all(each["object"]["converted"] and each["object"]["apiVersion"] == "autoscaling/v1" for each in seen)
    assert [each["object"]["metadata"]["resourceVersion"] for each in seen] == ["1", "2"]
    assert world.converter.batches == [["a", "b"]]
    for name in ("c", "d"):
        await world.write(name)
    world.cache.resource("autoscaling", "horizontalpodautoscalers").bookmark()
    seen = events(await anext(watch))
    assert [each["type"] for each in seen] == ["ADDED", "ADDED", "BOOKMARK"]
    assert world.converter.batches == [["a", "b"], ["c", "d"]]
    await watch.aclose()
    assert world.rows.watchers == 0


async def test_what_is_stored_in_the_version_asked_for_is_not_converted(world: World) -> None:
    await world.write("a")
    served = Served(world.stored, world.stored, world.stored, SimpleStrategy(), world.rows, world.converter)
    record = await world.store.get(world.rows.key("n", "a"))
    assert record is not None
    watch = world.watch(served)
    assert await anext(watch) == b'{"type":"ADDED","object":%b}\n' % record.value
    await watch.aclose()
    assert [batch for batch in world.converter.batches if batch] == []


async def test_a_failure_ends_the_watch_with_its_status(world: World) -> None:
    world.converter.broken = True
    await world.write("a")
    watch = world.watch(world.served)
    (event,) = events(await anext(watch))
    assert event["type"] == "ERROR"
    assert event["object"]["code"] == 500
    assert "conversion webhook for x failed" in event["object"]["message"]
    with pytest.raises(StopAsyncIteration):
        await anext(watch)
    assert world.rows.watchers == 0
