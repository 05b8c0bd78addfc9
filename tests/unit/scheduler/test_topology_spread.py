"""Spreading: by the pod's own constraints and by the defaults, on a few nodes and against a model in plain words."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest

from k8slite.scheduler.arguments import BadArguments
from k8slite.scheduler.change import Change, Event
from k8slite.scheduler.columns import Columns
from k8slite.scheduler.cycle import Placement, Unschedulable
from k8slite.scheduler.journal import ALL
from k8slite.scheduler.plugins.topology_spread import SKEWED, UNLABELLED, TopologySpread
from k8slite.scheduler.services import Services
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.spread import HOSTNAME, NO_SPREADING, SYSTEM_DEFAULTS, ZONE, spreading_of
from k8slite.scheduler.view import Node, Pod, Service

from .builders import columns, cycle, decide, node, pod


def host(name: str, zone: str = "", **more: Any) -> Node:
    labels = {HOSTNAME: name} | ({ZONE: zone} if zone else {}) | more.pop("labels", {})
    return node(name, labels=labels, **more)


def constraint(key: str = ZONE, *, skew: int = 1, hard: bool = True, **more: Any) -> dict[str, Any]:
    return {
        "topologyKey": key,
        "maxSkew": skew,
        "whenUnsatisfiable": "DoNotSchedule" if hard else "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": "web"}},
    } | more


def web(*constraints: dict[str, Any], labels: dict[str, str] | None = None, **more: Any) -> Pod:
    return pod(labels={"app": "web"} if labels is None else labels, topologySpreadConstraints=list(constraints), **more)


def put(state: Columns, *, on: str, of: Pod | None = None, count: int = 1) -> None:
    for _ in range(count):
        placed = pod(labels={"app": "web"}) if of is None else pod(labels=of.metadata.labels, owner=_owner(of))
        state.place(placed, shape_of(placed), on)


def _owner(of: Pod) -> str:
    return of.metadata.controller.uid if of.metadata.controller else ""


def put_all(number: int, asking: Pod, state: Columns) -> Counter[str]:
    """Decide for so many pods alike, one after the other."""
    chooser, nodes = cycle(), Counter[str]()
    for _ in range(number):
        each = pod(labels=asking.metadata.labels, owner=_owner(asking), requests={"cpu": "10m"})
        decision = chooser.decide(each, shape_of(each), state)
        assert isinstance(decision, Placement)
        state.place(each, shape_of(each), decision.node)
        nodes[decision.node] += 1
    return nodes


# The defaults


@pytest.mark.parametrize("kind", ["ReplicaSet", "StatefulSet", "ReplicationController"])
def test_replicas_get_the_default_constraints(kind: str) -> None:
    spreading = spreading_of(pod(owner="x", owner_kind=kind))
    assert not spreading.own
    assert spreading.replicas
    plugin = TopologySpread()
    asking = pod(owner="x", owner_kind=kind)
    assert plugin.concerned(asking, shape_of(asking))
    assert not plugin.concerns(shape_of(asking))
    assert [(spread.key, spread.max_skew) for spread in SYSTEM_DEFAULTS] == [(HOSTNAME, 3), (ZONE, 5)]


@pytest.mark.parametrize(
    "asking", [pod(), pod(owner="x", owner_kind="Job"), pod(owner="x", owner_kind="DaemonSet")], ids=lambda p: p.name
)
def test_other_pods_get_none(asking: Pod) -> None:
    assert spreading_of(asking) == NO_SPREADING


def test_own_constraints_replace_the_defaults() -> None:
    (spread,) = spreading_of(web(constraint(), owner="x")).own
    assert (spread.key, spread.hard) == (ZONE, True)


def test_three_replicas_land_on_three_nodes_whatever_else_runs_there() -> None:
    state = columns(host("a"), host("b"), host("c"))
    for number in range(3):
        put(state, on="a", of=pod(labels={"other": str(number)}))
    assert put_all(3, pod(owner="rs"), state) == {"a": 1, "b": 1, "c": 1}
    assert put_all(6, pod(owner="another"), state) == {"a": 2, "b": 2, "c": 2}


def test_replicas_spread_by_node_also_where_nodes_have_no_zone() -> None:
    assert put_all(3, pod(owner="rs"), columns(host("a"), host("b"), host("c"))) == {"a": 1, "b": 1, "c": 1}


def test_what_a_node_is_not_labelled_with_says_nothing_of_it() -> None:
    state, asking = columns(host("a"), node("bare")), pod(owner="rs")
    put(state, on="a", of=asking)
    put(state, on="bare", of=asking, count=5)
    scores = TopologySpread().compare(asking, shape_of(asking), state, state.live)
    assert {name: scores[row] for name, row in state.rows.items()} == {"a": 0, "bare": 100}


def test_replicas_spread_over_zones_and_then_over_nodes() -> None:
    state = columns(host("a1", "a"), host("a2", "a"), host("a3", "a"), host("b1", "b"))
    first = put_all(2, pod(owner="rs"), state)
    assert first["b1"] == 1


def test_a_replica_that_is_leaving_does_not_count() -> None:
    state = columns(host("a"), host("b"))
    leaving = pod(owner="rs", deleting=True, requests={"cpu": "10m"})
    state.place(leaving, shape_of(leaving), "a")
    asking = pod(owner="rs")
    scores = TopologySpread().compare(asking, shape_of(asking), state, state.live)
    assert scores[state.rows["a"]] == scores[state.rows["b"]] == 100


def test_owners_share_what_is_remembered_of_a_shape_but_not_their_counts() -> None:
    state = columns(host("a"), host("b"))
    chooser = cycle()
    one, other = pod(owner="one"), pod(owner="other")
    assert shape_of(one) == shape_of(other)
    put(state, on="a", of=one)
    put(state, on="b", of=other)
    assert chooser.decide(one, shape_of(one), state) == Placement("b")
    assert chooser.decide(other, shape_of(other), state) == Placement("a")


def service(name: str, selector: dict[str, str], *, namespace: str = "default") -> Service:
    return Service.model_validate({"metadata": {"name": name, "namespace": namespace}, "spec": {"selector": selector}})


def test_pods_of_a_service_spread_too() -> None:
    services = Services()
    services.on_service(None, service("web", {"app": "web", "tier": "front"}))
    services.on_service(None, service("headless", {}))
    services.on_service(None, service("elsewhere", {"app": "web"}, namespace="other"))
    asking = pod(labels={"app": "web", "tier": "front", "x": "y"})
    selected = services.selecting(asking)
    assert {(r.key, *r.values) for r in selected} == {("app", "web"), ("tier", "front")}
    assert services.selecting(pod(labels={"app": "web"})) == ()
    state = columns(host("a"), host("b"))
    put(state, on="a", of=asking)
    for _ in range(5):
        assert cycle().decide(asking, shape_of(asking, selected_by=selected), state) == Placement("b")
    services.on_service(service("web", {"app": "web", "tier": "front"}), service("web", {"app": "db"}))
    assert services.selecting(asking) == ()
    services.on_service(service("web", {"app": "db"}), None)
    assert services.selecting(pod(labels={"app": "db"})) == ()


# The pod's own constraints

ZONES = [host("a1", "a"), host("a2", "a"), host("b1", "b"), host("bare")]


@pytest.mark.parametrize(
    ("constraints", "expected"),
    [
        pytest.param([constraint()], {"b1"}, id="only the emptier zone"),
        pytest.param([constraint(skew=2)], {"b1"}, id="a skew of two, reached"),
        pytest.param([constraint(skew=3)], {"a1", "a2", "b1"}, id="a skew of three, not reached"),
        pytest.param([constraint(HOSTNAME, skew=1)], {"a2", "b1", "bare"}, id="by node"),
        pytest.param([constraint(HOSTNAME, skew=1), constraint(skew=3)], {"a2", "b1"}, id="both must hold"),
        pytest.param([constraint(skew=1, minDomains=3)], {"b1"}, id="too few domains: the least counts as none"),
        pytest.param(
            [constraint(skew=2, labelSelector={"matchLabels": {"app": "db"}})], {"a1", "a2", "b1"}, id="alone"
        ),
        pytest.param([constraint("rack")], set(), id="a label that nobody has"),
        pytest.param([constraint(labelSelector=None)], {"a1", "a2", "b1"}, id="no selector selects nothing"),
    ],
)
def test_hard_constraints(constraints: list[dict[str, Any]], expected: set[str]) -> None:
    state = columns(*ZONES)
    put(state, on="a1", count=2)
    asking = web(*constraints)
    plugin = TopologySpread()
    assert plugin.concerns(shape_of(asking))
    mask = plugin.filter(shape_of(asking), state, ALL)
    rows = np.flatnonzero(state.live)
    assert (plugin.filter(shape_of(asking), state, rows) == mask[rows]).all()
    assert {state.names[row] for row in rows if mask[row]} == expected


def test_too_few_domains_hold_back_what_would_exceed_the_skew_from_none() -> None:
    state = columns(host("a", "a"), host("b", "b"))
    put(state, on="a")
    put(state, on="b")
    assert isinstance(decide(web(constraint()), state), Placement)
    assert isinstance(decide(web(constraint(minDomains=3)), state), Unschedulable)


def test_reasons_tell_a_missing_label_from_a_skew() -> None:
    state = columns(host("a", "a"), host("full", "b", allocatable={"pods": "0"}), host("bare"))
    put(state, on="a")
    assert decide(web(constraint()), state) == Unschedulable(
        f"0/3 nodes are available: 1 Too many pods, 1 {SKEWED}, 1 {UNLABELLED}.",
        frozenset({"NodeResourcesFit", "PodTopologySpread"}),
    )


def test_zones_that_the_pod_may_not_use_do_not_count_unless_told_so() -> None:
    state = columns(host("a", "a"), host("b", "b", labels={"disk": "none"}))
    put(state, on="a")
    kept_off = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [NO_DISK]}}}
    assert decide(web(constraint(), affinity=kept_off), state) == Placement("a")
    ignoring = web(constraint(nodeAffinityPolicy="Ignore"), affinity=kept_off)
    assert isinstance(decide(ignoring, state), Unschedulable)


NO_DISK = {"matchExpressions": [{"key": "disk", "operator": "DoesNotExist"}]}


def test_tainted_zones_count_unless_told_otherwise() -> None:
    state = columns(host("a", "a"), host("b", "b", taints=["k=v:NoSchedule"]))
    put(state, on="a")
    assert isinstance(decide(web(constraint()), state), Unschedulable)
    assert decide(web(constraint(nodeTaintsPolicy="Honor")), state) == Placement("a")


def test_label_keys_narrow_the_group_to_pods_of_one_revision() -> None:
    state = columns(host("a", "a"), host("b", "b"))
    put(state, on="a", of=pod(labels={"app": "web", "revision": "1"}), count=3)
    put(state, on="b", of=pod(labels={"app": "web", "revision": "2"}))
    asking = web(constraint(matchLabelKeys=["revision", "absent"]), labels={"app": "web", "revision": "2"})
    assert decide(asking, state) == Placement("a")


def test_soft_constraints_prefer_and_nodes_without_the_label_come_last() -> None:
    state = columns(*ZONES)
    put(state, on="a1", count=2)
    asking = web(constraint(hard=False))
    plugin = TopologySpread()
    assert not plugin.concerns(shape_of(asking))
    scores = plugin.compare(asking, shape_of(asking), state, state.live)
    by_name = {name: scores[row] for name, row in state.rows.items()}
    # Two domains: two pods count round(2 * log(4)) = 3.
    assert by_name == {"a1": 0, "a2": 0, "b1": 100, "bare": 0}


def test_a_waiting_pod_is_known_again_when_its_peers_are_relabelled() -> None:
    state = columns(host("a", "a"), host("b", "b", unschedulable=True))
    placed = pod("x", labels={"app": "web"})
    state.place(placed, shape_of(placed), "a")
    chooser, asking = cycle(), web(constraint())
    assert isinstance(chooser.decide(asking, shape_of(asking), state), Unschedulable)
    relabelled = pod("x", labels={"app": "other"})
    assert state.place(relabelled, shape_of(relabelled), "a")
    assert chooser.decide(asking, shape_of(asking), state) == Placement("a")


# The configuration's constraints


def default(key: str = ZONE, *, hard: bool = True, **more: Any) -> dict[str, Any]:
    action = "DoNotSchedule" if hard else "ScheduleAnyway"
    return {"topologyKey": key, "maxSkew": 1, "whenUnsatisfiable": action} | more


def listing(*constraints: dict[str, Any]) -> dict[str, Any]:
    return {"defaultingType": "List", "defaultConstraints": list(constraints)}


def test_constraints_of_the_configuration_are_for_replicas_without_their_own() -> None:
    state = columns(host("a", "a"), host("b", "b"), host("bare"))
    put(state, on="a", of=pod(owner="rs"))
    plugin = TopologySpread.made(listing(default(), default(HOSTNAME, hard=False)))
    replica, other, explicit = pod(owner="rs"), pod(), web(constraint(HOSTNAME), owner="rs")
    assert plugin.concerns(shape_of(replica)) and plugin.concerned(replica, shape_of(replica))
    assert not plugin.concerns(shape_of(other)) and not plugin.concerned(other, shape_of(other))
    mask = plugin.filter(shape_of(replica), state, ALL)
    assert {name for name, row in state.rows.items() if mask[row]} == {"b"}
    assert plugin.filter(shape_of(explicit), state, state.rows["a"] + np.arange(1)).all()
    assert not TopologySpread.made(listing()).concerned(replica, shape_of(replica)), "no constraints at all"


def test_listed_constraints_ask_for_their_labels() -> None:
    state, replica = columns(host("a", "a"), host("bare")), pod(owner="rs")
    for args, expected in (({}, 100), (listing(default(hard=False)), 0)):
        plugin = TopologySpread.made(args)
        assert plugin.compare(replica, shape_of(replica), state, state.live)[state.rows["bare"]] == expected


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"defaultConstraints": [default()]}, 'defaultingType: Invalid value: "System": when .defaultConstraints'),
        ({"defaultingType": "None"}, 'defaultingType: Unsupported value: "None": supported values: "System", "List"'),
        (listing(default(maxSkew=0)), "defaultConstraints[0].maxSkew: Invalid value: 0: not in valid range (0, inf)"),
        (listing(default("")), "defaultConstraints[0].topologyKey: Required value: can not be empty"),
        (listing(default("a b")), 'defaultConstraints[0].topologyKey: Invalid value: "a b": name part must consist'),
        (
            listing(default(whenUnsatisfiable="")),
            "defaultConstraints[0].whenUnsatisfiable: Required value: can not be empty",
        ),
        (
            listing(default(whenUnsatisfiable="Never")),
            'defaultConstraints[0].whenUnsatisfiable: Unsupported value: "Never": supported values: "DoNotSchedule"',
        ),
        (
            listing(default(labelSelector={})),
            "defaultConstraints[0].labelSelector: Forbidden: constraint must not define a selector",
        ),
        (
            listing(default(), default()),
            f'defaultConstraints[1]: Duplicate value: "{{{ZONE}, DoNotSchedule}}"',
        ),
        ({"defaults": []}, 'strict decoding error: unknown field "defaults"'),
    ],
)
def test_arguments_that_are_refused(args: dict[str, Any], words: str) -> None:
    with pytest.raises(BadArguments, match=re.escape(words)):
        TopologySpread.made(args)


# What wakes a pod

WAITING = web(constraint(), constraint(HOSTNAME))

TAINTED = host("a", "a", taints=["k=v:NoSchedule"])


@pytest.mark.parametrize(
    ("event", "helps"),
    [
        pytest.param(Event(Change.PEERS, new=web()), True, id="a peer came"),
        pytest.param(Event(Change.PEERS, new=pod(labels={"app": "db"})), False, id="another pod came"),
        pytest.param(Event(Change.PEERS, new=web(namespace="other")), False, id="one of another namespace"),
        pytest.param(Event(Change.POD_REMOVED, old=web()), True, id="a peer went"),
        pytest.param(Event(Change.POD_REMOVED, old=pod()), False, id="another pod went"),
        pytest.param(Event(Change.PEERS, old=web(), new=web(deleting=True)), True, id="a peer is about to go"),
        pytest.param(Event(Change.PEERS, old=web(), new=pod()), True, id="a peer is none any more"),
        pytest.param(Event(Change.PEERS, old=web(), new=web(labels={"app": "web", "x": "y"})), False, id="it still is"),
        pytest.param(Event(Change.PEERS | Change.POD_REMOVED, old=web(), new=web()), True, id="it moved"),
        pytest.param(Event(Change.PEERS), True, id="who knows"),
        pytest.param(Event(Change.NODE_ADDED, new=host("a", "a")), True, id="a node came"),
        pytest.param(Event(Change.NODE_ADDED, new=host("a")), False, id="a node came that lacks a label"),
        pytest.param(Event(Change.NODE_REMOVED, old=host("a", "a")), True, id="a node went"),
        pytest.param(Event(Change.NODE_REMOVED, old=host("a")), False, id="a node went that lacked a label"),
        pytest.param(Event(Change.NODE_LABELS, old=host("a"), new=host("a", "a")), True, id="a label came"),
        pytest.param(Event(Change.NODE_LABELS, old=host("a", "a"), new=host("a")), True, id="a label went"),
        pytest.param(Event(Change.NODE_LABELS, old=host("a", "a"), new=host("a", "b")), True, id="another zone"),
        pytest.param(
            Event(Change.NODE_LABELS, old=host("a"), new=host("a", labels={"x": "y"})), False, id="it lacks one still"
        ),
        pytest.param(Event(Change.NODE_TAINTS, old=TAINTED, new=host("a", "a")), True, id="a taint went"),
        pytest.param(
            Event(Change.NODE_TAINTS, old=host("a", "a"), new=host("a", "a", unschedulable=True)), False, id="a cordon"
        ),
    ],
)
def test_hints(event: Event, helps: bool) -> None:
    plugin = TopologySpread()
    assert plugin.cures & event.change
    assert plugin.helps(WAITING, shape_of(WAITING), event, Columns()) == helps
