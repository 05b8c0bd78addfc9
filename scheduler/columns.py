"""The state of all nodes as columns: what a node has, what is taken of it, and what is said of it, by row.

Every filter and score works on whole columns. The columns follow the informers (`set_node`, `place`, `remove`) and the
scheduler's own assumptions, one row at a time, and note the row in a journal, so that what was worked out for a shape
of pod is renewed for changed rows only.

Invariants: `requested[:, row]` is the sum over the pods placed there; a row without a node (`live` false) stays as long
as pods are placed on it, for nodes and their pods may be seen in either order. Amounts are whole numbers kept as
float64, which is exact up to 2**53 and what numpy compares and divides fastest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast, runtime_checkable

import numpy as np
import numpy.typing as npt

from .change import NOWHERE, Change, Event
from .groups import Kind
from .guarded import Guarded, guarded
from .journal import Journal
from .labels import LabelColumns, Mask
from .nominations import Nominations
from .peers import PeerColumns, kind_of
from .ports import PortColumns
from .requests import CPU, MEMORY, PODS, VAST, amounts_of
from .shape import Shape
from .taints import TaintColumn, TaintSet
from .view import Node, Pod

Amounts = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Placed:
    """A pod that is, or is assumed to be, on the node of a row; `kind` is what it counts as for other pods."""

    row: int
    pod: Pod
    shape: Shape
    kind: Kind


class Column(Protocol):
    """What a plugin knows by row and keeps in step with nodes and pods; made by `Columns.of`."""

    def set_node(self, row: int, node: Node | None) -> Change:
        """The node of a row came or changed, or is gone; what of it that is kept here changed."""
        ...

    def account(self, placed: Placed, sign: int) -> None:
        """A pod comes (1) or goes (-1)."""
        ...

    def grow(self, capacity: int) -> None:
        """There are that many rows now; also called once at first."""
        ...


@runtime_checkable
class Observer(Protocol):
    """A `Column` that also goes by what changes of a pod while it stays where it is and takes what it took."""

    def observe(self, before: Placed, now: Placed) -> None:
        """There is another object for a pod."""
        ...


C = TypeVar("C", bound=Column)


#: Stands for every resource that no node has: a row that is always empty.
UNKNOWN = ""


class Columns:
    """All nodes. `static` notes rows whose node changed, `usage` rows whose pods changed."""

    def __init__(self, capacity: int = 64) -> None:
        self.capacity = capacity
        self.names: list[str] = [""] * capacity
        self.nodes: list[Node | None] = [None] * capacity
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
        self.vast = False
        """Whether some node has, or had, so much of something that a hundred times as much is not exact."""
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
        self._on: list[dict[str, Placed]] = [{} for _ in range(capacity)]
        self.nominations = Nominations(self)
        self._followers: dict[type[Column], Column] = {Nominations: self.nominations}
        self._observers: list[Observer] = []
        self._free = list(range(capacity - 1, -1, -1))

    @property
    def node_count(self) -> int:
        """How many nodes there are."""
        return int(np.count_nonzero(self.live))

    @property
    def pod_count(self) -> int:
        """How many pods are placed."""
        return len(self._placed)

    def has_node(self, name: str) -> bool:
        """Whether there is such a node."""
        row = self.rows.get(name)
        return row is not None and bool(self.live[row])

    def node_of(self, uid: str) -> str | None:
        """The node that a pod is placed on."""
        placed = self._placed.get(uid)
        return self.names[placed.row] if placed else None

    def pods_on(self, row: int) -> Mapping[str, Placed]:
        """The pods of a row, by UID: to be read, and at once."""
        return self._on[row]

    def placed(self, uid: str) -> Placed | None:
        """Where a pod is, and what it takes there."""
        return self._placed.get(uid)

    def of(self, column: type[C], make: Callable[[], C] | None = None) -> C:
        """The one column of its kind, made (by `make`, if given) when it is first asked for and then kept in step."""
        found = self._followers.get(column)
        if found is None:
            found = self._followers[column] = guarded(make() if make else column())
            found.grow(self.capacity)
            for row, node in enumerate(self.nodes):
                if node is not None:
                    found.set_node(row, node)
            for placed in self._placed.values():
                found.account(placed, 1)
            observer: object = found
            if isinstance(observer, Observer):
                self._observers.append(observer)
        return cast(C, found.inner if isinstance(found, Guarded) else found)

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

    def set_node(self, node: Node) -> Event:
        """Add a node or bring it up to date; what changed of it."""
        row = self._row(node.name)
        before, self.nodes[row] = self.nodes[row], node
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
        for follower in self._followers.values():
            change |= follower.set_node(row, node)
        if change:
            self.static.mark(row)
        return Event(change, row, before, node)

    def remove_node(self, name: str) -> Event:
        """The node is gone; its pods stay accounted until they go too."""
        row = self.rows.get(name, NOWHERE)
        if row == NOWHERE or not self.live[row]:
            return Event(Change.NOTHING)
        before, self.nodes[row] = self.nodes[row], None
        self.live[row] = False
        self.unschedulable[row] = False
        self._set_allocatable(row, {})
        self.labels.set(row, {})
        self.taints.set(row, ())
        for follower in self._followers.values():
            follower.set_node(row, None)
        self.static.mark(row)
        self._release(row)
        return Event(Change.NODE_REMOVED, old=before)

    def place(self, pod: Pod, shape: Shape, node: str) -> Event:
        """A pod is, or is assumed to be, on a node; what that may change for others."""
        before, kind = self._placed.get(pod.uid), kind_of(pod)
        if before is not None:
            if self.names[before.row] == node and before.shape.taken == shape.taken:
                return self._relabel(before, Placed(before.row, pod, shape, kind))
            self._take_away(before)
        row = self._row(node)
        self._put(Placed(row, pod, shape, kind))
        if before is None:
            return Event(Change.PEERS, row, None, pod)
        self._release(before.row)
        # A pod that moved concerns two rows, of which an event could name only one.
        return Event(Change.PEERS | Change.POD_REMOVED, row if row == before.row else NOWHERE, before.pod, pod)

    def remove(self, uid: str) -> Event:
        """A pod is on no node any more."""
        placed = self._placed.get(uid)
        if placed is None:
            return Event(Change.NOTHING)
        self._take_away(placed)
        self._release(placed.row)
        return Event(Change.POD_REMOVED, placed.row, placed.pod, None)

    def _put(self, placed: Placed) -> None:
        self._placed[placed.pod.uid] = self._on[placed.row][placed.pod.uid] = placed
        self._account(placed.row, placed.shape, 1)
        self.peers.account(placed.row, placed.kind, 1)
        for follower in self._followers.values():
            follower.account(placed, 1)

    def _take_away(self, placed: Placed) -> None:
        del self._placed[placed.pod.uid], self._on[placed.row][placed.pod.uid]
        self._account(placed.row, placed.shape, -1)
        if placed.shape.vast:
            self._recount(placed.row)
        self.peers.account(placed.row, placed.kind, -1)
        for follower in self._followers.values():
            follower.account(placed, -1)

    def _relabel(self, before: Placed, now: Placed) -> Event:
        """The same place and needs; another object, and maybe another kind."""
        self._placed[now.pod.uid] = self._on[now.row][now.pod.uid] = now
        for observer in self._observers:
            observer.observe(before, now)
        if before.kind == now.kind:
            return Event(Change.NOTHING)
        self.peers.account(before.row, before.kind, -1)
        self.peers.account(now.row, now.kind, 1)
        self.usage.mark(now.row)
        return Event(Change.PEERS, now.row, before.pod, now.pod)

    def _account(self, row: int, shape: Shape, sign: int) -> None:
        for name, amount in shape.requests:
            index = self._index(name)  # first: it may make a new array
            self.requested[index, row] += sign * amount
        self.scored[0, row] += sign * shape.held[0]
        self.scored[1, row] += sign * shape.held[1]
        if shape.ports:
            self.ports.account(row, shape.ports, sign)
        self.usage.mark(row)

    def _recount(self, row: int) -> None:
        """Add up the pods of a row anew: what is far too large leaves nothing exact behind that it was added to."""
        self.requested[:, row] = self.scored[:, row] = 0
        for placed in self._on[row].values():
            for name, amount in placed.shape.requests:
                self.requested[self.resources[name], row] += amount
            self.scored[:, row] += placed.shape.held

    def _set_allocatable(self, row: int, amounts: dict[str, int]) -> bool:
        for name in amounts:
            self._index(name)
        wanted = np.zeros(len(self.resources))
        for name, amount in amounts.items():
            wanted[self._index(name)] = amount
        if np.array_equal(self.allocatable[:, row], wanted):
            return False
        self.allocatable[:, row] = wanted
        self.vast = self.vast or bool(wanted.max() > VAST)
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
        if not self._on[row] and not self.live[row] and self.names[row]:
            del self.rows[self.names[row]]
            self.names[row] = ""
            self._free.append(row)

    def _grow(self) -> None:
        """A quarter more rows: every operation costs by the row, also by the empty one."""
        before, more = self.capacity, self.capacity // 4 + 64
        self.capacity += more
        self.names += [""] * more
        self.nodes += [None] * more
        self._on += [{} for _ in range(more)]
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
        for follower in self._followers.values():
            follower.grow(self.capacity)
        self.static.reset()
        self.usage.reset()
