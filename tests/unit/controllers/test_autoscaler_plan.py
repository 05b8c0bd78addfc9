"""What becomes of a workload, and in which words: conditions, events and status as upstream has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.controllers.horizontalpodautoscaler import plan
from k8slite.controllers.horizontalpodautoscaler.judging import Failure, Verdict
from k8slite.controllers.horizontalpodautoscaler.plan import Decision, Said
from k8slite.controllers.horizontalpodautoscaler.proposals import Tolerances
from k8slite.controllers.horizontalpodautoscaler.rates import History
from k8slite.kinds.autoscaling import HorizontalPodAutoscaler

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
EXTERNAL = {"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "1"}}}
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}


def autoscaler(
    *metrics: dict[str, Any], conditions: Any = (), status: Any = None, **spec: Any
) -> HorizontalPodAutoscaler:
    whole = {"maxReplicas": 10, "metrics": list(metrics) or [CPU], **spec}
    shown = {"conditions": list(conditions), "desiredReplicas": 7, **(status or {})}
    metadata = {"name": "web", "namespace": "default", "generation": 3}
    return HorizontalPodAutoscaler.model_validate({"metadata": metadata, "spec": whole, "status": shown})


AT_ZERO = {"type": "ScaledToZero", "status": "True"}


@pytest.mark.parametrize(
    ("made", "replicas", "expected"),
    [
        (autoscaler(), 3, plan.Look(measure=True)),
        (autoscaler(), 0, plan.Look(measure=False, disabled=True)),
        (autoscaler(), 11, plan.Look(False, 10, "Current number of replicas above Spec.MaxReplicas")),
        (autoscaler(minReplicas=4), 3, plan.Look(False, 4, "Current number of replicas below Spec.MinReplicas")),
        (autoscaler(EXTERNAL, minReplicas=0), 0, plan.Look(measure=False, disabled=True)),  # by hand
        (autoscaler(EXTERNAL, minReplicas=0, conditions=[AT_ZERO]), 0, plan.Look(measure=True)),
        (autoscaler(minReplicas=0, conditions=[AT_ZERO]), 0, plan.Look(measure=False, disabled=True)),
        (autoscaler(minReplicas=2, conditions=[AT_ZERO]), 0, plan.Look(measure=True)),
    ],
)
def test_what_bounds_say(made: HorizontalPodAutoscaler, replicas: int, expected: plan.Look) -> None:
    assert plan.look(made, replicas=replicas) == expected


def verdict(replicas: int, name: str = "cpu resource") -> Verdict:
    return Verdict(replicas, name, {"type": "Resource"})


LOST = Failure("FailedGetExternalMetric", "lost", "failed to get queue: lost")


def decide(made: HorizontalPodAutoscaler, *found: Verdict | Failure, replicas: int = 3) -> Decision:
    return plan.by_metrics(made, found, replicas=replicas, history=History(), window=300.0, at=1000.0)


def test_the_largest_proposal_counts() -> None:
    found = decide(autoscaler(), verdict(4, "a"), verdict(6, "b"), verdict(5, "c"))
    assert (found.desired, found.rescale, found.reason) == (6, True, "b above target")
    assert [(one.type, one.status, one.reason) for one in found.told] == [
        ("AbleToScale", True, "SucceededGetScale"),
        ("ScalingActive", True, "ValidMetricFound"),
        ("AbleToScale", True, "ReadyForNewScale"),
        ("ScalingLimited", False, "DesiredWithinRange"),
    ]
    assert found.told[1].message == "the HPA was able to successfully calculate a replica count from b"
    assert found.history.proposed[-1].replicas == 6 and not found.said


def test_all_below_target_goes_down() -> None:
    found = decide(autoscaler(), verdict(1), verdict(2))
    assert (found.desired, found.reason) == (2, "All metrics below target")


def test_a_failure_speaks_against_going_down_only() -> None:
    down = decide(autoscaler(), LOST, verdict(2))
    assert (down.desired, down.rescale) == (None, False)
    assert down.metrics == ({"type": ""}, {"type": "Resource"})
    summary = "invalid metrics (1 invalid out of 2), first error is: failed to get queue: lost"
    assert down.said == (Said("FailedGetExternalMetric", "lost"), Said("FailedComputeMetricsReplicas", summary))
    active = down.told[-1]
    assert (active.type, active.status, active.reason) == ("ScalingActive", False, "FailedGetExternalMetric")
    assert active.message == "the HPA was unable to compute the replica count: lost"
    up = decide(autoscaler(), LOST, verdict(4))
    assert (up.desired, up.said) == (4, (Said("FailedGetExternalMetric", "lost"),))
    assert decide(autoscaler(), LOST, verdict(3)).desired == 3
    assert decide(autoscaler(), LOST).desired is None


def test_to_zero_and_back() -> None:
    made = autoscaler(EXTERNAL, minReplicas=0)
    down = decide(made, verdict(0), replicas=3)
    assert (down.desired, down.to_zero) == (0, True)
    told = plan.status(made, down, plan.rescaled(down), replicas=3, scaled=True, now=NOW)
    made = autoscaler(EXTERNAL, minReplicas=0, conditions=[one.to_wire() for one in told.conditions])
    assert plan.look(made, replicas=0).measure
    back = decide(made, verdict(5), replicas=0)
    assert (back.desired, back.to_zero) == (4, False)  # four at most from nothing
    told = plan.status(made, back, plan.rescaled(back), replicas=0, scaled=True, now=NOW)
    assert [(one.status, one.reason) for one in told.conditions if one.type == "ScaledToZero"] == [
        ("False", "NotScaledToZero")
    ]
    assert decide(autoscaler(minReplicas=2, conditions=[AT_ZERO]), verdict(1), replicas=0).desired == 2


def test_who_was_woken_by_hand_is_not_at_zero() -> None:
    made = autoscaler(EXTERNAL, minReplicas=0, conditions=[AT_ZERO])
    found = decide(made, verdict(3), replicas=3)
    told = plan.status(made, found, [], replicas=3, scaled=False, now=NOW)
    assert not any(one.type == "ScaledToZero" and one.status == "True" for one in told.conditions)


def test_status() -> None:
    long_ago = "2025-01-01T00:00:00Z"
    able = {"type": "AbleToScale", "status": "True", "lastTransitionTime": long_ago}
    made = autoscaler(conditions=[able])
    found = decide(made, verdict(5))
    done = plan.status(made, found, plan.rescaled(found), replicas=3, scaled=True, now=NOW + timedelta(seconds=0.7))
    assert (done.current_replicas, done.desired_replicas, done.last_scale_time) == (3, 5, NOW)
    assert done.observed_generation == 3
    assert [(one.type, one.reason, one.observed_generation) for one in done.conditions] == [
        ("AbleToScale", "SucceededRescale", 3),
        ("ScalingActive", "ValidMetricFound", 3),
        ("ScalingLimited", "DesiredWithinRange", 3),
        ("ScaledToZero", "NotScaledToZero", 3),
    ]
    assert done.conditions[0].message == "the HPA controller was able to update the target scale to 5"
    assert done.conditions[0].last_transition_time == datetime.fromisoformat(long_ago)
    failed = plan.status(made, found, [plan.not_rescaled("no")], replicas=3, scaled=False, now=NOW)
    assert (failed.desired_replicas, failed.last_scale_time) == (7, None)
    assert failed.conditions[0].message == "the HPA controller was unable to update the target scale: no"
    nothing = plan.status(made, decide(made, LOST), [], replicas=3, scaled=False, now=NOW)
    assert nothing.desired_replicas == 7
    disabled = plan.without_metrics(plan.look(made, replicas=0), replicas=0, history=History())
    stopped = plan.status(made, disabled, [], replicas=0, scaled=False, now=NOW)
    assert (stopped.desired_replicas, stopped.conditions[-1].reason) == (0, "ScalingDisabled")


def test_tolerances_are_the_autoscalers_own_or_the_usual_ones() -> None:
    assert plan.tolerances(autoscaler().spec, usual=0.2) == Tolerances(0.2, 0.2)
    sides = {"scaleUp": {"tolerance": "10m"}, "scaleDown": {}}
    assert plan.tolerances(autoscaler(behavior=sides).spec, usual=0.2) == Tolerances(0.2, 0.01)


@given(
    found=st.lists(st.integers(0, 40) | st.none(), min_size=1, max_size=4),
    replicas=st.integers(1, 20),
    least=st.integers(0, 5),
    most=st.integers(5, 20),
)
def test_decisions_stay_within_bounds_and_never_go_down_on_a_guess(
    found: list[int | None], replicas: int, least: int, most: int
) -> None:
    made = autoscaler(minReplicas=least, maxReplicas=most)
    seen = plan.look(made, replicas=replicas)
    if seen.measure:
        metrics = [LOST if one is None else verdict(one) for one in found]
        decision = decide(made, *metrics, replicas=replicas)
    else:
        decision = plan.without_metrics(seen, replicas=replicas, history=History())
    if decision.desired is None:
        assert None in found and not decision.rescale
        return
    assert least <= decision.desired <= most
    assert decision.rescale == (decision.desired != replicas)
    if seen.measure and None in found:
        assert decision.desired >= replicas
