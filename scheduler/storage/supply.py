"""What there is to choose from: the volumes of a class that no claim has yet, and the room in which more can be made.

Things stand in slots of numpy arrays, so that a claim is compared with all of them at once, and each in a cell of
`reach`, so that the best one is found for all nodes at once. Equal ones are taken in the order in which they came.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_

import numpy as np
import numpy.typing as npt

from ..columns import Columns
from ..groups import requirements_of
from .objects import Claim, CsiCapacity, PersistentVolume
from .reach import Indices, Reach, reachable

#: Says for a row that nothing was found.
NONE = -1
_MODES = {"ReadWriteOnce": 1, "ReadOnlyMany": 2, "ReadWriteMany": 4, "ReadWriteOncePod": 8}


def _modes(names: list[str]) -> int:
    return reduce(or_, (_MODES.get(name, 16) for name in names), 0)


class Slots:
    """Names to positions in arrays that grow; positions of what is gone are given to what comes."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}
        self._free: list[int] = []
        self.reach = Reach()
        self.cell: npt.NDArray[np.intp] = np.zeros(16, dtype=np.intp)

    def __len__(self) -> int:
        return len(self.of)

    def add(self, name: str) -> int:
        """The slot of a new thing."""
        slot = self.of[name] = self._free.pop() if self._free else len(self.of)
        if slot >= self.cell.size:
            self.cell = np.pad(self.cell, (0, self.cell.size))
        return slot

    def remove(self, name: str) -> int | None:
        """The slot of a thing that is gone, if it was there."""
        slot = self.of.pop(name, None)
        if slot is not None:
            self._free.append(slot)
            self.reach.leave(int(self.cell[slot]))
            self.cell[slot] = 0
        return slot


@dataclass(frozen=True, slots=True)
class Choice:
    """For each row the position of the volume that a claim would get there, or NONE."""

    claim: Claim
    volumes: list[PersistentVolume | None]
    sizes: npt.NDArray[np.int64]
    by_row: Indices

    def at(self, row: int) -> PersistentVolume | None:
        """The volume that the claim would get on a row."""
        found = self.by_row[row]
        return None if found == NONE else self.volumes[found]


class Supply:
    """The volumes of one class."""

    def __init__(self) -> None:
        self._slots = Slots()
        self._volumes: list[PersistentVolume | None] = [None] * 16
        self._size: npt.NDArray[np.int64] = np.zeros(16, dtype=np.int64)
        self._free = np.zeros(16, dtype=np.bool_)
        self._mode: npt.NDArray[np.uint8] = np.zeros(16, dtype=np.uint8)
        self._kind: npt.NDArray[np.intp] = np.zeros(16, dtype=np.intp)
        self._kinds: dict[tuple[str, str], int] = {}
        self._order: Indices | None = None

    def __bool__(self) -> bool:
        return len(self._slots) > 0

    def put(self, volume: PersistentVolume, *, free: bool) -> None:
        """Add a volume, or bring it up to date; only a free one may be chosen."""
        slot = self._slots.of.get(volume.name)
        before = None if slot is None else self._volumes[slot]
        if slot is None:
            slot = self._slots.add(volume.name)
            if slot >= len(self._volumes):
                self._grow()
        self._volumes[slot] = volume
        self._free[slot] = free
        if before is volume:
            return
        size = volume.size
        if before is None or size != self._size[slot]:
            self._size[slot] = size
            self._order = None
        if before is None or volume.where != before.where:
            if before is not None:
                self._slots.reach.leave(int(self._slots.cell[slot]))
            self._slots.cell[slot] = self._slots.reach.enter(volume.where)
        self._mode[slot] = _modes(volume.spec.access_modes)
        self._kind[slot] = self._code(volume.spec.volume_mode, volume.spec.volume_attributes_class_name)

    def remove(self, name: str) -> None:
        """The volume is gone."""
        slot = self._slots.remove(name)
        if slot is not None:
            self._volumes[slot] = None
            self._free[slot] = False

    def kept(self, claim: Claim, volume: PersistentVolume, columns: Columns) -> Choice:
        """The one volume that is kept for a claim, on the rows that can use it."""
        met = reachable(volume.where, columns, slice(None))
        return Choice(claim, [volume], np.array([volume.size]), np.where(met, 0, NONE))

    def choose(self, claim: Claim, columns: Columns, *, earlier: list[Choice]) -> Choice:
        """For each row the smallest free volume that suits a claim; not what `earlier` claims of the pod got there."""
        candidates = self._candidates(claim)
        count = candidates.size
        best = np.full(columns.capacity, count, dtype=np.intp)
        taken = [choice.by_row for choice in earlier if choice.volumes is self._volumes]
        left = np.arange(count)
        # Of each cell as many as there are claims: of these one is free on every row, if any of the cell is.
        for further in range(len(taken), -1, -1):
            firsts = self._slots.reach.firsts(self._slots.cell[candidates[left]])
            positions = np.append(left, count)
            for found in self._slots.reach.by_row(firsts, columns):
                position = positions[found]
                if taken:
                    slots = np.append(candidates, NONE)[position]
                    for others in taken:
                        position = np.where(slots == others, count, position)
                np.minimum(best, position, out=best)
            if further:
                left = np.delete(left, np.unique(firsts[firsts < left.size]))
        return Choice(claim, self._volumes, self._size, np.append(candidates, NONE)[best])

    def suits(self, claim: Claim, volume: PersistentVolume) -> bool:
        """Whether a volume that is kept for a claim is large enough, and of the right kind."""
        same = volume.spec.volume_attributes_class_name == claim.spec.volume_attributes_class_name
        return (
            volume.size >= (claim.size or 0)
            and volume.spec.volume_mode == claim.spec.volume_mode
            and same
            and not volume.deleting
        )

    def _candidates(self, claim: Claim) -> Indices:
        """The slots of all free volumes that suit, the smallest first."""
        if self._order is None:
            self._order = np.argsort(self._size, kind="stable")
        modes = _modes(claim.spec.access_modes)
        fits = self._free & (self._size >= (claim.size or 0)) & (self._mode & modes == modes)
        fits &= self._kind == self._kinds.get((claim.spec.volume_mode, claim.spec.volume_attributes_class_name), NONE)
        candidates: Indices = self._order[fits[self._order]]
        if claim.spec.selector is not None:
            asked = requirements_of(claim.spec.selector)
            labels = [volume.metadata.labels if (volume := self._volumes[slot]) else {} for slot in candidates]
            candidates = candidates[[all(each.matches(found) for each in asked) for found in labels]]
        return candidates

    def _code(self, mode: str, attributes: str) -> int:
        return self._kinds.setdefault((mode, attributes), len(self._kinds))

    def _grow(self) -> None:
        more = len(self._volumes)
        self._volumes += [None] * more
        self._size = np.pad(self._size, (0, more))
        self._free = np.pad(self._free, (0, more))
        self._mode = np.pad(self._mode, (0, more))
        self._kind = np.pad(self._kind, (0, more))
        self._order = None


class Room:
    """The capacities that drivers report for one class."""

    def __init__(self) -> None:
        self._slots = Slots()
        self._limit: npt.NDArray[np.int64] = np.full(16, NONE, dtype=np.int64)
        self.total: npt.NDArray[np.int64] = np.zeros(16, dtype=np.int64)
        """The bytes left, by slot."""

    def __bool__(self) -> bool:
        return len(self._slots) > 0

    def put(self, capacity: CsiCapacity) -> None:
        """Add a capacity, or bring it up to date; where it is does not change."""
        slot = self._slots.of.get(capacity.key)
        if slot is None:
            slot = self._slots.add(capacity.key)
            if slot >= self._limit.size:
                more = self._limit.size
                self._limit = np.pad(self._limit, (0, more), constant_values=NONE)
                self.total = np.pad(self.total, (0, more))
            self._slots.cell[slot] = self._slots.reach.enter(capacity.where)
        limit = capacity.limit
        self._limit[slot] = NONE if limit is None else limit
        self.total[slot] = capacity.total

    def remove(self, key: str) -> None:
        """The capacity is gone."""
        slot = self._slots.remove(key)
        if slot is not None:
            self._limit[slot] = NONE

    def choose(self, size: int, columns: Columns) -> Indices:
        """For each row the slot of the first capacity there that has room for a volume, or NONE."""
        candidates = np.flatnonzero(self._limit >= size)
        best = np.full(columns.capacity, candidates.size, dtype=np.intp)
        for found in self._slots.reach.by_row(self._slots.reach.firsts(self._slots.cell[candidates]), columns):
            np.minimum(best, found, out=best)
        chosen: Indices = np.append(candidates, NONE)[best]
        return chosen
