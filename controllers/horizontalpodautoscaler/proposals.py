"""How many replicas one metric asks for, by itself.

Numbers are whole thousandths, and ratios are floats as Kubernetes computes them, so that the results are the same to
the last replica.

Source: Kubernetes documentation, "Horizontal Pod Autoscaling", algorithm details; pkg/controller/podautoscaler,
replica_calculator.go and metrics/utilization.go. Two differences: while an average of an object or of something
external is within tolerance, the replicas that are wished for stay, where upstream wishes for those that there are; and
a pod that is about to go or has failed need not ask for what is measured, where upstream does nothing while there is
one that does not (the rollout that adds requests leaves such pods for as long as they take to end).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ..pods import Pod
from .pods import Delays, Groups, Samples, Unknown, group, requests, running

MOST = (1 << 31) - 1
"""No proposal is larger."""
LARGEST_USAGE = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How far a ratio of what is to what should be may be from one before anything is done."""

    down: float = 0.1
    up: float = 0.1

    def allow(self, ratio: float) -> bool:
        """Whether nothing needs to be done."""
        return 1.0 - self.down <= ratio <= 1.0 + self.up


@dataclass(frozen=True, slots=True)
class Workload:
    """What is scaled, as it is: its pods, the replicas that are wished for, and those that there are."""

    pods: Sequence[Pod]
    replicas: int
    status_replicas: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What all metrics of an autoscaler are judged by."""

    tolerances: Tolerances = field(default_factory=Tolerances)
    delays: Delays = field(default_factory=Delays)


@dataclass(frozen=True, slots=True)
class Proposal:
    """The replicas, and what was found: a value (of all pods' average or altogether), also as a part of the request."""

    replicas: int
    value: int
    utilization: int | None = None


@dataclass(frozen=True, slots=True)
class _Measured:
    ratio: float
    value: int
    utilization: int | None = None


def by_utilization(
    samples: Samples,
    target: int,
    *,
    workload: Workload,
    rules: Rules,
    resource: str,
    now: datetime,
    container: str = "",
) -> Proposal:
    """So many that pods use `target` percent of what they ask for. Raises Unknown."""
    groups, values = _counting(samples, workload, rules=rules, resource=resource, now=now)
    counting = (pod for pod in workload.pods if pod.name not in groups.ignored)
    asked = requests(counting, resource=resource, container=container)

    def measure(values: Mapping[str, int]) -> _Measured:
        known = [(value, asked[name]) for name, value in values.items() if name in asked]
        wanted = sum(request for _, request in known)
        if not wanted:
            raise Unknown("no metrics returned matched known pods")
        used = sum(value for value, _ in known)
        percentage = _quotient(used * 100, wanted)
        return _Measured(percentage / target, _quotient(used, len(known)), percentage)

    def expect(name: str) -> int:
        return asked[name] * max(100, target) // 100

    return _propose(values, groups, measure=measure, expect=expect, replicas=workload.replicas, within=rules.tolerances)


def by_average(
    samples: Samples, target: int, *, workload: Workload, rules: Rules, now: datetime, resource: str = ""
) -> Proposal:
    """So many that the pods' values are `target` on average. Raises Unknown."""
    groups, values = _counting(samples, workload, rules=rules, resource=resource, now=now)

    def measure(values: Mapping[str, int]) -> _Measured:
        average = _quotient(sum(values.values()), len(values))
        return _Measured(average / target, average)

    return _propose(
        values, groups, measure=measure, expect=lambda _: target, replicas=workload.replicas, within=rules.tolerances
    )


def by_value(usage: int, target: int, *, workload: Workload, rules: Rules) -> Proposal:
    """So many that a value, which each of them lowers by its share, becomes `target`. Raises Unknown."""
    ratio = usage / target
    if not workload.replicas:
        return Proposal(_whole(ratio), usage)
    if rules.tolerances.allow(ratio):
        return Proposal(workload.replicas, usage)
    return Proposal(_whole(ratio * running(workload.pods)), usage)


def by_share(usage: int, target: int, *, workload: Workload, rules: Rules) -> Proposal:
    """So many that a value, shared by all that there are, is `target` for each."""
    present = workload.status_replicas
    if not present:
        return Proposal(_whole(usage / target), usage)
    share = LARGEST_USAGE if usage >= LARGEST_USAGE else math.ceil(usage / present)
    within = rules.tolerances.allow(usage / (float(target) * present))
    return Proposal(workload.replicas if within else _whole(usage / target), share)


def total(values: Sequence[int]) -> int:
    """The sum of what was measured outside; it stops at what 64 bits hold."""
    return min(sum(values), LARGEST_USAGE)


def _counting(
    samples: Samples, workload: Workload, *, rules: Rules, resource: str, now: datetime
) -> tuple[Groups, dict[str, int]]:
    """The groups of pods, and the values that count."""
    if not workload.pods:
        raise Unknown("no pods returned by selector while calculating replica count")
    groups = group(workload.pods, samples, resource=resource, delays=rules.delays, now=now)
    silent = groups.ignored | groups.unready
    values = {name: sample.value for name, sample in samples.items() if name not in silent}
    if not values:
        raise Unknown("did not receive metrics for targeted pods (pods might be unready)")
    return groups, values


def _propose(
    values: Mapping[str, int],
    groups: Groups,
    *,
    measure: Callable[[Mapping[str, int]], _Measured],
    expect: Callable[[str], int],
    replicas: int,
    within: Tolerances,
) -> Proposal:
    """Whoever was not measured is taken for what speaks against a change; if that turns it round, there is none."""
    found = measure(values)
    unready = groups.unready if found.ratio > 1.0 else frozenset()
    if not unready and not groups.missing:
        wanted = replicas if within.allow(found.ratio) else _whole(found.ratio * groups.ready)
        return Proposal(wanted, found.value, found.utilization)
    filled = dict(values)
    if found.ratio < 1.0:
        filled |= {name: expect(name) for name in groups.missing}
    elif found.ratio > 1.0:
        filled |= dict.fromkeys(groups.missing, 0)
    filled |= dict.fromkeys(unready, 0)
    ratio = measure(filled).ratio
    wanted = _whole(ratio * len(filled))
    turned = (found.ratio < 1.0 < ratio) or (found.ratio > 1.0 > ratio)
    backwards = (ratio < 1.0 and wanted > replicas) or (ratio > 1.0 and wanted < replicas)
    if within.allow(ratio) or turned or backwards:
        wanted = replicas
    return Proposal(wanted, found.value, found.utilization)


def _whole(replicas: float) -> int:
    return math.ceil(min(max(replicas, -MOST), MOST))


def _quotient(number: int, divisor: int) -> int:
    """As a processor divides whole numbers: towards zero."""
    quotient = abs(number) // abs(divisor)
    return quotient if (number < 0) == (divisor < 0) else -quotient
