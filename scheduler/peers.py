"""How many pods of a group run on each node: what spreading goes by.

Pods with the same namespace and labels (and owner) are counted together, by row, whether somebody asks for them or
not; there are about as many such kinds as there are owners. A group is what a selector selects. Its counts are a
column, made from the kinds that it selects when a decision first asks for it, and kept in step afterwards; the columns
of groups that nobody asked for lately are forgotten. An index by label finds the kinds of a group and the groups of a
kind, so that neither a pod nor a group looks at more than what has a label in common with it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from k8slite.selectors import Requirement

from .view import Pod

Counts = npt.NDArray[np.float64]
K = TypeVar("K")

#: Stands among a pod's labels for the UID of its owner; no label can have this name.
OWNER = "@owner"
#: Those whose pods are replicas of each other.
SPREADING_OWNERS = frozenset({"ReplicaSet", "StatefulSet", "ReplicationController"})

#: Groups remembered; each takes 8 bytes a node.
REMEMBERED = 256


class Kind(NamedTuple):
    """What tells pods apart for every selector."""

    namespace: str
    labels: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Group:
    """The pods of a namespace that meet all requirements; without any there are none."""

    namespace: str
    requirements: tuple[Requirement, ...]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether pods with these labels belong to it."""
        return bool(self.requirements) and all(requirement.matches(labels) for requirement in self.requirements)


def owner_of(pod: Pod) -> str:
    """The UID of the owner whose replica the pod is; empty if it is nobody's."""
    owner = pod.metadata.controller
    return owner.uid if owner is not None and owner.kind in SPREADING_OWNERS else ""


def kind_of(pod: Pod) -> Kind | None:
    """What the pod counts as; a pod on its way out counts no more."""
    if pod.deleting:
        return None
    labels = frozenset(pod.metadata.labels.items())
    owner = owner_of(pod)
    return Kind(pod.namespace, labels | {(OWNER, owner)} if owner else labels)


_Pair = tuple[str, str, str]
"""Namespace, key and value of a label; key and value empty for whatever is in the namespace."""


@dataclass(slots=True, eq=False)
class _Selected:
    """A group's column, and where the index has it."""

    counts: Counts
    pair: _Pair


@dataclass(slots=True, eq=False)
class _Counted:
    """How many pods of a kind are on which rows, and the groups that it belongs to."""

    rows: dict[int, int] = field(default_factory=dict)
    groups: list[_Selected] = field(default_factory=list)


class PeerColumns:
    """Counts of pods by row, for groups that are made when they are asked for."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kinds: dict[Kind, _Counted] = {}
        self._kinds_with: dict[_Pair, dict[Kind, None]] = {}
        self._groups: OrderedDict[Group, _Selected] = OrderedDict()
        self._groups_with: dict[_Pair, dict[Group, None]] = {}

    def account(self, row: int, kind: Kind, sign: int) -> None:
        """A pod of this kind comes (1) or goes (-1)."""
        counted = self._kinds.get(kind) or self._add_kind(kind)
        count = counted.rows.get(row, 0) + sign
        for selected in counted.groups:
            selected.counts[row] += sign
        if count:
            counted.rows[row] = count
            return
        del counted.rows[row]
        if not counted.rows:
            del self._kinds[kind]
            for pair in _pairs(kind):
                _discard(self._kinds_with, pair, kind)

    def counts(self, group: Group) -> Counts:
        """How many pods of a group are on each row. The array is the column itself: to be read, and at once."""
        selected = self._groups.get(group)
        if selected is None:
            return self._add_group(group).counts
        self._groups.move_to_end(group)
        return selected.counts

    def grow(self, capacity: int) -> None:
        """Make room for more rows."""
        for selected in self._groups.values():
            selected.counts = np.pad(selected.counts, (0, capacity - self._capacity))
        self._capacity = capacity

    def _add_kind(self, kind: Kind) -> _Counted:
        counted = self._kinds[kind] = _Counted()
        labels = dict(kind.labels)
        for pair in _pairs(kind):
            self._kinds_with.setdefault(pair, {})[kind] = None
            for group in self._groups_with.get(pair, ()):
                if group.matches(labels):
                    counted.groups.append(self._groups[group])
        return counted

    def _add_group(self, group: Group) -> _Selected:
        if len(self._groups) >= REMEMBERED:
            self._forget(next(iter(self._groups)))
        pair = min(_selective(group), key=lambda pair: len(self._kinds_with.get(pair, ())))
        selected = self._groups[group] = _Selected(np.zeros(self._capacity), pair)
        self._groups_with.setdefault(pair, {})[group] = None
        for kind in self._kinds_with.get(pair, ()):
            if group.matches(dict(kind.labels)):
                counted = self._kinds[kind]
                counted.groups.append(selected)
                selected.counts[list(counted.rows)] += list(counted.rows.values())
        return selected

    def _forget(self, group: Group) -> None:
        selected = self._groups.pop(group)
        _discard(self._groups_with, selected.pair, group)
        for kind in self._kinds_with.get(selected.pair, ()):
            if group.matches(dict(kind.labels)):
                self._kinds[kind].groups.remove(selected)


def _pairs(kind: Kind) -> Iterator[_Pair]:
    yield kind.namespace, "", ""
    for key, value in kind.labels:
        yield kind.namespace, key, value


def _selective(group: Group) -> Iterator[_Pair]:
    """The pairs that every pod of the group has."""
    yield group.namespace, "", ""
    for requirement in group.requirements:
        if requirement.operator == "In" and len(requirement.values) == 1:
            yield group.namespace, requirement.key, next(iter(requirement.values))


def _discard(index: dict[_Pair, dict[K, None]], pair: _Pair, item: K) -> None:
    found = index[pair]
    del found[item]
    if not found:
        del index[pair]
