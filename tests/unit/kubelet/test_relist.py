from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from k8slite.clock import VirtualClock
from k8slite.kubelet.relist import Relist
from k8slite.kubelet.runtime.base import PodState, RuntimeEvent, RuntimeFault, RuntimeUnavailable

from .builders import container, pod, runs


class Runtime:
    """Lists what a test says, or fails as it says."""

    def __init__(self) -> None:
        self.states: dict[str, PodState] = {}
        self.fault: Exception | None = None
        self.subscriptions = 0

    async def list(self) -> dict[str, PodState]:
        if self.fault:
            raise self.fault
        return dict(self.states)

    async def events(self) -> AsyncIterator[RuntimeEvent]:
        self.subscriptions += 1
        if isinstance(self.fault, RuntimeFault):
            raise self.fault
        yield RuntimeEvent("u1", "die")


class Rig:
    def __init__(self) -> None:
        self.clock, self.runtime = VirtualClock(), Runtime()
        self.woken: list[str] = []
        self.orphans: list[PodState] = []
        self.health: list[str] = []
        self.known = {"u1"}
        self.relist = Relist(
            self.runtime,  # type: ignore[arg-type]
            clock=self.clock,
            period=10.0,
            wake=self.woken.append,
            known=lambda uid: uid in self.known,
            orphan=self.orphans.append,
            health=self.health.append,
        )
        self.tasks = [asyncio.ensure_future(self.relist.run())]

    def follow_hints(self) -> None:
        self.tasks.append(asyncio.ensure_future(self.relist.hints()))


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)


async def test_only_changed_pods_are_woken_and_strangers_reported(rig: Rig) -> None:
    rig.runtime.states = {"u1": runs(container(pod()))}
    await rig.clock.advance(25)
    assert rig.woken == ["u1"]
    rig.runtime.states = {"u2": runs()}
    await rig.clock.advance(10)
    assert sorted(rig.woken) == ["u1", "u1", "u2"]
    assert rig.orphans == [runs()]


async def test_a_short_absence_of_the_runtime_is_kept_to_oneself_and_its_return_seen_soon(rig: Rig) -> None:
    await rig.clock.advance(1)
    rig.runtime.fault = RuntimeUnavailable("away")
    await rig.clock.advance(12)
    rig.runtime.fault, rig.runtime.states = None, {"u1": runs()}
    await rig.clock.advance(8)
    assert rig.woken == ["u1"]
    assert set(rig.health) == {""}


async def test_a_long_absence_is_reported_until_it_ends(rig: Rig) -> None:
    await rig.clock.advance(1)
    rig.runtime.fault = RuntimeUnavailable("away")
    await rig.clock.advance(60)
    assert rig.health[-1] == "away"
    rig.runtime.fault = None
    await rig.clock.advance(10)
    assert rig.health[-1] == ""


async def test_nothing_that_a_listing_brings_ends_the_kubelet(rig: Rig) -> None:
    await rig.clock.advance(1)
    rig.runtime.fault = KeyError("a label")
    await rig.clock.advance(20)
    rig.runtime.fault, rig.runtime.states = None, {"u1": runs()}
    await rig.clock.advance(10)
    assert rig.woken == ["u1"]


async def test_broken_events_are_opened_again_but_not_all_the_time(rig: Rig) -> None:
    rig.runtime.fault = RuntimeUnavailable("away")
    rig.follow_hints()
    await rig.clock.advance(120)
    assert 10 <= rig.runtime.subscriptions <= 20
    rig.runtime.fault = None
    await rig.clock.advance(10)
    assert "u1" in rig.woken


async def test_after_broken_events_all_is_looked_at_at_once(rig: Rig) -> None:
    await rig.clock.advance(1)
    rig.follow_hints()
    await rig.clock.advance(0)
    rig.woken.clear()
    rig.known.add("u2")
    rig.runtime.states = {"u2": runs()}
    await rig.clock.advance(1)
    assert rig.woken[0] == "u2"
