"""CPU and memory of containers as cgroup settings, and the pod's quality-of-service class: pure arithmetic.

Source: Kubernetes documentation, "Resource Management for Pods and Containers", "Configure Quality of Service".
"""

from __future__ import annotations

from collections.abc import Mapping

from k8slite import quantity
from k8slite.kinds.core import Container, Pod

from .runtime.base import Limits

_MIN_SHARES, _MIN_QUOTA, _PERIOD = 2, 1000, 100_000
_RESOURCES = ("cpu", "memory")


def qos_class(pod: Pod) -> str:
    """`Guaranteed`, `Burstable` or `BestEffort`."""
    containers = [*pod.spec.init_containers, *pod.spec.containers]
    asked = [
        (c.resources.requests, c.resources.limits)
        for c in containers
        if any(name in c.resources.requests or name in c.resources.limits for name in _RESOURCES)
    ]
    if not asked:
        return "BestEffort"
    exact = all(
        name in limits and quantity.parse(requests.get(name, limits[name])) == quantity.parse(limits[name])
        for requests, limits in asked
        for name in _RESOURCES
    )
    return "Guaranteed" if exact and len(asked) == len(containers) else "Burstable"


def limits(container: Container, *, pod: Pod, node_memory: int) -> Limits:
    """The cgroup settings of a container; `node_memory` in bytes weighs who is killed first."""
    wanted, most = container.resources.requests, container.resources.limits
    cpu = quantity.milli(wanted.get("cpu", most.get("cpu", 0)))
    cap = quantity.milli(most.get("cpu", 0))
    memory = quantity.whole(wanted.get("memory", most.get("memory", 0)))
    return Limits(
        cpu_shares=max(_MIN_SHARES, cpu * 1024 // 1000),
        cpu_quota=max(_MIN_QUOTA, cap * _PERIOD // 1000) if cap else 0,
        memory=quantity.whole(most.get("memory", 0)),
        oom_score_adj=_oom_score(qos_class(pod), memory, node_memory),
    )


def _oom_score(quality: str, memory: int, node_memory: int) -> int:
    match quality:
        case "Guaranteed":
            return -997
        case "BestEffort":
            return 1000
        case _:
            return min(999, max(3, 1000 - 1000 * memory // max(1, node_memory)))


def resource_field(
    container: Container, *, resource: str, divisor: str | int, allocatable: Mapping[str, str | int | float]
) -> str:
    """A `resourceFieldRef`: the value in units of `divisor`, rounded up; a missing limit is what the node has."""
    side, _, name = resource.partition(".")
    table = container.resources.limits if side == "limits" else container.resources.requests
    value = table.get(name)
    if value is None and side == "limits":
        value = allocatable.get(name)
    amount = quantity.parse(value or 0) / (quantity.parse(divisor or 1) or 1)
    return str(-int(-amount // 1))
