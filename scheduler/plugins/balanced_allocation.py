"""A node whose resources are used to the same degree wastes less: prefer nodes that the pod makes more even.

Source: kube-scheduler, the NodeResourcesBalancedAllocation plugin.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from k8slite.errors import duplicate, invalid_value

from ..arguments import Part, read, refuse
from ..columns import Columns
from ..framework import MAX_SCORE, Args, Normalize, Reads, Scores
from ..journal import Rows, pick
from ..requests import PODS
from ..shape import Shape
from .allocation import DEFAULT, Resource, evenness, indices, relevant, some
from .fit_arguments import ResourceSpec


class NodeResourcesBalancedAllocationArgs(Part):
    """What NodeResourcesBalancedAllocation is told."""

    resources: list[ResourceSpec] = []


class BalancedAllocation:
    """Scores by what the pod does to the balance of resources, of cpu and memory by default."""

    name = "NodeResourcesBalancedAllocation"
    reads = Reads.USAGE
    weight = 1
    normalize = Normalize.NONE

    def __init__(self, resources: tuple[Resource, ...] = DEFAULT) -> None:
        self._resources = resources
        self._names = frozenset(each.name for each in resources) - {PODS}

    @classmethod
    def made(cls, args: Args) -> BalancedAllocation:
        """The plugin with NodeResourcesBalancedAllocationArgs. Raises BadArguments."""
        specs = read(NodeResourcesBalancedAllocationArgs, args).resources
        causes, seen = [], set()
        for index, spec in enumerate(specs):
            if spec.name in seen:
                causes.append(duplicate(f"resources[{index}].name", spec.name))
            seen.add(spec.name)
            if spec.weight not in (0, 1):
                causes.append(invalid_value(f"resources[{index}].weight", spec.weight, "must be 1"))
        refuse(causes)
        return cls(tuple(Resource(spec.name) for spec in specs) or DEFAULT)

    def pre_score(self, shape: Shape) -> bool:
        """A pod that requests nothing of it changes no balance."""
        return any(name in self._names for name, _ in shape.requests)

    def score(self, shape: Shape, columns: Columns, rows: Rows) -> Scores:
        """75 for no change, more for a node that becomes more even."""
        if self._resources == DEFAULT:
            taken, divisor, has = (pick(each, rows) for each in (columns.requested[:2], columns.divisor, columns.has))
            added = _added(shape.requests, DEFAULT)
        else:
            resources = relevant(self._resources, shape)
            chosen = indices(resources, columns)
            there = pick(columns.allocatable, rows)[chosen]
            taken, divisor, has = pick(columns.requested, rows)[chosen], np.maximum(there, 1), some(there)
            added = _added(shape.requests, resources)
        if isinstance(rows, slice):
            # One after the other: arrays of twice the size would be fetched from the system each time.
            without, scores = (evenness(taken + amounts, divisor, has) for amounts in added)
        else:
            without, scores = evenness(taken + added, divisor, has)
        scores -= without
        scores += MAX_SCORE * 3 / 2
        scores /= 2
        return np.floor(scores, out=scores)


@lru_cache(maxsize=1024)
def _added(requests: tuple[tuple[str, int], ...], resources: tuple[Resource, ...]) -> Scores:
    """Nothing, and what the pod requests, as columns: to be read."""
    wanted = dict(requests)
    amounts = [float(wanted.get(each.name, 0)) for each in resources]
    return np.array([[0.0] * len(amounts), amounts]).reshape(2, -1, 1)
