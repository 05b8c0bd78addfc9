"""Requests must fit into what the node has left; the score says how full a node should be.

Source: Kubernetes documentation, "Resource Management for Pods and Containers"; kube-scheduler, NodeResourcesFit.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from ..change import Change
from ..columns import Amounts, Columns
from ..framework import Normalize, Reads, Scores
from ..journal import Rows, pick
from ..labels import Mask
from ..requests import PODS, is_extended
from ..shape import Shape
from ..view import Pod
from .allocation import DEFAULT, allocation, relevant
from .fit_arguments import NodeResourcesFitArgs

Needed = tuple[tuple[str, int], ...]


def has_room(needs: Scores, columns: Columns, rows: Rows) -> Mask:
    """For each resource (first axis) and row, whether it can give what is needed."""
    return np.less_equal(pick(columns.requested, rows) + needs, pick(columns.allocatable, rows))


class ResourcesFit:
    """Filters by requests, scores by how much of the resources is taken."""

    name = "NodeResourcesFit"
    reads = Reads.USAGE
    cures = Change.NODE_ADDED | Change.NODE_ALLOCATABLE | Change.POD_REMOVED
    weight = 1
    normalize = Normalize.NONE

    def __init__(self, args: NodeResourcesFitArgs | None = None) -> None:
        args = args or NodeResourcesFitArgs()
        self._ignored = frozenset(args.ignored_resources) | {f"{group}/" for group in args.ignored_resource_groups}
        self._resources = args.resources
        self._strategy = args.strategy

    def concerns(self, shape: Shape) -> bool:
        """Always: also a pod without requests needs its place among the node's pods."""
        return True

    def filter(self, shape: Shape, columns: Columns, rows: Rows) -> Mask:
        """Nodes that have room for every request; a resource that is not requested does not matter."""
        mask: Mask = np.logical_and.reduce(has_room(self.needs(shape, columns), columns, rows), axis=0)
        return mask

    def needs(self, shape: Shape, columns: Columns) -> Amounts:
        """The requests, but for those that another than the scheduler looks after."""
        return columns.needs(self._heeded(shape.requests))

    def unresolvable(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """Nodes that are too small even when empty; how many pods they may run is not looked at, as upstream."""
        too_much = self.needs(shape, columns) > pick(columns.allocatable, rows)
        too_much[columns.resources[PODS]] = False
        mask: Mask = np.logical_or.reduce(too_much, axis=0)
        return mask

    def explain(self, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Counter[str]:
        """Every resource that lacks, so that a node may count more than once."""
        needed = self._heeded(shape.requests)
        lacking = np.count_nonzero(~has_room(self.needs(shape, columns), columns, rows), axis=1)
        reasons: Counter[str] = Counter()
        for resource, amount in needed:
            if resource in columns.resources:
                number = int(lacking[columns.resources[resource]])
            else:
                number = rows.size if amount > 0 else 0
            if number:
                reasons["Too many pods" if resource == PODS else f"Insufficient {resource}"] = number
        return reasons

    def _heeded(self, requests: Needed) -> Needed:
        if not self._ignored:
            return requests
        return tuple(
            (name, amount)
            for name, amount in requests
            if not (is_extended(name) and (name in self._ignored or f"{name.partition('/')[0]}/" in self._ignored))
        )

    def score(self, shape: Shape, columns: Columns, rows: Rows) -> Scores:
        """As the strategy says, with the pod there."""
        resources = DEFAULT if self._resources == DEFAULT else relevant(self._resources, shape)
        return self._strategy(allocation(shape, columns, rows, resources)).astype(np.float64, copy=False)
