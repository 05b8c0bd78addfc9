"""Node selectors and node affinity: the nodes that a pod needs, and those that it would like.

Source: Kubernetes documentation, "Assigning Pods to Nodes".
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from k8slite.selectors import Requirement

from ..change import Change
from ..columns import Columns
from ..framework import Normalize, Reads, Scores
from ..journal import Rows
from ..labels import Mask
from ..shape import Shape, Term
from ..view import Pod

REASON = "node(s) didn't match Pod's node affinity/selector"


def matches(term: Term, columns: Columns, rows: Rows) -> Mask:
    """Which rows meet every requirement of a term; an empty term is met by none."""
    mask = np.full(columns.live[rows].size, bool(term))
    for requirement in term.labels:
        mask &= columns.labels.matches(requirement, rows)
    for requirement in term.fields:
        mask &= _named(requirement, columns, rows)
    return mask


def _named(requirement: Requirement, columns: Columns, rows: Rows) -> Mask:
    """`metadata.name` is the only field that may be selected, by In or NotIn."""
    wanted = [row for name in requirement.values if (row := columns.rows.get(name)) is not None]
    found = np.isin(np.arange(columns.capacity)[rows], wanted)
    return found if requirement.operator == "In" else ~found


class NodeAffinity:
    """Filters by selector and required affinity, scores by preferred affinity."""

    name = "NodeAffinity"
    reads = Reads.STATIC
    cures = Change.NODE_ADDED | Change.NODE_LABELS
    weight = 2
    normalize = Normalize.HIGHEST

    def concerns(self, shape: Shape) -> bool:
        """Whether the shape needs certain nodes."""
        return bool(shape.selector) or shape.required is not None

    def filter(self, shape: Shape, columns: Columns, rows: Rows) -> Mask:
        """Nodes that have every selected label and meet one of the required terms."""
        mask = np.ones(columns.live[rows].size, dtype=np.bool_)
        for requirement in shape.selector:
            mask &= columns.labels.matches(requirement, rows)
        if shape.required is not None:
            chosen = np.zeros_like(mask)
            for term in shape.required:
                chosen |= matches(term, columns, rows)
            mask &= chosen
        return mask

    def explain(self, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Counter[str]:
        """One reason for all."""
        return Counter({REASON: rows.size})

    def unresolvable(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """All: the node itself is the reason."""
        return np.ones(rows.size, dtype=np.bool_)

    def pre_score(self, shape: Shape) -> bool:
        """Whether the shape likes some nodes better."""
        return bool(shape.preferred)

    def score(self, shape: Shape, columns: Columns, rows: Rows) -> Scores:
        """The weights of the preferences that are met."""
        total = np.zeros(columns.live[rows].size)
        for weight, term in shape.preferred:
            total += weight * matches(term, columns, rows)
        return total
