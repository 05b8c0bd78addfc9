import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from k8slite import errors
from k8slite import events as recording
from k8slite.client import Client, ClientConfig
from k8slite.clock import VirtualClock
from k8slite.events import BURST, FOR_NEWS, SIMILAR_LIMIT, Correlator, EventRecorder, Said
from k8slite.kinds.base import ObjectMeta
from k8slite.kinds.core import Pod
from k8slite.metrics import EVENTS_DROPPED

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


def test_what_is_said_again_and_again_leaves_room_for_news():
    correlator, now = Correlator(), 0.0

    def tell(message: str) -> bool:
        if admitted := correlator.admit(said(message), now=now):
            correlator.entry(said(message), now=now)
        return admitted

    repeated = [tell("failed") for _ in range(BURST)]
    # The first is news; of what follows only repetitions are cut off.
    assert repeated == [True] * (BURST - FOR_NEWS) + [False] * FOR_NEWS
    assert [tell(f"news {number}") for number in range(FOR_NEWS)] == [True] * (SIMILAR_LIMIT - 1) + [False]
    now = 301.0 * FOR_NEWS
    assert tell("better") and tell("and more")


class Api(Client):
    """Answers when it is let, and remembers what was said of whom, in order."""

    def __init__(self) -> None:
        super().__init__(ClientConfig(server="http://nowhere"))
        self.said: list[tuple[str, str]] = []
        self.attempts = self.under_way = self.most_under_way = 0
        self.fail: list[Exception] = []
        self.hold = asyncio.Event()
        self.hold.set()

    async def create(self, resource: Any, body: Any, **more: Any) -> Any:
        await self._answer()
        self.said.append((body["involvedObject"]["name"], body["message"]))

    async def patch(self, resource: Any, name: str, body: Any, **more: Any) -> Any:
        await self._answer()
        self.said.append((name.partition(".")[0], f"{body['message']} x{body['count']}"))

    async def _answer(self) -> None:
        self.attempts += 1
        self.under_way += 1
        self.most_under_way = max(self.under_way, self.most_under_way)
        try:
            await asyncio.sleep(0)
            await self.hold.wait()
            if self.fail:
                raise self.fail.pop(0)
        finally:
            self.under_way -= 1


class Recording:
    def __init__(self) -> None:
        self.api = Api()
        self.clock = VirtualClock()
        self.recorder = EventRecorder(self.api, component="test", clock=self.clock)

    def say(self, name: str, message: str = "hello") -> None:
        about = Pod(api_version="v1", kind="Pod", metadata=ObjectMeta(name=name, namespace="default", uid=name))
        self.recorder.record(about, reason="Test", message=message)


@asynccontextmanager
async def at_work() -> AsyncIterator[Recording]:
    it = Recording()
    task = asyncio.create_task(it.recorder.run())
    try:
        yield it
    finally:
        task.cancel()
        await it.clock.advance(10)
        await asyncio.gather(task, return_exceptions=True)


async def test_a_burst_of_thousands_is_written_to_the_last_at_a_pace():
    async with at_work() as it:
        for number in range(5000):
            it.say(f"p{number}")
        await it.clock.advance(1)
        assert 100 <= len(it.api.said) <= 135, "a few at once, and few more while the burst lasts"
        await it.clock.advance(4)
        assert 400 <= len(it.api.said) <= 1000, "then so many a second"
        await it.clock.advance(25)
        assert Counter(name for name, _ in it.api.said) == {f"p{number}": 1 for number in range(5000)}
        assert it.api.most_under_way <= 8


async def test_writers_work_at_the_same_time_but_each_object_is_told_of_in_order():
    async with at_work() as it:
        it.api.hold.clear()
        for number in range(5):
            for name in "abc":
                it.say(name, f"{number}")
        it.say("a", "4")
        await it.clock.advance(1)
        assert it.api.under_way == 3
        it.api.hold.set()
        await it.clock.advance(1)
        for name in "bc":
            assert [message for who, message in it.api.said if who == name] == ["0", "1", "2", "3", "4"]
        assert [message for who, message in it.api.said if who == "a"] == ["0", "1", "2", "3", "4", "4 x2"]


async def test_a_full_queue_drops_the_oldest_counts_and_says_so_once(monkeypatch, caplog):
    monkeypatch.setattr(recording, "QUEUE_SIZE", 10)
    before = EVENTS_DROPPED._value.get()
    async with at_work() as it:
        for number in range(25):
            it.say(f"p{number}")
        await it.clock.advance(1)
        assert sorted(name for name, _ in it.api.said) == sorted(f"p{number}" for number in range(15, 25))
        assert EVENTS_DROPPED._value.get() - before == 15
        assert len([record for record in caplog.records if "dropped" in record.message]) == 1


@pytest.mark.parametrize("error", [errors.ApiError(429, "TooManyRequests", "later"), ConnectionResetError()], ids=repr)
async def test_all_writers_hold_while_the_server_is_overloaded_and_nothing_is_lost(error):
    async with at_work() as it:
        it.api.fail = [error] * 8
        for number in range(50):
            it.say(f"p{number}")
        await it.clock.advance(0.4)
        assert it.api.attempts == 8
        await it.clock.advance(2)
        assert len(it.api.said) == 50


async def test_an_event_that_nobody_takes_is_given_up(caplog):
    before = EVENTS_DROPPED._value.get()
    async with at_work() as it:
        it.api.fail = [errors.ApiError(503, "", "down")] * recording.ATTEMPTS
        it.say("lost")
        await it.clock.advance(120)
        assert EVENTS_DROPPED._value.get() - before == 1
        assert it.api.attempts == recording.ATTEMPTS
        it.say("next")
        await it.clock.advance(1)
        assert it.api.said == [("next", "hello")]


async def test_a_lost_answer_makes_no_second_event():
    async with at_work() as it:
        it.api.fail = [ConnectionResetError(), errors.ApiError(409, "AlreadyExists", "there")]
        it.say("web")
        await it.clock.advance(2)
        it.say("web")
        await it.clock.advance(1)
        assert it.api.said == [("web", "hello x2")]


async def test_what_is_being_written_at_the_end_is_finished_too():
    it = Recording()
    task = asyncio.create_task(it.recorder.run())
    it.api.hold.clear()
    for number in range(20):
        it.say(f"p{number}")
    await it.clock.advance(0.1)
    task.cancel()
    await asyncio.sleep(0)
    it.api.hold.set()
    await asyncio.gather(task, return_exceptions=True)
    assert len(it.api.said) == 20


async def test_a_part_of_a_program_speaks_in_its_own_name(api, client):
    recorder = EventRecorder(client, component="program", clock=VirtualClock(), host="machine")
    task = asyncio.create_task(recorder.run())
    recorder.record(POD, reason="R", message="one", component="part")
    recorder.record(POD, reason="R", message="two")
    await eventually(lambda: len(events(api)) == 2)
    sources = {event["message"]: event["source"] for event in events(api)}
    assert sources == {
        "one": {"component": "part", "host": "machine"},
        "two": {"component": "program", "host": "machine"},
    }
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
