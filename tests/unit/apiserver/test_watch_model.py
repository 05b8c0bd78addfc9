"""Random writes between random reads of many watches: at each bookmark a client knows exactly what was there.

Not what is there later (the bookmark would be behind what was sent), nor what was there earlier (it would be ahead, and
whoever resumes from it would miss the difference).
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.apiserver.storage.memory import MemoryStore
from k8slite.apiserver.watching import watch
from k8slite.apiserver.watching.cache import ResourceCache, WatchCache
from k8slite.apiserver.watching.events import Shown
from k8slite.apiserver.watching.watch import WatchStream
from k8slite.selectors import parse_field_selector, parse_label_selector

State = dict[str, tuple[int, str]]
"""namespace/name → revision, label."""

SELECTIONS: list[tuple[dict[str, Any], Any]] = [
    ({}, lambda name, app: True),
    ({"namespace": "a"}, lambda name, app: name.startswith("a/")),
    ({"labels": parse_label_selector("app=web")}, lambda name, app: app == "web"),
    ({"labels": parse_label_selector("app!=web"), "namespace": "b"}, lambda name, app: name[0] == "b" and app != "web"),
    ({"fields": parse_field_selector("app=db")}, lambda name, app: app == "db"),
    ({"fields": parse_field_selector("app=db,metadata.name=x")}, lambda name, app: name[2] == "x" and app == "db"),
]
WRITES = st.tuples(st.just("write"), st.sampled_from(["a/x", "a/y", "b/x"]), st.sampled_from(["web", "db", ""]))
"""An empty label deletes."""
STEPS = st.lists(
    WRITES
    | WRITES
    | st.tuples(st.just("watch"), st.integers(0, len(SELECTIONS) - 1), st.integers(-1, 20))
    | st.tuples(st.just("read"), st.integers(0, 5), st.just(0))
    | st.tuples(st.just("bookmark"), st.just(0), st.just(0))
    | st.tuples(st.just("turn"), st.integers(1, 4), st.just(0)),
    max_size=60,
)


class Client:
    """Follows a watch and holds it to the history of what was there."""

    def __init__(self, pods: ResourceCache, history: dict[int, State], selection: int, after: int) -> None:
        how, self._chosen = SELECTIONS[selection]
        watcher = pods.watch(**how, after=None if after < 0 else after, bookmarks=True, initial_bookmark=after < 0)
        self.stream = WatchStream(watcher, Shown("Pod", "v1"), timeout=60)
        self._history = history
        self._starts = after < 0
        self._last = max(after, 0)
        self._known = {} if self._starts else self._there(after)
        self.told = 0

    def _there(self, revision: int) -> dict[str, int]:
        return {name: at for name, (at, app) in self._history[revision].items() if self._chosen(name, app)}

    def read(self) -> None:
        """Take a piece, if there is one."""
        for text in self.stream.take().splitlines():
            event = json.loads(text)
            metadata = event["object"]["metadata"]
            revision = int(metadata["resourceVersion"])
            if event["type"] == "BOOKMARK":
                assert revision >= self._last
                assert self._known == self._there(revision)
                assert ("annotations" in metadata) == self._starts
                self._starts, self.told = False, revision
            else:
                self._take(event["type"], f"{metadata['namespace']}/{metadata['name']}", revision)
            self._last = max(self._last, revision) if self._starts else revision

    def _take(self, kind: str, name: str, revision: int) -> None:
        assert self._starts or revision > self._last
        assert (name in self._known) == (kind != "ADDED")
        if kind == "DELETED":
            del self._known[name]
        else:
            self._known[name] = revision


def pod(name: str, app: str) -> bytes:
    namespace, _, name = name.partition("/")
    metadata = {"resourceVersion": "", "namespace": namespace, "name": name, "labels": {"app": app}}
    document = {"kind": "Pod", "apiVersion": "v1", "metadata": metadata}
    return json.dumps(document, separators=(",", ":")).encode()


@settings(max_examples=150, deadline=None)
@given(STEPS, st.sampled_from([1, 3, 4096]), st.sampled_from([1, 250, 65536]))
def test_every_bookmark_tells_the_truth(steps: list[tuple[str, Any, Any]], history: int, piece: int) -> None:
    with patch.object(ResourceCache, "HISTORY_EVENTS", history), patch.object(watch, "PIECE", piece):
        asyncio.run(_run(steps))


async def _run(steps: list[tuple[str, Any, Any]]) -> None:
    store, cache = MemoryStore(), WatchCache()
    await store.open()
    await store.create("/core/secrets/a/first", b'{"metadata":{"resourceVersion":""}}')
    await cache.start(store)
    pods = cache.resource("", "pods")
    pods.index({"app": lambda document: document["metadata"]["labels"]["app"]})
    history: dict[int, State] = {1: {}}
    clients: list[Client] = []
    for what, first, second in steps:
        now = max(history)
        if what == "write":
            history.update(await _write(store, history[now], first, second))
        elif what == "watch":
            after = second if second < 0 else sorted(history)[second % len(history)]
            clients.append(Client(pods, history, first, after))
        elif what == "read" and clients:
            clients[first % len(clients)].read()
        elif what == "bookmark":
            pods.bookmark()
        elif what == "turn":
            for _ in range(first):
                await asyncio.sleep(0)
    async with asyncio.timeout(10):
        while any(client.told < cache.revision for client in clients):
            pods.bookmark()
            await asyncio.sleep(0)
            for client in clients:
                client.read()
    for client in clients:
        await client.stream.aclose()
    assert pods.watchers == 0
    await cache.stop()
    await store.close()


async def _write(store: MemoryStore, state: State, name: str, app: str) -> dict[int, State]:
    key, there = f"/core/pods/{name}", state.get(name)
    if not app:
        if there is None:
            return {}
        record = await store.delete(key, expected=there[0])
        return {record.revision: {other: seen for other, seen in state.items() if other != name}}
    value = pod(name, app)
    record = await (store.update(key, value, expected=there[0]) if there else store.create(key, value))
    return {record.revision: {**state, name: (record.revision, app)}}
