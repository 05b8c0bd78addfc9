"""Pods that are promised a node: they take nothing of it yet, but pods of no higher priority must leave them room.

A promise is made by preemption, or by somebody who writes `status.nominatedNodeName`. It holds for the name of a node,
whether there is such a node or not, and ends when its pod is placed or gone. Decisions ask for it by row: how many pods
of at least some priority are promised each node, and what they request (`Ahead`). Such columns are made for the few
priorities that are asked for, and kept in step.

Source: Kubernetes documentation, "Pod Priority and Preemption: nominated node"; kube-scheduler's nominator.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .change import Change
from .journal import Journal, pick
from .shape import Shape
from .view import Node, Pod

if TYPE_CHECKING:
    from .columns import Amounts, Columns, Placed

Chosen = npt.NDArray[np.intp]

#: Priorities whose columns are kept.
REMEMBERED = 8


@dataclass(frozen=True, slots=True)
class Nominated:
    """A pod, and the name of the node that it is promised."""

    pod: Pod
    shape: Shape
    node: str


@dataclass(frozen=True, slots=True)
class Ahead:
    """What pods of at least some priority are promised, by row."""

    count: npt.NDArray[np.int64]
    amounts: Amounts

    def account(self, row: int, shape: Shape, resources: Mapping[str, int], sign: int) -> None:
        """A pod is promised the node of a row (1), or not any more (-1)."""
        self.count[row] += sign
        for name, amount in shape.requests:
            index = resources.get(name, len(self.amounts))
            if index < len(self.amounts):  # else a resource that no node has
                self.amounts[index, row] += sign * amount


class Nominations:
    """All promises. `changes` notes rows where they changed."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._pods: dict[str, Nominated] = {}
        self._on: dict[str, dict[str, Nominated]] = {}
        self._ahead: OrderedDict[int, Ahead] = OrderedDict()
        self.changes = Journal()

    def __len__(self) -> int:
        return len(self._pods)

    def get(self, uid: str) -> Nominated | None:
        """What a pod is promised."""
        return self._pods.get(uid)

    def on(self, node: str) -> Mapping[str, Nominated]:
        """The pods that are promised a node, by UID: to be read, and at once."""
        return self._on.get(node, {})

    def put(self, pod: Pod, shape: Shape, node: str) -> None:
        """Promise a node to a pod, in the place of any other; also brings the pod up to date."""
        self.withdraw(pod.uid)
        found = self._pods[pod.uid] = Nominated(pod, shape, node)
        self._on.setdefault(node, {})[pod.uid] = found
        self._account(found, 1)

    def withdraw(self, uid: str) -> Nominated | None:
        """End a promise; what it was."""
        found = self._pods.pop(uid, None)
        if found is not None:
            self._account(found, -1)
            others = self._on[found.node]
            del others[uid]
            if not others:
                del self._on[found.node]
        return found

    def before(self, pod: Pod, row: int) -> list[Nominated]:
        """The pods that are promised the node of a row, and that a pod must leave room for."""
        priority = pod.spec.priority
        return [
            found
            for uid, found in self.on(self._columns.names[row]).items()
            if uid != pod.uid and found.pod.spec.priority >= priority
        ]

    def promised(self, pod: Pod, row: int) -> Amounts:
        """How much of each resource of a row's node a pod must leave to others, as one column."""
        found: Amounts = np.zeros((len(self._columns.requested), 1))
        resources = self._columns.resources
        for nominated in self.before(pod, row) if self._pods else ():
            for name, amount in nominated.shape.requests:
                if name in resources:
                    found[resources[name]] += amount
        return found

    def ahead(self, priority: int) -> Ahead:
        """What pods of at least this priority are promised. The arrays are the columns themselves: to be read."""
        found = self._ahead.get(priority)
        if found is None or found.amounts.shape != self._columns.requested.shape:
            found = self._ahead[priority] = self._reckoned(priority)
            if len(self._ahead) > REMEMBERED:
                self._ahead.popitem(last=False)
        self._ahead.move_to_end(priority)
        return found

    def yielded(self, pod: Pod, candidates: Chosen) -> tuple[Chosen, Amounts]:
        """Those of the rows where a pod must leave room for others, and how much of each resource."""
        ahead = self.ahead(pod.spec.priority)
        rows = candidates[ahead.count[candidates] > 0]
        amounts = pick(ahead.amounts, rows)
        own = self._pods.get(pod.uid)
        if own is None or own.pod.spec.priority < pod.spec.priority:
            return rows, amounts
        mine = np.flatnonzero(rows == self._columns.rows.get(own.node, -1))
        if mine.size:
            for name, amount in own.shape.requests:
                if (index := self._columns.resources.get(name)) is not None:
                    amounts[index, mine] -= amount
            if ahead.count[rows[mine[0]]] == 1:
                return np.delete(rows, mine), np.delete(amounts, mine, axis=1)
        return rows, amounts

    def set_node(self, row: int, node: Node | None) -> Change:
        """A row got a node, or lost it."""
        if node is not None and node.name not in self._on and not any(a.count[row] for a in self._ahead.values()):
            return Change.NOTHING
        for priority, ahead in self._ahead.items():
            ahead.count[row] = 0
            ahead.amounts[:, row] = 0
            for found in self.on(node.name).values() if node is not None else ():
                if found.pod.spec.priority >= priority:
                    ahead.account(row, found.shape, self._columns.resources, 1)
        self.changes.mark(row)
        return Change.NOTHING

    def account(self, placed: Placed, sign: int) -> None:
        """Promises are not placed."""

    def grow(self, capacity: int) -> None:
        """The columns are made anew when they are asked for."""
        self._ahead.clear()
        self.changes.reset()

    def _account(self, found: Nominated, sign: int) -> None:
        row = self._columns.rows.get(found.node)
        if row is None or not self._columns.live[row]:
            return
        for priority, ahead in self._ahead.items():
            if found.pod.spec.priority >= priority:
                ahead.account(row, found.shape, self._columns.resources, sign)
        self.changes.mark(row)

    def _reckoned(self, priority: int) -> Ahead:
        columns = self._columns
        ahead = Ahead(np.zeros(columns.capacity, dtype=np.int64), np.zeros_like(columns.requested))
        for found in self._pods.values():
            row = columns.rows.get(found.node)
            if row is not None and columns.live[row] and found.pod.spec.priority >= priority:
                ahead.account(row, found.shape, columns.resources, 1)
        return ahead
