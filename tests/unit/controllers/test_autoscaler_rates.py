"""How fast proposals come true: tables of upstream's cases, and what holds over any course of them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.controllers.horizontalpodautoscaler.rates import Bounds, History, Mark, settle
from k8slite.kinds.autoscaling import Behavior

WIDE = Bounds(1, 1000)
WINDOW = 300.0


def behavior(**sides: Any) -> Behavior:
    return Behavior.model_validate(sides)


def policy(type_: str, value: int, seconds: int) -> dict[str, Any]:
    return {"type": type_, "value": value, "periodSeconds": seconds}


def up(*policies: dict[str, Any], select: str = "Max", window: int = 0) -> dict[str, Any]:
    return {"policies": list(policies), "selectPolicy": select, "stabilizationWindowSeconds": window}


def rate(
    proposed: int,
    *,
    current: int,
    bounds: Bounds = WIDE,
    rules: Behavior | None = None,
    history: History | None = None,
    at: float = 1000.0,
) -> tuple[int, str, str]:
    """The replicas, why they are stabilised, and why they are limited (in brackets if they are not)."""
    found = settle(
        proposed,
        current=current,
        bounds=bounds,
        behavior=rules,
        history=history or History(),
        window=WINDOW,
        at=at,
    )
    limit = found.limit.reason if found.limited else f"({found.limit.reason})"
    return found.replicas, found.stabilized.reason, limit


READY, IN_RANGE = "ReadyForNewScale", "(DesiredWithinRange)"


@pytest.mark.parametrize(
    ("proposed", "current", "bounds", "expected"),
    [
        (5, 3, Bounds(1, 10), (5, READY, IN_RANGE)),
        (24, 3, Bounds(1, 100), (6, READY, "ScaleUpLimit")),  # twice what there is
        (24, 1, Bounds(1, 100), (4, READY, "ScaleUpLimit")),  # four at least
        (24, 3, Bounds(1, 6), (6, READY, "TooManyReplicas")),
        (24, 30, Bounds(1, 20), (20, READY, "TooManyReplicas")),
        (0, 3, Bounds(2, 6), (2, READY, "TooFewReplicas")),
        (0, 3, Bounds(0, 6), (0, READY, IN_RANGE)),
    ],
)
def test_without_behavior(proposed: int, current: int, bounds: Bounds, expected: tuple[int, str, str]) -> None:
    assert rate(proposed, current=current, bounds=bounds) == expected


def test_without_behavior_the_double_is_that_of_a_quarter_of_a_minute_ago() -> None:
    history = History().scaled(3, 6, at=1000.0)
    assert rate(24, current=6, history=history, at=1014.0) == (6, READY, "ScaleUpLimit")
    assert rate(24, current=6, history=history, at=1015.0) == (12, READY, "ScaleUpLimit")


def test_without_behavior_the_highest_of_five_minutes_counts_downwards() -> None:
    history = History.begin(5, at=100.0).propose(8, at=200.0).propose(3, at=300.0)
    assert rate(2, current=8, history=history, at=500.0) == (8, "ScaleDownStabilized", IN_RANGE)
    assert rate(2, current=8, history=history, at=500.1) == (3, "ScaleDownStabilized", IN_RANGE)
    assert rate(2, current=8, history=history, at=600.1) == (2, READY, IN_RANGE)
    assert rate(9, current=8, history=history, at=500.0) == (9, READY, IN_RANGE)


@pytest.mark.parametrize(
    ("rules", "proposed", "current", "expected"),
    [
        # Upwards.
        (up(policy("Pods", 4, 60)), 100, 10, (14, READY, "ScaleUpLimit")),
        (up(policy("Percent", 10, 60)), 100, 1, (2, READY, "ScaleUpLimit")),
        (up(policy("Percent", 10, 60)), 100, 10, (11, READY, "ScaleUpLimit")),
        (up(policy("Percent", 100, 60)), 7, 0, (0, READY, "ScaleUpLimit")),
        (up(policy("Percent", 50, 60), policy("Pods", 3, 60)), 100, 10, (15, READY, "ScaleUpLimit")),
        (up(policy("Percent", 50, 60), policy("Pods", 3, 60), select="Min"), 100, 10, (13, READY, "ScaleUpLimit")),
        (up(policy("Pods", 3, 60), select="Disabled"), 100, 10, (10, READY, "ScaleUpLimit")),
        (up(policy("Pods", 3, 60)), 12, 10, (12, READY, IN_RANGE)),
        (up(policy("Pods", 3000, 60)), 2000, 10, (1000, READY, "TooManyReplicas")),
    ],
)
def test_policies_upwards(rules: Any, proposed: int, current: int, expected: tuple[int, str, str]) -> None:
    assert rate(proposed, current=current, rules=behavior(scaleUp=rules)) == expected


@pytest.mark.parametrize(
    ("rules", "proposed", "current", "expected"),
    [
        (up(policy("Pods", 4, 60)), 1, 10, (6, READY, "ScaleDownLimit")),
        (up(policy("Percent", 10, 60)), 1, 15, (13, READY, "ScaleDownLimit")),
        (up(policy("Percent", 50, 60), policy("Pods", 3, 60)), 1, 10, (5, READY, "ScaleDownLimit")),
        (up(policy("Percent", 50, 60), policy("Pods", 3, 60), select="Min"), 1, 10, (7, READY, "ScaleDownLimit")),
        (up(policy("Pods", 3, 60), select="Disabled"), 1, 10, (10, READY, "ScaleDownLimit")),
        (up(policy("Percent", 100, 15)), 0, 10, (1, READY, "TooFewReplicas")),
    ],
)
def test_policies_downwards(rules: Any, proposed: int, current: int, expected: tuple[int, str, str]) -> None:
    assert rate(proposed, current=current, rules=behavior(scaleDown=rules)) == expected


def test_what_changed_within_the_period_is_counted() -> None:
    rules = behavior(scaleUp=up(policy("Pods", 5, 60)), scaleDown=up(policy("Pods", 5, 60)))
    history = History().scaled(10, 13, at=950.0)
    assert rate(100, current=13, rules=rules, history=history, at=1000.0)[0] == 15
    assert rate(100, current=13, rules=rules, history=history, at=1010.0)[0] == 18
    assert rate(1, current=13, rules=rules, history=history, at=1000.0)[0] == 5  # from 10, five less
    both = history.scaled(13, 11, at=960.0)
    assert rate(100, current=11, rules=rules, history=both, at=1000.0)[0] == 15
    more = History().scaled(2, 30, at=990.0)
    assert rate(100, current=30, rules=rules, history=more, at=1000.0) == (30, READY, "ScaleUpLimit")


def test_stabilisation_in_both_directions() -> None:
    rules = behavior(scaleUp=up(policy("Pods", 900, 15), window=60), scaleDown=up(policy("Pods", 900, 15), window=120))
    history = History.begin(10, at=900.0).propose(4, at=930.0).propose(20, at=960.0)
    assert rate(30, current=10, rules=rules, history=history, at=989.0) == (10, "ScaleUpStabilized", IN_RANGE)
    assert rate(30, current=10, rules=rules, history=history, at=990.0) == (20, "ScaleUpStabilized", IN_RANGE)
    assert rate(30, current=10, rules=rules, history=history, at=1020.0) == (30, READY, IN_RANGE)
    assert rate(2, current=10, rules=rules, history=history, at=1079.0) == (10, "ScaleDownStabilized", IN_RANGE)
    assert rate(2, current=30, rules=rules, history=history, at=1079.0) == (20, "ScaleDownStabilized", IN_RANGE)
    assert rate(2, current=30, rules=rules, history=history, at=1080.0) == (2, READY, IN_RANGE)


def test_what_nobody_looks_back_to_is_forgotten() -> None:
    history = History.begin(1, at=0.0)
    for moment in range(1, 100):
        history = history.propose(moment % 2, at=moment * 60.0).scaled(1, 2, at=moment * 60.0)
    assert history.proposed[0].at >= 99 * 60 - 3600
    assert len(history.added) == 30 and not history.removed
    same = History.begin(3, at=0.0).propose(3, at=1.0).propose(3, at=2.0)
    assert same.proposed == (Mark(3, 2.0),)


COURSES = st.lists(st.tuples(st.floats(0.5, 40), st.integers(0, 60)), min_size=1, max_size=40)
POLICIES = st.lists(
    st.builds(policy, st.sampled_from(["Pods", "Percent"]), st.integers(1, 150), st.integers(1, 60)),
    min_size=1,
    max_size=3,
)
SIDES = st.builds(
    lambda policies, select, window: up(*policies, select=select, window=window),
    POLICIES,
    st.sampled_from(["Max", "Min", "Disabled"]),
    st.sampled_from([0, 10, 60]),
)
RULES = st.builds(lambda one, other: behavior(scaleUp=one, scaleDown=other), SIDES, SIDES)
BOUNDS = st.builds(lambda least, more: Bounds(least, least + more), st.integers(0, 10), st.integers(0, 60))


def follow(course: list[tuple[float, int]], rules: Behavior | None, bounds: Bounds) -> list[tuple[float, int, int]]:
    """The moments, what was proposed, and what came of it, as the controller goes on."""
    at, current = 0.0, bounds.least
    history, seen = History.begin(current, at=at), [(at, current, current)]
    for pause, proposed in course:
        at += pause
        found = settle(proposed, current=current, bounds=bounds, behavior=rules, history=history, window=WINDOW, at=at)
        history = history.propose(proposed, at=at)
        if found.replicas != current:
            history = history.scaled(current, found.replicas, at=at)
        current = found.replicas
        seen.append((at, proposed, current))
    return seen


@given(course=COURSES, rules=RULES | st.none(), bounds=BOUNDS)
def test_bounds_are_never_left(course: list[tuple[float, int]], rules: Behavior | None, bounds: Bounds) -> None:
    assert all(bounds.least <= replicas <= bounds.most for _, _, replicas in follow(course, rules, bounds))


@given(course=COURSES, rules=RULES, bounds=BOUNDS)
def test_no_period_sees_more_than_its_policy_allows(
    course: list[tuple[float, int]], rules: Behavior, bounds: Bounds
) -> None:
    """Against the plain reading: whatever moment is looked at, what was there a period before and what was removed
    since bounds what may be there now.
    """
    seen = follow(course, rules, bounds)
    side = rules.scale_up
    for index, (at, _, replicas) in enumerate(seen[1:], 1):
        before = seen[index - 1][2]
        if replicas <= before:
            continue
        allowed = []
        for one in side.policies:
            changes = [
                (seen[number][2] - seen[number - 1][2])
                for number in range(1, index)
                if seen[number][0] > at - one.period_seconds
            ]
            start = before - sum(changes)
            more = one.value if one.type == "Pods" else math.ceil(start * (1 + one.value / 100)) - start
            allowed.append(start + more)
        limit = min(allowed) if side.select_policy == "Min" else max(allowed)
        assert side.select_policy != "Disabled"
        assert replicas <= max(limit, before)


@given(course=COURSES, bounds=BOUNDS, windows=st.tuples(st.sampled_from([0, 30, 300]), st.sampled_from([0, 30, 300])))
def test_stabilisation_is_the_safest_of_the_window(
    course: list[tuple[float, int]], bounds: Bounds, windows: tuple[int, int]
) -> None:
    free = policy("Pods", 1000, 1)
    rules = behavior(scaleUp=up(free, window=windows[0]), scaleDown=up(free, window=windows[1]))
    seen = follow(course, rules, bounds)
    for index, (at, proposed, replicas) in enumerate(seen[1:], 1):
        before = seen[index - 1][2]
        past = [(moment, number) for moment, number, _ in seen[:index]]
        lowest = min([proposed, *(number for moment, number in past if moment > at - windows[0])])
        highest = max([proposed, *(number for moment, number in past if moment > at - windows[1])])
        wanted = min(max(before, lowest), highest)
        expected = min(wanted, bounds.most) if wanted > before else max(wanted, bounds.least)
        assert replicas == (expected if wanted != before else before)
