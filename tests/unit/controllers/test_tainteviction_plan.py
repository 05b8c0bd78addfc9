"""When pods must leave: a table, and a plain reference over random taints and tolerations."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.controllers.pods import Pod
from k8slite.controllers.tainteviction.plan import disruption, seconds_left, standing
from k8slite.controllers.taints import tolerates
from k8slite.kinds.core import Taint

from .builders import T0, at, pod

UNREACHABLE = Taint(key="node.kubernetes.io/unreachable", effect="NoExecute", time_added=T0)


def tolerating(*tolerations: dict[str, Any]) -> Pod:
    return pod(tolerations=list(tolerations))


def left(subject: Pod, *taints: Taint, now: float = 10.0) -> float:
    return seconds_left(subject, standing(taints, (), now=at(now)), now=at(now))


def test_eviction() -> None:
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


@pytest.mark.parametrize(
    ("operator", "bound", "value", "covered"),
    [
        ("Gt", "5", "6", True),
        ("Gt", "5", "5", False),
        ("Lt", "5", "-4", True),
        ("Lt", "5", "5", False),
        ("Gt", "5", "x", False),
        ("Gt", "05", "6", False),
        ("Gt", "5", str(1 << 63), False),
    ],
)
def test_tolerations_that_compare(operator: str, bound: str, value: str, covered: bool) -> None:
    subject = tolerating({"key": "load", "operator": operator, "value": bound, "effect": "NoExecute"})
    assert (left(subject, Taint(key="load", value=value, effect="NoExecute")) == math.inf) is covered


def test_a_taint_without_a_date_stands_since_it_was_seen() -> None:
    taint = Taint(key="y", effect="NoExecute")
    other = Taint(key="y", value="2", effect="NoExecute")
    first = standing([taint], (), now=at(5))
    assert [each.since for each in standing([taint, other], first, now=at(50))] == [at(5), at(50)]
    subject = tolerating({"key": "y", "operator": "Exists", "tolerationSeconds": 100})
    assert seconds_left(subject, standing([taint], first, now=at(50)), now=at(50)) == 55


def test_why_a_pod_goes_is_written_once() -> None:
    condition = disruption(pod(), now=at(3))
    assert condition == {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "DeletionByTaintManager",
        "message": "Taint manager: deleting due to NoExecute taint",
        "lastTransitionTime": "2026-01-01T00:00:03Z",
    }
    told = Pod.model_validate({"status": {"conditions": [condition]}})
    assert disruption(told, now=at(9)) is None


_KEY = st.sampled_from(["a", "b", "c"])
_TAINT = st.builds(
    lambda key, value, effect, added: Taint(key=key, value=value, effect=effect, time_added=at(added)),
    _KEY,
    st.sampled_from(["", "1"]),
    st.sampled_from(["NoExecute", "NoExecute", "NoSchedule"]),
    st.integers(0, 100),
)
_TOLERATION = st.fixed_dictionaries(
    {
        "key": st.one_of(_KEY, st.just("")),
        "operator": st.sampled_from(["Exists", "Equal"]),
        "value": st.sampled_from(["", "1"]),
        "effect": st.sampled_from(["", "NoExecute", "NoSchedule"]),
        "tolerationSeconds": st.one_of(st.none(), st.integers(-5, 300)),
    }
)


@given(st.lists(_TAINT, max_size=4), st.lists(_TOLERATION, max_size=5), st.integers(100, 500))
def test_no_pod_goes_before_its_time_nor_stays_after_it(
    taints: list[Taint], tolerations: list[dict[str, Any]], seconds: int
) -> None:
    """The plain reference asks second by second whether a pod may still be there."""
    subject = tolerating(*tolerations)

    def may_stay(moment: float) -> bool:
        for taint in taints:
            if taint.effect != "NoExecute":
                continue
            covering = [t for t in subject.spec.tolerations if tolerates(t, taint)]
            if not covering:
                return False
            for toleration in covering:
                limit = toleration.toleration_seconds
                assert taint.time_added is not None
                if limit is not None and at(moment) >= at(max(0, limit)) + (taint.time_added - T0):
                    return False
        return True

    found = left(subject, *taints, now=seconds)
    assert may_stay(seconds) == (found > 0)
    if 0 < found < math.inf:
        assert may_stay(seconds + found - 0.5)
        assert not may_stay(seconds + found)
    if math.isinf(found):
        assert may_stay(1e9)
