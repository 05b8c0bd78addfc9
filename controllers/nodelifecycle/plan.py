"""Whether a node is alive, and what its conditions and taints should say.

The age of a heartbeat is judged by when this process saw it change, so that the clocks of nodes do not matter.

Source: Kubernetes documentation, "Nodes", and its node lifecycle controller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from k8slite import conditions
from k8slite.kinds.base import Condition
from k8slite.kinds.core import Node, Taint

from .. import taints

UNKNOWN_MESSAGE = "Kubelet stopped posting node status."
NEVER_MESSAGE = "Kubelet never posted node status."
PERIOD = 5.0
"""Seconds between looks at a node that is not ready."""
JUDGED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
"""Conditions that only the kubelet can know: without it they are Unknown."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one sync does; None means unchanged. `requeue_after` is when the heartbeat would be too old."""

    conditions: tuple[Condition, ...] | None
    taints: tuple[Taint, ...] | None
    pods_not_ready: bool
    requeue_after: float


def plan(*, node: Node, silent_for: float, grace: float, evict: bool, now: datetime) -> Plan:
    """Decide for one node, whose last heartbeat was seen `silent_for` seconds ago.

    `evict` is False while no other node is alive: then the fault is more likely ours than theirs, and moving pods would
    help nobody. As that depends on others, a node that is not ready is looked at again each 5 seconds.
    """
    lost = silent_for >= grace
    judged = _unknown(node, now=now) if lost else list(node.status.conditions)
    wanted = _taints(node, judged, evict=evict, now=now)
    ready = conditions.find(judged, "Ready")
    not_ready = ready is None or ready.status != "True"
    when_lost = max(0.1, grace - silent_for + 0.05) if not lost else PERIOD
    return Plan(
        conditions=tuple(judged) if judged != node.status.conditions else None,
        taints=tuple(wanted) if wanted != node.spec.taints else None,
        pods_not_ready=ready is not None and ready.status != "True",
        requeue_after=min(PERIOD, when_lost) if not_ready else when_lost,
    )


def _unknown(node: Node, *, now: datetime) -> list[Condition]:
    judged = list(node.status.conditions)
    for type_ in JUDGED:
        current = conditions.find(judged, type_)
        if current is None:
            reason, message = "NodeStatusNeverUpdated", NEVER_MESSAGE
        elif current.status != "Unknown":
            reason, message = "NodeStatusUnknown", UNKNOWN_MESSAGE
        else:
            continue
        heartbeat = current.last_heartbeat_time if current is not None else node.metadata.creation_timestamp
        condition = Condition(
            type=type_, status="Unknown", reason=reason, message=message, last_heartbeat_time=heartbeat
        )
        judged = conditions.put(judged, condition, now=now)
    return judged


def _taints(node: Node, judged: Sequence[Condition], *, evict: bool, now: datetime) -> list[Taint]:
    """The node's taints with ours as they should be, in an order that does not change needlessly."""
    wanted = {(key, taints.NO_SCHEDULE) for key in _no_schedule(node, judged)}
    ready = conditions.find(judged, "Ready")
    if evict and ready is not None and ready.status != "True":
        wanted.add((taints.UNREACHABLE if ready.status == "Unknown" else taints.NOT_READY, taints.NO_EXECUTE))
    kept = [t for t in node.spec.taints if t.key not in taints.OURS or (t.key, t.effect) in wanted]
    present = {(taint.key, taint.effect) for taint in kept}
    moment = now.replace(microsecond=0)
    for key, effect in sorted(wanted - present):
        fields: dict[str, Any] = {"time_added": moment}
        kept.append(Taint(key=key, effect=effect, **fields))
    return kept


def _no_schedule(node: Node, judged: Sequence[Condition]) -> set[str]:
    wanted = {key for type_, key in taints.BY_CONDITION.items() if conditions.is_true(judged, type_)}
    if node.spec.unschedulable:
        wanted.add(taints.UNSCHEDULABLE)
    ready = conditions.find(judged, "Ready")
    if ready is None or ready.status == "False":
        wanted.add(taints.NOT_READY)
    elif ready.status == "Unknown":
        wanted.add(taints.UNREACHABLE)
    return wanted
