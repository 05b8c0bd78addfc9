import asyncio

import pytest

from k8slite import errors
from k8slite.clock import SystemClock, VirtualClock
from k8slite.decoding import decode_event
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


async def test_a_store_that_was_replaced_is_read_anew(api, informer):
    await api.put(A)
    await informer.wait_synced()
    changes = observe(informer)
    written, lists = await api.put(A), informer.lists
    await api.put(A)
    api.replace_store()
    await api.put(B, spec={"nodeName": "n1"})
    await api.cut_watches()
    await eventually(lambda: informer.get("other/b"))
    assert informer.get("default/a") is None
    assert changes[-2:] in ([("", None), (None, "n1")], [(None, "n1"), ("", None)])
    far = str(int(written["metadata"]["resourceVersion"]) + 1000)
    assert await informer.wait_for_revision("default/a", far, lists=lists)
    assert not await informer.wait_for_revision("default/a", far, lists=informer.lists, timeout=0.05)


async def test_who_waits_for_a_revision_that_is_lost_is_woken_by_the_next_list(api, informer):
    await api.put(A)
    await informer.wait_synced()
    waiting = asyncio.create_task(informer.wait_for_revision("default/a", str(api.revision + 1000), timeout=60))
    await asyncio.sleep(0)
    api.replace_store()
    await api.cut_watches()
    assert await waiting


async def test_a_watch_that_falls_silent_is_noticed(api, informer, monkeypatch):
    monkeypatch.setattr("k8slite.client.WATCH_SILENCE", 0.2)
    api.mute = True
    await informer.wait_synced()
    await api.put(A)
    await eventually(lambda: len(api.requests) > 2)
    api.mute = False
    await eventually(lambda: informer.get("default/a"))


async def test_time_in_which_nothing_can_be_heard_does_not_count(api, client):
    clock = VirtualClock()
    informer = Informer(client, PODS, clock=clock)
    task = asyncio.create_task(informer.run())
    await informer.wait_synced()
    await eventually(lambda: len(api.requests) == 2)
    await api.put(A)
    await eventually(lambda: informer.get("default/a"))
    clock._elapsed += 7  # time passes while the server says nothing
    assert informer.listened() == 7
    api.fail_next = [errors.service_unavailable("away")]
    await api.cut_watches()
    await eventually(lambda: not api.fail_next)
    before = informer.listened()
    clock._elapsed += 1000
    assert informer.listened() == before
    async with asyncio.timeout(10):
        while informer.listened() == before:
            await clock.advance(1)
            await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("line", [b"[]", b"7", b'{"type":"ADDED"}', b"{"])
def test_what_is_no_event_is_a_fault_that_a_watch_survives(line):
    with pytest.raises(ValueError, match=r"\w"):
        decode_event(PODS, line)
