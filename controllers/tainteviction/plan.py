"""When a pod must leave its node because of the node's taints.

Source: Kubernetes documentation, "Taint based Evictions".
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime

from k8slite.kinds.core import Taint

from .. import taints
from ..pods import Pod


def seconds_left(*, pod: Pod, node_taints: Iterable[Taint], now: datetime) -> float:
    """Seconds until the pod must go: 0 or less means now, infinity never.

    A taint that nothing covers evicts at once. Of several tolerations that cover a taint the shortest counts; the time
    runs from when the taint was added.
    """
    left = math.inf
    for taint in node_taints:
        if taint.effect != taints.NO_EXECUTE:
            continue
        covering = taints.covering(pod.spec.tolerations, taint)
        if not covering:
            return 0.0
        limits = [t.toleration_seconds for t in covering if t.toleration_seconds is not None]
        if limits:
            passed = (now - taint.time_added).total_seconds() if taint.time_added is not None else 0.0
            left = min(left, max(0, min(limits)) - passed)
    return left
