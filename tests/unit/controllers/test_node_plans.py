from __future__ import annotations

import math

import pytest

from k8slite.controllers.nodelifecycle.plan import plan
from k8slite.controllers.podgc.plan import beyond_limit, never_bound
from k8slite.controllers.tainteviction.plan import seconds_left
from k8slite.kinds.core import Node, Taint

from .builders import T0, at, pod

GRACE = 40.0


def node(*, ready: str = "True", taints=(), unschedulable=False, **conditions: str) -> Node:
    listed = {"Ready": ready, **conditions}
    return Node.model_validate(
        {
            "metadata": {"name": "n1", "creationTimestamp": T0},
            "spec": {"taints": list(taints), "unschedulable": unschedulable},
            "status": {
                "conditions": [
                    {"type": t, "status": s, "lastTransitionTime": T0, "lastHeartbeatTime": T0}
                    for t, s in listed.items()
                ]
            },
        }
    )


def decide(subject: Node, *, silent_for: float = 0.0, evict: bool = True):
    return plan(node=subject, silent_for=silent_for, grace=GRACE, evict=evict, now=at(100))


def names(decided) -> set[tuple[str, str]]:
    return {(t.key.removeprefix("node.kubernetes.io/"), t.effect) for t in decided.taints or ()}


def test_a_healthy_node_is_looked_at_when_its_heartbeat_would_be_too_old():
    decided = decide(node(), silent_for=15)
    assert (decided.conditions, decided.taints, decided.pods_not_ready) == (None, None, False)
    assert decided.requeue_after == pytest.approx(25, abs=0.1)


def test_a_silent_node_becomes_unknown_and_unreachable():
    decided = decide(node(MemoryPressure="False"), silent_for=41)
    assert decided.conditions is not None
    states = {c.type: (c.status, c.reason) for c in decided.conditions}
    assert states["Ready"] == ("Unknown", "NodeStatusUnknown")
    assert states["MemoryPressure"] == ("Unknown", "NodeStatusUnknown")
    assert states["DiskPressure"] == ("Unknown", "NodeStatusNeverUpdated")
    assert names(decided) == {("unreachable", "NoSchedule"), ("unreachable", "NoExecute")}
    assert all(taint.time_added == at(100) for taint in decided.taints or ())
    assert decided.pods_not_ready


def test_a_node_that_says_it_is_not_ready():
    assert names(decide(node(ready="False"))) == {("not-ready", "NoSchedule"), ("not-ready", "NoExecute")}


def test_no_pod_is_moved_while_no_node_is_healthy():
    assert names(decide(node(ready="False"), evict=False)) == {("not-ready", "NoSchedule")}


def test_a_recovered_node_loses_our_taints_and_keeps_others():
    ours = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
    theirs = {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}
    decided = decide(node(taints=[ours, theirs]))
    assert names(decided) == {("dedicated", "NoSchedule")}


def test_conditions_and_cordon():
    decided = decide(node(DiskPressure="True", unschedulable=True))
    assert names(decided) == {("disk-pressure", "NoSchedule"), ("unschedulable", "NoSchedule")}


def test_time_of_an_unchanged_taint_is_kept():
    present = {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute", "timeAdded": at(3)}
    other = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule", "timeAdded": at(3)}
    assert decide(node(ready="False", taints=[present, other])).taints is None


UNREACHABLE = Taint(key="node.kubernetes.io/unreachable", effect="NoExecute", time_added=T0)


def tolerating(*tolerations):
    return pod(tolerations=list(tolerations))


def left(subject, *taints, now=10.0):
    return seconds_left(pod=subject, node_taints=taints, now=at(now))


def test_eviction():
    key = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"}
    assert left(tolerating(), UNREACHABLE) == 0
    assert left(tolerating(), Taint(key="x", effect="NoSchedule")) == math.inf
    assert left(tolerating(key), UNREACHABLE) == math.inf
    assert left(tolerating({**key, "tolerationSeconds": 300}), UNREACHABLE) == 290
    assert left(tolerating({**key, "tolerationSeconds": 300}, {**key, "tolerationSeconds": 30}), UNREACHABLE) == 20
    assert left(tolerating({**key, "tolerationSeconds": -5}), UNREACHABLE) < 0
    assert left(tolerating({"operator": "Exists"}), UNREACHABLE, Taint(key="y", effect="NoExecute")) == math.inf
    assert left(tolerating(key), UNREACHABLE, Taint(key="y", effect="NoExecute")) == 0
    exact = {"key": "y", "value": "1", "effect": ""}
    assert left(tolerating(exact), Taint(key="y", value="1", effect="NoExecute")) == math.inf
    assert left(tolerating(exact), Taint(key="y", value="2", effect="NoExecute")) == 0


def test_pods_nobody_will_finish():
    assert never_bound(pod(node="", deleting=True))
    assert not never_bound(pod(node="n1", deleting=True))
    ended = [pod(f"e{n}", phase="Succeeded", created=n) for n in range(5)]
    assert [p.name for p in beyond_limit([*ended, pod()], limit=3)] == ["e0", "e1"]
