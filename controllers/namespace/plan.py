"""What the status of a namespace on its way out says, and whether it may go.

Source: Kubernetes documentation, "Namespaces", and the conditions that its namespace controller writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from k8slite import conditions
from k8slite.kinds.base import Condition
from k8slite.kinds.core import Namespace, PartialObject

FINALIZER = "kubernetes"
"""In `spec.finalizers`: the namespace's contents are not gone yet."""


@dataclass(slots=True)
class Findings:
    """What one round of emptying found."""

    remaining: dict[str, list[PartialObject]] = field(default_factory=dict)
    undiscovered: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def pods_gone(self) -> bool:
        """Whether no pod is left, as far as was looked until now."""
        return not (self.remaining or self.failures)

    @property
    def empty(self) -> bool:
        """Whether nothing is left, for certain."""
        return not (self.remaining or self.undiscovered or self.failures)


def status_conditions(namespace: Namespace, found: Findings, *, now: datetime) -> list[Condition]:
    """The conditions after a round; a problem that never was has a condition too, which says so."""
    listed = list(namespace.status.conditions)
    for condition in _conditions(found):
        current = conditions.find(listed, condition.type)
        same = current is not None and (current.status, current.message) == (condition.status, condition.message)
        if not same:
            listed = conditions.put(listed, condition, now=now)
    return listed


def _conditions(found: Findings) -> Sequence[Condition]:
    left = sorted(found.remaining.items())
    finalizers = Counter(name for _, items in left for item in items for name in item.metadata.finalizers)
    resources = ", ".join(f"{name} has {len(items)} resource instances" for name, items in left)
    waiting = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(finalizers.items()))
    return [
        _condition(
            "NamespaceDeletionDiscoveryFailure",
            "DiscoveryFailed",
            f"Discovery failed for some groups, {len(found.undiscovered)} failing: unable to retrieve the complete "
            f"list of server APIs: {', '.join(found.undiscovered)}"
            if found.undiscovered
            else "",
            ("ResourcesDiscovered", "All resources successfully discovered"),
        ),
        _condition(
            "NamespaceDeletionGroupVersionParsingFailure",
            "GroupVersionParsingFailed",
            "",
            ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
        ),
        _condition(
            "NamespaceDeletionContentFailure",
            "ContentDeletionFailed",
            f"Failed to delete all resource types, {len(found.failures)} remaining: {', '.join(sorted(found.failures))}"
            if found.failures
            else "",
            ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
        ),
        _condition(
            "NamespaceContentRemaining",
            "SomeResourcesRemain",
            f"Some resources are remaining: {resources}" if resources else "",
            ("ContentRemoved", "All content successfully removed"),
        ),
        _condition(
            "NamespaceFinalizersRemaining",
            "SomeFinalizersRemain",
            f"Some content in the namespace has finalizers remaining: {waiting}" if waiting else "",
            ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
        ),
    ]


def _condition(type_: str, reason: str, problem: str, fine: tuple[str, str]) -> Condition:
    if problem:
        return Condition(type=type_, status="True", reason=reason, message=problem)
    return Condition(type=type_, status="False", reason=fine[0], message=fine[1])
