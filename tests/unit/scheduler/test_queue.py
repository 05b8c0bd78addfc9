from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.clock import VirtualClock
from k8slite.scheduler.change import Change, Event
from k8slite.scheduler.queue import FLUSH_AFTER, LONGEST_BACKOFF, Place, SchedulingQueue
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.view import Pod

from .builders import default_profile, pod

FIT = frozenset({"NodeResourcesFit"})
AFFINITY = frozenset({"NodeAffinity"})


def queue(clock: VirtualClock) -> SchedulingQueue:
    profile = default_profile()
    return SchedulingQueue(
        clock=clock,
        sort_key=profile.queue_sort.sort_key,
        admits=lambda asking: all(plugin.admits(asking) for plugin in profile.pre_enqueue),
        cures=profile.cures,
    )


def put(waiting: SchedulingQueue, *asking: Pod) -> None:
    for each in asking:
        waiting.put(each, shape_of(each))


def names(waiting: SchedulingQueue) -> list[str]:
    return [popped.pod.name for popped in waiting.pop(100)]


def test_priority_goes_first_then_arrival() -> None:
    waiting = queue(VirtualClock())
    put(waiting, pod("a"), pod("b", priority=10), pod("c"), pod("d", priority=10))
    assert names(waiting) == ["b", "d", "a", "c"]


async def test_an_unschedulable_pod_waits_for_a_change_that_helps() -> None:
    clock = VirtualClock()
    waiting = queue(clock)
    put(waiting, pod("a"))
    (popped,) = waiting.pop(1)
    waiting.reject(popped, AFFINITY)
    await clock.advance(60)
    waiting.changed(Event(Change.POD_REMOVED))
    assert waiting.place_of("uid-a") is Place.UNSCHEDULABLE
    waiting.changed(Event(Change.NODE_LABELS))
    assert names(waiting) == ["a"]


async def test_back_off_doubles_up_to_ten_seconds() -> None:
    clock = VirtualClock()
    waiting = queue(clock)
    put(waiting, pod("a"))
    seen = []
    for _ in range(6):
        started = clock.monotonic()
        waiter = asyncio.create_task(waiting.wait())
        while not waiter.done():
            await clock.advance(0.5)
        seen.append(clock.monotonic() - started)
        (popped,) = waiting.pop(1)
        waiting.reject(popped, FIT)
        waiting.changed(Event(Change.POD_REMOVED))
    assert seen[1:] == [1, 2, 4, 8, LONGEST_BACKOFF]


async def test_every_pod_is_tried_again_after_five_minutes() -> None:
    clock = VirtualClock()
    waiting = queue(clock)
    put(waiting, pod("a"))
    (popped,) = waiting.pop(1)
    waiting.reject(popped, FIT)
    waiter = asyncio.create_task(waiting.wait())
    await clock.advance(FLUSH_AFTER - 1)
    assert not waiter.done()
    await clock.advance(2)
    await waiter
    assert names(waiting) == ["a"]


def test_a_change_during_an_attempt_is_not_missed() -> None:
    waiting = queue(VirtualClock())
    put(waiting, pod("a"))
    (popped,) = waiting.pop(1)
    waiting.changed(Event(Change.NODE_ADDED))
    waiting.reject(popped, FIT)
    assert waiting.place_of("uid-a") is Place.BACKOFF


def test_gated_pods_wait_for_their_gates() -> None:
    waiting = queue(VirtualClock())
    put(waiting, pod("a", schedulingGates=[{"name": "later"}]))
    assert names(waiting) == []
    assert waiting.place_of("uid-a") is Place.GATED
    put(waiting, pod("a"))
    assert names(waiting) == ["a"]


async def test_a_pod_that_asks_for_less_is_tried_again() -> None:
    clock = VirtualClock()
    waiting = queue(clock)
    put(waiting, pod("a", requests={"cpu": "9"}))
    (popped,) = waiting.pop(1)
    waiting.reject(popped, FIT)
    await clock.advance(5)
    put(waiting, pod("a", requests={"cpu": "9"}, labels={"new": "label"}))
    assert waiting.place_of("uid-a") is Place.UNSCHEDULABLE
    put(waiting, pod("a", requests={"cpu": "1"}))
    assert names(waiting) == ["a"]


def test_a_deleted_pod_is_gone_wherever_it_was() -> None:
    waiting = queue(VirtualClock())
    put(waiting, pod("active"), pod("flying", priority=1))
    (flying,) = waiting.pop(1)
    waiting.delete("uid-flying")
    waiting.delete("uid-active")
    waiting.retry(flying)
    waiting.reject(flying, FIT)
    assert len(waiting) == 0
    assert names(waiting) == []
    assert set(waiting.counts().values()) == {0}


def test_a_namesake_is_another_pod() -> None:
    waiting = queue(VirtualClock())
    put(waiting, pod("a", uid="1"))
    (first,) = waiting.pop(1)
    waiting.delete("1")
    put(waiting, pod("a", uid="2"))
    waiting.retry(first)
    assert names(waiting) == ["a"]
    assert waiting.place_of("1") is None


uids = st.sampled_from(["a", "b", "c", "d"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), uids, st.sampled_from(["1", "2"]), st.booleans()),
        st.tuples(st.just("delete"), uids),
        st.tuples(st.just("pop")),
        st.tuples(st.just("reject"), st.sampled_from([FIT, AFFINITY])),
        st.tuples(st.just("retry")),
        st.tuples(st.just("change"), st.sampled_from(list(Change))),
        st.tuples(st.just("time"), st.sampled_from([0.5, 2.0, 400.0])),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(steps)
def test_no_pod_is_ever_lost(actions: list[Any]) -> None:
    asyncio.run(_never_loses(actions))


async def _never_loses(actions: list[Any]) -> None:
    clock = VirtualClock()
    waiting = queue(clock)
    here: set[str] = set()
    flying: list[Any] = []
    for action in actions:
        match action:
            case "put", uid, cpu, gated:
                here.add(uid)
                gates = {"schedulingGates": [{"name": "g"}]} if gated else {}
                put(waiting, pod(uid, uid=uid, requests={"cpu": cpu}, **gates))
            case "delete", uid:
                here.discard(uid)
                waiting.delete(uid)
                flying = [popped for popped in flying if popped.pod.uid != uid]
            case ("pop",):
                flying += waiting.pop(2)
            case "reject", plugins if flying:
                waiting.reject(flying.pop(), plugins)
            case ("retry",) if flying:
                waiting.retry(flying.pop())
            case "change", change:
                waiting.changed(Event(change))
            case "time", seconds:
                await clock.advance(seconds)
        assert {uid for uid in ("a", "b", "c", "d") if uid in waiting} == here
        assert sum(waiting.counts().values()) == len(here)
        assert waiting.counts()[Place.IN_FLIGHT] == len(flying)
    for popped in flying:
        waiting.retry(popped)
    for uid in here:
        put(waiting, pod(uid, uid=uid))
    await clock.advance(FLUSH_AFTER + LONGEST_BACKOFF)
    assert {popped.pod.uid for popped in waiting.pop(100)} == here, "in the end everyone gets a turn"
