"""Columns that were brought up to date step by step equal columns that were made at once; decisions on them hold."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.scheduler.change import Change
from k8slite.scheduler.columns import Columns
from k8slite.scheduler.cycle import Cycle, Placement
from k8slite.scheduler.plugins.taint_toleration import repelled_by
from k8slite.scheduler.shape import Shape, Term, shape_of
from k8slite.scheduler.view import Node, Pod

from .builders import affinity, columns, default_profile, expression, node, pod, put, shape

NAMES = [f"n{number}" for number in range(6)]
names = st.sampled_from(NAMES)
cpus = st.sampled_from(["0", "500m", "1", "3", "4"])
taints = st.lists(st.sampled_from(["a=1:NoSchedule", "b=2:NoExecute", "c=3:PreferNoSchedule"]), unique=True)
labels = st.dictionaries(st.sampled_from(["zone", "size"]), st.sampled_from(["1", "2", "x"]))


@st.composite
def nodes(draw: st.DrawFn) -> Node:
    return node(
        draw(names),
        allocatable={"cpu": draw(cpus), "pods": draw(st.sampled_from(["1", "3", "110"]))},
        labels=draw(labels),
        taints=draw(taints),
        unschedulable=draw(st.booleans()),
    )


@st.composite
def pods(draw: st.DrawFn) -> Pod:
    spec: dict[str, Any] = {}
    if draw(st.booleans()):
        spec["nodeSelector"] = draw(labels)
    if draw(st.booleans()):
        operator = draw(st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]))
        values = ["1"] if operator in ("In", "NotIn", "Gt", "Lt") else []
        term = {"matchExpressions": [expression(draw(st.sampled_from(["zone", "size"])), operator, *values)]}
        spec["affinity"] = affinity(term, preferred=[(3, term)])
    if draw(st.booleans()):
        spec["tolerations"] = [{"key": draw(st.sampled_from(["a", "b", "c"])), "operator": "Exists"}]
    ports = [{"containerPort": 1, "hostPort": port} for port in draw(st.sets(st.sampled_from([80, 81])))]
    requests = {"cpu": draw(cpus)}
    if draw(st.booleans()):
        requests["memory"] = "3Gi"
    spec["containers"] = [{"name": "c", "ports": ports, "resources": {"requests": requests}}]
    return pod(**spec)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("node"), nodes()),
        st.tuples(st.just("gone"), names),
        st.tuples(st.just("bound"), pods(), names),
        st.tuples(st.just("pending"), pods()),
        st.tuples(st.just("ended"), st.integers(0, 20)),
    ),
    max_size=40,
)


class World:
    """The same steps in plain dictionaries."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.placed: dict[str, tuple[Shape, str]] = {}

    def used(self, name: str, resource: str) -> int:
        return sum(dict(found.requests).get(resource, 0) for found, where in self.placed.values() if where == name)

    def fits(self, wanted: Shape, name: str) -> bool:
        """Whether a node could take the pod, said of one node and in plain words."""
        found = self.nodes[name]
        allocatable = {key: _amount(key, value) for key, value in found.status.allocatable.items()}
        taken = [port for other, where in self.placed.values() if where == name for port in other.ports]
        return (
            all(self.used(name, key) + amount <= allocatable.get(key, 0) for key, amount in wanted.requests)
            and not found.spec.unschedulable
            and repelled_by([(t.key, t.value, t.effect) for t in found.spec.taints], wanted.tolerations) is None
            and all(requirement.matches(found.metadata.labels) for requirement in wanted.selector)
            and (wanted.required is None or any(_meets(found, term) for term in wanted.required))
            and not any(port == other for port in wanted.ports for other in taken)
        )


def _amount(resource: str, text: object) -> float:
    from k8slite import quantity

    return quantity.milli(str(text)) if resource == "cpu" else quantity.whole(str(text))


def _meets(found: Node, term: Term) -> bool:
    return bool(term) and all(requirement.matches(found.metadata.labels) for requirement in term.labels)


def by_name(state: Columns) -> dict[str, Any]:
    """Everything that the columns say, without row numbers."""
    return {
        name: (
            bool(state.live[row]),
            bool(state.unschedulable[row]),
            {key: state.allocatable[index, row] for key, index in state.resources.items()},
            {key: state.requested[index, row] for key, index in state.resources.items()},
            tuple(state.scored[:, row]),
            dict(state.labels.get(row)),
            state.taints.get(row),
        )
        for name, row in state.rows.items()
    }


@settings(max_examples=80, deadline=None)
@given(steps)
def test_incremental_columns_and_decisions(actions: list[Any]) -> None:
    world, state = World(), Columns(capacity=2)
    chooser = Cycle(default_profile(), random=Random(1))
    for action in actions:
        match action:
            case "node", found:
                world.nodes[found.name] = found
                state.set_node(found)
            case "gone", name:
                world.nodes.pop(name, None)
                state.remove_node(name)
            case "bound", found, name:
                world.placed[found.uid] = (shape_of(found), name)
                state.place(found, shape_of(found), name)
            case "ended", number:
                if world.placed:
                    uid = list(world.placed)[number % len(world.placed)]
                    del world.placed[uid]
                    assert state.remove(uid).change
            case "pending", found:
                wanted = shape_of(found)
                able = {name for name in world.nodes if world.fits(wanted, name)}
                decision = chooser.decide(found, wanted, state)
                if isinstance(decision, Placement):
                    assert decision.node in able
                    world.placed[found.uid] = (wanted, decision.node)
                    state.place(found, wanted, decision.node)
                else:
                    assert not able
    fresh = Columns()
    for found in world.nodes.values():
        fresh.set_node(found)
    for uid, (wanted, name) in world.placed.items():
        put(fresh, uid, wanted, name)
    seen, expected = by_name(state), by_name(fresh)
    assert seen.keys() == expected.keys()
    for name, values in expected.items():
        assert seen[name][:2] == values[:2]
        assert seen[name][4:] == values[4:]
        for mine, theirs in zip(seen[name][2:4], values[2:4], strict=True):
            assert {k: v for k, v in mine.items() if v} == {k: v for k, v in theirs.items() if v}


def test_pods_may_be_seen_before_their_node() -> None:
    state = Columns()
    put(state, "a", shape(requests={"cpu": "3"}), "late")
    assert not state.has_node("late")
    assert state.node_count == 0
    assert Change.NODE_ADDED in state.set_node(node("late")).change
    assert state.requested[0, state.rows["late"]] == 3000


def test_a_node_that_went_and_came_back_still_has_its_pods() -> None:
    state = columns(node("a"))
    put(state, "x", shape(requests={"cpu": "3"}), "a")
    state.remove_node("a")
    state.set_node(node("a"))
    assert state.requested[0, state.rows["a"]] == 3000


def test_placing_twice_counts_once() -> None:
    state = columns(node("a"), node("b"))
    wanted = shape(requests={"cpu": "1"})
    assert put(state, "x", wanted, "a") == Change.PEERS
    assert put(state, "x", wanted, "a") == Change.NOTHING
    assert state.requested[0, state.rows["a"]] == 1000
    assert Change.POD_REMOVED in put(state, "x", wanted, "b"), "moving frees something"
    assert state.requested[0, state.rows["a"]] == 0


def test_what_changed_of_a_node_is_named() -> None:
    state = columns(node("a"))
    assert state.set_node(node("a")).change == Change.NOTHING
    assert state.set_node(node("a", labels={"x": "y"})).change == Change.NODE_LABELS
    assert state.set_node(node("a", labels={"x": "y"}, unschedulable=True)).change == Change.NODE_TAINTS
    assert state.set_node(node("a", taints=["k=v:NoSchedule"])).change == Change.NODE_LABELS | Change.NODE_TAINTS
    assert state.set_node(node("a", allocatable={"cpu": "8"})).change == Change.NODE_ALLOCATABLE | Change.NODE_TAINTS


def test_rows_and_label_codes_are_used_again() -> None:
    state = Columns(capacity=4)
    for number in range(500):
        state.set_node(node(f"n{number}", labels={"kubernetes.io/hostname": f"n{number}"}))
        state.remove_node(f"n{number}")
    assert state.capacity == 4
    assert not state.rows
    assert not np.any(state.live)
