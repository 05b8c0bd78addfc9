"""TaintToleration and NodeUnschedulable: which taints keep a pod off, and which make a node the second choice."""

from __future__ import annotations

import re
from typing import Any

Document = dict[str, Any]


def tolerated(taint: Document, pod: Document) -> bool:
    return any(covers(toleration, taint) for toleration in pod["spec"].get("tolerations", []))


def covers(toleration: Document, taint: Document) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    mine, theirs = toleration.get("value", ""), taint.get("value", "")
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    if operator == "Equal":
        return bool(mine == theirs)
    numbers = [int(text) if re.fullmatch("0|-?[1-9][0-9]*", text) else None for text in (theirs, mine)]
    if None in numbers or not all(-(2**63) <= number < 2**63 for number in numbers if number is not None):
        return False
    return bool(numbers[0] < numbers[1] if operator == "Lt" else numbers[0] > numbers[1])  # type: ignore[operator]


def welcome(pod: Document, node: Document) -> bool:
    return all(
        tolerated(taint, pod)
        for taint in node["spec"].get("taints", [])
        if taint["effect"] in ("NoSchedule", "NoExecute")
    )


def disliked(pod: Document, node: Document) -> int:
    taints = node["spec"].get("taints", [])
    return sum(taint["effect"] == "PreferNoSchedule" and not tolerated(taint, pod) for taint in taints)


def schedulable(pod: Document, node: Document) -> bool:
    cordon = {"key": "node.kubernetes.io/unschedulable", "value": "", "effect": "NoSchedule"}
    return not node["spec"].get("unschedulable") or tolerated(cordon, pod)
