"""A worker's life in virtual time, on the simulated runtime."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest

from k8slite.kubelet.runtime.base import State

from .builders import pod
from .rig import Rig


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    yield made
    await made.close()


async def test_a_crashing_container_is_restarted_after_ever_longer_waits(rig: Rig) -> None:
    rig.workers.handle(None, pod(main={"command": ["false"]}))
    starts: list[float] = []
    seen = -1
    for _ in range(80):
        await rig.pass_time(1)
        attempt, _ = await rig.newest()
        if attempt > seen:
            starts.append(rig.clock.monotonic())
            seen = attempt
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert [round(gap / 10) for gap in gaps] == [1, 2, 4]
    state = rig.api.statuses[-1]["containerStatuses"][0]["state"]
    assert state["waiting"]["reason"] == "CrashLoopBackOff"
    assert rig.events.reasons.count("BackOff") == 4


async def test_a_pod_that_is_deleted_is_ended_reported_and_forgotten(rig: Rig) -> None:
    of = pod()
    rig.workers.handle(None, of)
    await rig.pass_time(1)
    assert await rig.newest() == (0, State.RUNNING)
    rig.workers.handle(of, rig.deleted(of, grace=30))
    await rig.pass_time(1)
    assert rig.api.statuses[-1]["phase"] == "Failed"
    assert rig.api.deleted == [{"name": "web", "namespace": "default", "uid": "u1", "grace_period": 0}]
    assert await rig.runtime.list() == {}
    rig.workers.handle(of, None)
    await rig.pass_time(1)
    assert "u1" not in rig.workers


async def test_a_pod_that_vanishes_from_the_api_is_ended(rig: Rig) -> None:
    of = pod()
    rig.workers.handle(None, of)
    await rig.pass_time(1)
    rig.workers.handle(of, None)
    await rig.pass_time(1)
    await rig.pass_time(1)
    assert await rig.runtime.list() == {}
    assert "u1" not in rig.workers
    assert rig.api.deleted == []


async def test_a_status_is_written_once(rig: Rig) -> None:
    rig.workers.handle(None, pod())
    await rig.pass_time(1)
    written = len(rig.api.statuses)
    for _ in range(5):
        await rig.pass_time(10)
    assert len(rig.api.statuses) == written


async def test_one_that_others_overwrote_is_written_again(rig: Rig) -> None:
    of = pod(metadata={"resourceVersion": "5"})
    rig.api.pod = of
    rig.workers.handle(None, of)
    await rig.pass_time(1)
    written = len(rig.api.statuses)
    unready = pod(metadata={"resourceVersion": "9"}, status={"conditions": [{"type": "Ready", "status": "False"}]})
    rig.api.pod = pod(metadata={"resourceVersion": "10"})
    rig.workers.handle(of, unready)
    await rig.pass_time(1)
    assert len(rig.api.statuses) == written + 1
