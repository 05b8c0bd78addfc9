"""What becomes of an object, given what became of its owners and dependents.

Source: Kubernetes documentation, "Garbage Collection" and "Owners and Dependents".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

from k8slite.kinds.base import Object, OwnerReference

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"

Propagation = Literal["Background", "Foreground", "Orphan"]


class OwnerState(Enum):
    """What became of an owner."""

    SOLID = auto()
    """It is there, or nobody can tell: a reference that cannot be resolved collects nothing."""
    ABSENT = auto()
    WAITING = auto()
    """It is being deleted in the foreground and waits for its dependents."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Nothing to do."""


@dataclass(frozen=True, slots=True)
class Unlink:
    """Take these owners out of the object's references: another owner keeps it alive."""

    owners: frozenset[str]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the object; `unblock` says that its owners shall not wait for it, as they wait for each other already."""

    propagation: Propagation
    unblock: bool = False


@dataclass(frozen=True, slots=True)
class OrphanDependents:
    """Take the object out of the references of all its dependents, then let it go."""


@dataclass(frozen=True, slots=True)
class Release:
    """Take a finalizer away: nothing holds the object any more."""

    finalizer: str


@dataclass(frozen=True, slots=True)
class CollectDependents:
    """The object waits in a foreground deletion: its dependents are to be looked at."""


Decision = Keep | Unlink | Delete | OrphanDependents | Release | CollectDependents


def plan(
    item: Object, owners: Sequence[tuple[OwnerReference, OwnerState]], *, dependents: Sequence[Object]
) -> Decision:
    """Decide for one object; `dependents` are those that name it as an owner."""
    if item.deleting:
        if ORPHAN in item.metadata.finalizers:
            return OrphanDependents() if dependents else Release(ORPHAN)
        if FOREGROUND in item.metadata.finalizers:
            return CollectDependents() if _blocked(item, dependents) else Release(FOREGROUND)
        return Keep()
    if not owners:
        return Keep()
    going = frozenset(ref.uid for ref, state in owners if state is not OwnerState.SOLID)
    if any(state is OwnerState.SOLID for _, state in owners):
        return Unlink(going) if going else Keep()
    if any(state is OwnerState.WAITING for _, state in owners) and dependents:
        # The owner waits for this object, so this object must in turn wait for its own dependents. If one of them waits
        # already, this may be a ring in which each waits for the next for ever.
        return Delete("Foreground", unblock=any(waits(dependent) for dependent in dependents))
    if ORPHAN in item.metadata.finalizers:
        return Delete("Orphan")
    return Delete("Foreground" if FOREGROUND in item.metadata.finalizers else "Background")


def waits(item: Object) -> bool:
    """Whether the object is being deleted in the foreground."""
    return item.deleting and FOREGROUND in item.metadata.finalizers


def _blocked(item: Object, dependents: Sequence[Object]) -> bool:
    return any(
        ref.uid == item.uid and ref.block_owner_deletion
        for dependent in dependents
        if dependent.uid != item.uid
        for ref in dependent.metadata.owner_references
    )
