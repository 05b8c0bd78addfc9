"""Which pods are removed by force."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.controllers.podgc.plan import Reason, beyond_limit, ending, out_of_service, unfinishable
from k8slite.controllers.pods import Pod
from k8slite.kinds.core import Node

from .builders import at, pod


def node(*, ready: bool = False, taint: str = "node.kubernetes.io/out-of-service", effect: str = "NoExecute") -> Node:
    return Node.model_validate(
        {
            "metadata": {"name": "n1"},
            "spec": {"taints": [{"key": taint, "effect": effect}] if taint else []},
            "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}]},
        }
    )


@pytest.mark.parametrize(
    ("subject", "its_node", "expected"),
    [
        (pod(node="", deleting=True), None, Reason.UNSCHEDULED),
        (pod(node=""), None, None),
        (pod(deleting=True), None, None),
        (pod(deleting=True), node(), Reason.OUT_OF_SERVICE),
        (pod(deleting=True), node(effect="NoSchedule"), Reason.OUT_OF_SERVICE),
        (pod(deleting=True), node(ready=True), None),
        (pod(deleting=True), node(taint=""), None),
        (pod(), node(), None),
    ],
)
def test_pods_that_no_kubelet_will_end(subject: Pod, its_node: Node | None, expected: Reason | None) -> None:
    assert unfinishable(subject, its_node) is expected


def test_an_unfinished_pod_fails_first() -> None:
    orphan = ending(pod(), reason=Reason.ORPHANED, now=at(7))
    assert orphan is not None
    assert orphan["phase"] == "Failed"
    [condition] = orphan["conditions"]
    assert (condition["type"], condition["status"]) == ("DisruptionTarget", "True")
    assert (condition["reason"], condition["message"]) == ("DeletionByPodGC", "PodGC: node no longer exists")
    assert ending(pod(phase="Pending"), reason=Reason.UNSCHEDULED, now=at(7)) == {"phase": "Failed"}
    for phase in ("Succeeded", "Failed"):
        assert ending(pod(phase=phase), reason=Reason.ORPHANED, now=at(7)) is None


def test_the_evicted_go_first_and_then_the_oldest() -> None:
    evicted = Pod.model_validate(
        {
            "metadata": {"name": "v", "creationTimestamp": at(50)},
            "status": {"phase": "Failed", "reason": "Evicted"},
        }
    )
    ended = [pod(f"e{number}", phase="Succeeded", created=number) for number in range(5)]
    assert [each.name for each in beyond_limit([*ended, pod(), evicted], limit=3)] == ["v", "e0", "e1"]
    assert beyond_limit(ended, limit=0) == []


@given(
    st.lists(st.tuples(st.sampled_from(["Running", "Succeeded", "Failed", "Pending"]), st.integers(0, 5)), max_size=30),
    st.integers(0, 12),
)
def test_as_many_go_as_are_too_many(pods: list[tuple[str, int]], limit: int) -> None:
    listed = [pod(f"p{index}", phase=phase, created=age) for index, (phase, age) in enumerate(pods)]
    gone = beyond_limit(listed, limit=limit)
    ended = [each for each in listed if each.finished]
    assert all(each.finished for each in gone)
    assert len(gone) == (max(0, len(ended) - limit) if limit else 0)
    ages = {each.name: age for each, (_, age) in zip(listed, pods, strict=True)}
    kept = [ages[each.name] for each in ended if each not in gone]
    assert not gone or not kept or max(ages[each.name] for each in gone) <= min(kept)


@given(st.booleans(), st.booleans(), st.sampled_from(["", "n1"]), st.booleans(), st.booleans())
def test_no_pod_of_a_healthy_node_is_removed(
    deleting: bool, ready: bool, name: str, tainted: bool, known: bool
) -> None:
    subject = pod(node=name, deleting=deleting)
    its_node = node(ready=ready, taint="node.kubernetes.io/out-of-service" if tainted else "") if known else None
    if unfinishable(subject, its_node) is not None:
        assert deleting
        assert not name or (its_node is not None and not its_node.ready and out_of_service(its_node))
