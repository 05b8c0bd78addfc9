"""What cannot be shared: a claim for one pod only, and a disk that several pods of a node would mount.

Source: Kubernetes documentation, "Persistent Volumes" (access modes); the VolumeRestrictions plugin for the disks.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from ..change import Change, Event
from ..columns import Columns
from ..framework import Handle
from ..labels import Mask
from ..shape import Shape
from ..storage.claims import not_found, wanted
from ..storage.disks import Disk, disks_of
from ..storage.objects import ONE_POD, Claim
from ..storage.rows import rows_of
from ..view import Pod

DISK = "node(s) had no available disk"
IN_USE = (
    "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
)


class VolumeRestrictions:
    """Filters by the claims and disks that placed pods use."""

    name = "VolumeRestrictions"
    cures = Change.STORAGE | Change.NODE_ADDED | Change.POD_REMOVED

    def __init__(self, handle: Handle) -> None:
        self._rows = rows_of(handle)
        self._storage = self._rows.storage

    def pre_filter(self, pod: Pod, columns: Columns) -> str:
        """A claim that is not there may be for one pod only."""
        if not pod.spec.volumes:
            return ""
        missing = (name for key, name in _named(pod).items() if self._storage.claims.get(key) is None)
        return next(map(not_found, missing), "")

    def concerns_pod(self, pod: Pod) -> bool:
        """Whether it has disks, or claims that somebody uses already."""
        return bool(pod.spec.volumes) and (self._in_use(pod) or any(True for _ in disks_of(pod)))

    def filter_pod(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """Nodes where nobody has the disks; none while somebody uses a claim for one pod."""
        if self._in_use(pod):
            return np.zeros(rows.size, dtype=np.bool_)
        return ~self._conflicting(pod, rows)

    def explain_pod(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Counter[str]:
        """Disks come first."""
        disks = int(np.count_nonzero(self._conflicting(pod, rows)))
        return Counter({reason: n for reason, n in ((DISK, disks), (IN_USE, rows.size - disks)) if n})

    def helps(self, pod: Pod, shape: Shape, event: Event, columns: Columns) -> bool:
        """Whether a pod left that was in the way, or a claim came that lacked."""
        if event.change & Change.NODE_ADDED:
            return True
        named = _named(pod)
        if isinstance(event.new, Claim):
            return event.old is None and event.new.key in named
        if event.change & Change.POD_REMOVED and isinstance(event.old, Pod):
            left = set(disks_of(event.old))
            return any(_clash(disk, other) for disk in disks_of(pod) for other in left) or not named.keys().isdisjoint(
                _named(event.old)
            )
        return False

    def _in_use(self, pod: Pod) -> bool:
        for key in _named(pod):
            if self._rows.used(key):
                claim = self._storage.claims.get(key)
                if claim is not None and ONE_POD in claim.spec.access_modes:
                    return True
        return False

    def _conflicting(self, pod: Pod, rows: npt.NDArray[np.intp]) -> Mask:
        return np.isin(rows, list(self._rows.conflicts(disks_of(pod))))


def _named(pod: Pod) -> dict[str, str]:
    """The keys and names of the claims that a pod names itself."""
    return {want.key: want.name for want in wanted(pod) if not want.ephemeral}


def _clash(disk: Disk, other: Disk) -> bool:
    return disk.identity == other.identity and not (disk.read_only and other.read_only)
