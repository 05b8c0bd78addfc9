"""Preemption carried out: the whole scheduler on virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

from k8slite import errors
from k8slite.scheduler import metrics
from k8slite.scheduler.framework import Handle
from k8slite.scheduler.permits import Wait
from k8slite.scheduler.plugins import build
from k8slite.scheduler.profile import Profile, profile
from k8slite.scheduler.queue import Place
from k8slite.scheduler.view import Pod

from .builders import node, pod
from .running import and_no_preemption, cluster

ONE = {"cpu": "1"}
PREEMPTED = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "PreemptionByScheduler",
    "message": "default-scheduler: preempting to accommodate a higher priority pod",
}


def one(name: str = "a") -> Any:
    return node(name, allocatable=ONE)


def low(name: str = "low", on: str = "a", **more: Any) -> Pod:
    return pod(name, requests=ONE, nodeName=on, phase="Running", **more)


def high(name: str = "high", **more: Any) -> Pod:
    return pod(name, requests=ONE, **({"priority": 100} | more))


def leaving(name: str = "low", on: str = "a", **more: Any) -> Pod:
    return low(name, on, deleting=True, conditions=[PREEMPTED], **more)


async def test_a_pod_takes_the_place_of_one_of_lower_priority() -> None:
    attempts, victims = metrics.PREEMPTION_ATTEMPTS.of(), metrics.PREEMPTION_VICTIMS.count()
    async with cluster(one()) as it:
        it.show(low(), high())
        await it.settle(lambda: it.api.deleted == ["low"])
        assert it.api.disrupted == [("low", PREEMPTED["message"])]
        assert it.api.nominated == [("high", "a")]
        assert it.api.conditions == [("high", "0/1 nodes are available: 1 Insufficient cpu.")]
        assert ("Preempted", "Preempted by pod uid-high on node a") in it.api.events
        assert it.api.bound == []
        it.gone(low())
        await it.settle()
        await it.clock.advance(1.5)
        assert it.api.bound == [("high", "a")]
        assert it.api.deleted == ["low"]
    assert metrics.PREEMPTION_ATTEMPTS.of() == attempts + 1
    assert metrics.PREEMPTION_VICTIMS.count() == victims + 1


async def test_nobody_goes_where_there_is_room() -> None:
    async with cluster(one(), one("b")) as it:
        it.show(low(), high())
        await it.settle(lambda: it.api.bound == [("high", "b")])
        assert it.api.deleted == []


async def test_equals_and_those_who_never_preempt_wait() -> None:
    async with cluster(one()) as it:
        it.show(low(priority=100), high())
        waits = "0/1 nodes are available: 1 Insufficient cpu."
        await it.settle(lambda: it.api.conditions == [("high", waits + and_no_preemption(without_victims=1))])
        it.show(high("patient", priority=1000, preemptionPolicy="Never"))
        never = f"{waits} preemption: not eligible due to preemptionPolicy=Never."
        await it.settle(lambda: it.api.conditions[1:] == [("patient", never)])
        assert it.api.deleted == []
        await it.clock.advance(60)
        it.gone(low(priority=100))
        await it.settle(lambda: it.api.bound == [("patient", "a")])


async def test_while_victims_terminate_no_others_are_chosen() -> None:
    async with cluster(one(), one("b")) as it:
        it.show(low("old", "a", started="2026-01-01T00:00:00Z"), low("new", "b", started="2026-01-02T00:00:00Z"))
        it.show(high())
        await it.settle(lambda: it.api.deleted == ["new"])
        it.show(high(nominated="b"))
        for _ in range(3):
            # The deletion was accepted but is not seen yet; something else may wake the pod.
            it.scheduler.queue.activate("uid-high")
            await it.settle()
        it.show(leaving("new", "b"))
        it.scheduler.queue.activate("uid-high")
        await it.settle()
        terminating = "preemption: not eligible due to a terminating pod on the nominated node."
        assert it.api.conditions[-1] == ("high", f"0/2 nodes are available: 2 Insufficient cpu. {terminating}")
        await it.clock.advance(600)
        assert it.api.deleted == ["new"]
        assert it.api.bound == []
        it.gone(leaving("new", "b"))
        await it.clock.advance(11)
        assert it.api.bound == [("high", "b")]


async def test_a_pod_waits_until_all_calls_for_its_victims_are_made() -> None:
    async with cluster(node("a", allocatable={"cpu": "2"})) as it:
        it.show(low("one"), low("two"), pod("high", requests={"cpu": "2"}, priority=1))
        it.api.hold.clear()
        await it.settle(lambda: len(it.api.disrupted) == 2)
        it.gone(low("one"))
        await it.clock.advance(20)
        assert it.scheduler.queue.place_of("uid-high") in (Place.GATED, Place.UNSCHEDULABLE)
        it.api.hold.set()
        await it.settle(lambda: sorted(it.api.deleted) == ["one", "two"])
        it.gone(low("two"))
        await it.clock.advance(20)
        assert it.api.bound == [("high", "a")]
        assert len(it.api.deleted) == 2


async def test_the_last_victim_may_be_gone_before_the_answer_comes() -> None:
    async with cluster(one()) as it:
        it.show(low(), high())
        it.api.hold.clear()
        await it.settle(lambda: it.api.disrupted)
        await it.clock.advance(20)
        it.gone(low())
        await it.settle()
        assert it.scheduler.queue.place_of("uid-high") is Place.GATED
        it.api.hold.set()
        await it.settle()
        assert it.api.bound == [("high", "a")]


async def test_a_call_that_fails_is_made_again() -> None:
    made, failed = metrics.EVICTIONS.of("success"), metrics.EVICTIONS.of("error")
    async with cluster(one()) as it:
        it.api.fail_delete = [aiohttp.ClientConnectionError("reset")]
        it.show(low(), high())
        await it.settle(lambda: it.api.nominated == [("high", "a")])
        await it.clock.advance(0.5)
        assert it.api.deleted == []
        await it.clock.advance(30)
        assert it.api.deleted == ["low"]
        it.gone(low())
        await it.clock.advance(30)
        assert it.api.bound == [("high", "a")]
    assert metrics.EVICTIONS.of("success") == made + 1
    assert metrics.EVICTIONS.of("error") == failed + 1


async def test_a_victim_that_vanished_is_no_failure() -> None:
    async with cluster(one()) as it:
        it.api.fail_delete = [errors.not_found("pods", "low")]
        it.show(low(), high())
        await it.settle()
        it.gone(low())
        await it.clock.advance(30)
        assert it.api.bound == [("high", "a")]
        assert not [reason for reason, _ in it.api.events if reason == "Preempted"]


async def test_who_could_not_take_a_place_is_woken_when_those_leave_who_could_not_be_removed() -> None:
    async with cluster(node("a", allocatable={"cpu": "2"})) as it:
        it.show(low(), low("equal", priority=100), pod("high", requests={"cpu": "2"}, priority=100))
        await it.clock.advance(20)
        assert it.api.deleted == []
        it.gone(low("equal", priority=100))
        await it.clock.advance(20)
        assert it.api.deleted == ["low"]


async def test_who_could_not_take_a_place_is_woken_when_its_node_takes_pods_again() -> None:
    async with cluster(node("a", allocatable=ONE, unschedulable=True)) as it:
        it.show(low(), high())
        await it.clock.advance(20)
        assert it.api.deleted == []
        it.scheduler.on_node(None, one())
        await it.clock.advance(20)
        assert it.api.deleted == ["low"]


async def test_an_answer_that_nobody_understands_stops_no_other_preemption() -> None:
    async with cluster(one(), one("b")) as it:
        it.api.fail_delete = [ValueError("no JSON")]
        it.show(low(), low("other", "b"), high(), high("second"))
        await it.clock.advance(30)
        assert sorted(it.api.deleted) == ["low", "other"]


async def test_nobody_goes_for_a_pod_that_is_gone_before_its_turn() -> None:
    async with cluster(one()) as it:
        it.show(low(), high())
        for _ in range(10):
            if it.scheduler.columns.nominations:
                break
            await asyncio.sleep(0)
        assert it.scheduler.columns.nominations
        assert it.api.disrupted == []
        it.gone(high())
        await it.clock.advance(30)
        assert it.api.disrupted == []
        assert it.api.deleted == []


async def test_another_node_is_cleared_when_the_nominated_one_vanishes() -> None:
    async with cluster(one()) as it:
        it.show(low(), high())
        await it.settle(lambda: it.api.nominated == [("high", "a")])
        it.show(high(nominated="a"), low("other", "b", deleting=False))
        it.scheduler.on_node(None, one("b"))
        await it.clock.advance(20)
        assert it.api.deleted == ["low"], "its place is still being cleared"
        it.scheduler.on_node(one(), None)
        it.scheduler.queue.activate("uid-high")
        await it.settle(lambda: it.api.deleted == ["low", "other"])
        assert it.api.nominated[-1] == ("high", "b")


async def test_preemptors_do_not_take_the_same_room() -> None:
    async with cluster(one(), one("b"), one("c")) as it:
        it.show(low("x", "a"), low("y", "b"), low("z", "c"))
        it.show(high("first"), high("second"))
        await it.settle(lambda: len(it.api.deleted) == 2)
        places = dict(it.api.nominated)
        assert len(set(places.values())) == 2
        for name, where in (("x", "a"), ("y", "b"), ("z", "c")):
            if name in it.api.deleted:
                it.gone(low(name, where))
        it.show(pod("small", requests=ONE, priority=1))
        await it.clock.advance(20)
        assert {name: where for name, where in it.api.bound if name != "small"} == places
        await it.clock.advance(400)
        assert len(it.api.deleted) == 3, "and the third pod's place goes to the one with priority 1"


async def test_who_has_more_priority_takes_a_promised_place_and_its_owner_looks_for_another() -> None:
    async with cluster(one()) as it:
        it.show(low(), high("first", priority=10))
        await it.settle(lambda: it.api.nominated == [("first", "a")])
        it.show(high("first", priority=10, nominated="a"), leaving())
        it.show(high("second", priority=20))
        await it.settle(lambda: ("second", "a") in it.api.nominated)
        assert set(it.api.nominated[1:]) == {("first", ""), ("second", "a")}
        assert it.api.deleted == ["low"]
        it.show(high("first", priority=10))
        it.scheduler.on_node(None, one("b"))
        await it.clock.advance(20)
        assert ("first", "b") in it.api.bound or ("second", "b") in it.api.bound
        it.gone(leaving())
        await it.clock.advance(20)
        assert sorted(name for name, _ in it.api.bound) == ["first", "second"]


async def test_a_restart_in_the_middle_goes_on_where_it_was() -> None:
    async with cluster(one(), one("b")) as it:
        it.show(leaving("gone soon", "a"), low("stays", "b"), high(nominated="a"))
        await it.settle()
        it.show(pod("thief", requests=ONE, priority=100))
        await it.clock.advance(400)
        assert it.api.deleted == ["stays"], "the second high pod may take the other's place, the first has its own"
        it.gone(leaving("gone soon", "a"))
        await it.clock.advance(20)
        assert ("high", "a") in it.api.bound
        assert ("thief", "a") not in it.api.bound


class Slow:
    name = "Slow"

    def permit(self, asking: Pod, where: str) -> str | Wait:
        return Wait(60) if asking.spec.priority == 0 else ""


def with_permits(handle: Handle) -> dict[str, Profile]:
    plugins = build(handle)
    everything = {id(plugin): plugin for group in (*vars_of(plugins),) for plugin in group}
    return {"default-scheduler": profile([*everything.values(), Slow()])}


def vars_of(plugins: Profile) -> Any:
    for name in plugins.__slots__:
        value = getattr(plugins, name)
        if isinstance(value, tuple):
            yield value
    yield (plugins.queue_sort,)


async def test_a_pod_that_waits_for_a_permit_is_sent_back_not_deleted() -> None:
    async with cluster(one(), profiles=with_permits) as it:
        it.show(pod("waiting", requests=ONE))
        await it.settle()
        assert it.scheduler.columns.node_of("uid-waiting") == "a"
        it.show(high())
        await it.clock.advance(5)
        assert it.api.bound == [("high", "a")]
        assert it.api.deleted == []
        it.scheduler.on_node(None, one("b"))
        await it.clock.advance(20)
        assert it.scheduler.columns.node_of("uid-waiting") == "b", "it is tried again without further ado"


async def test_a_binding_that_fails_gives_the_promise_back() -> None:
    async with cluster(one()) as it:
        it.api.fail = [aiohttp.ClientConnectionError("reset")]
        it.show(high(nominated="a"))
        await it.settle()
        assert not it.scheduler.columns.nominations
        await it.clock.advance(10)
        assert it.api.bound == [("high", "a")]
