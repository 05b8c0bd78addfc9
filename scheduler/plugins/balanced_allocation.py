"""A node whose cpu and memory are used to the same degree wastes less: prefer nodes that the pod makes more even.

Source: the NodeResourcesBalancedAllocation plugin of Kubernetes for the formula.
"""

from __future__ import annotations

import numpy as np

from ..columns import Columns
from ..framework import MAX_SCORE, Normalize, Reads, Scores
from ..journal import Rows
from ..shape import CPU, MEMORY, Shape


def balance(requested: Scores, *, divisor: Scores, has: Scores) -> Scores:
    """Per node, 100 less the deviation of the used shares of cpu and memory (first axis), in per cent.

    `divisor` is allocatable or 1, `has` 1 where there is any; a node that has only one of both is even.
    """
    shares = requested / divisor
    np.minimum(shares, 1, out=shares)
    even: Scores = shares[0] - shares[1]
    np.abs(even, out=even)
    even *= has[0]
    even *= has[1]
    even *= -MAX_SCORE / 2
    even += MAX_SCORE
    return np.floor(even, out=even)


class BalancedAllocation:
    """Scores by what the pod does to the balance of cpu and memory."""

    name = "NodeResourcesBalancedAllocation"
    reads = Reads.USAGE
    weight = 1
    normalize = Normalize.NONE

    def pre_score(self, shape: Shape) -> bool:
        """A pod that requests neither changes no balance."""
        return any(resource in (CPU, MEMORY) for resource, _ in shape.requests)

    def score(self, shape: Shape, columns: Columns, rows: Rows) -> Scores:
        """50 for no change, more for a node that becomes more even."""
        wanted = dict(shape.requests)
        before, divisor, has = columns.requested[:2, rows], columns.divisor[:, rows], columns.has[:, rows]
        added = np.array(((wanted.get(CPU, 0),), (wanted.get(MEMORY, 0),)), dtype=np.float64)
        scores = balance(before + added, divisor=divisor, has=has)
        scores -= balance(before, divisor=divisor, has=has)
        scores += MAX_SCORE / 2
        scores /= 2
        np.floor(scores, out=scores)
        scores += MAX_SCORE / 2
        return scores
