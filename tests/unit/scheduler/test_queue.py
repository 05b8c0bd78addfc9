from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.clock import VirtualClock
from k8slite.scheduler.change import Change, Event
from k8slite.scheduler.columns import Columns
from k8slite.scheduler.queue import FLUSH_AFTER, Backoff, Place, SchedulingQueue
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.view import Pod

from .builders import columns, default_profile, node, pod

FIT = frozenset({"NodeResourcesFit"})
AFFINITY = frozenset({"NodeAffinity"})
LONGEST_BACKOFF = Backoff().longest


def queue(clock: VirtualClock, state: Columns | None = None) -> SchedulingQueue:
    return SchedulingQueue({"default-scheduler": default_profile()}, clock=clock, columns=state or columns())


def put(waiting: SchedulingQueue, *asking: Pod) -> None:
    for each in asking:
        waiting.put(each, shape_of(each))


def names(waiting: SchedulingQueue) -> list[str]:
    return [popped.pod.name for popped in waiting.pop(100)]


def rejected(waiting: SchedulingQueue, *asking: Pod, by: frozenset[str] = FIT) -> None:
    """Put pods, try them all, and reject them."""
    put(waiting, *asking)
    for popped in waiting.pop(100):
        waiting.begin(popped)
        waiting.reject(popped, by)


def test_priority_goes_first_then_arrival() -> None:
    waiting = queue(VirtualClock())
    put(waiting, pod("a"), pod("b", priority=10), pod("c"), pod("d", priority=10))
    assert names(waiting) == ["b", "d", "a", "c"]


def test_who_was_tried_before_goes_behind_who_was_not() -> None:
    waiting = queue(VirtualClock())
    rejected(waiting, pod("old"))
    put(waiting, pod("a"))
    put(waiting, pod("old", tolerations=[{"operator": "Exists"}]))
    put(waiting, pod("b"))
    assert names(waiting) == ["a", "b", "old"], "it backs off, and is only early as there is nothing else to do"


async def test_errors_back_off_twice_as_long_each_time_up_to_ten_seconds() -> None:
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
        waiting.retry(popped)
    assert seen[1:] == [1, 2, 4, 8, LONGEST_BACKOFF]


async def test_back_off_is_as_configured() -> None:
    clock = VirtualClock()
    waiting = SchedulingQueue(
        {"default-scheduler": default_profile()},
        clock=clock,
        columns=columns(),
        backoff=Backoff(first=3.0, longest=5.0),
    )
    put(waiting, pod("a"))
    for seconds in (3, 5, 5):
        (popped,) = waiting.pop(1)
        waiting.retry(popped)
        await clock.advance(seconds - 0.1)
        assert names(waiting) == []
        await clock.advance(0.1)
    assert names(waiting) == ["a"]


async def test_a_verdict_ends_a_row_of_errors() -> None:
    clock = VirtualClock()
    state = columns(node("n"))
    waiting = queue(clock, state)
    put(waiting, pod("a"))
    for _ in range(4):
        (popped,) = waiting.pop(1)
        waiting.retry(popped)
        await clock.advance(LONGEST_BACKOFF)
    (popped,) = waiting.pop(1)
    waiting.begin(popped)
    waiting.reject(popped, FIT)
    waiting.changed(state.set_node(node("n", allocatable={"cpu": "5"})))
    (popped,) = waiting.pop(1)
    waiting.retry(popped)
    await clock.advance(1)
    assert names(waiting) == ["a"]


def test_who_backs_off_after_a_rejection_goes_early_when_nobody_else_waits() -> None:
    state = columns(node("n"))
    waiting = queue(VirtualClock(), state)
    rejected(waiting, pod("a"))
    waiting.changed(state.set_node(node("m")))
    put(waiting, pod("b"))
    assert waiting.place_of("uid-a") is Place.BACKOFF
    assert [popped.pod.name for popped in waiting.pop(1)] == ["b"]
    assert names(waiting) == ["a"]


async def test_every_pod_is_tried_again_after_five_minutes() -> None:
    clock = VirtualClock()
    waiting = queue(clock)
    rejected(waiting, pod("a"))
    waiter = asyncio.create_task(waiting.wait())
    await clock.advance(FLUSH_AFTER - 1)
    assert not waiter.done()
    await clock.advance(2)
    await waiter
    assert names(waiting) == ["a"]


def test_gated_pods_wait_for_their_gates_and_nothing_else() -> None:
    state = columns()
    waiting = queue(VirtualClock(), state)
    put(waiting, pod("a", schedulingGates=[{"name": "later"}, {"name": "much later"}]))
    waiting.changed(state.set_node(node("n")))
    assert names(waiting) == []
    put(waiting, pod("a", schedulingGates=[{"name": "much later"}]))
    assert waiting.place_of("uid-a") is Place.GATED
    assert waiting.unschedulable["SchedulingGates", "default-scheduler"] == 1
    put(waiting, pod("a"))
    assert names(waiting) == ["a"]
    assert waiting.unschedulable["SchedulingGates", "default-scheduler"] == 0


def test_a_gate_takes_no_time_of_the_pod() -> None:
    clock = VirtualClock()
    waiting = queue(clock)
    put(waiting, pod("a", schedulingGates=[{"name": "later"}]))
    asyncio.run(clock.advance(60))
    put(waiting, pod("a"))
    (popped,) = waiting.pop(1)
    assert popped.arrived == 60


async def test_a_pod_that_asks_for_something_else_is_tried_again() -> None:
    clock = VirtualClock()
    waiting = queue(clock)
    rejected(waiting, pod("a", requests={"cpu": "9"}))
    await clock.advance(5)
    put(waiting, pod("a", requests={"cpu": "9"}, labels={"new": "label"}))
    assert waiting.place_of("uid-a") is Place.UNSCHEDULABLE
    put(waiting, pod("a", requests={"cpu": "1"}))
    assert names(waiting) == ["a"]


def test_what_a_pod_asks_for_during_an_attempt_is_tried_too() -> None:
    waiting = queue(VirtualClock(), columns(node("n")))
    put(waiting, pod("a", requests={"cpu": "9"}))
    (popped,) = waiting.pop(1)
    put(waiting, pod("a", requests={"cpu": "1"}))
    waiting.reject(popped, FIT)
    (popped,) = waiting.pop(1)
    assert dict(popped.shape.requests)["cpu"] == 1000


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


def test_rejections_are_counted_by_plugin_until_the_next_attempt() -> None:
    waiting = queue(VirtualClock())
    rejected(waiting, pod("a"), pod("b"), by=FIT | AFFINITY)
    assert waiting.unschedulable["NodeAffinity", "default-scheduler"] == 2
    waiting.delete("uid-a")
    put(waiting, pod("b", tolerations=[{"operator": "Exists"}]))
    assert waiting.unschedulable["NodeAffinity", "default-scheduler"] == 1
    assert names(waiting) == ["b"]
    assert set(waiting.unschedulable.values()) == {0}


class Gate:
    """Keeps some pods from being tried."""

    name = "Gate"

    def __init__(self) -> None:
        self.closed: set[str] = set()

    def admits(self, pod: Pod) -> bool:
        return pod.name not in self.closed


def test_who_is_sent_out_and_finds_the_gate_shut_is_replaced() -> None:
    gate, state = Gate(), columns(node("n", allocatable={"cpu": "1"}))
    profile = replace(default_profile(), pre_enqueue=(gate,))
    clock = VirtualClock()
    waiting = SchedulingQueue({"default-scheduler": profile}, clock=clock, columns=state)
    pods = [pod(f"p{number}", requests={"cpu": "9"}) for number in range(2000)]
    put(waiting, *pods)
    while waiting.counts()[Place.ACTIVE]:
        for popped in waiting.pop(100):
            waiting.begin(popped)
            waiting.reject(popped, FIT)
    asyncio.run(clock.advance(LONGEST_BACKOFF))
    gate.closed = {each.name for each in pods[:-1]}
    waiting.changed(state.set_node(node("n", allocatable={"cpu": "10"})))
    assert names(waiting) == ["p1999"]
    assert waiting.counts()[Place.GATED] == 1999


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


@settings(max_examples=120, deadline=None)
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
                waiting.changed(Event(change, row=0))
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
