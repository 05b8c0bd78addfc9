"""What becomes of a workload: one decision from all metrics, and how it is told.

Of several proposals the largest counts. A metric that fails speaks against going down, and against everything if there
is no other. What is below the least or above the most replicas is corrected without asking anybody. A workload at zero
is left alone, unless this autoscaler took it there, which its condition `ScaledToZero` remembers.

Source: Kubernetes documentation, "Horizontal Pod Autoscaling"; pkg/controller/podautoscaler, horizontal.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from k8slite import conditions
from k8slite.kinds.autoscaling import (
    HorizontalPodAutoscaler,
    HorizontalPodAutoscalerSpec,
    HorizontalPodAutoscalerStatus,
)
from k8slite.kinds.base import Condition
from k8slite.quantity import parse

from .judging import Failure, Verdict
from .proposals import Tolerances
from .rates import Bounds, History, Rate, settle

ABLE, ACTIVE, LIMITED, AT_ZERO = "AbleToScale", "ScalingActive", "ScalingLimited", "ScaledToZero"
BELOW_LEAST = "Current number of replicas below Spec.MinReplicas"
ABOVE_MOST = "Current number of replicas above Spec.MaxReplicas"
_DISABLED = "scaling is disabled since the replica count of the target is zero"


@dataclass(frozen=True, slots=True)
class Said:
    """An event, or what a condition says: a word and a sentence."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Told:
    """A condition to be set."""

    type: str
    status: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Look:
    """What the bounds alone say: replicas to have, and why; or that metrics are to be asked."""

    measure: bool
    desired: int = 0
    reason: str = ""
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and what to tell. `desired` is None where nothing could be decided."""

    desired: int | None
    rescale: bool = False
    reason: str = ""
    told: tuple[Told, ...] = ()
    said: tuple[Said, ...] = ()
    metrics: tuple[dict[str, Any], ...] = ()
    history: History = field(default_factory=History)
    to_zero: bool = False
    """Whether it takes the workload to zero in a way that it can take it back from."""


def look(autoscaler: HorizontalPodAutoscaler, *, replicas: int) -> Look:
    """What can be said without metrics."""
    spec = autoscaler.spec
    if not replicas:
        mine = conditions.is_true(autoscaler.status.conditions, AT_ZERO)
        if mine and (spec.min_replicas or measured_outside(spec)):
            return Look(measure=True)
        return Look(measure=False, disabled=True)
    if replicas > spec.max_replicas:
        return Look(measure=False, desired=spec.max_replicas, reason=ABOVE_MOST)
    if replicas < spec.min_replicas:
        return Look(measure=False, desired=spec.min_replicas, reason=BELOW_LEAST)
    return Look(measure=True)


def measured_outside(spec: HorizontalPodAutoscalerSpec) -> bool:
    """Whether there is a metric that does not need a pod."""
    return any(metric.type in ("Object", "External") for metric in spec.metrics)


def tolerances(spec: HorizontalPodAutoscalerSpec, *, usual: float) -> Tolerances:
    """Those of the autoscaler, or the usual ones."""
    behavior = spec.behavior
    if behavior is None:
        return Tolerances(usual, usual)
    down, up = (
        usual if rules.tolerance is None else float(parse(rules.tolerance))
        for rules in (behavior.scale_down, behavior.scale_up)
    )
    return Tolerances(down, up)


def without_metrics(seen: Look, *, replicas: int, history: History) -> Decision:
    """The decision where the bounds say it all."""
    if seen.disabled:
        told = (Told(ACTIVE, False, "ScalingDisabled", _DISABLED),)
        return Decision(0, told=(_GOT_SCALE, *told), history=history)
    rescale = seen.desired != replicas
    return Decision(seen.desired, rescale, seen.reason, told=(_GOT_SCALE,), history=history)


def unselected(problem: Said, *, why: str, history: History) -> Decision:
    """The decision where nobody knows which pods to look at. `why` is for the log of events."""
    told = (_GOT_SCALE, Told(ACTIVE, False, problem.reason, problem.message))
    return Decision(None, told=told, said=(Said("FailedComputeMetricsReplicas", why),), history=history)


def by_metrics(
    autoscaler: HorizontalPodAutoscaler,
    found: Sequence[Verdict | Failure],
    *,
    replicas: int,
    history: History,
    window: float,
    at: float,
) -> Decision:
    """The decision by what was measured."""
    spec = autoscaler.spec
    failures = [one for one in found if isinstance(one, Failure)]
    best: Verdict | None = None
    for one in found:
        if isinstance(one, Verdict) and (best is None or not best.replicas or one.replicas > best.replicas):
            best = one
    shown = tuple(one.status if isinstance(one, Verdict) else {"type": ""} for one in found)
    said = [Said(one.reason, one.message) for one in failures]
    if best is None or (failures and best.replicas < replicas):
        first = failures[0] if failures else Failure("InvalidMetricSourceType", "no metrics", "no metrics")
        summary = f"invalid metrics ({len(failures)} invalid out of {len(found)}), first error is: {first.summary}"
        message = f"the HPA was unable to compute the replica count: {first.message}"
        said.append(Said("FailedComputeMetricsReplicas", summary))
        told = (_GOT_SCALE, Told(ACTIVE, False, first.reason, message))
        return Decision(None, told=told, said=tuple(said), metrics=shown, history=history)
    rate = settle(
        best.replicas,
        current=replicas,
        bounds=Bounds(spec.min_replicas, spec.max_replicas),
        behavior=spec.behavior,
        history=history,
        window=window,
        at=at,
    )
    desired, reason = rate.replicas, ""
    if best.replicas > replicas:
        reason = f"{best.name} above target"
    elif best.replicas < replicas:
        reason = "All metrics below target"
    if not replicas and desired < spec.min_replicas:
        desired, reason = spec.min_replicas, reason or BELOW_LEAST
    message = f"the HPA was able to successfully calculate a replica count from {best.name}"
    return Decision(
        desired,
        rescale=desired != replicas,
        reason=reason,
        told=(_GOT_SCALE, Told(ACTIVE, True, "ValidMetricFound", message), *_rate_told(rate)),
        said=tuple(said),
        metrics=shown,
        history=history.propose(best.replicas, at=at),
        to_zero=bool(replicas) and not desired and not spec.min_replicas and measured_outside(spec),
    )


_GOT_SCALE = Told(ABLE, True, "SucceededGetScale", "the HPA controller was able to get the target's current scale")


def _rate_told(rate: Rate) -> tuple[Told, ...]:
    return (
        Told(ABLE, True, rate.stabilized.reason, rate.stabilized.message),
        Told(LIMITED, rate.limited, rate.limit.reason, rate.limit.message),
    )


def no_scale(why: str) -> Told:
    """The target's scale could not be read."""
    message = f"the HPA controller was unable to get the target's current scale: {why}"
    return Told(ABLE, False, "FailedGetScale", message)


def rescaled(decision: Decision) -> tuple[Told, ...]:
    """What is told of a scale that was written."""
    message = f"the HPA controller was able to update the target scale to {decision.desired}"
    return (Told(ABLE, True, "SucceededRescale", message), zero_told(decision.to_zero))


def not_rescaled(why: str) -> Told:
    """The target's scale could not be written."""
    message = f"the HPA controller was unable to update the target scale: {why}"
    return Told(ABLE, False, "FailedUpdateScale", message)


def zero_told(mine: bool) -> Told:
    """Whether it was this autoscaler that took its workload to zero."""
    if mine:
        return Told(AT_ZERO, True, "ScaledToZero", "the HPA controller scaled the workload to zero")
    return Told(AT_ZERO, False, "NotScaledToZero", "the HPA controller did not scale the workload to zero")


def with_conditions(
    autoscaler: HorizontalPodAutoscaler, told: Sequence[Told], *, now: datetime
) -> HorizontalPodAutoscalerStatus:
    """The status with these conditions; of several of one type the last counts."""
    generation = autoscaler.metadata.generation or None
    last = {one.type: one for one in told}
    kept = list(autoscaler.status.conditions)
    for one in last.values():
        condition = Condition(
            type=one.type,
            status="True" if one.status else "False",
            reason=one.reason,
            message=one.message,
            **({"observed_generation": generation} if generation else {}),
        )
        kept = conditions.put(kept, condition, now=now)
    update: dict[str, Any] = {"conditions": kept, **({"observed_generation": generation} if generation else {})}
    return autoscaler.status.model_copy(update=update)


def status(
    autoscaler: HorizontalPodAutoscaler,
    decision: Decision,
    told: Sequence[Told],
    *,
    replicas: int,
    scaled: bool,
    now: datetime,
) -> HorizontalPodAutoscalerStatus:
    """The status after a decision; `scaled` if it was carried out."""
    desired = decision.desired
    if desired is None or (decision.rescale and not scaled):
        desired = autoscaler.status.desired_replicas
    update: dict[str, Any] = {
        "current_replicas": replicas,
        "desired_replicas": desired,
        "current_metrics": list(decision.metrics),
    }
    if scaled:
        update["last_scale_time"] = now.replace(microsecond=0)
    known = (*decision.told, *told)
    if replicas and not decision.to_zero and conditions.is_true(autoscaler.status.conditions, AT_ZERO):
        known = (zero_told(False), *known)  # somebody else took it from zero, or it never came to it
    return with_conditions(autoscaler, known, now=now).model_copy(update=update)
