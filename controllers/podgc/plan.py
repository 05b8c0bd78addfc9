"""Which pods to remove by force: those whose node is gone, those never bound, and ended ones beyond a number.

Source: Kubernetes documentation, "Pod Lifecycle": garbage collection of Pods.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from ..pods import Pod

TERMINATED_LIMIT = 12500
"""Ended pods that are kept."""

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def never_bound(pod: Pod) -> bool:
    """Whether the pod is being deleted though no node ever had it: no kubelet will confirm the deletion."""
    return pod.deleting and not pod.spec.node_name


def beyond_limit(pods: Sequence[Pod], *, limit: int = TERMINATED_LIMIT) -> list[Pod]:
    """The oldest ended pods, of those that are more than the limit."""
    ended = [pod for pod in pods if pod.finished and not pod.deleting]
    ended.sort(key=lambda pod: (pod.metadata.creation_timestamp or _LONG_AGO, pod.name))
    return ended[: max(0, len(ended) - limit)]
