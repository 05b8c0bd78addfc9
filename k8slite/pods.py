"""What several components ask of a pod: is it active, ready, available, and since when."""

from __future__ import annotations

from datetime import datetime, timedelta

from . import conditions
from .kinds.core import Pod

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def active(pod: Pod) -> bool:
    """Whether the pod counts as a replica: not ended and not being deleted."""
    return not pod.finished and not pod.deleting


def ready_since(pod: Pod) -> datetime | None:
    """When the pod became ready; None if it is not, or nobody said when."""
    ready = conditions.find(pod.status.conditions, "Ready")
    return ready.last_transition_time if ready is not None and ready.status == "True" else None


def available_at(pod: Pod, *, min_ready_seconds: int) -> datetime | None:
    """The moment from which the pod counts as available; None if it is not ready."""
    since = ready_since(pod)
    return since + timedelta(seconds=min_ready_seconds) if since is not None else None


def available(pod: Pod, *, min_ready_seconds: int, now: datetime) -> bool:
    """Whether the pod has been ready for long enough."""
    if not min_ready_seconds:
        return pod.ready
    moment = available_at(pod, min_ready_seconds=min_ready_seconds)
    return moment is not None and moment <= now


def deletion_cost(pod: Pod) -> int:
    """What it costs to delete the pod, by its annotation; 0 if it says nothing or nonsense."""
    try:
        return int(pod.metadata.annotations.get(DELETION_COST, "0"))
    except ValueError:
        return 0


def restarts(pod: Pod) -> int:
    """The highest restart count of its containers."""
    return max((status.restart_count for status in pod.status.container_statuses), default=0)
