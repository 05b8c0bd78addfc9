"""Node selector terms as values: what of a node's labels and name must hold.

The scheduler asks them of columns of nodes, controllers of one node at a time.

Source: Kubernetes documentation, "Assigning Pods to Nodes"; component-helpers, scheduling/corev1/nodeaffinity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .kinds.placement import NodeSelectorRequirement, NodeSelectorTerm
from .selectors import Operator, Requirement

NAME = "metadata.name"
"""The only field of a node that may be selected."""


@dataclass(frozen=True, slots=True)
class Term:
    """A node selector term: every requirement must hold; without any it selects nothing."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.labels or self.fields)

    def matches(self, labels: Mapping[str, str], *, name: str) -> bool:
        """Whether a node of this name and these labels meets it."""
        if not self:
            return False
        fields = {NAME: name}
        return all(one.matches(labels) for one in self.labels) and all(one.matches(fields) for one in self.fields)


def term_of(term: NodeSelectorTerm) -> Term:
    """A term as it is written, to be asked."""
    return Term(
        labels=tuple(map(_requirement, term.match_expressions)), fields=tuple(map(_requirement, term.match_fields))
    )


_OPERATORS: dict[str, Operator] = {
    "In": "In",
    "NotIn": "NotIn",
    "Exists": "Exists",
    "DoesNotExist": "DoesNotExist",
    "Gt": "Gt",
    "Lt": "Lt",
}


def _requirement(requirement: NodeSelectorRequirement) -> Requirement:
    return Requirement(requirement.key, _OPERATORS[requirement.operator], frozenset(requirement.values))
