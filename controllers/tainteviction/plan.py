"""When a pod must leave its node because of the node's taints.

Source: Kubernetes documentation, "Taints and Tolerations": taint based evictions; its taint eviction controller.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from k8slite.clock import timestamp
from k8slite.kinds.core import Taint

from .. import taints
from ..pods import Pod

REASON = "DeletionByTaintManager"
MESSAGE = "Taint manager: deleting due to NoExecute taint"


@dataclass(frozen=True, slots=True)
class Standing:
    """A taint that makes pods leave, and since when it stands."""

    taint: Taint
    since: datetime


def standing(present: Iterable[Taint], before: Iterable[Standing], *, now: datetime) -> tuple[Standing, ...]:
    """The taints of a node that make pods leave. One that does not say when it was added stands since it was seen."""
    seen = {(each.taint.key, each.taint.value): each.since for each in before}
    return tuple(
        Standing(taint, taint.time_added or seen.get((taint.key, taint.value), now))
        for taint in present
        if taint.effect == taints.NO_EXECUTE
    )


def seconds_left(pod: Pod, stand: Iterable[Standing], *, now: datetime) -> float:
    """Seconds until the pod must go: 0 or less means now, infinity never.

    A taint that nothing covers evicts at once. Of several tolerations that cover a taint the shortest counts; the time
    runs from when the taint was added.
    """
    left = math.inf
    for each in stand:
        covering = taints.covering(pod.spec.tolerations, each.taint)
        if not covering:
            return 0.0
        limits = [t.toleration_seconds for t in covering if t.toleration_seconds is not None]
        if limits:
            left = min(left, max(0, min(limits)) - (now - each.since).total_seconds())
    return left


def disruption(pod: Pod, *, now: datetime) -> dict[str, Any] | None:
    """The condition that says why the pod is deleted, to be written before; None if it has it."""
    if any(c.type == "DisruptionTarget" and c.status == "True" and c.reason == REASON for c in pod.status.conditions):
        return None
    return {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": REASON,
        "message": MESSAGE,
        "lastTransitionTime": timestamp(now),
    }
