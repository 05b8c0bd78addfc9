"""What users are told of pods that wait, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from k8slite.client import Client
from k8slite.clock import VirtualClock
from k8slite.errors import ApiError
from k8slite.events import EventRecorder
from k8slite.scheduler.pod_status import NOTE_LIMIT
from k8slite.scheduler.reporting import REMIND_AFTER, RENEWED_AT_ONCE, Reporter
from k8slite.scheduler.view import Pod

from .builders import pod


class Api:
    """Takes patches of status, or refuses them."""

    def __init__(self) -> None:
        self.patches: list[tuple[str, dict[str, Any]]] = []
        self.fail: list[Exception] = []

    async def patch(self, resource: Any, name: str, body: dict[str, Any], **more: Any) -> None:
        assert more["subresource"] == "status"
        await asyncio.sleep(0)
        if self.fail:
            raise self.fail.pop(0)
        self.patches.append((name, body))

    @property
    def messages(self) -> list[str]:
        return [found["message"] for _, body in self.patches for found in body["status"].get("conditions", ())]


class Recorder:
    def __init__(self) -> None:
        self.said: list[dict[str, str]] = []

    def record(self, about: Pod, **said: str) -> None:
        self.said.append({"about": about.name} | said)


class Desk:
    def __init__(self) -> None:
        self.api, self.recorder, self.clock = Api(), Recorder(), VirtualClock()
        events = {"default-scheduler": cast(EventRecorder, self.recorder)}
        self.reporter = Reporter(cast(Client, self.api), events=events, clock=self.clock)

    async def minute(self) -> None:
        """Let a minute pass, in which everything is written that the pace allows."""
        for _ in range(600):
            await self.clock.advance(0.1)


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    found = Desk()
    work = asyncio.create_task(found.reporter.run())
    try:
        yield found
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def test_the_first_verdict_is_condition_and_event() -> None:
    async with desk() as it:
        asking = pod("web")
        asking = asking.model_copy(update={"metadata": asking.metadata.model_copy(update={"generation": 3})})
        it.reporter.unschedulable(asking, "0/1 nodes are available: 1 Insufficient cpu.")
        await it.clock.advance(0)
        ((name, body),) = it.api.patches
        assert (name, body["metadata"]) == ("web", {"uid": "uid-web"})
        assert body["status"]["conditions"] == [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "0/1 nodes are available: 1 Insufficient cpu.",
                "observedGeneration": 3,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
        ]
        (said,) = it.recorder.said
        assert said["reason"] == "FailedScheduling"
        assert (said["type"], said["action"]) == ("Warning", "Scheduling")
        assert said["message"] == "0/1 nodes are available: 1 Insufficient cpu."


async def test_an_error_has_a_reason_of_its_own() -> None:
    async with desk() as it:
        it.reporter.failed(pod("web"), "it broke")
        await it.clock.advance(0)
        ((_, body),) = it.api.patches
        assert body["status"]["conditions"][0]["reason"] == "SchedulerError"
        it.reporter.unschedulable(pod("web"), "it broke")
        await it.clock.advance(0)
        assert it.api.patches[1][1]["status"]["conditions"][0]["reason"] == "Unschedulable"


async def test_the_same_is_said_again_only_as_an_event_and_after_half_an_hour() -> None:
    async with desk() as it:
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no"}
        it.reporter.unschedulable(pod("web"), "no")
        await it.clock.advance(REMIND_AFTER - 1)
        it.reporter.unschedulable(pod("web", conditions=[condition]), "no")
        assert len(it.recorder.said) == 1
        await it.clock.advance(2)
        it.reporter.unschedulable(pod("web", conditions=[condition]), "no")
        await it.clock.advance(0)
        assert len(it.recorder.said) == 2
        assert it.api.messages == ["no"]


async def test_another_scheduler_takes_up_what_the_one_before_said() -> None:
    async with desk() as it:
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no"}
        it.reporter.unschedulable(pod("web", conditions=[condition]), "no")
        await it.clock.advance(0)
        assert (it.api.patches, it.recorder.said) == ([], [])


def known(number: int, message: str) -> Pod:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(f"p{number}", conditions=[condition])


async def test_other_numbers_are_told_of_some_and_other_reasons_of_everybody() -> None:
    async with desk() as it:
        before = "0/9 nodes are available: 9 Insufficient cpu."
        for number in range(2000):
            it.reporter.unschedulable(known(number, before), before)
        for number in range(2000):
            it.reporter.unschedulable(known(number, before), "0/10 nodes are available: 10 Insufficient cpu.")
        await it.minute()
        assert len(it.api.patches) == len(it.recorder.said) == RENEWED_AT_ONCE
        for number in range(2000):
            it.reporter.unschedulable(known(number, before), "0/10 nodes are available: 10 Too many pods.")
        await it.minute()
        assert len(it.api.patches) == RENEWED_AT_ONCE + 2000


async def test_what_changed_meanwhile_is_written_once_and_as_it_is_by_then() -> None:
    async with desk() as it:
        for number in range(1000):
            it.reporter.unschedulable(pod(f"p{number}"), "first")
        for number in range(1000):
            it.reporter.unschedulable(pod(f"p{number}"), "then")
        await it.minute()
        assert sorted(it.api.messages) == ["then"] * 1000


async def test_a_promise_goes_before_all_verdicts() -> None:
    async with desk() as it:
        for number in range(1000):
            it.reporter.unschedulable(pod(f"p{number}"), "no")
        await it.clock.advance(2)
        assert len(it.api.patches) < 1000
        it.reporter.nominate(pod("web"), "a")
        await it.clock.advance(0.1)
        assert [body["status"] for name, body in it.api.patches if name == "web"] == [{"nominatedNodeName": "a"}]


async def test_a_verdict_that_was_not_taken_is_written_later() -> None:
    async with desk() as it:
        unreadable = ValueError("no JSON")
        it.api.fail = [ApiError(503, "ServiceUnavailable", "not now"), ConnectionResetError("reset"), unreadable]
        it.reporter.unschedulable(pod("web"), "no")
        await it.clock.advance(0)
        assert it.api.messages == []
        await it.clock.advance(10)
        assert it.api.messages == ["no"]


async def test_a_verdict_outlives_minutes_without_an_api_server() -> None:
    async with desk() as it:
        it.api.fail = [ConnectionResetError("reset")] * 12
        for number in range(3):
            it.reporter.unschedulable(pod(f"p{number}"), "no")
        for _ in range(5):
            await it.minute()
        assert it.api.messages == ["no"] * 3


async def test_a_verdict_that_was_given_up_is_told_again_with_the_next_attempt() -> None:
    async with desk() as it:
        it.api.fail = [ApiError(500, "InternalError", "a webhook is broken")] * 6
        it.reporter.unschedulable(pod("web"), "no")
        for _ in range(5):
            await it.minute()
        assert (it.api.fail, it.api.messages) == ([], [])
        it.reporter.unschedulable(pod("web"), "no")
        await it.clock.advance(1)
        assert it.api.messages == ["no"]


@pytest.mark.parametrize("error", [ApiError(404, "NotFound", "gone"), ApiError(403, "Forbidden", "not you")])
async def test_a_verdict_that_is_refused_is_let_go(error: ApiError) -> None:
    async with desk() as it:
        it.api.fail = [error]
        it.reporter.unschedulable(pod("web"), "no")
        await it.clock.advance(100)
        assert it.api.messages == []


async def test_nothing_is_written_of_a_pod_that_was_bound_meanwhile() -> None:
    async with desk() as it:
        it.reporter.unschedulable(pod("web"), "no")
        it.reporter.bound(pod("web"), "a")
        await it.clock.advance(10)
        assert it.api.patches == []
        assert it.recorder.said[-1]["message"] == "Successfully assigned default/web to a"
        assert it.recorder.said[-1]["action"] == "Binding"


async def test_a_note_ends_where_the_server_would_refuse_it() -> None:
    async with desk() as it:
        it.reporter.unschedulable(pod("web"), "x" * 3000)
        await it.clock.advance(0)
        (said,) = it.recorder.said
        assert len(said["message"]) == NOTE_LIMIT
        assert said["message"].endswith("x ...")
        assert it.api.messages == ["x" * 3000]
