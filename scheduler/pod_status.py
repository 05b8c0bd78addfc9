"""What of a pod's status the scheduler writes: the condition PodScheduled, and the node that the pod is promised."""

from __future__ import annotations

import re
from dataclasses import dataclass

from k8slite.kinds.base import Condition

from .view import Pod

UNSCHEDULABLE, ERROR = "Unschedulable", "SchedulerError"

#: Longer notes of events are refused.
NOTE_LIMIT = 1024

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a pod is not on a node."""

    reason: str
    message: str

    def differs(self, other: Verdict) -> bool:
        """Whether it says something else, not only of other numbers of nodes."""
        return self.reason != other.reason or _NUMBER.sub("", self.message) != _NUMBER.sub("", other.message)


def condition_of(pod: Pod) -> Condition | None:
    """PodScheduled, if it is there."""
    return next((condition for condition in pod.status.conditions if condition.type == "PodScheduled"), None)


def shown(pod: Pod) -> Verdict | None:
    """The verdict that the pod's condition tells; None if there is none of ours."""
    condition = condition_of(pod)
    if condition is None or condition.status != "False" or condition.reason not in (UNSCHEDULABLE, ERROR):
        return None
    return Verdict(condition.reason, condition.message)


def status_patch(pod: Pod, verdict: Verdict | None, *, nominate: str | None = None, now: str) -> dict[str, object]:
    """The strategic merge patch of condition and nomination, for this very pod; None leaves either as it is.

    The time of the condition stays unless its status changes.
    """
    status: dict[str, object] = {}
    if verdict is not None:
        condition: dict[str, object] = {
            "type": "PodScheduled",
            "status": "False",
            "reason": verdict.reason,
            "message": verdict.message,
        }
        if pod.metadata.generation:
            condition["observedGeneration"] = pod.metadata.generation
        before = condition_of(pod)
        if before is None or before.status != "False":
            condition["lastTransitionTime"] = now
        status["conditions"] = [condition]
    if nominate is not None:
        status["nominatedNodeName"] = nominate or None
    return {"metadata": {"uid": pod.uid}, "status": status}


def note(message: str) -> str:
    """The message as an event may tell it."""
    return message if len(message) <= NOTE_LIMIT else message[: NOTE_LIMIT - 4] + " ..."
