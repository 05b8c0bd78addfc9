"""The state of all nodes as columns: what a node has, what is taken of it, and what is said of it, by row.

Every filter and score works on whole columns. The columns follow the informers (`set_node`, `place`, `remove`) and the
scheduler's own assumptions, one row at a time, and note the row in a journal, so that what was worked out for a shape
of pod is renewed for changed rows only.

Invariants: `requested[:, row]` is the sum over the pods placed there; a row without a node (`live` false) stays as long
as pods are placed on it, for nodes and their pods may be seen in either order. Amounts are whole numbers kept as
float64, which is exact up to 2**53 and what numpy compares and divides fastest.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, auto

import numpy as np
import numpy.typing as npt

from .journal import Journal
from .labels import LabelColumns, Mask
from .peers import Kind, PeerColumns
from .ports import PortColumns
from .shape import CPU, MEMORY, PODS, Shape, amounts_of
from .taints import TaintColumn, TaintSet
from .view import Node

Amounts = npt.NDArray[np.float64]


class Change(Flag):
    """What happened in the cluster that could let a rejected pod fit."""

    NOTHING = 0
    NODE_ADDED = auto()
    NODE_ALLOCATABLE = auto()
    NODE_LABELS = auto()
    NODE_TAINTS = auto()
    """Taints, or the mark `unschedulable`."""
    POD_REMOVED = auto()
    """A pod left its node, or ended."""
    PEERS = auto()
    """A pod was put on a node, or counts as another kind of pod than before."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What a pod takes of a row."""

    row: int
    shape: Shape
    kind: Kind | None


#: Stands for every resource that no node has: a row that is always empty.
UNKNOWN = ""


class Columns:
    """All nodes. `static` notes rows whose node changed, `usage` rows whose pods changed."""

    def __init__(self, capacity: int = 64) -> None:
        self.capacity = capacity
        self.names: list[str] = [""] * capacity
        self.rows: dict[str, int] = {}
        self.resources = {CPU: 0, MEMORY: 1, PODS: 2, UNKNOWN: 3}
        self.allocatable: Amounts = np.zeros((4, capacity))
        self.requested: Amounts = np.zeros((4, capacity))
        self.scored: Amounts = np.zeros((2, capacity))
        """Cpu and memory requested, with assumed amounts for containers that name none: what scores go by."""
        self.divisor: Amounts = np.ones((2, capacity))
        """Allocatable cpu and memory, 1 where there is none: what shares are computed with."""
        self.has: Amounts = np.zeros((2, capacity))
        """1 where there is cpu, and where there is memory."""
        self.live: Mask = np.zeros(capacity, dtype=np.bool_)
        self.unschedulable: Mask = np.zeros(capacity, dtype=np.bool_)
        self.labels = LabelColumns(capacity)
        self.taints = TaintColumn(capacity)
        self.ports = PortColumns()
        self.peers = PeerColumns(capacity)
        self.static = Journal()
        self.usage = Journal()
        self._needs: dict[tuple[tuple[str, int], ...], Amounts] = {}
        self._placed: dict[str, Placed] = {}
        self._count = [0] * capacity
        self._free = list(range(capacity - 1, -1, -1))

    @property
    def node_count(self) -> int:
        """How many nodes there are."""
        return int(np.count_nonzero(self.live))

    def has_node(self, name: str) -> bool:
        """Whether there is such a node."""
        row = self.rows.get(name)
        return row is not None and bool(self.live[row])

    def node_of(self, uid: str) -> str | None:
        """The node that a pod is placed on."""
        placed = self._placed.get(uid)
        return self.names[placed.row] if placed else None

    def needs(self, requests: tuple[tuple[str, int], ...]) -> Amounts:
        """Requests as one number for each resource row, minus infinity where nothing is requested."""
        found = self._needs.get(requests)
        if found is None:
            if len(self._needs) > 1024:
                self._needs.clear()
            found = self._needs[requests] = np.full((len(self.resources), 1), -np.inf)
            for name, amount in requests:
                index = self.resources.get(name, self.resources[UNKNOWN])
                found[index, 0] = max(found[index, 0], amount)
        return found

    def set_node(self, node: Node) -> Change:
        """Add a node or bring it up to date; what changed of it."""
        row = self._row(node.name)
        change = Change.NOTHING
        if not self.live[row]:
            self.live[row] = True
            change |= Change.NODE_ADDED
        if self._set_allocatable(row, amounts_of(node.status.allocatable)):
            change |= Change.NODE_ALLOCATABLE
        if self.labels.set(row, node.metadata.labels):
            change |= Change.NODE_LABELS
        taints: TaintSet = tuple((taint.key, taint.value, taint.effect) for taint in node.spec.taints)
        if self.taints.set(row, taints) or self.unschedulable[row] != node.spec.unschedulable:
            self.unschedulable[row] = node.spec.unschedulable
            change |= Change.NODE_TAINTS
        if change:
            self.static.mark(row)
        return change

    def remove_node(self, name: str) -> None:
        """The node is gone; its pods stay accounted until they go too."""
        row = self.rows.get(name)
        if row is None:
            return
        self.live[row] = False
        self.unschedulable[row] = False
        self._set_allocatable(row, {})
        self.labels.set(row, {})
        self.taints.set(row, ())
        self.static.mark(row)
        self._release(row)

    def place(self, uid: str, shape: Shape, node: str, *, kind: Kind | None = None) -> Change:
        """A pod is, or is assumed to be, on a node; what that may change for others.

        `kind` is what it counts as for those that spread; None if it does not count.
        """
        before = self._placed.get(uid)
        if before is not None:
            if self.names[before.row] == node and before.shape.requests == shape.requests:
                return self._relabel(uid, before, kind)
            self.remove(uid)
        row = self._row(node)
        self._placed[uid] = Placed(row, shape, kind)
        self._count[row] += 1
        self._account(row, shape, 1)
        if kind is not None:
            self.peers.account(row, kind, 1)
        return Change.PEERS if before is None else Change.PEERS | Change.POD_REMOVED

    def remove(self, uid: str) -> bool:
        """A pod is on no node any more; whether it was on one."""
        placed = self._placed.pop(uid, None)
        if placed is None:
            return False
        self._count[placed.row] -= 1
        self._account(placed.row, placed.shape, -1)
        if placed.kind is not None:
            self.peers.account(placed.row, placed.kind, -1)
        self._release(placed.row)
        return True

    def _relabel(self, uid: str, placed: Placed, kind: Kind | None) -> Change:
        if placed.kind == kind:
            return Change.NOTHING
        if placed.kind is not None:
            self.peers.account(placed.row, placed.kind, -1)
        if kind is not None:
            self.peers.account(placed.row, kind, 1)
        self._placed[uid] = Placed(placed.row, placed.shape, kind)
        self.usage.mark(placed.row)
        return Change.PEERS

    def _account(self, row: int, shape: Shape, sign: int) -> None:
        for name, amount in shape.requests:
            self.requested[self._index(name), row] += sign * amount
        self.scored[0, row] += sign * shape.scored[0]
        self.scored[1, row] += sign * shape.scored[1]
        if shape.ports:
            self.ports.account(row, shape.ports, sign)
        self.usage.mark(row)

    def _set_allocatable(self, row: int, amounts: dict[str, int]) -> bool:
        for name in amounts:
            self._index(name)
        wanted = np.zeros(len(self.resources))
        for name, amount in amounts.items():
            wanted[self._index(name)] = amount
        if np.array_equal(self.allocatable[:, row], wanted):
            return False
        self.allocatable[:, row] = wanted
        self.divisor[:, row] = np.maximum(wanted[:2], 1)
        self.has[:, row] = wanted[:2] > 0
        return True

    def _index(self, name: str) -> int:
        """The row of a resource, made if it is new."""
        index = self.resources.get(name)
        if index is None:
            index = self.resources[name] = len(self.resources)
            self.allocatable = np.pad(self.allocatable, ((0, 1), (0, 0)))
            self.requested = np.pad(self.requested, ((0, 1), (0, 0)))
            self._needs.clear()
        return index

    def _row(self, name: str) -> int:
        row = self.rows.get(name)
        if row is None:
            if not self._free:
                self._grow()
            row = self.rows[name] = self._free.pop()
            self.names[row] = name
        return row

    def _release(self, row: int) -> None:
        if not self._count[row] and not self.live[row] and self.names[row]:
            del self.rows[self.names[row]]
            self.names[row] = ""
            self._free.append(row)

    def _grow(self) -> None:
        """A quarter more rows: every operation costs by the row, also by the empty one."""
        before, more = self.capacity, self.capacity // 4 + 64
        self.capacity += more
        self.names += [""] * more
        self._count += [0] * more
        self._free = list(range(self.capacity - 1, before - 1, -1))
        self.allocatable = np.pad(self.allocatable, ((0, 0), (0, more)))
        self.requested = np.pad(self.requested, ((0, 0), (0, more)))
        self.scored = np.pad(self.scored, ((0, 0), (0, more)))
        self.divisor = np.pad(self.divisor, ((0, 0), (0, more)), constant_values=1)
        self.has = np.pad(self.has, ((0, 0), (0, more)))
        self.live = np.pad(self.live, (0, more))
        self.unschedulable = np.pad(self.unschedulable, (0, more))
        self.labels.grow(self.capacity)
        self.taints.grow(self.capacity)
        self.peers.grow(self.capacity)
        self.static.reset()
        self.usage.reset()
