import asyncio

from k8slite.clock import VirtualClock
from k8slite.events import BURST, Correlator, EventRecorder, Said
from k8slite.kinds.base import ObjectMeta
from k8slite.kinds.core import Pod

from .conftest import eventually

POD = Pod(api_version="v1", kind="Pod", metadata=ObjectMeta(name="web", namespace="default", uid="u1"))


def events(api):
    return [document for key, document in api.objects.items() if "/events/" in key]


async def test_repeats_raise_the_count(api, client):
    recorder = EventRecorder(client, component="test", clock=VirtualClock())
    task = asyncio.create_task(recorder.run())
    for _ in range(3):
        recorder.record(POD, reason="BackOff", message="again", type="Warning")
    await eventually(lambda: events(api) and events(api)[0]["count"] == 3)
    assert len(events(api)) == 1
    assert events(api)[0]["involvedObject"]["uid"] == "u1"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_is_queued_at_the_end_is_still_written(api, client):
    recorder = EventRecorder(client, component="test", clock=VirtualClock())
    task = asyncio.create_task(recorder.run())
    await asyncio.sleep(0)
    recorder.record(POD, reason="Killing", message="bye")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [event["message"] for event in events(api)] == ["bye"]


def said(message):
    at = VirtualClock().now()
    return Said({"kind": "Pod", "namespace": "default", "name": "web", "uid": "u1"}, "R", message, "Normal", at)


def test_similar_messages_are_combined():
    correlator = Correlator()
    names = {correlator.entry(said(f"try {number}"), now=0.0)[0].name for number in range(30)}
    assert len(names) == 11
    assert correlator.entry(said("try 99"), now=1.0)[1] == "(combined from similar events): try 99"


def test_a_chatty_object_is_cut_off_and_recovers():
    correlator = Correlator()
    admitted = [correlator.admit(said("x"), now=0.0) for _ in range(BURST + 5)]
    assert admitted == [True] * BURST + [False] * 5
    assert correlator.admit(said("x"), now=301.0)
