"""How well the storage of nodes suits a pod: by the share that it would take of the volumes or of the room there.

Source: Kubernetes documentation, "Storage Capacity" (scoring); the VolumeBinding plugin for the arithmetic, which is
in whole numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..labels import Mask
from .matching import Matching
from .supply import NONE

FULL = 100
_LARGEST = 1 << 56
"""A hundred times more still is a number of 64 bits."""


class Point(NamedTuple):
    """A utilization in per cent (0–100), and the score for it (0–10)."""

    utilization: int
    score: int


EMPTIER = (Point(0, 10), Point(FULL, 0))


def table(points: Sequence[Point]) -> npt.NDArray[np.float64]:
    """The score, 0–100, of each utilization, 0–100: straight lines between the points, in whole numbers."""

    def score(utilization: int) -> int:
        before = points[0]
        for point in points:
            if utilization <= point.utilization:
                if point is before:
                    return point.score * 10
                rise, run = (point.score - before.score) * 10, point.utilization - before.utilization
                return before.score * 10 + int(rise * (utilization - before.utilization) / run)
            before = point
        return before.score * 10

    return np.array([score(utilization) for utilization in range(FULL + 1)], dtype=np.float64)


class _Use(NamedTuple):
    """What is asked of a class by row, out of how much, and where at all."""

    requested: npt.NDArray[np.int64]
    capacity: npt.NDArray[np.int64]
    where: Mask

    def scores(self, of: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        scale = 1 if self.requested.max(initial=0) < _LARGEST else 1 << 8
        requested, capacity = self.requested // scale, self.capacity // scale
        overfull = (self.capacity == 0) | (self.requested > self.capacity)
        used = np.where(overfull, FULL, np.where(overfull, 0, requested) * FULL // np.maximum(capacity, 1))
        return np.where(self.where, of[used], 0.0)


def scores(found: Matching, of: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The mean over classes of the score of what is used: of volumes where a claim gets one, else of the room."""
    chosen = np.zeros(found.lost.size, dtype=np.bool_)
    for choice in found.choices:
        chosen |= choice.by_row != NONE
    static, dynamic = (_mean(uses, of, size=chosen.size) for uses in (_of_volumes(found), _of_room(found)))
    return np.where(chosen, static, dynamic)


def _mean(uses: Iterable[_Use], of: npt.NDArray[np.float64], *, size: int) -> npt.NDArray[np.float64]:
    total, classes = np.zeros(size), np.zeros(size)
    for use in uses:
        total += use.scores(of)
        classes += use.where
    return np.floor(total / np.maximum(classes, 1) + 0.5)


def _of_volumes(found: Matching) -> Iterator[_Use]:
    for storage_class in dict.fromkeys(choice.claim.storage_class for choice in found.choices):
        requested, capacity = _amounts(found), _amounts(found)
        where = np.zeros(found.lost.size, dtype=np.bool_)
        for choice in found.choices:
            if choice.claim.storage_class == storage_class:
                here = choice.by_row != NONE
                requested += here * np.int64(choice.claim.size or 0)
                capacity += np.where(here, choice.sizes[choice.by_row], 0)
                where |= here
        yield _Use(requested, capacity, where)


def _of_room(found: Matching) -> Iterator[_Use]:
    """The room is the same for all claims of a class."""
    for storage_class in dict.fromkeys(provision.claim.storage_class for provision in found.provisions):
        requested, capacity = _amounts(found), _amounts(found)
        where = np.zeros(found.lost.size, dtype=np.bool_)
        for provision in found.provisions:
            if provision.claim.storage_class == storage_class and provision.room and provision.slots is not None:
                requested += provision.needed * np.int64(provision.claim.size or 0)
                capacity = np.where(provision.needed, provision.room.total[provision.slots], capacity)
                where |= provision.needed
        yield _Use(requested, capacity, where)


def _amounts(found: Matching) -> npt.NDArray[np.int64]:
    return np.zeros(found.lost.size, dtype=np.int64)
