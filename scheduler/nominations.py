"""Pods that are promised a node: they take nothing of it yet, but pods of no higher priority must leave them room.

A promise is made by preemption, or by somebody who writes `status.nominatedNodeName`. It holds for the name of a node,
whether there is such a node or not, and ends when its pod is placed or gone. Decisions ask for it by row: how many pods
of at least some priority are promised each node, and what they request (`Ahead`). Such columns are made for the few
priorities that are asked for, and kept in step.

Source: Kubernetes documentation, "Pod Priority and Preemption: nominated node"; kube-scheduler's nominator.
"""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .change import NOWHERE, Change
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
    order: int
    """Lower was promised earlier."""


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
        self._order = itertools.count()
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
        before = self.withdraw(pod.uid)
        order = before.order if before is not None and before.node == node else next(self._order)
        found = self._pods[pod.uid] = Nominated(pod, shape, node, order)
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
        """The pods that are promised the node of a row, and that a pod must leave room for.

        Among equals who are promised the same node, only earlier ones go first: who was promised it later has made room
        for both, and would otherwise keep the others from what is free already.
        """
        priority, node = pod.spec.priority, self._columns.names[row]
        own = self._pods.get(pod.uid)
        last = own.order if own is not None and own.node == node else math.inf
        return [
            found
            for uid, found in self.on(node).items()
            if (theirs := found.pod.spec.priority) >= priority
            and uid != pod.uid
            and (theirs > priority or found.order < last)
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
        """Where among the rows a pod must leave room for others, and how much of each resource there."""
        ahead = self.ahead(pod.spec.priority)
        places = np.flatnonzero(ahead.count[candidates])
        amounts = pick(ahead.amounts, candidates[places])
        own = self._pods.get(pod.uid)
        if own is None:
            return places, amounts
        mine = np.flatnonzero(candidates[places] == self._columns.rows.get(own.node, NOWHERE))
        if mine.size:
            row = int(candidates[places[mine[0]]])
            if not self.before(pod, row):
                return np.delete(places, mine), np.delete(amounts, mine, axis=1)
            amounts[:, mine] = self.promised(pod, row)
        return places, amounts

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
