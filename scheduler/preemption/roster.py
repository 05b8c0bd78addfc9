"""The pods of each node, the most important first, as columns: what preemption reckons with.

More important is who has the higher priority, then who started earlier; who has not started yet comes last of those.
The lists are made when preemption first asks for them, and made anew for the rows where something changed. The pods
that a preemptor may remove are the tail of each list, so that one roster serves preemptors of all priorities; only
which of them budgets protect differs.

Source: kube-scheduler's MoreImportantPod.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..change import Change
from ..columns import Columns, Placed
from ..journal import Journal
from ..labels import Mask
from ..view import Node, Pod
from .budgets import Budgets

Numbers = npt.NDArray[np.float64]

#: For slots without a pod: nobody is less important.
NOBODY = float("inf")
#: When pods start that have not started.
LATER = float("inf")
#: Priorities for which it is remembered whom budgets protect.
REMEMBERED = 4
#: Kinds of requests, as arrays.
KINDS = 4096


@lru_cache(maxsize=4096)
def started(text: str) -> float:
    """When a pod started, in seconds; later than all others if it has not."""
    return datetime.fromisoformat(text).timestamp() if text else LATER


def importance(pod: Pod) -> tuple[float, float, str]:
    """Sorts the most important first; what is left to chance elsewhere, the UID decides here."""
    return -pod.spec.priority, started(pod.status.start_time), pod.uid


class Priorities:
    """How many placed pods have which priority: tells cheaply that there is nobody to remove."""

    def __init__(self) -> None:
        self._count: dict[int, int] = {}

    def lower_than(self, priority: int) -> bool:
        """Whether there is any pod of a lower priority."""
        return any(found < priority for found in self._count)

    def set_node(self, row: int, node: Node | None) -> Change:
        """Nodes do not matter."""
        return Change.NOTHING

    def account(self, placed: Placed, sign: int) -> None:
        """A pod came or went."""
        priority = placed.pod.spec.priority
        count = self._count.get(priority, 0) + sign
        if count:
            self._count[priority] = count
        else:
            del self._count[priority]

    def grow(self, capacity: int) -> None:
        """Rows do not matter."""


class Protected:
    """Whom budgets protect from preemptors of one priority, by slot and row."""

    def __init__(self) -> None:
        self.mask: Mask = np.zeros((0, 0), dtype=np.bool_)
        self.stale: set[int] | None = None
        """The rows where it must be seen anew; None stands for all."""


class Roster:
    """Columns of pods by slot and row; `changes` notes rows whose list, amounts or protection changed."""

    def __init__(self, columns: Columns, budgets: Budgets) -> None:
        self._columns = columns
        self._budgets = budgets
        budgets.stale = self._unprotect
        self._dirty: set[int] = set()
        self._known: dict[tuple[tuple[str, int], ...], Numbers] = {}
        self._protected: OrderedDict[int, Protected] = OrderedDict()
        self.changes = Journal()
        self.pods: list[list[Placed]] = []
        self.count: npt.NDArray[np.intp] = np.zeros(0, dtype=np.intp)
        self.lowest: Numbers = np.zeros(0)
        """The lowest priority on each row."""
        self.priority: Numbers = np.zeros((0, 0))
        self.start: Numbers = np.zeros((0, 0))
        self.amounts: Numbers = np.zeros((0, 0, 0))
        """By slot, resource and row."""

    def set_node(self, row: int, node: Node | None) -> Change:
        """What a node has may be otherwise now."""
        self._dirty.add(row)
        return Change.NOTHING

    def account(self, placed: Placed, sign: int) -> None:
        """A pod came or went."""
        self._dirty.add(placed.row)

    def observe(self, before: Placed, now: Placed) -> None:
        """There is another object for a pod: it may have started, or have other labels."""
        self._dirty.add(now.row)

    def grow(self, capacity: int) -> None:
        """Make room for more rows."""
        more = capacity - len(self.pods)
        self.pods += [[] for _ in range(more)]
        self.count = np.pad(self.count, (0, more))
        self.lowest = np.pad(self.lowest, (0, more), constant_values=NOBODY)
        self.priority = np.pad(self.priority, ((0, 0), (0, more)), constant_values=NOBODY)
        self.start = np.pad(self.start, ((0, 0), (0, more)))
        self.amounts = np.pad(self.amounts, ((0, 0), (0, 0), (0, more)))
        self._protected.clear()
        self.changes.reset()

    def renew(self) -> None:
        """Bring the lists up to date."""
        resources = len(self._columns.resources)
        if resources > self.amounts.shape[1]:
            self.amounts = np.pad(self.amounts, ((0, 0), (0, resources - self.amounts.shape[1]), (0, 0)))
            self._known.clear()
        for row in self._dirty:
            self._list(row)
            self.changes.mark(row)
        for protected in self._protected.values():
            if protected.stale is not None:
                protected.stale |= self._dirty
        self._dirty.clear()

    def victims(self, row: int, priority: int) -> list[Placed]:
        """The pods of a row that a preemptor may remove, the most important first."""
        return [placed for placed in self.pods[row] if placed.pod.spec.priority < priority]

    def protected(self, priority: int) -> Mask | None:
        """By slot and row, whose loss would violate a budget; None if nobody's would."""
        if not self._budgets:
            return None
        found = self._protected.get(priority)
        if found is None:
            found = self._protected[priority] = Protected()
            if len(self._protected) > REMEMBERED:
                self._protected.popitem(last=False)
        self._protected.move_to_end(priority)
        if found.mask.shape != self.priority.shape:
            found.mask, found.stale = np.zeros(self.priority.shape, dtype=np.bool_), None
        for row in range(self._columns.capacity) if found.stale is None else found.stale:
            found.mask[:, row] = False
            if victims := self.victims(row, priority):
                kept = len(self.pods[row]) - len(victims)
                found.mask[kept : len(self.pods[row]), row] = self._budgets.violated(victims)
        found.stale = set()
        return found.mask if found.mask.any() else None

    def _list(self, row: int) -> None:
        listed = [
            (-placed.pod.spec.priority, started(placed.pod.status.start_time), uid, placed)  # as `importance`
            for uid, placed in self._columns.pods_on(row).items()
        ]
        listed.sort()  # no two UIDs are equal, so that nothing behind them is compared
        count = self.count[row] = len(listed)
        if count > len(self.priority):
            self._add_slots(count)
        self.pods[row] = [entry[3] for entry in listed]
        self.lowest[row] = -listed[-1][0] if listed else NOBODY
        self.priority[:count, row] = [-entry[0] for entry in listed]
        self.priority[count:, row] = NOBODY
        self.start[:count, row] = [entry[1] for entry in listed]
        if listed:
            self.amounts[:count, :, row] = [self._amounts_of(entry[3].shape.requests) for entry in listed]
        self.amounts[count:, :, row] = 0

    def _amounts_of(self, requests: tuple[tuple[str, int], ...]) -> Numbers:
        """Requests as a number for each resource; the same for pods alike."""
        found = self._known.get(requests)
        if found is None:
            if len(self._known) >= KINDS:
                self._known.clear()
            found = self._known[requests] = np.zeros(self.amounts.shape[1])
            for name, amount in requests:
                found[self._columns.resources[name]] = amount
        return found

    def _add_slots(self, slots: int) -> None:
        more = max(slots, len(self.priority) + len(self.priority) // 4 + 4) - len(self.priority)
        self.priority = np.pad(self.priority, ((0, more), (0, 0)), constant_values=NOBODY)
        self.start = np.pad(self.start, ((0, more), (0, 0)))
        self.amounts = np.pad(self.amounts, ((0, more), (0, 0), (0, 0)))

    def _unprotect(self, rows: Iterable[int] | None) -> None:
        for protected in self._protected.values():
            protected.stale = None if rows is None or protected.stale is None else protected.stale | set(rows)
        if rows is None:
            self.changes.reset()
        else:
            for row in rows:
                self.changes.mark(row)
