"""Each plugin on a few nodes: whom it lets through, what it says of the others, how it scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.scheduler.columns import Columns
from k8slite.scheduler.framework import Filter, Measured, Normalize, Score, Unresolvable
from k8slite.scheduler.journal import ALL
from k8slite.scheduler.plugins.balanced_allocation import BalancedAllocation
from k8slite.scheduler.plugins.fit_arguments import fit_arguments
from k8slite.scheduler.plugins.node_affinity import NodeAffinity
from k8slite.scheduler.plugins.node_name import NodeName
from k8slite.scheduler.plugins.node_ports import NodePorts
from k8slite.scheduler.plugins.node_unschedulable import NodeUnschedulable
from k8slite.scheduler.plugins.resources_fit import ResourcesFit
from k8slite.scheduler.plugins.taint_toleration import TaintToleration
from k8slite.scheduler.shape import Shape, shape_of

from .builders import affinity, columns, expression, node, pod, put, shape


def passing(plugin: Filter, wanted: Shape, state: Columns) -> set[str]:
    if not plugin.concerns(wanted):
        return set(state.rows)
    everywhere = plugin.filter(wanted, state, ALL)
    rows = np.flatnonzero(state.live)
    assert (plugin.filter(wanted, state, rows) == everywhere[rows]).all(), "some rows are as all rows"
    return {state.names[row] for row in rows if everywhere[row]}


def reasons(plugin: Filter, wanted: Shape, state: Columns) -> dict[str, int]:
    rows = np.flatnonzero(state.live & ~plugin.filter(wanted, state, ALL))
    return dict(plugin.explain(wanted, state, rows))


def scores(plugin: Score, wanted: Shape, state: Columns) -> dict[str, float]:
    everywhere = plugin.score(wanted, state, ALL)
    return {name: float(everywhere[row]) for name, row in state.rows.items()}


@pytest.mark.parametrize(
    ("requests", "expected", "why"),
    [
        pytest.param({}, {"empty", "half"}, {"Too many pods": 1}, id="nothing requested"),
        pytest.param({"cpu": "2"}, {"empty", "half"}, {"Too many pods": 1}, id="exactly what is left"),
        pytest.param({"cpu": "2001m"}, {"empty"}, {"Too many pods": 1, "Insufficient cpu": 1}, id="a bit more"),
        pytest.param(
            {"cpu": "5", "memory": "9Gi"},
            set(),
            {"Too many pods": 1, "Insufficient cpu": 3, "Insufficient memory": 3},
            id="a node counts for each resource that lacks",
        ),
        pytest.param(
            {"example.com/gpu": "1"}, {"empty"}, {"Too many pods": 1, "Insufficient example.com/gpu": 2}, id="extended"
        ),
        pytest.param({"nobody/has": "1"}, set(), {"Too many pods": 1, "Insufficient nobody/has": 3}, id="unheard of"),
        pytest.param({"nobody/has": "0"}, {"empty", "half"}, {"Too many pods": 1}, id="nothing of the unheard of"),
    ],
)
def test_resources_fit(requests: dict[str, str], expected: set[str], why: dict[str, int]) -> None:
    state = columns(
        node("empty", allocatable={"example.com/gpu": "1"}), node("half"), node("full", allocatable={"pods": "1"})
    )
    put(state, "a", shape(requests={"cpu": "2"}), "half")
    put(state, "b", shape(), "full")
    wanted = shape(requests=requests)
    assert passing(ResourcesFit(), wanted, state) == expected
    assert reasons(ResourcesFit(), wanted, state) == why


def test_what_is_not_requested_does_not_matter_on_an_overcommitted_node() -> None:
    state = columns(node())
    put(state, "a", shape(requests={"cpu": "8"}), "node")
    assert passing(ResourcesFit(), shape(requests={"memory": "1Gi"}), state) == {"node"}


def test_a_pod_may_be_seen_before_anybody_has_what_it_requests() -> None:
    state = columns(node())
    put(state, "a", shape(requests={"example.com/gpu": "1"}), "node")
    state.set_node(node(allocatable={"example.com/gpu": "1"}))
    assert reasons(ResourcesFit(), shape(requests={"example.com/gpu": "1"}), state) == {
        "Insufficient example.com/gpu": 1
    }


@pytest.mark.parametrize("amount", ["8Ei", "1e999999", "9223372036854775807"])
def test_absurd_requests_fit_nowhere_and_leave_no_trace(amount: str) -> None:
    state = columns(node())
    put(state, "usual", shape(requests={"memory": "1001", "example.com/gpu": "3"}), "node")
    absurd = shape(requests={"memory": amount, "cpu": amount, "example.com/gpu": amount})
    assert reasons(ResourcesFit(), absurd, state) == dict.fromkeys(
        ("Insufficient cpu", "Insufficient memory", "Insufficient example.com/gpu"), 1
    )
    put(state, "absurd", absurd, "node")
    assert scores(ResourcesFit(), shape(), state) == {"node": 0}
    state.remove("absurd")
    row = state.rows["node"]
    assert list(state.requested[:, row]) == [0, 1001, 1, 0, 3]
    assert list(state.scored[:, row]) == [100, 1001]


@given(st.integers(1, 2**53), st.integers(0, 2**53))
def test_scores_of_vast_nodes_are_exact(there: int, taken: int) -> None:
    state = columns(node(allocatable={"memory": str(there), "cpu": "0"}))
    wanted = shape(requests={"memory": str(taken)})
    assert scores(ResourcesFit(), wanted, state) == {"node": max(there - taken, 0) * 100 // there}
    most = ResourcesFit(fit_arguments({"scoringStrategy": {"type": "MostAllocated"}}))
    assert scores(most, wanted, state) == {"node": min(there, taken) * 100 // there}


def test_nobody_who_leaves_can_make_a_node_larger_or_other_than_it_is() -> None:
    state = columns(node("small", allocatable={"cpu": "1"}), node("busy"), node("full", allocatable={"pods": "0"}))
    asking = pod(requests={"cpu": "2"}, nodeSelector={"zone": "a"})
    rows = np.array([state.rows[name] for name in ("small", "busy", "full")])
    assert ResourcesFit().unresolvable(asking, shape_of(asking), state, rows).tolist() == [True, False, False]
    for plugin in (NodeAffinity(), NodeName(), NodeUnschedulable(), TaintToleration()):
        assert plugin.unresolvable(asking, shape_of(asking), state, rows).all()
    assert not isinstance(NodePorts(), Unresolvable)
    assert isinstance(ResourcesFit(), Measured)


LABELS = [
    node("a", labels={"zone": "east", "size": "10"}),
    node("b", labels={"zone": "west", "size": "20"}),
    node("c", labels={"disk": "ssd", "size": "big"}),
]


@pytest.mark.parametrize(
    ("expressions", "expected"),
    [
        pytest.param([expression("zone", "In", "east", "north")], {"a"}, id="In"),
        pytest.param([expression("zone", "In", "north", "south")], set(), id="In none"),
        pytest.param([expression("zone", "NotIn", "east")], {"b", "c"}, id="NotIn holds without the label"),
        pytest.param([expression("zone", "Exists")], {"a", "b"}, id="Exists"),
        pytest.param([expression("zone", "DoesNotExist")], {"c"}, id="DoesNotExist"),
        pytest.param([expression("nowhere", "NotIn", "x")], {"a", "b", "c"}, id="NotIn of an unknown label"),
        pytest.param([expression("nowhere", "Exists")], set(), id="Exists of an unknown label"),
        pytest.param([expression("size", "Gt", "10")], {"b"}, id="Gt"),
        pytest.param([expression("size", "Lt", "20")], {"a"}, id="Lt"),
        pytest.param([expression("zone", "Exists"), expression("size", "Gt", "10")], {"b"}, id="all must hold"),
        pytest.param([], set(), id="an empty term selects nothing"),
    ],
)
def test_required_affinity(expressions: list[dict[str, Any]], expected: set[str]) -> None:
    wanted = shape(affinity=affinity({"matchExpressions": expressions}))
    assert passing(NodeAffinity(), wanted, columns(*LABELS)) == expected


def test_one_term_suffices_and_the_selector_must_hold_too() -> None:
    terms = [{"matchExpressions": [expression("zone", "In", zone)]} for zone in ("east", "west")]
    assert passing(NodeAffinity(), shape(affinity=affinity(*terms)), columns(*LABELS)) == {"a", "b"}
    wanted = shape(affinity=affinity(*terms), nodeSelector={"size": "20"})
    assert passing(NodeAffinity(), wanted, columns(*LABELS)) == {"b"}
    assert reasons(NodeAffinity(), wanted, columns(*LABELS)) == {"node(s) didn't match Pod's node affinity/selector": 2}


@pytest.mark.parametrize(("operator", "expected"), [("In", {"b"}), ("NotIn", {"a", "c"})])
def test_affinity_to_a_name(operator: str, expected: set[str]) -> None:
    term = {"matchFields": [expression("metadata.name", operator, "b")]}
    assert passing(NodeAffinity(), shape(affinity=affinity(term)), columns(*LABELS)) == expected


def test_preferred_affinity_adds_the_weights_that_are_met() -> None:
    preferred = [
        (10, {"matchExpressions": [expression("zone", "Exists")]}),
        (5, {"matchExpressions": [expression("zone", "In", "west")]}),
    ]
    wanted = shape(affinity=affinity(preferred=preferred))
    plugin = NodeAffinity()
    assert plugin.pre_score(wanted)
    assert not plugin.pre_score(shape())
    assert scores(plugin, wanted, columns(*LABELS)) == {"a": 10, "b": 15, "c": 0}
    assert plugin.normalize is Normalize.HIGHEST


def toleration(key: str = "", operator: str = "Equal", value: str = "", effect: str = "") -> dict[str, str]:
    return {"key": key, "operator": operator, "value": value, "effect": effect}


@pytest.mark.parametrize(
    ("tolerations", "expected"),
    [
        pytest.param([], {"free", "soft"}, id="none"),
        pytest.param([toleration("k", value="v")], {"free", "soft", "hard"}, id="equal"),
        pytest.param([toleration("k", value="other")], {"free", "soft"}, id="another value"),
        pytest.param([toleration("k", "Exists")], {"free", "soft", "hard"}, id="exists"),
        pytest.param([toleration("k", "Exists", effect="NoExecute")], {"free", "soft"}, id="another effect"),
        pytest.param([toleration(operator="Exists")], {"free", "soft", "hard", "two"}, id="everything"),
        pytest.param(
            [toleration("k", "Exists"), toleration("gone", "Exists")], {"free", "soft", "hard", "two"}, id="both"
        ),
    ],
)
def test_taints(tolerations: list[dict[str, str]], expected: set[str]) -> None:
    state = columns(
        node("free"),
        node("soft", taints=["k=v:PreferNoSchedule"]),
        node("hard", taints=["k=v:NoSchedule"]),
        node("two", taints=["k=v:NoSchedule", "gone=:NoExecute"]),
    )
    assert passing(TaintToleration(), shape(tolerations=tolerations), state) == expected


@pytest.mark.parametrize(
    ("operator", "value", "taint", "fits"),
    [
        pytest.param("Gt", "5", "6", True, id="above"),
        pytest.param("Gt", "5", "5", False, id="not above"),
        pytest.param("Lt", "5", "-1", True, id="below"),
        pytest.param("Lt", "5", "5", False, id="not below"),
        pytest.param("Gt", "5", "x", False, id="no number"),
        pytest.param("Gt", "5", "06", False, id="not as numbers are written"),
        pytest.param("Gt", "5", "9223372036854775808", False, id="too large"),
        pytest.param("Gt", "5", "", False, id="no value"),
    ],
)
def test_taints_compared_as_numbers(operator: str, value: str, taint: str, fits: bool) -> None:
    wanted = shape(tolerations=[toleration("k", operator, value)])
    assert passing(TaintToleration(), wanted, columns(node("n", taints=[f"k={taint}:NoSchedule"]))) == (
        {"n"} if fits else set()
    )


def test_taints_are_not_told() -> None:
    state = columns(node("a", taints=["x=1:NoSchedule", "y=2:NoSchedule"]), node("b", taints=["y=2:NoExecute"]))
    assert reasons(TaintToleration(), shape(), state) == {"node(s) had untolerated taint(s)": 2}


def test_soft_taints_count_against_a_node() -> None:
    state = columns(node("a", taints=["x=1:PreferNoSchedule", "y=2:PreferNoSchedule"]), node("b"))
    assert scores(TaintToleration(), shape(), state) == {"a": 2, "b": 0}
    assert scores(TaintToleration(), shape(tolerations=[toleration("x", "Exists")]), state) == {"a": 1, "b": 0}
    assert TaintToleration().normalize is Normalize.REVERSED


def test_cordoned_nodes() -> None:
    state = columns(node("open"), node("cordoned", unschedulable=True))
    assert passing(NodeUnschedulable(), shape(), state) == {"open"}
    assert reasons(NodeUnschedulable(), shape(), state) == {"node(s) were unschedulable": 1}
    daemon = shape(tolerations=[toleration("node.kubernetes.io/unschedulable", "Exists", effect="NoSchedule")])
    assert passing(NodeUnschedulable(), daemon, state) == {"open", "cordoned"}


def test_node_name() -> None:
    state = columns(node("a"), node("b"))
    assert passing(NodeName(), shape(nodeName="b"), state) == {"b"}
    assert passing(NodeName(), shape(nodeName="elsewhere"), state) == set()
    assert passing(NodeName(), shape(), state) == {"a", "b"}


def with_port(port: int, *, address: str = "", protocol: str = "TCP") -> Shape:
    ports = [{"containerPort": 80, "hostPort": port, "hostIP": address, "protocol": protocol}]
    return shape(containers=[{"name": "c", "ports": ports}])


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        pytest.param(with_port(8080), False, id="the same"),
        pytest.param(with_port(8080, address="10.0.0.1"), False, id="one address of all"),
        pytest.param(with_port(8080, protocol="UDP"), True, id="another protocol"),
        pytest.param(with_port(8081), True, id="another port"),
        pytest.param(with_port(9090), False, id="all addresses of one"),
        pytest.param(with_port(9090, address="10.0.0.2"), True, id="another address"),
        pytest.param(with_port(9090, address="10.0.0.1"), False, id="the same address"),
    ],
)
def test_host_ports(wanted: Shape, fits: bool) -> None:
    state = columns(node("taken"), node("free"))
    put(state, "a", with_port(8080), "taken")
    put(state, "b", with_port(9090, address="10.0.0.1"), "taken")
    assert passing(NodePorts(), wanted, state) == ({"taken", "free"} if fits else {"free"})
    state.remove("a")
    state.remove("b")
    assert passing(NodePorts(), wanted, state) == {"taken", "free"}


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        # free shares with the pod there: cpu 3000/4000 = 75, memory 6/8 = 75
        pytest.param({"cpu": "1", "memory": "2Gi"}, 75, id="even"),
        # cpu 50, memory 87 (7/8 rounded down) -> 68
        pytest.param({"cpu": "2", "memory": "1Gi"}, 68, id="rounded down twice"),
        # the assumed 100m and 200Mi: cpu 97 (97.5), memory 97 (97.56)
        pytest.param({}, 97, id="assumed requests"),
        pytest.param({"cpu": "9", "memory": "16Gi"}, 0, id="more than there is"),
    ],
)
def test_least_allocated_score(requests: dict[str, str], expected: float) -> None:
    assert scores(ResourcesFit(), shape(requests=requests), columns(node("n"))) == {"n": expected}


def test_a_resource_that_a_node_has_none_of_is_left_out_of_its_score() -> None:
    state = columns(node("n", allocatable={"memory": "0"}))
    assert scores(ResourcesFit(), shape(requests={"cpu": "1"}), state) == {"n": 75}


@pytest.mark.parametrize(
    ("placed", "requests", "expected"),
    [
        pytest.param({}, {"cpu": "1", "memory": "2Gi"}, 75, id="no change"),
        # deviation 0.5/2 -> 75, was 100: 50 + (50 - 25) // 2
        pytest.param({}, {"cpu": "2"}, 62, id="less even"),
        # was 75, becomes 100: 50 + (50 + 25) // 2
        pytest.param({"cpu": "2"}, {"memory": "4Gi"}, 87, id="more even"),
    ],
)
def test_balanced_allocation_score(placed: dict[str, str], requests: dict[str, str], expected: float) -> None:
    state = columns(node("n"))
    if placed:
        put(state, "a", shape(requests=placed), "n")
    wanted = shape(requests=requests)
    assert BalancedAllocation().pre_score(wanted)
    assert scores(BalancedAllocation(), wanted, state) == {"n": expected}


def test_pods_without_requests_are_not_scored_for_balance() -> None:
    assert not BalancedAllocation().pre_score(shape())
