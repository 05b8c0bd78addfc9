from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

from k8slite.scheduler.change import Change
from k8slite.scheduler.columns import Columns
from k8slite.scheduler.cycle import Cycle, Placement, Unschedulable
from k8slite.scheduler.plugins import build
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.view import Pod

from .builders import affinity, columns, cycle, decide, default_profile, expression, handle, node, pod, put, shape


def test_the_emptier_node_wins() -> None:
    state = columns(node("a"), node("b"))
    put(state, "x", shape(requests={"cpu": "1", "memory": "2Gi"}), "a")
    assert decide(pod(requests={"cpu": "1", "memory": "1Gi"}), state) == Placement("b")


def test_reasons_are_counted_by_node_in_kubernetes_words() -> None:
    state = columns(
        node("a", allocatable={"cpu": "1"}),
        node("b", taints=["key=value:NoSchedule"]),
        node("c", taints=["key=value:NoSchedule"]),
    )
    decision = decide(pod(requests={"cpu": "2"}), state)
    assert decision == Unschedulable(
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s).",
        frozenset({"NodeResourcesFit", "TaintToleration"}),
    )


def test_a_node_counts_only_for_the_first_filter_that_rejects_it() -> None:
    state = columns(node("a", unschedulable=True, taints=["k=v:NoSchedule"], allocatable={"cpu": "0"}))
    decision = decide(pod(requests={"cpu": "2"}), state)
    assert decision == Unschedulable(
        "0/1 nodes are available: 1 node(s) were unschedulable.", frozenset({"NodeUnschedulable"})
    )


def test_without_nodes() -> None:
    decision = decide(pod(), Columns())
    assert isinstance(decision, Unschedulable)
    assert decision.message == "no nodes available to schedule pods"
    assert "NodeResourcesFit" in decision.rejected_by, "a node that comes must wake the pod"


def test_ties_are_broken_evenly_and_repeatably() -> None:
    state = columns(*(node(f"n{number}") for number in range(4)))
    asking = pod()

    def run(seed: int) -> list[str]:
        chooser = cycle(seed)
        decisions = [chooser.decide(asking, shape_of(asking), state) for _ in range(400)]
        return [decision.node for decision in decisions if isinstance(decision, Placement)]

    assert run(1) == run(1)
    assert run(1) != run(2)
    counts = Counter(run(1))
    assert set(counts) == {"n0", "n1", "n2", "n3"}
    assert min(counts.values()) > 60


def test_what_is_remembered_follows_every_change() -> None:
    state = columns(node("a"), node("b", taints=["k=v:NoSchedule"]))
    chooser = cycle()
    asking = pod(requests={"cpu": "3"})
    wanted = shape_of(asking)

    def chosen() -> str | None:
        decision = chooser.decide(asking, wanted, state)
        return decision.node if isinstance(decision, Placement) else None

    assert chosen() == "a"
    put(state, "1", wanted, "a")
    assert chosen() is None
    state.set_node(node("b"))
    assert chosen() == "b"
    put(state, "2", wanted, "b")
    assert chosen() is None
    state.remove("1")
    assert chosen() == "a"
    state.remove_node("a")
    assert chosen() is None
    for number in range(200):
        state.set_node(node(f"late-{number}", allocatable={"cpu": "3" if number == 150 else "1"}))
    assert chosen() == "late-150"


def test_preferred_affinity_outweighs_emptiness() -> None:
    state = columns(node("liked", labels={"zone": "a"}), node("other"))
    put(state, "x", shape(requests={"cpu": "1", "memory": "2Gi"}), "liked")
    term = {"matchExpressions": [expression("zone", "In", "a")]}
    assert decide(pod(affinity=affinity(preferred=[(1, term)])), state) == Placement("liked")


def test_a_preference_is_scaled_by_the_nodes_that_can_run_the_pod() -> None:
    state = columns(
        node("best", labels={"rank": "3"}, allocatable={"cpu": "0"}),
        node("good", labels={"rank": "2"}),
        node("poor", labels={"rank": "1"}),
    )
    wishes = [
        (weight, {"matchExpressions": [expression("rank", "In", str(rank))]})
        for weight, rank in ((100, 3), (2, 2), (1, 1))
    ]
    # Among 2 and 1 the first is worth 100 and the second 50; by the rejected node's 100 they would be 2 and 1, and
    # the load on "good" would decide.
    put(state, "x", shape(requests={"cpu": "1", "memory": "2Gi"}), "good")
    asking = pod(requests={"cpu": "100m"}, affinity=affinity(preferred=wishes))
    assert decide(asking, state) == Placement("good")


def test_nodes_with_soft_taints_are_the_second_choice() -> None:
    state = columns(node("soft", taints=["k=v:PreferNoSchedule"]), node("busy"))
    put(state, "x", shape(requests={"cpu": "1", "memory": "2Gi"}), "busy")
    assert decide(pod(), state) == Placement("busy")


class Veto:
    name = "Veto"
    cures = Change.NODE_LABELS

    def pre_filter(self, asking: Pod, columns: Columns) -> str:
        return "it may not" if asking.name == "banned" else ""


def test_a_pre_filter_rejects_without_looking_at_nodes() -> None:
    state = columns(node("a"))
    chooser = Cycle(replace(default_profile(), pre_filter=(Veto(),)), random=Random(1))
    banned, welcome = pod("banned"), pod("welcome")
    assert chooser.decide(banned, shape_of(banned), state) == Unschedulable(
        "0/1 nodes are available: it may not.", frozenset({"Veto"})
    )
    assert chooser.decide(welcome, shape_of(welcome), state) == Placement("a")


def test_a_profile_may_leave_plugins_out() -> None:
    profile = build(handle(), names=["PrioritySort", "TaintToleration", "DefaultBinder"])
    state = columns(node("a", allocatable={"cpu": "0"}))
    asking = pod(requests={"cpu": "2"})
    assert Cycle(profile, random=Random(1)).decide(asking, shape_of(asking), state) == Placement("a")


def named(*terms: tuple[str, ...]) -> dict[str, Any]:
    """Affinity to nodes by name: a term for each tuple, all of whose names must hold."""
    return affinity(*({"matchFields": [expression("metadata.name", "In", name) for name in term]} for term in terms))


def test_of_a_pod_that_names_its_node_no_other_is_looked_at() -> None:
    state = columns(node("a", allocatable={"cpu": "1"}), node("b"), node("c", taints=["k=v:NoSchedule"]))
    assert decide(pod(affinity=named(("a",))), state) == Placement("a")
    assert decide(pod(requests={"cpu": "2"}, affinity=named(("a",))), state) == Unschedulable(
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity].",
        frozenset({"NodeAffinity", "NodeResourcesFit"}),
    )
    assert decide(pod(requests={"cpu": "2"}, affinity=named(("a",), ("c",))), state) == Unschedulable(
        "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) didn't satisfy plugin(s) [NodeAffinity], "
        "1 node(s) had untolerated taint(s).",
        frozenset({"NodeAffinity", "NodeResourcesFit", "TaintToleration"}),
    )
    assert decide(pod(affinity=named(("a",)), nodeSelector={"x": "y"}), state) == Unschedulable(
        "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, "
        "2 node(s) didn't satisfy plugin(s) [NodeAffinity].",
        frozenset({"NodeAffinity"}),
    )


def test_a_pod_that_names_a_node_that_is_not_there() -> None:
    state = columns(node("a"), node("gone"))
    state.remove_node("gone")
    for name in ("gone", "never"):
        assert decide(pod(affinity=named((name,))), state) == Unschedulable(
            "0/1 nodes are available: 1 node(s) didn't satisfy plugin(s) [NodeAffinity].", frozenset({"NodeAffinity"})
        )


def test_terms_that_name_two_nodes_at_once_conflict() -> None:
    assert decide(pod(affinity=named(("a", "b"))), columns(node("a"), node("b"))) == Unschedulable(
        "0/2 nodes are available: pod affinity terms conflict.", frozenset({"NodeAffinity"})
    )
    assert decide(pod(affinity=named(("a", "b"), ("b",))), columns(node("a"), node("b"))) == Placement("b")


def test_where_one_term_names_no_node_all_are_looked_at() -> None:
    state = columns(node("a", allocatable={"cpu": "0"}), node("b", labels={"zone": "x"}))
    either = affinity(
        {"matchFields": [expression("metadata.name", "In", "a")]}, {"matchExpressions": [expression("zone", "Exists")]}
    )
    assert decide(pod(requests={"cpu": "1"}, affinity=either), state) == Placement("b")
