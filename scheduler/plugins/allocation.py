"""How full a pod would make nodes, and what is thought of that: the arithmetic of the scores that go by resources.

Arrays have a row for each resource and a column for each node. All scores are whole; they are cut off where
Kubernetes' integer arithmetic cuts off. What a node has none of is left out of its score.

Source: kube-scheduler, the strategies of NodeResourcesFit and the NodeResourcesBalancedAllocation plugin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..columns import UNKNOWN, Columns
from ..framework import MAX_SCORE, Scores
from ..journal import Rows, pick
from ..requests import CPU, MEMORY, STORAGE, is_scalar
from ..shape import Shape

#: Points of a line are scored 0–10.
MAX_POINT = 10


class Resource(NamedTuple):
    """A resource, and how much it counts."""

    name: str
    weight: int = 1


DEFAULT = (Resource(CPU), Resource(MEMORY))


class Allocation(NamedTuple):
    """What would be taken of which resources, and what there is; `divisor` is that, or 1 where there is none."""

    taken: Scores
    there: Scores
    divisor: Scores
    has: Scores
    """1 where there is any."""
    weights: Scores
    """By resource."""


def relevant(resources: Sequence[Resource], shape: Shape) -> tuple[Resource, ...]:
    """The resources that bear on the score of a shape: extended ones only if it requests them."""
    asked = dict(shape.requests)
    return tuple(
        each
        for each in resources
        if each.name in (CPU, MEMORY, STORAGE) or (each.name in asked and is_scalar(each.name))
    )


@lru_cache(maxsize=1024)
def column(amounts: tuple[int, ...]) -> Scores:
    """Amounts as a column: to be read."""
    return np.array(amounts, dtype=np.float64).reshape(-1, 1)


@lru_cache(maxsize=64)
def _weights(resources: tuple[Resource, ...]) -> Scores:
    return np.array([each.weight for each in resources], dtype=np.float64)


def indices(resources: tuple[Resource, ...], columns: Columns) -> list[int]:
    """The rows of resources in the columns."""
    return [columns.resources.get(each.name, columns.resources[UNKNOWN]) for each in resources]


def some(amounts: Scores) -> Scores:
    """1 where there is any."""
    return np.greater(amounts, 0).astype(np.float64)


def allocation(shape: Shape, columns: Columns, rows: Rows, resources: tuple[Resource, ...]) -> Allocation:
    """What nodes would have taken with a pod of the shape; containers without requests count with assumed ones."""
    if resources == DEFAULT:
        found = Allocation(
            pick(columns.scored, rows) + column(shape.scored),
            pick(columns.allocatable[:2], rows),
            pick(columns.divisor, rows),
            pick(columns.has, rows),
            _weights(resources),
        )
    else:
        asked = {**dict(shape.requests), CPU: shape.scored[0], MEMORY: shape.scored[1]}
        chosen = indices(resources, columns)
        there = pick(columns.allocatable, rows)[chosen]
        taken = pick(columns.requested, rows)[chosen] + column(tuple(asked.get(each.name, 0) for each in resources))
        for position, index in enumerate(chosen):
            if index < 2:
                taken[position] += columns.scored[index, rows] - columns.requested[index, rows]
        found = Allocation(taken, there, np.maximum(there, 1), some(there), _weights(resources))
    # A hundred times the amount must be exact, and be divided exactly.
    return found._replace(there=found.there.astype(np.longdouble)) if columns.vast else found


def least_allocated(found: Allocation) -> Scores:
    """The mean of the free shares."""
    free = found.there - found.taken
    free *= MAX_SCORE
    free /= found.divisor
    np.floor(free, out=free)
    np.maximum(free, 0, out=free)
    return _mean(free, found)


def most_allocated(found: Allocation) -> Scores:
    """The mean of the taken shares."""
    return _mean(_used(found), found)


def _used(found: Allocation) -> Scores:
    used: Scores = np.minimum(found.there, found.taken)
    used *= MAX_SCORE
    used /= found.divisor
    return np.floor(used, out=used)


def _mean(scores: Scores, found: Allocation) -> Scores:
    total: Scores = found.weights.dot(scores)
    total /= np.maximum(found.weights.dot(found.has), 1)
    return np.floor(total, out=total)


@dataclass(frozen=True, slots=True)
class Line:
    """Scores by how much of a resource is taken, in per cent: straight from point to point."""

    scores: Scores
    """At 0, 1, 2 … 100 per cent."""

    @classmethod
    def through(cls, points: Sequence[tuple[int, int]]) -> Line:
        """The line through points of utilization and score (0–10), at least one, in order."""
        return cls(np.array([_at(percent, points) for percent in range(101)], dtype=np.float64))

    def __call__(self, found: Allocation) -> Scores:
        """The mean over the resources that score anything, rounded."""
        scores = self.scores[_used(found).astype(np.intp)]
        scores *= found.has
        total: Scores = found.weights.dot(scores)
        total /= np.maximum(found.weights.dot(some(scores)), 1)
        total += 0.5
        return np.floor(total, out=total)


def _at(percent: int, points: Sequence[tuple[int, int]]) -> int:
    scale = int(MAX_SCORE) // MAX_POINT
    left, low = points[0]
    if percent <= left:
        return low * scale
    for right, high in points[1:]:
        if percent <= right:
            rise = (high - low) * scale * (percent - left)
            # Towards zero, also where the line falls.
            return low * scale + (rise // (right - left) if rise >= 0 else -(-rise // (right - left)))
        left, low = right, high
    return low * scale


def evenness(taken: Scores, divisor: Scores, has: Scores) -> Scores:
    """A hundred less the deviation of the used shares from each other, in per cent. `taken` is overwritten; resources
    are its last axis but one.

    The order of the operations is Kubernetes', so that fractions are rounded alike.
    """
    shares = taken
    shares /= divisor
    np.minimum(shares, 1, out=shares)
    if shares.shape[-2] < 2:
        return np.full(shares.shape[:-2] + shares.shape[-1:], MAX_SCORE)
    if shares.shape[-2] == 2:
        even: Scores = shares[..., 0, :] - shares[..., 1, :]
        np.abs(even, out=even)
        even *= has[0]
        even *= has[1]
        even *= -0.5
    else:
        even = _deviation(shares, has)
        np.negative(even, out=even)
    even += 1
    even *= MAX_SCORE
    return np.floor(even, out=even)


def _deviation(shares: Scores, has: Scores) -> Scores:
    shares = shares * has
    count = has.sum(axis=0)
    total = np.zeros_like(shares[..., 0, :])
    for position in range(shares.shape[-2]):
        total += shares[..., position, :]
    total /= np.maximum(count, 1)
    squares = np.zeros_like(total)
    for position in range(shares.shape[-2]):
        difference = shares[..., position, :] - total
        squares += difference * difference * has[position]
    several: Scores = np.sqrt(squares / np.maximum(count, 1))
    lowest = np.where(has > 0, shares, 2.0).min(axis=-2)
    pair = (shares.max(axis=-2) - lowest) / 2
    return np.where(count > 2, several, np.where(count == 2, pair, 0.0))
