"""What happens in the cluster, as far as it may let a rejected pod fit: what the queue wakes pods for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, auto

from k8slite.kinds.base import Object

NOWHERE = -1


class Change(Flag):
    """What happened. A plugin names in `cures` what can turn its no into a yes."""

    NOTHING = 0
    NODE_ADDED = auto()
    NODE_ALLOCATABLE = auto()
    NODE_LABELS = auto()
    NODE_TAINTS = auto()
    """Taints, or the mark `unschedulable`."""
    NODE_REMOVED = auto()
    """A node is gone, and with it a domain that others were compared with."""
    POD_REMOVED = auto()
    """A pod left its node, ended, or asks for less."""
    PEERS = auto()
    """A pod was put on a node, or counts as another kind of pod than before."""
    STORAGE = auto()
    """A claim, a volume, a class, a driver or its capacity."""
    NAMESPACE = auto()
    """The labels of a namespace."""
    OTHER = auto()
    """Any other object that a plugin follows."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: the row of the node concerned, if there is one, and the object before and after."""

    change: Change
    row: int = NOWHERE
    old: Object | None = None
    new: Object | None = None
