"""What the conditions, taints and labels of a node should be.

Source: Kubernetes documentation, "Nodes", "Taints and Tolerations"; its node lifecycle controller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from k8slite import conditions
from k8slite.kinds.base import Condition
from k8slite.kinds.core import Node, Taint

from .. import taints

UNKNOWN_MESSAGE = "Kubelet stopped posting node status."
NEVER_MESSAGE = "Kubelet never posted node status."
JUDGED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
"""Conditions that only the kubelet can know: without it they are Unknown."""
_LABELS = {
    "kubernetes.io/os": "beta.kubernetes.io/os",
    "kubernetes.io/arch": "beta.kubernetes.io/arch",
}
"""Labels that old names follow."""
_EVICTING = {"False": taints.NOT_READY, "Unknown": taints.UNREACHABLE}
"""The taint that makes pods leave, by the status of the condition Ready."""
_NOT_EVICTING = frozenset(_EVICTING.values())


@dataclass(frozen=True, slots=True)
class Plan:
    """What a node should be. `taints` is None and `labels` empty where nothing changes.

    `waits`: its pods should be told to leave when it is its turn.
    """

    taints: tuple[Taint, ...] | None
    labels: dict[str, str]
    waits: bool


def unknown(node: Node, *, now: datetime) -> list[Condition]:
    """The conditions that change when a node is lost; empty if they are Unknown already."""
    changed = []
    for kind in JUDGED:
        current = conditions.find(node.status.conditions, kind)
        if current is not None and current.status == "Unknown":
            continue
        if current is None:
            reason, message, heard = "NodeStatusNeverUpdated", NEVER_MESSAGE, node.metadata.creation_timestamp
        else:
            reason, message, heard = "NodeStatusUnknown", UNKNOWN_MESSAGE, current.last_heartbeat_time
        changed.append(
            Condition(
                type=kind,
                status="Unknown",
                reason=reason,
                message=message,
                last_heartbeat_time=heard,
                last_transition_time=now.replace(microsecond=0),
            )
        )
    return changed


def plan(node: Node, *, halted: bool, now: datetime) -> Plan:
    """Decide for a node by its conditions. `halted`: no node anywhere is ready, so that nobody is to leave."""
    ready = conditions.find(node.status.conditions, "Ready")
    evicting = _EVICTING.get(ready.status) if ready is not None else None
    old = [taint for taint in node.spec.taints if _evicts(taint)]
    wanted = _no_schedule(node, ready)
    if ready is None:
        kept = old  # nobody has said anything of this node yet
    elif evicting is None or halted:
        kept = []
    else:
        kept = old and [_instead(old, evicting)]
    final = _merged(node.spec.taints, wanted, kept, now=now)
    return Plan(
        taints=tuple(final) if final != node.spec.taints else None,
        labels=_labels(node),
        waits=evicting is not None and not halted and not old,
    )


def emptied(node: Node, *, now: datetime) -> list[Taint] | None:
    """The taints of a node whose pods are to leave now; None if they are to stay, or told already."""
    ready = conditions.find(node.status.conditions, "Ready")
    key = _EVICTING.get(ready.status) if ready is not None else None
    if key is None or any(_evicts(taint) for taint in node.spec.taints):
        return None
    moment = now.replace(microsecond=0)
    return [*node.spec.taints, Taint(key=key, effect=taints.NO_EXECUTE, time_added=moment)]


def _evicts(taint: Taint) -> bool:
    return taint.effect == taints.NO_EXECUTE and taint.key in _NOT_EVICTING


def _instead(old: Sequence[Taint], key: str) -> Taint:
    """One taint for those that stand: a pod's time runs from when the node ceased to be ready, whatever it was then."""
    times = [taint.time_added for taint in old if taint.time_added is not None]
    same = next((taint for taint in old if taint.key == key), None)
    if same is not None and len(old) == 1:
        return same
    fields = {"time_added": min(times)} if times else {}
    return Taint.model_validate({"key": key, "effect": taints.NO_EXECUTE, **fields})


def _merged(present: Sequence[Taint], wanted: set[str], evicting: Sequence[Taint], *, now: datetime) -> list[Taint]:
    """Others' taints and ours as they should be, in an order that does not change needlessly."""
    kept = []
    left = set(wanted)
    for taint in present:
        if _evicts(taint):
            if taint in evicting:
                kept.append(taint)
        elif taint.effect == taints.NO_SCHEDULE and taint.key in taints.OURS:
            if taint.key in left:
                kept.append(taint)
                left.discard(taint.key)
        else:
            kept.append(taint)
    moment = now.replace(microsecond=0)
    kept += [Taint(key=key, effect=taints.NO_SCHEDULE, time_added=moment) for key in sorted(left)]
    return kept + [taint for taint in evicting if taint not in present]


def _no_schedule(node: Node, ready: Condition | None) -> set[str]:
    judged = node.status.conditions
    wanted = {key for kind, key in taints.BY_CONDITION.items() if conditions.is_true(judged, kind)}
    if node.spec.unschedulable:
        wanted.add(taints.UNSCHEDULABLE)
    if ready is None:
        wanted.add(taints.NOT_READY)
    elif ready.status in _EVICTING:
        wanted.add(_EVICTING[ready.status])
    return wanted


def _labels(node: Node) -> dict[str, str]:
    labels = node.metadata.labels
    return {old: labels[new] for new, old in _LABELS.items() if new in labels and labels.get(old) != labels[new]}
