"""The status of a StatefulSet: how many pods there are, of which revisions, and when an update is complete.

Source: Kubernetes documentation, StatefulSetStatus; stateful_set_control.go (computeReplicaStatus) and
stateful_set_utils.go (completeRollingUpdate).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from k8slite.kinds.apps import StatefulSet, StatefulSetStatus

from ..pods import Pod, available, available_at
from .identity import revision_of


@dataclass(frozen=True, slots=True)
class Revisions:
    """The names of the revision that pods are at and of the one that they are to be at, and collisions by now."""

    current: str
    update: str
    collisions: int = 0


def ready(pod: Pod) -> bool:
    """Whether a pod runs and is ready."""
    return pod.status.phase == "Running" and pod.ready


def counts(
    statefulset: StatefulSet,
    pods: Sequence[Pod],
    revisions: Revisions,
    *,
    now: datetime,
    terminating: Callable[[Pod], bool],
) -> StatefulSetStatus:
    """The status that these pods make, before it is asked whether an update is complete."""
    minimum = statefulset.spec.min_ready_seconds
    serving = [pod for pod in pods if ready(pod)]
    living = [revision_of(pod) for pod in pods if not terminating(pod)]
    return StatefulSetStatus(
        observed_generation=statefulset.metadata.generation,
        replicas=len(pods),
        ready_replicas=len(serving),
        available_replicas=sum(available(pod, min_ready_seconds=minimum, now=now) for pod in serving),
        current_replicas=living.count(revisions.current),
        updated_replicas=living.count(revisions.update),
        current_revision=revisions.current,
        update_revision=revisions.update,
        collision_count=revisions.collisions,
    )


def completed(statefulset: StatefulSet, status: StatefulSetStatus) -> StatefulSetStatus:
    """The status with the update revision as the current one, if every pod is at it and ready."""
    whole = (status.updated_replicas, status.ready_replicas, status.replicas) == (statefulset.spec.replicas,) * 3
    if statefulset.spec.update_strategy.type != "RollingUpdate" or not whole:
        return status
    return status.model_copy(
        update={"current_replicas": status.updated_replicas, "current_revision": status.update_revision}
    )


def next_available(statefulset: StatefulSet, pods: Sequence[Pod], *, now: datetime) -> float | None:
    """Seconds until the next pod that is ready has been so for long enough; None if there is none."""
    minimum = statefulset.spec.min_ready_seconds
    moments = [available_at(pod, min_ready_seconds=minimum) for pod in pods] if minimum else []
    waits = [(moment - now).total_seconds() for moment in moments if moment is not None and moment > now]
    return min(waits, default=None)
