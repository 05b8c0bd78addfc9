"""Random histories against a model: what ranges, watches and the watch cache show must follow from the writes alone."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.apiserver.storage.base import Compacted, KeyExists, Record, RevisionMismatch, Store
from k8slite.apiserver.storage.memory import MemoryStore
from k8slite.apiserver.storage.sqlite import SqliteStore
from k8slite.apiserver.watching.cache import ResourceCache, WatchCache
from k8slite.apiserver.watching.events import Shown
from k8slite.apiserver.watching.watch import WatchStream
from k8slite.selectors import parse_field_selector, parse_label_selector

from .engines import document, take

KEYS = [f"/core/pods/{namespace}/{name}" for namespace in ("a", "a-b", "b") for name in ("x", "y")]

Operation = tuple[str, str, str, bool]
"""create, update or delete; the key; the app label; whether the expected revision is the right one."""

operations = st.lists(
    st.tuples(
        st.sampled_from(["create", "update", "delete"]),
        st.sampled_from(KEYS),
        st.sampled_from(["web", "db"]),
        st.booleans() | st.just(True),
    ),
    min_size=1,
    max_size=40,
)


class Model:
    """The state after every revision."""

    def __init__(self) -> None:
        self.states: dict[int, dict[str, Record]] = {0: {}}
        self.revision = 0

    @property
    def now(self) -> dict[str, Record]:
        return self.states[self.revision]

    def put(self, key: str, record: Record | None, revision: int) -> None:
        state = {k: r for k, r in self.now.items() if k != key}
        if record is not None:
            state[key] = record
        assert revision > self.revision
        self.states[revision] = dict(sorted(state.items()))
        self.revision = revision


async def perform(store: Store, model: Model, operation: Operation) -> None:
    verb, key, app, right = operation
    there = model.now.get(key)
    value = document(key.rpartition("/")[2], app=app)
    expected = (there.revision if there else 1_000_000) + (0 if right else 1_000)
    try:
        if verb == "create":
            record = await store.create(key, value)
            assert there is None
            model.put(key, record, record.revision)
        elif verb == "update":
            record = await store.update(key, value, expected=expected)
            assert there is not None
            assert right
            model.put(key, record, record.revision)
        else:
            record = await store.delete(key, expected=expected)
            assert there is not None
            assert right
            model.put(key, None, record.revision)
    except KeyExists:
        assert there is not None
    except RevisionMismatch as mismatch:
        assert mismatch.current == there
        assert there is None or not right


async def check_store(store: Store, operations: list[Operation], compact_at: int) -> None:
    model = Model()
    live = store.watch("/", after=0)
    for operation in operations:
        await perform(store, model, operation)
    assert await store.revision() == model.revision
    for revision, state in model.states.items():
        if revision:
            assert (await store.range("/core/", revision=revision)).records == list(state.values())
    writes = len(model.states) - 1
    changes = await take(live, writes)
    compacted = sorted(model.states)[compact_at % len(model.states)]
    await store.compact(compacted)
    for revision, state in model.states.items():
        try:
            assert (await store.range("/core/", revision=revision)).records == list(state.values()) or not revision
            assert revision >= compacted or not revision
            later = [change for change in changes if change.revision > revision]
            assert await take(store.watch("/", after=revision), len(later)) == later
        except Compacted as error:
            assert revision < compacted
            assert error.oldest == compacted


@settings(max_examples=60, deadline=None)
@given(operations, st.integers(0, 100))
def test_the_memory_store_follows_the_model(operations: list[Operation], compact_at: int) -> None:
    async def run() -> None:
        store = MemoryStore()
        await store.open()
        await check_store(store, operations, compact_at)
        await store.close()

    asyncio.run(run())


@settings(max_examples=30, deadline=None)
@given(operations, st.integers(0, 100))
def test_the_sqlite_store_follows_the_model(operations: list[Operation], compact_at: int) -> None:
    async def run(directory: str) -> None:
        store = SqliteStore(Path(directory) / "store.db")
        await store.open()
        await check_store(store, operations, compact_at)
        state = (await store.range("/")).records
        await store.close()
        store = SqliteStore(Path(directory) / "store.db")
        await store.open()
        assert (await store.range("/")).records == state
        await store.close()

    with TemporaryDirectory() as directory:
        asyncio.run(run(directory))


class View:
    """What a client that follows a watch believes to be there."""

    def __init__(self, pieces: AsyncIterator[bytes], start: dict[str, int], after: int) -> None:
        self._pieces = pieces
        self._after = after
        self.objects = start

    async def read(self, until: int) -> None:
        """Read until a bookmark says that everything up to a revision was sent."""
        while self._after < until:
            for text in (await anext(self._pieces)).splitlines():
                self._take(json.loads(text))

    def _take(self, event: dict[str, Any]) -> None:
        if event["type"] == "BOOKMARK":
            self._after = int(event["object"]["metadata"]["resourceVersion"])
            return
        metadata = event["object"]["metadata"]
        name, revision = f"{metadata['ns']}/{metadata['name']}", int(metadata["resourceVersion"])
        assert (name in self.objects) == (event["type"] != "ADDED")
        assert revision > self.objects.get(name, 0)
        if event["type"] == "DELETED":
            del self.objects[name]
        else:
            self.objects[name] = revision


def pod(key: str, app: str) -> bytes:
    namespace, name = key.split("/")[3:]
    return (
        b'{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"","ns":"%b","name":"%b","labels":{"app":"%b"}}}'
        % (namespace.encode(), name.encode(), app.encode())
    )


SELECTIONS: list[dict[str, Any]] = [
    {},
    {"namespace": "a"},
    {"labels": parse_label_selector("app=web")},
    {"labels": parse_label_selector("app!=web"), "namespace": "a-b"},
    {"fields": parse_field_selector("app=db")},
    {"fields": parse_field_selector("app=db,metadata.name=x")},
    {"fields": parse_field_selector("app!=db"), "namespace": "b"},
]


@settings(max_examples=60, deadline=None)
@given(operations, st.sampled_from(SELECTIONS), st.integers(0, 40), st.sampled_from([3, 4096]))
def test_a_watch_from_anywhere_leads_to_what_a_list_shows(
    operations: list[Operation], selection: dict[str, Any], start: int, history: int
) -> None:
    async def run() -> None:
        store, cache = MemoryStore(), WatchCache()
        await store.open()
        await cache.start(store)
        pods = cache.resource("", "pods")
        pods.HISTORY_EVENTS = history  # type: ignore[misc]
        pods.index({"app": lambda document: document["metadata"]["labels"]["app"]})
        views = []
        for position, (verb, key, app, _) in enumerate(operations):
            if position == start:  # a client that lists now and only watches at the end
                listed, listed_at = pods.select(**selection), pods.revision
            if position % 5 == 0:  # clients that watch all along
                views.append(follow(pods, selection, None))
            there = await store.get(key)
            if verb == "delete" and there:
                await store.delete(key, expected=there.revision)
            elif there:
                await store.update(key, pod(key, app), expected=there.revision)
            else:
                await store.create(key, pod(key, app))
        if start < len(operations):
            late = {f"{entry.namespace}/{entry.name}": entry.revision for entry in listed}
            views.append(follow(pods, selection, listed_at, late))
        reading = asyncio.gather(*(view.read(cache.revision) for view in views))
        async with asyncio.timeout(20):
            while not reading.done():
                pods.bookmark()
                await asyncio.sleep(0)
        await reading
        shown = {f"{entry.namespace}/{entry.name}": entry.revision for entry in pods.select(**selection)}
        for view in views:
            assert view.objects == shown
        assert [entry.key for entry in pods.select(**selection)] == sorted(e.key for e in pods.select(**selection))
        await cache.stop()
        await store.close()

    asyncio.run(run())


def follow(
    pods: ResourceCache, selection: dict[str, Any], after: int | None, start: dict[str, int] | None = None
) -> View:
    watcher = pods.watch(**selection, after=after, bookmarks=True)
    return View(WatchStream(watcher, Shown("Pod", "v1"), timeout=60), start or {}, after or 0)
