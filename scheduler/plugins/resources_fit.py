"""Requests must fit into what the node has left; among those that fit, the emptier node is better.

Source: Kubernetes documentation, "Resource Management for Pods and Containers"; the least-allocated strategy of the
NodeResourcesFit plugin for the score.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from ..change import Change
from ..columns import UNKNOWN, Amounts, Columns
from ..framework import MAX_SCORE, Normalize, Reads, Scores
from ..journal import Rows
from ..labels import Mask
from ..shape import PODS, Shape
from ..view import Pod


def has_room(needs: Scores, columns: Columns, rows: Rows) -> Mask:
    """For each resource (first axis) and row, whether it can give what is needed."""
    return np.less_equal(columns.requested[:, rows] + needs, columns.allocatable[:, rows])


def least_allocated(requested: Scores, *, allocatable: Scores, divisor: Scores, has: Scores) -> Scores:
    """Per node, the mean over cpu and memory (first axis) of the free share, 0–100, without what it has none of.

    `divisor` is allocatable or 1, `has` 1 where there is any.
    """
    free = allocatable - requested
    free *= MAX_SCORE
    free /= divisor
    np.floor(free, out=free)
    np.maximum(free, 0, out=free)
    mean: Scores = free[0] + free[1]
    mean /= np.maximum(has[0] + has[1], 1)
    return np.floor(mean, out=mean)


class ResourcesFit:
    """Filters by requests, scores by the free share of cpu and memory."""

    name = "NodeResourcesFit"
    reads = Reads.USAGE
    cures = Change.NODE_ADDED | Change.NODE_ALLOCATABLE | Change.POD_REMOVED
    weight = 1
    normalize = Normalize.NONE

    def concerns(self, shape: Shape) -> bool:
        """Always: also a pod without requests needs its place among the node's pods."""
        return True

    def filter(self, shape: Shape, columns: Columns, rows: Rows) -> Mask:
        """Nodes that have room for every request; a resource that is not requested does not matter."""
        mask: Mask = np.logical_and.reduce(has_room(self.needs(shape, columns), columns, rows), axis=0)
        return mask

    def needs(self, shape: Shape, columns: Columns) -> Amounts:
        """The requests."""
        return columns.needs(shape.requests)

    def unresolvable(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """Nodes that are too small even when empty."""
        mask: Mask = np.logical_or.reduce(self.needs(shape, columns) > columns.allocatable[:, rows], axis=0)
        return mask

    def explain(self, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Counter[str]:
        """Every resource that lacks, so that a node may count more than once."""
        needs = columns.needs(shape.requests)
        lacking = np.count_nonzero(~has_room(needs, columns, rows), axis=1)
        reasons: Counter[str] = Counter()
        for resource, _ in shape.requests:
            if number := int(lacking[columns.resources.get(resource, columns.resources[UNKNOWN])]):
                reasons["Too many pods" if resource == PODS else f"Insufficient {resource}"] = number
        return reasons

    def score(self, shape: Shape, columns: Columns, rows: Rows) -> Scores:
        """The free share with the pod there; pods without requests count with assumed ones."""
        cpu, memory = shape.scored
        return least_allocated(
            columns.scored[:, rows] + np.array(((cpu,), (memory,)), dtype=np.float64),
            allocatable=columns.allocatable[:2, rows],
            divisor=columns.divisor[:, rows],
            has=columns.has[:, rows],
        )
