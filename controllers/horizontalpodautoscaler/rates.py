"""How fast what is proposed may come true: stabilisation over a window, and limits on what changes in a period.

Moments are seconds of a monotonic clock. What an autoscaler proposed and did is kept in memory alone, as upstream keeps
it: a manager that begins anew takes the replicas that it finds for its first proposal.

Without `behavior` an autoscaler looks five minutes back before it goes down, and goes up to the double (or four) of
what there was a quarter of a minute ago. Upstream says the double of what there is, but looks only every quarter of a
minute; whoever looks more often must say from when.

Source: Kubernetes documentation, "Horizontal Pod Autoscaling", configurable scaling behavior;
pkg/controller/podautoscaler, horizontal.go.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from k8slite.kinds.autoscaling import Behavior, ScalingPolicy, ScalingRules

from .proposals import MOST

LONGEST_WINDOW = 3600.0
LONGEST_PERIOD = 1800.0
"""The API allows no longer ones."""
USUAL_PERIOD = 15.0
USUAL_FACTOR = 2
USUAL_LEAST = 4


@dataclass(frozen=True, slots=True)
class Mark:
    """So many replicas were proposed, or added, or removed, at that moment."""

    replicas: int
    at: float


@dataclass(frozen=True, slots=True)
class History:
    """What an autoscaler proposed and did, as far back as anybody asks. Proposals that repeat are one, the last."""

    proposed: tuple[Mark, ...] = ()
    added: tuple[Mark, ...] = ()
    removed: tuple[Mark, ...] = ()

    @classmethod
    def begin(cls, replicas: int, *, at: float) -> History:
        """Of an autoscaler that is seen for the first time, whose workload has so many replicas."""
        return cls(proposed=(Mark(replicas, at),))

    def propose(self, replicas: int, *, at: float) -> History:
        """With one more proposal."""
        kept = [mark for mark in self.proposed if mark.at >= at - LONGEST_WINDOW]
        if kept and kept[-1].replicas == replicas:
            kept.pop()
        return replace(self, proposed=(*kept, Mark(replicas, at)))

    def scaled(self, old: int, new: int, *, at: float) -> History:
        """With one more change."""
        if new > old:
            return replace(self, added=(*_late(self.added, at), Mark(new - old, at)))
        return replace(self, removed=(*_late(self.removed, at), Mark(old - new, at)))

    def at_start(self, replicas: int, *, period: float, at: float) -> int:
        """The replicas that there would have been a period ago, without what was done since."""
        added, removed = (
            sum(mark.replicas for mark in marks if mark.at > at - period) for marks in (self.added, self.removed)
        )
        return replicas - added + removed


def _late(marks: Iterable[Mark], at: float) -> tuple[Mark, ...]:
    return tuple(mark for mark in marks if mark.at > at - LONGEST_PERIOD)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: a word for programs and a sentence for people."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """The fewest and the most replicas that a user wants."""

    least: int
    most: int


READY = Reason("ReadyForNewScale", "recommended size matches current size")
UP_STABILIZED = Reason(
    "ScaleUpStabilized", "recent recommendations were lower than current one, applying the lowest recent recommendation"
)
DOWN_STABILIZED = Reason(
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)
IN_RANGE = Reason("DesiredWithinRange", "the desired count is within the acceptable range")
TOO_MANY = Reason("TooManyReplicas", "the desired replica count is more than the maximum replica count")
TOO_FEW = Reason("TooFewReplicas", "the desired replica count is less than the minimum replica count")
UP_LIMIT = Reason("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
DOWN_LIMIT = Reason("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")


@dataclass(frozen=True, slots=True)
class Rate:
    """The replicas to have now, why no others were stabilised to, and whether (and why) they are limited."""

    replicas: int
    stabilized: Reason
    limited: bool
    limit: Reason


def settle(
    proposed: int,
    *,
    current: int,
    bounds: Bounds,
    behavior: Behavior | None,
    history: History,
    window: float,
    at: float,
) -> Rate:
    """What comes true of a proposal now. `window` is how far to look back before going down, where nothing is said."""
    if behavior is None:
        stable = max([proposed, *(mark.replicas for mark in history.proposed if mark.at >= at - window)])
        wanted, limit = _usual_limits(stable, current=current, bounds=bounds, history=history, at=at)
        reason = DOWN_STABILIZED
    else:
        stable = _stabilize(proposed, current=current, behavior=behavior, history=history, window=window, at=at)
        wanted, limit = _limits(stable, current=current, bounds=bounds, behavior=behavior, history=history, at=at)
        reason = UP_STABILIZED if proposed >= current else DOWN_STABILIZED
    return Rate(wanted, READY if stable == proposed else reason, wanted != stable, limit)


def _usual_limits(wanted: int, *, current: int, bounds: Bounds, history: History, at: float) -> tuple[int, Reason]:
    start = history.at_start(current, period=USUAL_PERIOD, at=at)
    limit = max(USUAL_FACTOR * start, USUAL_LEAST, current)
    if wanted < bounds.least:
        return bounds.least, TOO_FEW
    if wanted > min(limit, bounds.most):
        return (limit, UP_LIMIT) if limit < bounds.most else (bounds.most, TOO_MANY)
    return wanted, IN_RANGE


def _stabilize(proposed: int, *, current: int, behavior: Behavior, history: History, window: float, at: float) -> int:
    """Not above the lowest of late, and not below the highest."""
    up, down = behavior.scale_up.stabilization_window_seconds, behavior.scale_down.stabilization_window_seconds
    lowest = min([proposed, *_since(history, at - (up or 0))])
    highest = max([proposed, *_since(history, at - (window if down is None else down))])
    return min(max(current, lowest), highest)


def _since(history: History, moment: float) -> list[int]:
    return [mark.replicas for mark in history.proposed if mark.at > moment]


def _limits(
    wanted: int, *, current: int, bounds: Bounds, behavior: Behavior, history: History, at: float
) -> tuple[int, Reason]:
    if wanted > current:
        limit = max(most_by_policies(behavior.scale_up, current=current, history=history, at=at), current)
        if wanted > min(limit, bounds.most):
            return (limit, UP_LIMIT) if limit < bounds.most else (bounds.most, TOO_MANY)
    elif wanted < current:
        limit = min(least_by_policies(behavior.scale_down, current=current, history=history, at=at), current)
        if wanted < max(limit, bounds.least):
            return (limit, DOWN_LIMIT) if limit > bounds.least else (bounds.least, TOO_FEW)
    return wanted, IN_RANGE


def most_by_policies(rules: ScalingRules, *, current: int, history: History, at: float) -> int:
    """The most replicas that the policies of going up allow now."""
    if rules.select_policy == "Disabled":
        return current

    def allowed(policy: ScalingPolicy) -> int:
        start = history.at_start(current, period=policy.period_seconds, at=at)
        if policy.type == "Percent":
            return math.ceil(start * (1 + policy.value / 100))  # rounded up: of one, ten percent more are two
        return start + policy.value

    choose = min if rules.select_policy == "Min" else max
    return choose((allowed(policy) for policy in rules.policies), default=MOST)


def least_by_policies(rules: ScalingRules, *, current: int, history: History, at: float) -> int:
    """The fewest replicas that the policies of going down allow now."""
    if rules.select_policy == "Disabled":
        return current

    def allowed(policy: ScalingPolicy) -> int:
        start = history.at_start(current, period=policy.period_seconds, at=at)
        if policy.type == "Percent":
            return int(start * (1 - policy.value / 100))
        return start - policy.value

    choose = max if rules.select_policy == "Min" else min
    return choose((allowed(policy) for policy in rules.policies), default=-MOST)
