"""Volumes that say in their labels where they lie are used by nodes of that zone and region only.

A label may name several zones, with `__` between them. Nodes that say nothing of zones and regions can use all.

Source: Kubernetes documentation, "Running in multiple zones"; the VolumeZone plugin for the words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from k8slite.kinds.storage import DELAYED
from k8slite.selectors import Requirement

from ..change import Change, Event
from ..columns import Columns
from ..framework import Handle
from ..labels import Mask
from ..shape import Shape
from ..storage.claims import not_found, wanted
from ..storage.migration import BETA_REGION, BETA_ZONE, REGION, SEVERAL, ZONE
from ..storage.objects import Claim, PersistentVolume, StorageClass
from ..storage.rows import rows_of
from ..view import Pod

REASON = "node(s) had no available volume zone"
#: Labels that say where something is, and what they are called today.
_TODAY = {BETA_ZONE: ZONE, BETA_REGION: REGION, ZONE: ZONE, REGION: REGION}


class Place(NamedTuple):
    """A label of a volume, and the values that it allows."""

    key: str
    values: frozenset[str]


def places_of(volume: PersistentVolume) -> Iterator[Place]:
    """Where a volume says that it lies; a label that cannot be read says nothing."""
    for key in _TODAY:
        parts = [part.strip() for part in volume.metadata.labels.get(key, "").split(SEVERAL)]
        if all(parts):
            yield Place(key, frozenset(parts))


class VolumeZone:
    """Filters by the zones of bound volumes."""

    name = "VolumeZone"
    cures = Change.STORAGE | Change.NODE_ADDED | Change.NODE_LABELS

    def __init__(self, handle: Handle) -> None:
        self._storage = rows_of(handle).storage

    def pre_filter(self, pod: Pod, columns: Columns) -> str:
        """A claim whose volume cannot be told keeps the pod from all nodes."""
        if not pod.spec.volumes:
            return ""
        return next(filter(None, map(self._problem, _named(pod))), "")

    def _problem(self, key: str) -> str:
        claim = self._storage.claims.get(key)
        if claim is None:
            return not_found(key.rpartition("/")[2])
        if name := claim.spec.volume_name:
            return "" if self._storage.volumes.get(name) else f'persistentvolume "{name}" not found'
        if not claim.storage_class:
            return "PersistentVolumeClaim had no pv name and storageClass name"
        storage_class = self._storage.class_of(claim)
        if storage_class is None:
            return f'storageclass.storage.k8s.io "{claim.storage_class}" not found'
        return "" if storage_class.volume_binding_mode == DELAYED else "PersistentVolume had no name"

    def concerns_pod(self, pod: Pod) -> bool:
        """Whether one of its volumes says where it lies."""
        return bool(pod.spec.volumes) and any(True for _ in self._places(pod))

    def filter_pod(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """Nodes in the right places, and nodes that are nowhere."""
        right = np.ones(rows.size, dtype=np.bool_)
        for place in self._places(pod):
            own, today = place.key, _TODAY[place.key]
            met = columns.labels.matches(Requirement(own, "In", place.values), rows)
            if own != today:
                lacks = columns.labels.matches(Requirement(own, "DoesNotExist"), rows)
                met |= lacks & columns.labels.matches(Requirement(today, "In", place.values), rows)
            right &= met
        somewhere = np.zeros(rows.size, dtype=np.bool_)
        for key in _TODAY:
            somewhere |= columns.labels.matches(Requirement(key, "Exists"), rows)
        return right | ~somewhere

    def explain_pod(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Counter[str]:
        """One reason for all."""
        return Counter({REASON: rows.size})

    def unresolvable(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """All: the node itself is the reason."""
        return np.ones(rows.size, dtype=np.bool_)

    def helps(self, pod: Pod, shape: Shape, event: Event, columns: Columns) -> bool:
        """Whether it is about the pod's claims or their volumes, or a class that lacked."""
        if event.change & (Change.NODE_ADDED | Change.NODE_LABELS):
            return True
        keys, new, old = _named(pod), event.new, event.old
        claims = [claim for key in keys if (claim := self._storage.claims.get(key)) is not None]
        match new:
            case Claim():
                return new.key in keys
            case StorageClass():
                lacked = old is None and new.volume_binding_mode == DELAYED
                return lacked and any(claim.storage_class == new.name for claim in claims)
            case PersistentVolume():
                moved = not isinstance(old, PersistentVolume) or set(places_of(old)) != set(places_of(new))
                return moved and any(claim.spec.volume_name == new.name for claim in claims)
            case _:
                return False

    def _places(self, pod: Pod) -> Iterator[Place]:
        for key in _named(pod):
            claim = self._storage.claims.get(key)
            volume = self._storage.volumes.get(claim.spec.volume_name) if claim and claim.spec.volume_name else None
            if volume is not None:
                yield from places_of(volume)


def _named(pod: Pod) -> list[str]:
    """The keys of the claims that a pod names itself."""
    return [want.key for want in wanted(pod) if not want.ephemeral]
