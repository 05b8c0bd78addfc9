"""Whom each node would lose if amounts alone decided, for all nodes at once.

All pods that may be removed are gone at first; then one after the other is spared if the preemptor still fits: first
those whose loss would violate a budget, then the others, the most important first. One step judges one slot of the
roster over all rows. What follows from it is kept by what is needed and by priority, and reckoned anew for the rows
that changed: between two preemptors that are alike, those are few.

Source: kube-scheduler's SelectVictimsOnNode, and pickOneNodeForPreemption for what nodes are compared by.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..columns import Amounts, Columns
from ..journal import ALL, Rows, pick
from ..judging import Chosen
from ..labels import Mask
from .roster import LATER, Roster

Numbers = npt.NDArray[np.float64]
#: Makes all priorities positive, so that a victim more never makes a sum smaller.
OFFSET = float(1 << 31)
#: Kinds of preemptors that are remembered; each takes about 50 bytes a node.
REMEMBERED = 16


@dataclass(frozen=True, slots=True)
class Losses:
    """What nodes would lose. `fits` is whether the preemptor has room once all are gone whom it may remove."""

    fits: Mask
    violations: Numbers
    highest: Numbers
    """The highest priority among the victims; minus infinity if there is none."""
    total: Numbers
    """The sum of the priorities, each plus `OFFSET`."""
    count: Numbers
    start: Numbers
    """When the first of the victims of the highest priority started."""

    @classmethod
    def none(cls, size: int) -> Losses:
        """Nobody is lost."""
        zero = np.zeros(size)
        return cls(
            np.zeros(size, dtype=np.bool_),
            zero,
            np.full(size, -np.inf),
            zero.copy(),
            zero.copy(),
            np.full(size, LATER),
        )

    def copy(self) -> Losses:
        """Another one, to be written to."""
        return Losses(
            self.fits.copy(),
            self.violations.copy(),
            self.highest.copy(),
            self.total.copy(),
            self.count.copy(),
            self.start.copy(),
        )

    def put(self, rows: Rows, other: Losses) -> None:
        """Take over what is known of rows."""
        for mine, new in zip(self._arrays(), other._arrays(), strict=True):
            mine[rows] = new

    def key(self, at: int) -> tuple[float, float, float, float, float]:
        """What an entry is compared by: less is better."""
        values = self.violations[at], self.highest[at], self.total[at], self.count[at], -self.start[at]
        return float(values[0]), float(values[1]), float(values[2]), float(values[3]), float(values[4])

    def order(self) -> Chosen:
        """The entries, the least first."""
        found: Chosen = np.lexsort((-self.start, self.count, self.total, self.highest, self.violations))
        return found

    def least(self, rows: Chosen) -> Chosen:
        """Those of the rows that lose the least: all alike."""
        for values in (self.violations, self.highest, self.total, self.count):
            found = values[rows]
            rows = rows[found == found.min()]
        latest = self.start[rows]
        best: Chosen = rows[latest == latest.max()]
        return best

    def _arrays(self) -> tuple[npt.NDArray[np.generic], ...]:
        return self.fits, self.violations, self.highest, self.total, self.count, self.start


@dataclass(slots=True)
class _Known:
    losses: Losses
    roster_at: int = -1
    nominations_at: int = -1


class Sparing:
    """Reckons over a roster, and remembers."""

    def __init__(self, columns: Columns, roster: Roster) -> None:
        self._columns = columns
        self._roster = roster
        self._known: OrderedDict[tuple[int, bytes], _Known] = OrderedDict()

    def losses(self, needs: Amounts, priority: int) -> Losses:
        """By row, what preemptors of a priority would cost; to be read, and at once."""
        roster, nominations = self._roster, self._columns.nominations
        roster.renew()
        key = priority, needs.tobytes()
        known = self._known.get(key)
        if known is None or known.losses.fits.size != self._columns.capacity:
            known = self._known[key] = _Known(Losses.none(self._columns.capacity))
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        ahead = nominations.ahead(priority)
        rows = _union(roster.changes.since(known.roster_at), nominations.changes.since(known.nominations_at))
        if isinstance(rows, slice) or rows.size:
            known.losses.put(rows, self.reckon(needs, priority, rows, pick(ahead.amounts, rows)))
        known.roster_at, known.nominations_at = roster.changes.position, nominations.changes.position
        return known.losses

    def reckon(self, needs: Amounts, priority: int, rows: Rows, promised: Amounts) -> Losses:
        """What rows would lose, if so much of them is promised to others."""
        losses, _ = self._spared(needs, priority, rows, promised)
        return losses

    def bounds(self, needs: Amounts, priority: int, rows: Chosen, losses: Losses) -> Losses:
        """What rows lose at least, whatever filters say beside amounts.

        No victims make room whose highest priority is lower than amounts alone need it to be; but where a budget may
        spare less important pods, or amounts need no victim at all, it may be anybody.
        """
        roster = self._roster
        slots = int(roster.count[rows].max(initial=0))
        priorities, starts = pick(roster.priority[:slots], rows), pick(roster.start[:slots], rows)
        removable = priorities < priority
        anybody = losses.count[rows] == 0
        protected = roster.protected(priority)
        if protected is not None:
            anybody |= pick(protected, rows).any(axis=0)
        found = Losses.none(rows.size)
        found.highest[:] = np.where(anybody, roster.lowest[rows], losses.highest[rows])
        found.count[:] = self._fewest(needs, rows, removable)
        found.total[:] = found.highest + OFFSET + (found.count - 1) * (roster.lowest[rows] + OFFSET)
        found.start[:] = np.where(priorities == found.highest, starts, -np.inf).max(axis=0, initial=-np.inf)
        return found

    def _fewest(self, needs: Amounts, rows: Chosen, removable: Mask) -> Numbers:
        """How many of the removable pods must go at least, for each row: as if all were as large as the largest."""
        columns, slots = self._columns, len(removable)
        largest = np.zeros((len(columns.resources), rows.size))
        for slot in range(slots):
            np.maximum(largest, pick(self._roster.amounts[slot], rows), out=largest, where=removable[slot])
        lacking = pick(columns.requested, rows) + needs - pick(columns.allocatable, rows)
        fewest: Numbers = np.ceil(np.maximum(lacking, 0) / np.maximum(largest, 1)).max(axis=0)
        return np.maximum(fewest, 1)

    def bare(self, priority: int, rows: Chosen) -> Amounts:
        """What is requested on rows by those who cannot be removed, of each resource."""
        roster = self._roster
        roster.renew()
        slots = int(roster.count[rows].max(initial=0))
        removable = pick(roster.priority[:slots], rows) < priority
        resources = len(self._columns.requested)
        gone: Amounts = (pick(roster.amounts[:slots, :resources], rows) * removable[:, np.newaxis]).sum(axis=0)
        return pick(self._columns.requested, rows) - gone

    def lost(self, needs: Amounts, priority: int, row: int, promised: Amounts) -> tuple[list[int], int]:
        """The slots of the pods that a row would lose, and how many of them violate a budget."""
        losses, lost = self._spared(needs, priority, np.array([row]), promised)
        return np.flatnonzero(lost[:, 0]).tolist(), int(losses.violations[0])

    def _spared(self, needs: Amounts, priority: int, rows: Rows, promised: Amounts) -> tuple[Losses, Mask]:
        columns, roster = self._columns, self._roster
        slots = int(roster.count[rows].max(initial=0))
        priorities, amounts = pick(roster.priority[:slots], rows), pick(roster.amounts[:slots], rows)
        removable = priorities < priority
        # What does not matter is needed by minus infinity: there is always enough of it.
        free = pick(columns.allocatable, rows) - pick(columns.requested, rows) - promised - needs
        for slot in range(slots):
            np.add(free, amounts[slot], out=free, where=removable[slot])
        losses = Losses.none(free.shape[1])
        losses.fits[:] = (free >= 0).all(axis=0)
        lost = np.zeros_like(removable)
        protected = roster.protected(priority)
        if protected is None:
            self._spare(free, amounts, removable, lost)
        else:
            violating = pick(protected[:slots], rows) & removable
            self._spare(free, amounts, violating, lost)
            losses.violations[:] = lost.sum(axis=0)
            self._spare(free, amounts, removable & ~violating, lost)
        self._sum_up(losses, lost, priorities, pick(roster.start[:slots], rows))
        return losses, lost

    @staticmethod
    def _spare(free: Amounts, amounts: Amounts, candidates: Mask, lost: Mask) -> None:
        """Bring candidates back slot by slot where there is room; the others are lost."""
        for slot in range(len(candidates)):
            candidate = candidates[slot]
            if not candidate.any():
                continue
            after = free - amounts[slot]
            stays = (after >= 0).all(axis=0) & candidate
            np.copyto(free, after, where=stays)
            np.logical_and(candidate, ~stays, out=lost[slot], where=candidate)

    @staticmethod
    def _sum_up(losses: Losses, lost: Mask, priorities: Numbers, starts: Numbers) -> None:
        if not len(lost):
            return
        losses.count[:] = lost.sum(axis=0)
        found = np.where(lost, priorities, -np.inf)
        losses.highest[:] = found.max(axis=0)
        losses.total[:] = np.where(lost, priorities + OFFSET, 0.0).sum(axis=0)
        losses.start[:] = np.where(lost & (priorities == losses.highest), starts, LATER).min(axis=0)


def _union(some: Rows, others: Rows) -> Rows:
    if isinstance(some, slice) or isinstance(others, slice):
        return ALL
    return np.union1d(some, others) if others.size else some
