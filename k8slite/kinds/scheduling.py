"""`scheduling.k8s.io/v1`: priorities."""

from __future__ import annotations

from .base import Object


class PriorityClass(Object):
    """`scheduling.k8s.io/v1.PriorityClass`."""

    value: int = 0
    global_default: bool = False
    preemption_policy: str = "PreemptLowerPriority"
