"""How many pods to make, and which to delete first.

Source: Kubernetes documentation, "ReplicaSet", and its order of deletion (controller.ActivePodsWithRanks).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from k8slite.kinds.apps import ReplicaSet, ReplicaSetStatus

from ..pods import Pod, available, available_at, deletion_cost, ready_since, restarts

BURST = 500
"""Pods made or deleted in one sync at most."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one sync does. `requeue_after` is when a pod becomes available by the mere passing of time."""

    create: int
    delete: tuple[Pod, ...]
    status: ReplicaSetStatus
    requeue_after: float | None = None


def plan(
    *,
    replicaset: ReplicaSet,
    pods: Sequence[Pod],
    now: datetime,
    deleted: Collection[str] = (),
    related: Sequence[Pod] = (),
) -> Plan:
    """Decide for a ReplicaSet and the pods that it owns.

    `deleted` are UIDs of pods whose deletion the API has accepted, whatever the cache says. `related` are the pods of
    all ReplicaSets of the same owner: of several candidates, one that has company on its node goes first.
    """
    active = [pod for pod in pods if pod.active and pod.uid not in deleted]
    surplus = len(active) - replicaset.spec.replicas
    create = 0
    delete: tuple[Pod, ...] = ()
    if not replicaset.deleting:
        create = min(max(-surplus, 0), BURST)
        delete = _first_to_go(active, min(max(surplus, 0), BURST), related=related or active, now=now)
    terminating = sum(1 for pod in pods if not pod.finished and (pod.deleting or pod.uid in deleted))
    return Plan(
        create=create,
        delete=delete,
        status=_status(replicaset, active, terminating=terminating, now=now),
        requeue_after=_next_available(replicaset, active, now=now),
    )


def _status(replicaset: ReplicaSet, active: Sequence[Pod], *, terminating: int, now: datetime) -> ReplicaSetStatus:
    minimum = replicaset.spec.min_ready_seconds
    wanted = replicaset.spec.template.labels.items()
    return ReplicaSetStatus(
        replicas=len(active),
        fully_labeled_replicas=sum(1 for pod in active if wanted <= pod.metadata.labels.items()),
        ready_replicas=sum(1 for pod in active if pod.ready),
        available_replicas=sum(1 for p in active if available(p, min_ready_seconds=minimum, now=now)),
        terminating_replicas=terminating,
        observed_generation=replicaset.metadata.generation,
        conditions=replicaset.status.conditions,
    )


def _next_available(replicaset: ReplicaSet, active: Sequence[Pod], *, now: datetime) -> float | None:
    minimum = replicaset.spec.min_ready_seconds
    if not minimum:
        return None
    moments = [available_at(pod, min_ready_seconds=minimum) for pod in active]
    waits = [(moment - now).total_seconds() for moment in moments if moment is not None and moment > now]
    return min(waits) + 0.05 if waits else None


def _first_to_go(active: Sequence[Pod], count: int, *, related: Sequence[Pod], now: datetime) -> tuple[Pod, ...]:
    if not count:
        return ()
    company = Counter(pod.spec.node_name for pod in related if pod.active)

    def rank(pod: Pod) -> tuple[Any, ...]:
        """Smaller goes first."""
        ready_age = _age(ready_since(pod), now=now) if pod.ready else -1
        regular, sidecar = restarts(pod)
        return (
            bool(pod.spec.node_name),
            {"Pending": 0, "": 0, "Unknown": 1}.get(pod.status.phase, 2),
            pod.ready,
            deletion_cost(pod),
            -company[pod.spec.node_name],
            ready_age,
            -regular,
            -sidecar,
            _age(pod.metadata.creation_timestamp, now=now),
            pod.uid,
        )

    return tuple(sorted(active, key=rank)[:count])


def _age(moment: datetime | None, *, now: datetime) -> int:
    """Logarithmic buckets of age: pods about equally old are equal, so that chance spreads the loss.

    Each bucket ends at twice the nanoseconds of the one before, as upstream's do.
    """
    seconds = (now - moment).total_seconds() if moment else 0.0
    return int(math.log2(seconds * 1e9)) if seconds > 0 else -1
