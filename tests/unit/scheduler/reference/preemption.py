"""Preemption on plain objects, every node tried in full: Kubernetes documentation, "Pod Priority and Preemption", and
kube-scheduler's SelectVictimsOnNode and pickOneNodeForPreemption."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Document = dict[str, Any]
Placed = Mapping[str, Sequence[Document]]
"""Pods by the name of their node."""
Fits = Callable[[Document, str, Placed], bool]
"""Whether a pod can run on a node, if these pods are placed."""


@dataclass(frozen=True)
class Loss:
    """The victims of a node, the most important first."""

    victims: list[Document]
    violations: int

    def rank(self) -> tuple[float, ...]:
        """Less is better."""
        priorities = [priority(pod) for pod in self.victims]
        highest = max(priorities)
        earliest = min(began(pod) for pod in self.victims if priority(pod) == highest)
        return self.violations, highest, sum(p + 2**31 for p in priorities), len(priorities), -earliest


def priority(pod: Document) -> int:
    found: int = pod["spec"].get("priority", 0)
    return found


def began(pod: Document) -> float:
    text = pod["status"].get("startTime")
    return datetime.fromisoformat(text).timestamp() if text else float("inf")


def more_important_first(pods: Sequence[Document]) -> list[Document]:
    return sorted(pods, key=lambda pod: (-priority(pod), began(pod), pod["metadata"]["uid"]))


def violating(pods: Sequence[Document], budgets: Sequence[Document]) -> list[Document]:
    """Of pods in their order, those whose loss a budget does not allow."""
    left = {id(budget): budget["status"].get("disruptionsAllowed", 0) for budget in budgets}
    found = []
    for pod in pods:
        violated = False
        for budget in budgets:
            if not selects(budget, pod) or pod["metadata"]["name"] in budget["status"].get("disruptedPods", {}):
                continue
            left[id(budget)] -= 1
            violated = violated or left[id(budget)] < 0
        if violated:
            found.append(pod)
    return found


def selects(budget: Document, pod: Document) -> bool:
    """Neither a selector that is empty nor a pod without labels counts."""
    wanted = (budget["spec"].get("selector") or {}).get("matchLabels") or {}
    labels = pod["metadata"].get("labels") or {}
    same_place = budget["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return bool(wanted and labels) and same_place and all(labels.get(key) == value for key, value in wanted.items())


def loss(
    pod: Document, node: str, placed: Placed, *, budgets: Sequence[Document], promised: Placed, fits: Fits
) -> Loss | None:
    """What a node loses to make room; None if it cannot."""
    ahead = [
        other
        for other in promised.get(node, ())
        if priority(other) >= priority(pod) and other["metadata"]["uid"] != pod["metadata"]["uid"]
    ]
    removable = more_important_first([other for other in placed.get(node, ()) if priority(other) < priority(pod)])
    if not removable:
        return None
    kept = [other for other in placed[node] if other not in removable]

    def runs(spared: list[Document]) -> bool:
        return all(fits(pod, node, {**placed, node: [*kept, *spared, *beside]}) for beside in (ahead, []))

    if not runs([]):
        return None
    protected = violating(removable, budgets)
    spared: list[Document] = []
    lost: list[Document] = []
    violations = 0
    for candidate in [*protected, *(other for other in removable if other not in protected)]:
        if runs([*spared, candidate]):
            spared.append(candidate)
        else:
            lost.append(candidate)
            violations += candidate in protected
    return Loss(more_important_first(lost), violations)
