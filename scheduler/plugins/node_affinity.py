"""Node selectors and node affinity: the nodes that a pod needs, and those that it would like.

Source: Kubernetes documentation, "Assigning Pods to Nodes".
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from k8slite.kinds.core import NodeAffinity as Affinity
from k8slite.node_affinity import Term, term_of
from k8slite.selectors import Requirement

from ..change import Change
from ..columns import Columns
from ..framework import Normalize, Reads, Scores
from ..journal import Rows
from ..labels import Mask
from ..shape import Shape
from ..view import Pod

REASON = "node(s) didn't match Pod's node affinity/selector"
ENFORCED = "node(s) didn't match scheduler-enforced node affinity"


def matches(term: Term, columns: Columns, rows: Rows) -> Mask:
    """Which rows meet every requirement of a term; an empty term is met by none."""
    mask = np.full(columns.live[rows].size, bool(term))
    for requirement in term.labels:
        mask &= columns.labels.matches(requirement, rows)
    for requirement in term.fields:
        mask &= _named(requirement, columns, rows)
    return mask


def any_matches(terms: tuple[Term, ...], columns: Columns, rows: Rows) -> Mask:
    """Which rows meet one of the terms."""
    mask = np.zeros(columns.live[rows].size, dtype=np.bool_)
    for term in terms:
        mask |= matches(term, columns, rows)
    return mask


def _named(requirement: Requirement, columns: Columns, rows: Rows) -> Mask:
    """`metadata.name` is the only field that may be selected, by In or NotIn."""
    wanted = [row for name in requirement.values if (row := columns.rows.get(name)) is not None]
    found = np.isin(np.arange(columns.capacity)[rows], wanted)
    return found if requirement.operator == "In" else ~found


class NodeAffinity:
    """Filters by selector and required affinity, scores by preferred affinity; what is `added` holds for all pods."""

    name = "NodeAffinity"
    reads = Reads.STATIC
    cures = Change.NODE_ADDED | Change.NODE_LABELS
    weight = 2
    normalize = Normalize.HIGHEST
    conflict = "pod affinity terms conflict"

    def __init__(self, added: Affinity | None = None) -> None:
        added = added or Affinity()
        required = added.required_during_scheduling_ignored_during_execution
        preferred = added.preferred_during_scheduling_ignored_during_execution
        self._required = None if required is None else tuple(map(term_of, required.node_selector_terms))
        self._preferred = tuple((wish.weight, term_of(wish.preference)) for wish in preferred)

    def concerns(self, shape: Shape) -> bool:
        """Whether the shape needs certain nodes, or all pods do."""
        return bool(shape.selector) or shape.required is not None or self._required is not None

    def filter(self, shape: Shape, columns: Columns, rows: Rows) -> Mask:
        """Nodes that have every selected label and meet one of the required terms."""
        mask = self._enforced(columns, rows)
        for requirement in shape.selector:
            mask &= columns.labels.matches(requirement, rows)
        if shape.required is not None:
            mask &= any_matches(shape.required, columns, rows)
        return mask

    def _enforced(self, columns: Columns, rows: Rows) -> Mask:
        if self._required is None:
            return np.ones(columns.live[rows].size, dtype=np.bool_)
        return any_matches(self._required, columns, rows)

    def among(self, shape: Shape) -> frozenset[str] | None:
        """The nodes that the required terms name, if each of them names some, as those of a DaemonSet's pods do."""
        if not shape.required:
            return None
        found: frozenset[str] = frozenset()
        for term in shape.required:
            names = [rule.values for rule in term.fields if rule.key == "metadata.name" and rule.operator == "In"]
            if not names:
                return None
            found |= frozenset.intersection(*names)
        return found

    def explain(self, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Counter[str]:
        """Whose affinity it was; the scheduler's comes first."""
        number = int(np.count_nonzero(self._enforced(columns, rows)))
        return +Counter({ENFORCED: rows.size - number, REASON: number})

    def unresolvable(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """All: the node itself is the reason."""
        return np.ones(rows.size, dtype=np.bool_)

    def pre_score(self, shape: Shape) -> bool:
        """Whether the shape likes some nodes better, or all pods do."""
        return bool(shape.preferred or self._preferred)

    def score(self, shape: Shape, columns: Columns, rows: Rows) -> Scores:
        """The weights of the preferences that are met."""
        total = np.zeros(columns.live[rows].size)
        for weight, term in (*self._preferred, *shape.preferred):
            total += weight * matches(term, columns, rows)
        return total
