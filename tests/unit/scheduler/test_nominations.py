"""Pods make way for others that a node is promised to."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.scheduler.columns import Columns
from k8slite.scheduler.cycle import Cycle, Placement, Unschedulable
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.view import Node, Pod
from k8slite.scheduler.yielding import makes_way, reasons_for_way

from .builders import columns, cycle, default_profile, node, pod
from .clusters import NAMES, Cluster, Document, clusters, pods
from .running import cluster

SPREAD: st.SearchStrategy[list[Document]] = st.lists(
    st.fixed_dictionaries(
        {
            "topologyKey": st.sampled_from(["zone", "kubernetes.io/hostname"]),
            "maxSkew": st.integers(1, 2),
            "whenUnsatisfiable": st.just("DoNotSchedule"),
            "labelSelector": st.sampled_from([{"matchLabels": {"app": "a"}}, {"matchLabels": {}}]),
        }
    ),
    max_size=1,
)
ASKED: Any = {"requests": True, "ports": True, "labelled": True, "priority": st.integers(0, 2)}


def promise(state: Columns, document: Document, name: str) -> None:
    nominated = Pod.model_validate(document)
    state.nominations.put(nominated, shape_of(nominated), name)


def decided(state: Columns, asking: Pod) -> str | None:
    decision = cycle().decide(asking, shape_of(asking), state)
    return decision.node if isinstance(decision, Placement) else None


def runs(judge: Cycle, asking: Pod, state: Columns, name: str) -> bool:
    row = np.array([state.rows[name]])
    return bool(judge.feasible(asking, shape_of(asking), state, row)[0])


def taken(state: Columns) -> dict[tuple[str, str], float]:
    return {
        (resource, name): amount
        for resource, index in state.resources.items()
        for name, row in state.rows.items()
        if (amount := float(state.requested[index, row]))
    }


@settings(max_examples=30)
@given(
    clusters(requests=True, ports=True, labelled=True, most=5),
    st.lists(st.tuples(pods(**ASKED), st.sampled_from(NAMES)), max_size=6),
    pods(**ASKED, topologySpreadConstraints=SPREAD),
    st.booleans(),
)
def test_a_node_must_be_able_to_run_a_pod_with_and_without_those_it_is_promised_to(
    world: Cluster, promised: list[tuple[Document, str]], document: Document, own: bool
) -> None:
    """Each node is judged beside a cluster made anew, in which its own promises alone are placed."""
    judge, state = cycle(), world.columns()
    asking = Pod.model_validate(document)
    for index, (nominated, name) in enumerate(promised):
        nominated["metadata"] |= {"name": f"promised-{index}", "uid": f"uid-promised-{index}"}
        promise(state, nominated, name)
    if own:
        promise(state, document, NAMES[0])
    shape = shape_of(asking)
    rows = np.flatnonzero(state.live)
    rows = rows[judge.feasible(asking, shape, state, rows)]
    found = rows[makes_way(judge.concerned(asking, shape), asking, shape, state, rows)]

    expected, reasons = set(), 0
    for name in (entry["metadata"]["name"] for entry in world.nodes):
        without, beside = world.columns(), world.columns()
        for nominated, where in promised:
            if where == name and nominated["spec"]["priority"] >= asking.spec.priority:
                other = Pod.model_validate(nominated)
                beside.place(other, shape_of(other), name)
        if runs(judge, asking, without, name):
            if runs(judge, asking, beside, name):
                expected.add(name)
            else:
                reasons += 1
    assert {state.names[row] for row in found} == expected
    assert taken(state) == taken(world.columns()), "nothing stays of what was tried"
    lost = rows[~np.isin(rows, found)]
    said = reasons_for_way(judge.concerned(asking, shape), asking, shape, state, lost)
    assert lost.size == reasons
    assert bool(said) == bool(reasons)
    assert all(counted.total() for counted in said.values())


def test_a_pod_waits_while_the_only_node_is_promised_to_its_equal_and_takes_it_from_a_lesser() -> None:
    state = columns(node("a", allocatable={"cpu": "1"}))
    promise(state, pod("first", requests={"cpu": "1"}, priority=5).to_wire(), "a")
    equal = pod("equal", requests={"cpu": "1"}, priority=5)
    decision = cycle().decide(equal, shape_of(equal), state)
    assert isinstance(decision, Unschedulable)
    assert decision.message == "0/1 nodes are available: 1 Insufficient cpu."
    assert decision.rejected_by == {"NodeResourcesFit"}
    assert decision.trace is not None
    assert [entry["plugin"] for entry in decision.trace.told()["filters"]] == ["nominated pods"]
    assert decided(state, pod(requests={"cpu": "1"}, priority=6)) == "a"


def test_a_pod_tries_the_node_that_it_is_promised_first_although_another_is_better() -> None:
    state = columns(node("big", allocatable={"cpu": "100"}), node("small", allocatable={"cpu": "1"}))
    asking = pod("asking", requests={"cpu": "1"})
    assert decided(state, asking) == "big"
    promise(state, asking.to_wire(), "small")
    assert decided(state, asking) == "small"
    promise(state, asking.to_wire(), "nowhere")
    assert decided(state, asking) == "big"


def test_among_equals_who_are_promised_a_node_the_earlier_takes_what_is_free() -> None:
    state = columns(node("a", allocatable={"cpu": "2"}))
    running = pod("running", requests={"cpu": "1"})
    state.place(running, shape_of(running), "a")
    first, second = (pod(name, requests={"cpu": "1"}, priority=5) for name in ("first", "second"))
    for each in (first, second, first):  # and news of the first does not make it the last
        promise(state, each.to_wire(), "a")
    assert decided(state, second) is None
    assert decided(state, first) == "a"
    promise(state, pod("important", requests={"cpu": "1"}, priority=6).to_wire(), "a")
    assert decided(state, first) is None


def test_a_promise_holds_for_a_name_whatever_happens_to_the_node() -> None:
    state = columns(node("a", allocatable={"cpu": "1"}))
    promise(state, pod("first", requests={"cpu": "1"}).to_wire(), "later")
    other = pod("other", requests={"cpu": "1", "example.com/gpu": "1"})
    assert decided(state, other) is None
    for _ in range(2):
        state.set_node(node("later", allocatable={"cpu": "1", "example.com/gpu": "8"}))
        assert decided(state, other) is None
        state.set_node(node("later", allocatable={"cpu": "2", "example.com/gpu": "8"}))
        assert decided(state, other) == "later"
        state.remove_node("later")
        for number in range(90):
            state.set_node(node(f"filler-{number}", allocatable={"cpu": "1"}))
    state.set_node(node("later", allocatable={"cpu": "1", "example.com/gpu": "8"}))
    assert decided(state, other) is None
    state.nominations.withdraw("uid-first")
    assert decided(state, other) == "later"
    assert not state.nominations
    assert not state.nominations.ahead(0).amounts.any()


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([*NAMES, ""]), st.integers(0, 3)), max_size=40))
def test_columns_of_promises_follow_every_change(steps: list[tuple[int, str, int]]) -> None:
    state = columns(*(node(name) for name in NAMES[:3]))
    for number, name, priority in steps:
        state.nominations.ahead(priority)
        asking = pod(f"p{number}", requests={"cpu": str(number), "example.com/gpu": "1"}, priority=priority)
        if name:
            state.nominations.put(asking, shape_of(asking), name)
        elif number < 5:
            state.nominations.withdraw(asking.uid)
        elif number == 5:
            state.remove_node("n0")
        else:
            state.set_node(Node.model_validate(node(NAMES[number - 5], allocatable={"example.com/gpu": "1"})))
    kept = {priority: state.nominations.ahead(priority) for priority in range(4)}
    fresh = Columns()
    fresh.__dict__.update({key: value for key, value in state.__dict__.items() if key != "nominations"})
    for name in NAMES:
        for nominated in state.nominations.on(name).values():
            fresh.nominations.put(nominated.pod, nominated.shape, name)
    for priority, ahead in kept.items():
        again = fresh.nominations.ahead(priority)
        live = state.live
        assert (ahead.count[live] == again.count[live]).all()
        assert (ahead.amounts[:, live] == again.amounts[:, live]).all()


async def test_what_others_nominate_is_honoured_from_the_start_and_until_they_change_it() -> None:
    async with cluster(node("a", allocatable={"cpu": "1"}), node("b", allocatable={"cpu": "1"})) as it:
        it.show(pod("there", requests={"cpu": "1"}, nodeName="b"))
        promised = pod("promised", requests={"cpu": "1"}, nominated="b", priority=9)
        it.show(promised)
        await it.settle(lambda: it.api.bound == [("promised", "a")])


async def test_an_old_view_of_a_pod_does_not_undo_a_promise() -> None:
    async with cluster(node("a", allocatable={"cpu": "1"})) as it:
        asking = pod("asking", requests={"cpu": "2"}, schedulerName="default-scheduler")
        it.show(asking)
        await it.settle()
        it.scheduler.columns.nominations.put(asking, shape_of(asking), "a")
        it.show(pod("asking", requests={"cpu": "2"}, labels={"new": "label"}))
        kept = it.scheduler.columns.nominations.get(asking.uid)
        assert kept is not None
        assert kept.pod.metadata.labels == {"new": "label"}
        it.show(pod("asking", requests={"cpu": "2"}, nominated="b"))
        changed = it.scheduler.columns.nominations.get(asking.uid)
        assert changed is not None
        assert changed.node == "b"
        it.show(pod("asking", requests={"cpu": "2"}))
        assert not it.scheduler.columns.nominations
        it.show(pod("asking", requests={"cpu": "2"}, nominated="b", schedulingGates=[{"name": "later"}]))
        assert not it.scheduler.columns.nominations


async def test_a_promise_that_is_given_up_wakes_those_who_made_way() -> None:
    async with cluster(node("a", allocatable={"cpu": "1"})) as it:
        promised = pod("promised", requests={"cpu": "1"}, nominated="a", schedulerName="default-scheduler", priority=1)
        it.scheduler.columns.nominations.put(promised, shape_of(promised), "a")
        it.show(pod("equal", requests={"cpu": "1"}, priority=1))
        await it.settle(lambda: it.api.conditions)
        assert it.api.bound == []
        it.seen[promised.uid] = promised
        it.gone(promised)
        await it.clock.advance(11)
        assert it.api.bound == [("equal", "a")]


async def test_late_news_of_a_promise_take_nothing_of_the_node_where_the_pod_is_by_now() -> None:
    async with cluster(node("a", allocatable={"cpu": "2"})) as it:
        it.api.hold.clear()
        it.show(pod("asking", requests={"cpu": "1"}, priority=1))
        await it.settle(lambda: it.scheduler.columns.node_of("uid-asking") == "a")
        it.show(pod("asking", requests={"cpu": "1"}, priority=1, nominated="a"))
        assert not it.scheduler.columns.nominations
        it.show(pod("other", requests={"cpu": "1"}))
        it.api.hold.set()
        await it.settle(lambda: sorted(it.api.bound) == [("asking", "a"), ("other", "a")])


def test_without_promises_nothing_is_reckoned() -> None:
    state = columns(node("a"))
    profile = default_profile()
    chooser = Cycle(profile, random=Random(1))
    asking = pod()
    assert isinstance(chooser.decide(asking, shape_of(asking), state), Placement)
    assert not state.nominations._ahead
