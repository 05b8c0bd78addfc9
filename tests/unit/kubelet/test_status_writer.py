from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from k8slite.clock import VirtualClock
from k8slite.errors import ApiError, not_found
from k8slite.kinds.core import Pod
from k8slite.kubelet.status_writer import StatusWriter

from .builders import pod


class Api:
    """Answers with the faults that a test lines up, then well."""

    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []
        self.faults: list[Exception] = []
        self.asked = 0

    async def patch(self, _: Any, name: str, body: Any, **__: Any) -> Pod:
        self.asked += 1
        if self.faults:
            raise self.faults.pop(0)
        self.written.append(body["status"])
        return Pod()


class Rig:
    def __init__(self) -> None:
        self.clock, self.api = VirtualClock(), Api()
        self.writer = StatusWriter(self.api, clock=self.clock)  # type: ignore[arg-type]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    yield made
    await made.writer.close()


def status(phase: str) -> dict[str, Any]:
    return {"phase": phase, "conditions": []}


@pytest.mark.parametrize("turns", range(8))
async def test_no_status_is_lost_whenever_it_comes(rig: Rig, turns: int) -> None:
    rig.writer.put(pod(), status("Pending"))
    for _ in range(turns):
        await asyncio.sleep(0)
    rig.writer.put(pod(), status("Running"))
    await rig.clock.advance(0)
    assert rig.api.written[-1] == status("Running")


@pytest.mark.parametrize(
    "fault",
    [
        aiohttp.ServerDisconnectedError(),
        ApiError(503, "ServiceUnavailable", "away"),
        ApiError(403, "Forbidden", "not yet"),
        ApiError(409, "Conflict", "again"),
        ValueError("no JSON"),
    ],
)
async def test_what_passes_is_waited_for(rig: Rig, fault: Exception) -> None:
    rig.api.faults = [fault, fault]
    rig.writer.put(pod(), status("Running"))
    await rig.clock.advance(1)
    assert rig.api.written == [status("Running")]


async def test_only_the_latest_is_written_after_an_outage(rig: Rig) -> None:
    rig.api.faults = [aiohttp.ServerDisconnectedError() for _ in range(20)]
    for phase in ("Pending", "Running", "Failed"):
        rig.writer.put(pod(), status(phase))
        await rig.clock.advance(30)
    rig.api.faults = []
    await rig.clock.advance(10)
    assert rig.api.written == [status("Failed")]


async def test_a_pod_that_is_gone_is_reported_to_nobody(rig: Rig) -> None:
    rig.api.faults = [not_found("pods", "web")]
    rig.writer.put(pod(), status("Running"))
    await rig.writer.flush("u1")
    assert rig.api.asked == 1


async def test_lasting_refusals_are_given_up(rig: Rig) -> None:
    rig.api.faults = [ApiError(422, "Invalid", "no") for _ in range(50)]
    rig.writer.put(pod(), status("Running"))
    await rig.clock.advance(600)
    await rig.writer.flush("u1")
    assert rig.api.asked == 5
