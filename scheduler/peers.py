"""How many pods of a group run on each node: what spreading and affinity between pods go by.

Pods with the same namespace and labels (and owner) are counted together, by row, whether somebody asks for them or
not; there are about as many such kinds as there are owners. A group is what a selector selects. Its counts are a
column, made from the kinds that it selects when a decision first asks for it, and kept in step afterwards; the columns
of groups that nobody asked for lately are forgotten. An index by label finds the kinds of a group and the groups of a
kind, so that neither a pod nor a group looks at more than what has a label in common with it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .groups import Cover, Group, Index, Kind, Pair, covers, is_wide, pairs_of
from .view import Pod

Counts = npt.NDArray[np.float64]

#: Stands among a pod's labels for the UID of its owner; no label can have this name.
OWNER = "@owner"
#: Those whose pods are replicas of each other.
SPREADING_OWNERS = frozenset({"ReplicaSet", "StatefulSet", "ReplicationController"})

#: Groups remembered; each takes 8 bytes a node.
REMEMBERED = 256


def owner_of(pod: Pod) -> str:
    """The UID of the owner whose replica the pod is; empty if it is nobody's."""
    owner = pod.metadata.controller
    return owner.uid if owner is not None and owner.kind in SPREADING_OWNERS else ""


def kind_of(pod: Pod) -> Kind:
    """What the pod counts as."""
    labels = frozenset(pod.metadata.labels.items())
    owner = owner_of(pod)
    return Kind(pod.namespace, labels | {(OWNER, owner)} if owner else labels, pod.deleting)


@dataclass(slots=True, eq=False)
class _Selected:
    """A group's column, and where the index has it."""

    group: Group
    counts: Counts
    cover: Cover


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
        self._kinds_with: dict[Pair, dict[Kind, None]] = {}
        self._groups: OrderedDict[Group, _Selected] = OrderedDict()
        self._index: Index[_Selected] = Index()

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
            for pair in pairs_of(kind):
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
        for pair in pairs_of(kind):
            self._kinds_with.setdefault(pair, {})[kind] = None
        for selected in self._index.about(kind.namespace, labels):
            if selected.group.selects(kind, labels):
                counted.groups.append(selected)
        return counted

    def _add_group(self, group: Group) -> _Selected:
        if len(self._groups) >= REMEMBERED:
            self._forget(next(iter(self._groups)))
        cover = min(covers(group.namespaces, group.requirements), key=self._number_filed)
        selected = self._groups[group] = _Selected(group, np.zeros(self._capacity), cover)
        self._index.add(selected, cover)
        for counted in self._counted_in(selected):
            counted.groups.append(selected)
            selected.counts[list(counted.rows)] += list(counted.rows.values())
        return selected

    def _forget(self, group: Group) -> None:
        selected = self._groups.pop(group)
        self._index.discard(selected, selected.cover)
        for counted in self._counted_in(selected):
            counted.groups.remove(selected)

    def _counted_in(self, selected: _Selected) -> Iterator[_Counted]:
        """The kinds that a group selects."""
        for kinds in self._filed(selected.cover):
            for kind in kinds:
                if selected.group.selects(kind, dict(kind.labels)):
                    yield self._kinds[kind]

    def _filed(self, cover: Cover) -> list[Collection[Kind]]:
        """Where to look for kinds. By label alone they are not filed, as few groups are about all namespaces."""
        return [self._kinds] if is_wide(cover) else [self._kinds_with.get(pair, ()) for pair in cover]

    def _number_filed(self, cover: Cover) -> int:
        return sum(map(len, self._filed(cover)))


def _discard(index: dict[Pair, dict[Kind, None]], pair: Pair, kind: Kind) -> None:
    found = index[pair]
    del found[kind]
    if not found:
        del index[pair]
