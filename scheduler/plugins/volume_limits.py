"""A node can attach so many volumes of a driver, and none of one that it lacks and that insists on being there.

A volume counts once for a node, however many pods use it there. Also what is attached for no pod (any more) counts.

Source: Kubernetes documentation, "Node-specific Volume Limits"; the NodeVolumeLimits plugin for the words.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ..change import Change, Event
from ..columns import Columns
from ..framework import Handle
from ..labels import Mask
from ..shape import Shape
from ..storage.claims import not_found, wanted
from ..storage.disks import inline
from ..storage.migration import Attachment
from ..storage.objects import Claim, CsiDriver, CsiNode, VolumeAttachment
from ..storage.rows import rows_of
from ..view import Pod

TOO_MANY = "node(s) exceed max volume count"


class VolumeLimits:
    """Filters by the number of volumes of each driver."""

    name = "NodeVolumeLimits"
    cures = Change.STORAGE | Change.NODE_ADDED | Change.POD_REMOVED

    def __init__(self, handle: Handle) -> None:
        self._rows = rows_of(handle)
        self._storage = self._rows.storage

    def concerns_pod(self, pod: Pod) -> bool:
        """Whether its volumes are of a driver that is limited, or must be there; or cannot be told."""
        if not pod.spec.volumes:
            return False
        return bool(self._missing(pod)) or any(
            attachment.driver in self._rows.drivers.limits or self._insists(attachment.driver)
            for attachment in self._attachments(pod)
        )

    def filter_pod(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """Nodes with all drivers that must be there, and with room for the volumes that are not there yet."""
        if self._missing(pod):
            return np.zeros(rows.size, dtype=np.bool_)
        attachments = set(self._attachments(pod))
        passing = self._has_room(attachments, rows)
        for driver in {attachment.driver for attachment in attachments}:
            passing &= ~self._lacking(driver, rows)
        return passing

    def explain_pod(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Counter[str]:
        """A driver that lacks comes first."""
        if missing := self._missing(pod):
            return Counter({missing: rows.size})
        reasons: Counter[str] = Counter()
        left = np.ones(rows.size, dtype=np.bool_)
        for driver in dict.fromkeys(attachment.driver for attachment in self._attachments(pod)):
            lacking = left & self._lacking(driver, rows)
            reasons[f"{driver} CSI driver is not installed on the node"] = int(np.count_nonzero(lacking))
            left &= ~lacking
        reasons[TOO_MANY] = int(np.count_nonzero(left))
        return +reasons

    def helps(self, pod: Pod, shape: Shape, event: Event, columns: Columns) -> bool:
        """Whether something was detached or the pod's drivers take more, or a claim of the pod came."""
        if event.change & Change.NODE_ADDED:
            return True
        if event.change & Change.POD_REMOVED and isinstance(event.old, Pod):
            return any(True for _ in wanted(event.old)) or any(True for _ in inline(event.old.spec.volumes))
        old = event.old
        match event.new if event.new is not None else old:
            case Claim(key=key):
                return key in {want.key for want in wanted(pod)}
            case CsiNode() as found:
                return event.new is None or not isinstance(old, CsiNode) or _takes_more(old, found)
            case VolumeAttachment() as found:
                drivers = {attachment.driver for attachment in self._attachments(pod)}
                return event.new is None and found.spec.attacher in drivers
            case CsiDriver() as found:
                return any(attachment.driver == found.name for attachment in self._attachments(pod))
            case _:
                return False

    def _missing(self, pod: Pod) -> str:
        for want in wanted(pod):
            if self._storage.claims.get(want.key) is None:
                return f"looking up PVC {want.key}: {not_found(want.name)}"
        return ""

    def _attachments(self, pod: Pod) -> Iterator[Attachment]:
        for want in wanted(pod):
            claim = self._storage.claims.get(want.key)
            if claim is not None and (found := self._storage.attachment_of(claim)):
                yield found
        yield from inline(pod.spec.volumes)

    def _has_room(self, attachments: set[Attachment], rows: npt.NDArray[np.intp]) -> Mask:
        passing = np.ones(rows.size, dtype=np.bool_)
        for driver, new in Counter(attachment.driver for attachment in attachments).items():
            limits = self._rows.drivers.limits.get(driver)
            if limits is None:
                continue
            more = np.full(limits.size, float(new))
            for attachment in attachments:
                if attachment.driver == driver:
                    more[list(self._rows.having(attachment))] -= 1
            fits = (more == 0) | (self._rows.count(driver) + more <= limits)
            passing &= fits[rows]
        return passing

    def _insists(self, driver: str) -> bool:
        found = self._storage.drivers.get(driver)
        return found is not None and found.spec.prevent_pod_scheduling_if_missing

    def _lacking(self, driver: str, rows: npt.NDArray[np.intp]) -> Mask:
        """The rows where a driver lacks that must be there."""
        if not self._insists(driver):
            return np.zeros(rows.size, dtype=np.bool_)
        lacking: Mask = ~self._rows.drivers.installed(driver)[rows]
        return lacking


def _takes_more(old: CsiNode, new: CsiNode) -> bool:
    """Whether a node takes more volumes of any driver, or has a driver that it had not."""
    before, now = _limits(old), _limits(new)
    return any(name not in before or before[name] < limit for name, limit in now.items())


def _limits(found: CsiNode) -> dict[str, float]:
    counts = ((driver.name, driver.allocatable.count) for driver in found.spec.drivers)
    return {name: math.inf if count is None else count for name, count in counts}
