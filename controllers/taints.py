"""Taints that say what is wrong with a node, and who puts up with them.

Source: Kubernetes documentation, "Taints and Tolerations".
"""

from __future__ import annotations

from collections.abc import Iterable

from k8slite.kinds.core import Taint
from k8slite.tolerations import Tolerating, covers

from .pods import Toleration

NO_SCHEDULE, NO_EXECUTE = "NoSchedule", "NoExecute"
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
MEMORY_PRESSURE = "node.kubernetes.io/memory-pressure"
DISK_PRESSURE = "node.kubernetes.io/disk-pressure"
PID_PRESSURE = "node.kubernetes.io/pid-pressure"
NETWORK_UNAVAILABLE = "node.kubernetes.io/network-unavailable"
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"

BY_CONDITION = {
    "MemoryPressure": MEMORY_PRESSURE,
    "DiskPressure": DISK_PRESSURE,
    "PIDPressure": PID_PRESSURE,
    "NetworkUnavailable": NETWORK_UNAVAILABLE,
}
"""Conditions that keep new pods off a node while they are True."""

OURS = frozenset({NOT_READY, UNREACHABLE, UNSCHEDULABLE, *BY_CONDITION.values()})
"""Taints that the node lifecycle adds and takes away; all others are users'."""


def tolerates(toleration: Tolerating, taint: Taint) -> bool:
    """Whether a toleration covers a taint."""
    return covers(toleration, key=taint.key, value=taint.value, effect=taint.effect)


def covering(tolerations: Iterable[Toleration], taint: Taint) -> list[Toleration]:
    """The tolerations that cover a taint."""
    return [toleration for toleration in tolerations if tolerates(toleration, taint)]
