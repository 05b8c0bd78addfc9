"""Which nodes have storage for a pod, and what it would get on each: all nodes at once.

Claims that are bound go by the affinity of their volume. Of the others, on each node, the smaller go first: each gets
the volume that is kept for it or the smallest free one, and where there is none, a volume is to be made.

Source: Kubernetes documentation, "Persistent Volumes", "Storage Capacity"; the VolumeBinding plugin for the order in
which claims are served and for the words.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..columns import Columns
from ..journal import ALL, Rows
from ..labels import Mask
from .claims import PodClaims
from .migration import plugin_of, translated
from .objects import NO_PROVISIONER, Claim, PersistentVolume, StorageClass
from .reach import Indices, reachable
from .rows import VolumeRows
from .supply import NONE, Choice, Room

CONFLICT = "node(s) didn't match PersistentVolume's node affinity"
NO_VOLUME = "node(s) didn't find available persistent volumes to bind"
NO_ROOM = "node(s) did not have enough free storage"
LOST = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"


@dataclass(frozen=True, slots=True)
class Provision:
    """A claim for which a volume is to be made: on which rows, and by row the slot of the capacity that has room."""

    claim: Claim
    needed: Mask
    room: Room | None = None
    slots: Indices | None = None


@dataclass(slots=True)
class Matching:
    """The answer for all rows. A row may fail for several reasons."""

    conflict: Mask
    lost: Mask
    no_volume: Mask
    no_room: Mask
    choices: list[Choice] = field(default_factory=list)
    provisions: list[Provision] = field(default_factory=list)

    def passes(self) -> Mask:
        """The rows that have all that the pod needs."""
        return ~(self.conflict | self.lost | self.no_volume | self.no_room)

    def explain(self, rows: npt.NDArray[np.intp]) -> Counter[str]:
        """The reasons of these rows."""
        masks = {CONFLICT: self.conflict, NO_VOLUME: self.no_volume, NO_ROOM: self.no_room, LOST: self.lost}
        counts = {reason: int(np.count_nonzero(mask[rows])) for reason, mask in masks.items()}
        return Counter({reason: count for reason, count in counts.items() if count})

    def volumes_at(self, row: int) -> list[tuple[Claim, PersistentVolume]]:
        """What claims would be bound to on a row."""
        return [(choice.claim, volume) for choice in self.choices if (volume := choice.at(row)) is not None]

    def provisions_at(self, row: int) -> list[Claim]:
        """The claims for which a volume would be made on a row."""
        return [provision.claim for provision in self.provisions if provision.needed[row]]


def usable(volume: PersistentVolume, *, rows: VolumeRows, columns: Columns, at: Rows = ALL) -> Mask:
    """The rows that can use a volume; where a driver took a plugin's place, the driver's labels count."""
    met = reachable(volume.where, columns, at)
    plugin = plugin_of(volume.spec)
    if plugin and (served := rows.drivers.migrated(plugin)[at]).any():
        met = np.where(served, reachable(translated(volume), columns, at), met)
    return met


def match(claims: PodClaims, *, rows: VolumeRows, columns: Columns) -> Matching:
    """What the claims of a pod would get on each row."""
    conflict, lost, no_volume, no_room = np.zeros((4, columns.capacity), dtype=np.bool_)
    found = Matching(conflict, lost, no_volume, no_room)
    _match_bound(claims.bound, found, rows=rows, columns=columns)
    if claims.delayed:
        _match_delayed(claims.delayed, found, rows=rows, columns=columns)
    return found


def _match_bound(claims: tuple[Claim, ...], found: Matching, *, rows: VolumeRows, columns: Columns) -> None:
    """The first claim that fails on a row is its reason."""
    for claim in claims:
        volume = rows.storage.volumes.get(claim.spec.volume_name)
        if volume is None:
            found.lost |= ~found.conflict
            return
        found.conflict |= ~usable(volume, rows=rows, columns=columns)


def _match_delayed(claims: tuple[Claim, ...], found: Matching, *, rows: VolumeRows, columns: Columns) -> None:
    storage = rows.storage
    selected = [claim for claim in claims if storage.selected_node(claim)]
    open_ = sorted((claim for claim in claims if not storage.selected_node(claim)), key=lambda claim: claim.size or 0)
    needed = [(claim, np.ones(columns.capacity, dtype=np.bool_)) for claim in selected]
    for claim in open_:
        choice = _choose(claim, found.choices, rows=rows, columns=columns)
        found.choices.append(choice)
        needed.append((claim, choice.by_row == NONE))
    for claim, where in needed:
        _provision(claim, where & ~found.no_volume & ~found.no_room, found, rows=rows, columns=columns)
    elsewhere = np.zeros(columns.capacity, dtype=np.bool_)
    for claim in selected:
        here = columns.rows.get(storage.selected_node(claim))
        elsewhere |= np.arange(columns.capacity) != (NONE if here is None else here)
    found.no_volume |= elsewhere
    found.no_room &= ~elsewhere


def _choose(claim: Claim, earlier: list[Choice], *, rows: VolumeRows, columns: Columns) -> Choice:
    supply = rows.storage.supply(claim.storage_class)
    kept = rows.storage.kept_for(claim)
    if kept is not None:
        return supply.kept(claim, kept, columns)
    return supply.choose(claim, columns, earlier=earlier)


def _provision(claim: Claim, needed: Mask, found: Matching, *, rows: VolumeRows, columns: Columns) -> None:
    """Have a volume made for a claim on the rows that need one, or note why it cannot be."""
    storage_class = rows.storage.class_of(claim)
    if not needed.any():
        return
    possible = _provisionable(storage_class, columns)
    found.no_volume |= needed & ~possible
    needed &= possible
    room = rows.storage.room(storage_class) if storage_class else None
    if room is None or claim.size is None:
        found.provisions.append(Provision(claim, needed))
        return
    slots = room.choose(claim.size, columns)
    found.no_room |= needed & (slots == NONE)
    found.provisions.append(Provision(claim, needed & (slots != NONE), room, slots))


def _provisionable(storage_class: StorageClass | None, columns: Columns) -> Mask:
    """The rows for which the class can have volumes made."""
    if storage_class is None or storage_class.provisioner in ("", NO_PROVISIONER):
        return np.zeros(columns.capacity, dtype=np.bool_)
    return reachable(storage_class.where, columns, ALL)
