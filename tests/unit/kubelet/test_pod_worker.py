"""A worker's life in virtual time, on the simulated runtime."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from k8slite.clock import VirtualClock
from k8slite.errors import not_found
from k8slite.kinds.core import Pod
from k8slite.kubelet.context import Context
from k8slite.kubelet.handlers import Handlers
from k8slite.kubelet.pod_worker import PodWorker
from k8slite.kubelet.runtime.base import State
from k8slite.kubelet.runtime.simulated import SimulatedRuntime
from k8slite.kubelet.simulation import SimulatedHealth, SimulatedLauncher
from k8slite.kubelet.status_writer import StatusWriter
from k8slite.kubelet.termination import TerminationMessages
from k8slite.kubelet.workers import Workers

from .builders import pod


class Api:
    """Keeps what workers write."""

    def __init__(self) -> None:
        self.statuses: list[dict[str, Any]] = []
        self.deleted: list[dict[str, Any]] = []
        self.pod = Pod()

    async def patch(self, _: Any, name: str, body: Any, **__: Any) -> Pod:
        self.statuses.append(body["status"])
        return self.pod

    async def delete(self, _: Any, name: str, **options: Any) -> None:
        self.deleted.append({"name": name, **options})
        raise not_found("pods", name)


class Said:
    def __init__(self) -> None:
        self.reasons: list[str] = []

    def record(self, about: Any, *, reason: str, **_: Any) -> None:
        self.reasons.append(reason)


class Rig:
    def __init__(self) -> None:
        self.clock, self.api, self.events = VirtualClock(), Api(), Said()
        self.runtime = SimulatedRuntime(clock=self.clock)
        self.writer = StatusWriter(self.api, clock=self.clock)  # type: ignore[arg-type]
        context = Context(
            runtime=self.runtime,
            launcher=SimulatedLauncher(self.runtime),
            health=SimulatedHealth(),
            handlers=Handlers(self.runtime, clock=self.clock),
            messages=TerminationMessages(self.runtime),
            events=self.events,  # type: ignore[arg-type]
            writer=self.writer,
            client=self.api,  # type: ignore[arg-type]
            clock=self.clock,
            host_ip="192.0.2.1",
            directory=lambda uid: Path("/nonexistent"),
        )
        self.workers = Workers(lambda pod, ended: PodWorker(pod, context=context, ended=ended))

    async def pass_time(self, seconds: float) -> None:
        """Time passes; as the runtime's hints would, every step wakes the worker."""
        await self.clock.advance(seconds)
        self.workers.wake_all()
        await self.clock.advance(0)

    async def newest(self) -> tuple[int, State]:
        found = (await self.runtime.list(pod_uid="u1"))["u1"].newest("main")
        assert found is not None
        return found.attempt, found.state


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    yield made
    await made.workers.close()
    await made.writer.close()
    await made.runtime.close()


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
    when = rig.clock.now() + timedelta(seconds=30)
    ending = of.metadata.model_copy(update={"deletion_timestamp": when, "deletion_grace_period_seconds": 30})
    rig.workers.handle(of, of.model_copy(update={"metadata": ending}))
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
