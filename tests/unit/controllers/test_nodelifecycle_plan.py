"""What conditions, taints and labels a node should have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.controllers.nodelifecycle.plan import emptied, plan, unknown
from k8slite.kinds.core import Node

from .builders import T0, at

PREFIX = "node.kubernetes.io/"
NOW = at(100)


def node(
    *, ready: str | None = "True", taints: Any = (), unschedulable: bool = False, labels: Any = None, **others: str
) -> Node:
    listed = {"Ready": ready, **others} if ready is not None else others
    return Node.model_validate(
        {
            "metadata": {"name": "n1", "creationTimestamp": T0, "labels": labels or {}},
            "spec": {"taints": list(taints), "unschedulable": unschedulable},
            "status": {
                "conditions": [
                    {"type": kind, "status": status, "lastTransitionTime": T0, "lastHeartbeatTime": at(50)}
                    for kind, status in listed.items()
                ]
            },
        }
    )


def taint(key: str, effect: str = "NoSchedule", added: float | None = None) -> dict[str, Any]:
    return {"key": PREFIX + key, "effect": effect, **({} if added is None else {"timeAdded": at(added)})}


def after(subject: Node, *, halted: bool = False) -> set[tuple[str, str]]:
    """The taints that the node has when the plan was carried out."""
    decided = plan(subject, halted=halted, now=NOW)
    final = subject.spec.taints if decided.taints is None else decided.taints
    return {(taint.key.removeprefix(PREFIX), taint.effect) for taint in final}


def test_a_silent_node_is_unknown_in_all_that_only_its_kubelet_knows() -> None:
    changed = {c.type: c for c in unknown(node(MemoryPressure="False", NetworkUnavailable="False"), now=NOW)}
    assert {kind: (c.status, c.reason, c.message) for kind, c in changed.items()} == {
        "Ready": ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."),
        "MemoryPressure": ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."),
        "DiskPressure": ("Unknown", "NodeStatusNeverUpdated", "Kubelet never posted node status."),
        "PIDPressure": ("Unknown", "NodeStatusNeverUpdated", "Kubelet never posted node status."),
    }
    assert changed["Ready"].last_heartbeat_time == at(50)
    assert changed["DiskPressure"].last_heartbeat_time == T0
    assert {c.last_transition_time for c in changed.values()} == {NOW}


def test_what_is_unknown_already_stays_as_it_is() -> None:
    assert not unknown(
        node(ready="Unknown", MemoryPressure="Unknown", DiskPressure="Unknown", PIDPressure="Unknown"), now=NOW
    )


@pytest.mark.parametrize(
    ("subject", "taints", "waits"),
    [
        (node(), set(), False),
        (node(ready=None), {("not-ready", "NoSchedule")}, False),
        (node(ready="False"), {("not-ready", "NoSchedule")}, True),
        (node(ready="Unknown"), {("unreachable", "NoSchedule")}, True),
        (node(ready="Unknown", taints=[taint("not-ready")]), {("unreachable", "NoSchedule")}, True),
        (node(MemoryPressure="True"), {("memory-pressure", "NoSchedule")}, False),
        (node(DiskPressure="True"), {("disk-pressure", "NoSchedule")}, False),
        (node(PIDPressure="True"), {("pid-pressure", "NoSchedule")}, False),
        (node(NetworkUnavailable="True"), {("network-unavailable", "NoSchedule")}, False),
        (node(MemoryPressure="Unknown", DiskPressure="False"), set(), False),
        (node(unschedulable=True), {("unschedulable", "NoSchedule")}, False),
        (node(taints=[taint("unschedulable"), taint("disk-pressure")]), set(), False),
        (node(taints=[taint("unreachable", "NoExecute"), taint("not-ready", "NoExecute")]), set(), False),
        (node(taints=[taint("unschedulable", "NoExecute")]), {("unschedulable", "NoExecute")}, False),
        (node(taints=[taint("out-of-service", "NoExecute")]), {("out-of-service", "NoExecute")}, False),
        (
            node(ready="Unknown", taints=[taint("not-ready", "NoExecute")]),
            {("unreachable", "NoSchedule"), ("unreachable", "NoExecute")},
            False,
        ),
        (
            node(ready="False", taints=[taint("unreachable", "NoExecute"), taint("unreachable")]),
            {("not-ready", "NoSchedule"), ("not-ready", "NoExecute")},
            False,
        ),
    ],
)
def test_taints(subject: Node, taints: set[tuple[str, str]], waits: bool) -> None:
    assert after(subject) == taints
    assert plan(subject, halted=False, now=NOW).waits is waits


def test_while_no_node_is_ready_no_pod_has_to_leave() -> None:
    subject = node(ready="Unknown", taints=[taint("unreachable", "NoExecute"), taint("unreachable")])
    assert after(subject, halted=True) == {("unreachable", "NoSchedule")}
    assert not plan(subject, halted=True, now=NOW).waits


def test_the_time_to_leave_runs_on_when_the_reason_changes() -> None:
    subject = node(ready="Unknown", taints=[taint("not-ready", "NoExecute", 7)])
    [kept] = [t for t in plan(subject, halted=False, now=NOW).taints or () if t.effect == "NoExecute"]
    assert (kept.key, kept.time_added) == (PREFIX + "unreachable", at(7))


def test_what_is_right_is_not_written_again() -> None:
    present = [taint("not-ready", "NoExecute", 3), taint("not-ready", "NoSchedule", 3)]
    assert plan(node(ready="False", taints=present), halted=False, now=NOW).taints is None


def test_the_taint_that_makes_pods_leave() -> None:
    added = emptied(node(ready="False", taints=[taint("not-ready")]), now=NOW)
    assert added is not None
    assert (added[-1].key, added[-1].effect, added[-1].time_added) == (PREFIX + "not-ready", "NoExecute", NOW)
    assert emptied(node(), now=NOW) is None
    assert emptied(node(ready=None), now=NOW) is None
    assert emptied(node(ready="Unknown", taints=[taint("unreachable", "NoExecute")]), now=NOW) is None


def test_old_names_of_labels_follow_the_new_ones() -> None:
    labels = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64", "beta.kubernetes.io/arch": "amd64"}
    decided = plan(node(labels=labels), halted=False, now=NOW)
    assert decided.labels == {"beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "arm64"}
    assert not plan(node(labels={**labels, **decided.labels}), halted=False, now=NOW).labels
    assert not plan(node(labels={"beta.kubernetes.io/os": "linux"}), halted=False, now=NOW).labels


_STATUS = st.sampled_from(["True", "False", "Unknown"])
_KEYS = ["not-ready", "unreachable", "unschedulable", "memory-pressure", "disk-pressure", "out-of-service", "mine"]
_TAINTS = st.lists(
    st.tuples(st.sampled_from(_KEYS), st.sampled_from(["NoSchedule", "NoExecute", "PreferNoSchedule"])),
    max_size=6,
    unique=True,
)


@given(
    ready=st.one_of(st.none(), _STATUS), memory=_STATUS, cordoned=st.booleans(), present=_TAINTS, halted=st.booleans()
)
def test_taints_are_what_the_documents_say(
    ready: str | None, memory: str, cordoned: bool, present: list[tuple[str, str]], halted: bool
) -> None:
    """Against a plain reference: our taints by condition, everybody else's untouched; carried out, nothing is left."""
    taints = [taint(key, effect, 1) for key, effect in present]
    subject = node(ready=ready, taints=taints, unschedulable=cordoned, MemoryPressure=memory)
    ours = {("not-ready", "NoExecute"), ("unreachable", "NoExecute")} | {
        (key, "NoSchedule") for key in _KEYS if key not in ("out-of-service", "mine")
    }
    told = bool({("not-ready", "NoExecute"), ("unreachable", "NoExecute")} & set(present))
    expected = set(present) - ours
    because = {"False": "not-ready", "Unknown": "unreachable", None: "not-ready", "True": ""}[ready]
    if because:
        expected.add((because, "NoSchedule"))
    if memory == "True":
        expected.add(("memory-pressure", "NoSchedule"))
    if cordoned:
        expected.add(("unschedulable", "NoSchedule"))
    if ready is None:
        expected |= set(present) & {("not-ready", "NoExecute"), ("unreachable", "NoExecute")}
    elif ready != "True" and told and not halted:
        expected.add((because, "NoExecute"))
    assert after(subject, halted=halted) == expected
    decided = plan(subject, halted=halted, now=NOW)
    assert decided.waits == (ready in ("False", "Unknown") and not halted and not told)
    if decided.taints is not None:
        spec = subject.spec.model_copy(update={"taints": list(decided.taints)})
        again = plan(subject.model_copy(update={"spec": spec}), halted=halted, now=at(200))
        assert again.taints is None
        assert again.waits == decided.waits
