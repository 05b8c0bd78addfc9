import asyncio

import pytest

from k8slite.clock import SystemClock
from k8slite.informer import Informer
from k8slite.kinds.resources import PODS

from .conftest import eventually

A, B = "/api/v1/namespaces/default/pods/a", "/api/v1/namespaces/other/pods/b"


@pytest.fixture
async def informer(client):
    made = Informer(client, PODS, clock=SystemClock(), indexers={"node": lambda pod: [pod.spec.node_name]})
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def observe(informer):
    changes = []
    informer.add_handler(
        lambda old, new: changes.append((old and old.spec.node_name, new and new.spec.node_name)),
    )
    return changes


async def test_the_cache_follows_the_server(api, informer):
    await api.put(A, spec={"nodeName": "n1"})
    await informer.wait_synced()
    changes = observe(informer)
    assert changes == [(None, "n1")]
    await api.put(B, spec={"nodeName": "n1"})
    await api.put(A, spec={"nodeName": "n2"})
    await eventually(lambda: len(changes) == 3)
    assert [pod.name for pod in informer.by_index("node", "n1")] == ["b"]
    assert [pod.name for pod in informer.list("default")] == ["a"]
    await api.remove(A)
    await eventually(lambda: informer.get("default/a") is None)
    assert changes == [(None, "n1"), (None, "n1"), ("n1", "n2"), ("n2", None)]
    assert informer.by_index("node", "n2") == []


async def test_a_cut_watch_is_resumed_without_a_list(api, informer):
    await informer.wait_synced()
    await eventually(lambda: len(api.requests) == 2)
    await api.cut_watches()
    await api.put(A)
    await eventually(lambda: informer.get("default/a"))
    assert len([path for _, path in api.requests]) >= 3


async def test_a_compacted_revision_means_a_relist_that_finds_what_went(api, informer):
    await api.put(A)
    await api.put(B)
    await informer.wait_synced()
    changes = observe(informer)
    gone = api.objects[A]
    del api.objects[A], gone
    api.revision += 5
    api.compacted = api.revision
    await api.cut_watches()
    await eventually(lambda: informer.get("default/a") is None)
    assert changes[2:] == [("", None)]
    assert informer.get("other/b")


async def test_an_object_made_anew_is_seen_as_gone_and_come(api, informer):
    await api.put(A)
    await informer.wait_synced()
    changes = observe(informer)
    api.objects[A]["metadata"]["uid"] = "another"
    await api.put(A, metadata={"uid": "another"}, spec={"nodeName": "n1"})
    await eventually(lambda: len(changes) == 3)
    assert changes == [(None, ""), ("", None), (None, "n1")]


async def test_read_your_writes(api, informer):
    await informer.wait_synced()
    written = await api.put(A)
    assert await informer.wait_for_revision("default/a", written["metadata"]["resourceVersion"])
    assert informer.get("default/a")
    assert not await informer.wait_for_revision("default/a", str(api.revision + 1), timeout=0.05)


async def test_an_unreadable_object_stops_nothing(api, informer):
    await api.put(A, spec={"containers": "nonsense"})
    await informer.wait_synced()
    await api.put(B, spec={"containers": 7})
    await api.put("/api/v1/namespaces/other/pods/c", spec={"containers": None})
    await eventually(lambda: informer.get("other/c"))
    assert informer.get("default/a") is None


async def test_a_failing_handler_hurts_only_itself(api, informer):
    await informer.wait_synced()
    informer.add_handler(lambda old, new: 1 / 0)
    changes = observe(informer)
    await api.put(A)
    await eventually(lambda: changes)
