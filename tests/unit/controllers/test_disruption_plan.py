"""What a disruption budget allows, and when what was said of a disruption is stale."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.controllers.disruption.budget import Budget, BudgetSpec
from k8slite.controllers.disruption.plan import Expected, counts_as, expected, failed, needs_scale, plan, stale_in
from k8slite.controllers.pods import Pod

from .builders import T0, at, pod


def budget(*, generation: int = 3, disrupted: dict[str, datetime] | None = None, **status: Any) -> Budget:
    return Budget.model_validate(
        {
            "metadata": {"name": "b", "namespace": "default", "generation": generation},
            "spec": {},
            "status": {"disruptedPods": disrupted or {}, **status},
        }
    )


@pytest.mark.parametrize(
    ("spec", "pods", "scale", "wanted"),
    [
        ({"minAvailable": 2}, 5, 0, Expected(5, 2)),
        ({"minAvailable": "50%"}, 3, 5, Expected(5, 3)),
        ({"minAvailable": "0%"}, 3, 5, Expected(5, 0)),
        ({"maxUnavailable": 1}, 3, 5, Expected(5, 4)),
        ({"maxUnavailable": 9}, 3, 5, Expected(5, 0)),
        ({"maxUnavailable": "30%"}, 3, 5, Expected(5, 3)),
        ({"maxUnavailable": "100%"}, 3, 5, Expected(5, 0)),
        ({"minAvailable": 0}, 3, 0, Expected(3, 0)),
        ({}, 3, 0, Expected(0, 0)),
    ],
)
def test_what_must_be_there(spec: dict[str, Any], pods: int, scale: int, wanted: Expected) -> None:
    parsed = BudgetSpec.model_validate(spec)
    assert needs_scale(parsed) == (bool(scale))
    assert expected(parsed, pods=pods, scale=scale) == wanted


@pytest.mark.parametrize(
    ("ready", "unready", "wanted", "allowed"),
    [
        (3, 0, Expected(3, 2), 1),
        (3, 0, Expected(3, 3), 0),
        (2, 1, Expected(3, 2), 0),
        (1, 2, Expected(3, 2), 0),
        (3, 0, Expected(0, 0), 0),
        (3, 0, Expected(3, 0), 3),
    ],
)
def test_what_may_go(ready: int, unready: int, wanted: Expected, allowed: int) -> None:
    pods = [pod() for _ in range(ready)] + [pod(ready=False) for _ in range(unready)]
    status = plan(budget=budget(), pods=pods, expected=wanted, now=T0).status
    assert (status.disruptions_allowed, status.current_healthy) == (allowed, ready)
    assert (status.expected_pods, status.desired_healthy, status.observed_generation) == (
        wanted.pods,
        wanted.healthy,
        3,
    )
    condition = status.conditions[0]
    assert condition.type == "DisruptionAllowed" and condition.observed_generation == 3
    assert (condition.status, condition.reason) == (
        ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
    )


def test_pods_that_go_are_not_healthy() -> None:
    pods = [pod(), pod("gone", deleting=True), pod("granted", created=-60)]
    decided = plan(
        budget=budget(disrupted={"granted": T0, "gone": T0, "nobody": T0}),
        pods=pods,
        expected=Expected(3, 1),
        now=at(10),
    )
    assert decided.status.current_healthy == 1 and decided.status.disruptions_allowed == 0
    assert decided.status.disrupted_pods == {"granted": T0}
    assert decided.requeue_after is not None and 110 < decided.requeue_after < 111


def test_an_eviction_that_was_lost_is_counted_no_longer() -> None:
    lost = pod("lost", created=-60)
    decided = plan(budget=budget(disrupted={"lost": T0}), pods=[lost, pod()], expected=Expected(2, 1), now=at(121))
    assert decided.lost == (lost,)
    assert decided.status.disrupted_pods == {} and decided.status.disruptions_allowed == 1
    assert decided.requeue_after is None


def test_a_grant_is_for_the_pod_that_was_there_and_not_for_its_successor() -> None:
    def counted(*, created: float, now: float) -> tuple[int, float | None]:
        decided = plan(
            budget=budget(disrupted={"db-0": T0}),
            pods=[pod("db-0", created=created)],
            expected=Expected(1, 0),
            now=at(now),
        )
        assert decided.lost == ()
        assert (decided.status.disrupted_pods == {}) == (decided.status.disruptions_allowed == 1)
        return decided.status.disruptions_allowed, decided.requeue_after

    assert counted(created=-1, now=1)[0] == 0
    assert counted(created=1, now=1) == (1, None)
    allowed, left = counted(created=0, now=1)  # of the same second: it may be either
    assert allowed == 0 and left is not None and 2 < left < 3
    assert counted(created=0, now=4) == (1, None)


def test_a_condition_keeps_its_time_while_it_says_the_same() -> None:
    first = plan(budget=budget(), pods=[pod(), pod()], expected=Expected(2, 1), now=T0).status
    again = budget().model_copy(update={"status": first})
    second = plan(budget=again, pods=[pod(), pod(), pod()], expected=Expected(3, 1), now=at(5)).status
    assert second.disruptions_allowed == 2
    assert second.conditions[0].last_transition_time == T0
    third = plan(budget=again, pods=[pod()], expected=Expected(1, 1), now=at(5)).status
    assert third.conditions[0].last_transition_time == at(5)


def test_without_knowledge_nothing_may_go() -> None:
    status = failed(budget(disruptionsAllowed=2), 'found no controllers for pod "p"', now=T0)
    assert status.disruptions_allowed == 0
    assert (status.conditions[0].reason, status.conditions[0].message) == (
        "SyncFailed",
        'found no controllers for pod "p"',
    )


def targeted(*, since: float = 0.0, deleting: bool = False, phase: str = "Running", **condition: Any) -> Pod:
    found = pod(deleting=deleting, phase=phase)
    said = {"type": "DisruptionTarget", "status": "True", "lastTransitionTime": at(since), **condition}
    return Pod.model_validate({**found.model_dump(by_alias=True), "status": {"phase": phase, "conditions": [said]}})


@pytest.mark.parametrize(
    ("found", "left"),
    [
        (targeted(), 20.0),
        (targeted(since=-200), 0.0),
        (targeted(status="False"), None),
        (targeted(deleting=True), None),
        (targeted(phase="Failed"), None),
        (targeted(reason="TerminationByKubelet"), None),
        (pod(), None),
    ],
)
def test_a_disruption_that_never_came_is_stale(found: Pod, left: float | None) -> None:
    assert stale_in(found, now=at(100)) == left


def test_only_what_budgets_are_about_counts() -> None:
    one = pod("p")
    assert counts_as(one) == counts_as(one.model_copy(update={"status": one.status}))
    assert counts_as(one) != counts_as(pod("p", ready=False))
    assert counts_as(one) != counts_as(pod("p", deleting=True))
    assert counts_as(one) != counts_as(pod("p", labels={"app": "other"}))
    assert counts_as(one) != counts_as(pod("p", owner="other"))


amounts = st.one_of(st.integers(0, 12), st.integers(0, 100).map(lambda percent: f"{percent}%"))
parts = st.sampled_from(["ready", "unready", "going", "granted", "lost"])


@given(st.lists(parts, max_size=10), st.sampled_from(["minAvailable", "maxUnavailable"]), amounts, st.integers(0, 12))
def test_what_is_allowed_leaves_as_many_as_must_be_there(
    made: list[str], rule: str, amount: int | str, scale: int
) -> None:
    pods = [
        pod(f"p{i}", ready=part != "unready", deleting=part == "going", created=-200) for i, part in enumerate(made)
    ]
    granted = {f"p{i}": at(-130 if part == "lost" else 0) for i, part in enumerate(made) if part in ("granted", "lost")}
    wanted = expected(BudgetSpec.model_validate({rule: amount}), pods=len(pods), scale=scale)
    decided = plan(budget=budget(disrupted=granted), pods=pods, expected=wanted, now=at(1))
    healthy = made.count("ready") + made.count("lost")
    status = decided.status
    assert status.current_healthy == healthy
    assert {one.name for one in decided.lost} == {f"p{i}" for i, part in enumerate(made) if part == "lost"}
    assert set(status.disrupted_pods) == {f"p{i}" for i, part in enumerate(made) if part == "granted"}
    if status.disruptions_allowed:
        assert healthy - status.disruptions_allowed == status.desired_healthy
    else:
        assert status.expected_pods == 0 or healthy <= status.desired_healthy
    if isinstance(amount, str):
        share = Fraction(int(amount[:-1]), 100) * scale
        enough = scale - share if rule == "maxUnavailable" else share
        assert abs(status.desired_healthy - enough) < 1
        assert status.desired_healthy >= enough or rule == "maxUnavailable"
    assert status.desired_healthy >= 0
