"""Which pods to remove by force: those whose node is gone, those that no kubelet will end, ended ones beyond a number.

Source: Kubernetes documentation, "Pod Lifecycle": garbage collection of Pods; "Node Shutdowns": non-graceful node
shutdown; its pod garbage collector.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from k8slite.clock import timestamp
from k8slite.kinds.core import Node

from .. import taints
from ..pods import Pod

ORPHANED_MESSAGE = "PodGC: node no longer exists"
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Reason(StrEnum):
    """Why a pod is removed, in the words of the metrics."""

    TERMINATED = "terminated"
    ORPHANED = "orphaned"
    OUT_OF_SERVICE = "out-of-service"
    UNSCHEDULED = "unscheduled"


def out_of_service(node: Node) -> bool:
    """Whether an administrator says that the node is down for good, and it does not say otherwise itself."""
    return not node.ready and any(taint.key == taints.OUT_OF_SERVICE for taint in node.spec.taints)


def unfinishable(pod: Pod, node: Node | None) -> Reason | None:
    """Why no kubelet will ever confirm that a pod which is being deleted has ended; None if one may."""
    if not pod.deleting:
        return None
    if not pod.spec.node_name:
        return Reason.UNSCHEDULED
    return Reason.OUT_OF_SERVICE if node is not None and out_of_service(node) else None


def beyond_limit(pods: Iterable[Pod], *, limit: int) -> list[Pod]:
    """The ended pods that are more than the limit: first the evicted, then the oldest. 0 and less is no limit.

    Those that are being deleted and held by finalizers count, and are left alone.
    """
    if limit <= 0:
        return []
    ended = [pod for pod in pods if pod.finished]
    if len(ended) <= limit:
        return []
    ended.sort(key=lambda pod: (not _evicted(pod), pod.metadata.creation_timestamp or _LONG_AGO, pod.name))
    surplus = ended[: len(ended) - limit]
    return [pod for pod in surplus if not (pod.deleting and pod.metadata.finalizers)]


def _evicted(pod: Pod) -> bool:
    return pod.status.phase == "Failed" and pod.status.reason == "Evicted"


def ending(pod: Pod, *, reason: Reason, now: datetime) -> dict[str, Any] | None:
    """The status that an unfinished pod gets before it is removed, so that its owner counts it; None if it ended."""
    if pod.finished:
        return None
    status: dict[str, Any] = {"phase": "Failed"}
    if reason is Reason.ORPHANED:
        status["conditions"] = [
            {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "DeletionByPodGC",
                "message": ORPHANED_MESSAGE,
                "lastTransitionTime": timestamp(now),
            }
        ]
    return status
