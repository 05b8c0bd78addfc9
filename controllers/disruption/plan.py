"""How many pods of a budget are there, must be there, and may go.

Pods are healthy that are ready and not about to go. A pod whose eviction was granted counts as gone for two minutes; if
it is still there then, its eviction was lost. Grants name pods, so that of a StatefulSet's pods a successor looks like
the one that was granted: who is younger than the grant is not meant.

Source: Kubernetes documentation, "Disruptions", "Specifying a Disruption Budget"; pkg/controller/disruption.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from k8slite import conditions
from k8slite.intorstr import scaled
from k8slite.kinds.base import Condition

from ..pods import Pod, PodCondition
from .budget import Budget, BudgetSpec, BudgetStatus

DELETION_TIMEOUT = 120.0
"""Seconds that a granted eviction has to become a deletion."""
SUCCESSION = 3.0
"""The same for a pod made in the second of the grant: most likely it is the successor, as times have whole seconds."""
STALE = 120.0
"""Seconds after which a pod that says it is being disrupted, and is not, no longer says so."""
ALLOWED = "DisruptionAllowed"
_TARGET = "DisruptionTarget"
_BY_KUBELET = "TerminationByKubelet"


@dataclass(frozen=True, slots=True)
class Expected:
    """How many pods the owners want, and how many of these must be healthy."""

    pods: int
    healthy: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The status to show, the pods whose eviction was lost, and when the next one would be."""

    status: BudgetStatus
    lost: tuple[Pod, ...]
    requeue_after: float | None


def counts_as(pod: Pod) -> tuple[object, ...]:
    """What of a pod budgets are about: whatever else happens to it changes no budget."""
    owner = pod.metadata.controller
    return pod.metadata.labels, pod.ready, pod.deleting, owner.uid if owner is not None else ""


def needs_scale(spec: BudgetSpec) -> bool:
    """Whether the budget is relative to what the pods' owners want."""
    return spec.max_unavailable is not None or isinstance(spec.min_available, str)


def expected(spec: BudgetSpec, *, pods: int, scale: int) -> Expected:
    """Decide, for so many pods whose owners want `scale`. Raises ValueError for a number that is none."""
    if spec.max_unavailable is not None:
        return Expected(scale, max(0, scale - scaled(spec.max_unavailable, scale, round_up=True)))
    if isinstance(spec.min_available, str):
        return Expected(scale, scaled(spec.min_available, scale, round_up=True))
    if spec.min_available is None:  # who does not say how many may go lets none go
        return Expected(0, 0)
    return Expected(pods, spec.min_available)


def plan(*, budget: Budget, pods: Sequence[Pod], expected: Expected, now: datetime) -> Plan:
    """Decide for one budget over the pods that it selects."""
    disrupted, lost = _disrupted(budget.status.disrupted_pods, pods, now=now)
    healthy = sum(1 for pod in pods if not pod.deleting and pod.name not in disrupted and pod.ready)
    allowed = max(0, healthy - expected.healthy) if expected.pods > 0 else 0
    word = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
    status = budget.status.model_copy(
        update={
            "observed_generation": budget.metadata.generation,
            "disrupted_pods": disrupted,
            "disruptions_allowed": allowed,
            "current_healthy": healthy,
            "desired_healthy": expected.healthy,
            "expected_pods": expected.pods,
            "conditions": _said(budget, *word, "", now=now),
        }
    )
    due = (_deadline(pod, disrupted[pod.name]) - now for pod in pods if pod.name in disrupted)
    return Plan(status, lost, min((left.total_seconds() + 0.1 for left in due), default=None))


def failed(budget: Budget, why: str, *, now: datetime) -> BudgetStatus:
    """The status of a budget that cannot be worked out: nothing may go."""
    said = _said(budget, "False", "SyncFailed", why, now=now)
    return budget.status.model_copy(update={"disruptions_allowed": 0, "conditions": said})


def _said(budget: Budget, status: str, reason: str, message: str, *, now: datetime) -> list[Condition]:
    condition = Condition(
        type=ALLOWED,
        status=status,
        reason=reason,
        message=message,
        observed_generation=budget.metadata.generation,
    )
    return conditions.put(budget.status.conditions, condition, now=now)


def _disrupted(
    granted: Mapping[str, datetime], pods: Sequence[Pod], *, now: datetime
) -> tuple[dict[str, datetime], tuple[Pod, ...]]:
    """The pods that are about to go, and those that should have gone."""
    going, lost = {}, []
    for pod in pods:
        moment = granted.get(pod.name)
        made = pod.metadata.creation_timestamp
        if moment is None or pod.deleting or (made is not None and made > moment):
            continue
        if now <= _deadline(pod, moment):
            going[pod.name] = moment
        elif made != moment:
            lost.append(pod)
    return going, tuple(lost)


def _deadline(pod: Pod, granted: datetime) -> datetime:
    """Until when an eviction is believed in that was granted then."""
    same_second = pod.metadata.creation_timestamp == granted
    return granted + timedelta(seconds=SUCCESSION if same_second else DELETION_TIMEOUT)


def in_words(selector: Mapping[str, Any]) -> str:
    """A label selector as Kubernetes writes it into events: as Go prints it."""
    labels = "".join(f"{key}: {value}," for key, value in sorted((selector.get("matchLabels") or {}).items()))
    expressions = "".join(
        f"LabelSelectorRequirement{{Key:{one['key']},Operator:{one['operator']},"
        f"Values:[{' '.join(one.get('values') or ())}],}},"
        for one in selector.get("matchExpressions") or ()
    )
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )


def stale_in(pod: Pod, *, now: datetime) -> float | None:
    """Seconds until what the pod says of its disruption is stale; None if it says nothing that could be."""
    found = _target(pod)
    if found is None or found.status != "True" or found.reason == _BY_KUBELET or pod.deleting or pod.finished:
        return None
    since = found.last_transition_time or now
    return max(0.0, (since + timedelta(seconds=STALE) - now).total_seconds())


def _target(pod: Pod) -> PodCondition | None:
    return next((one for one in pod.status.conditions if one.type == _TARGET), None)
