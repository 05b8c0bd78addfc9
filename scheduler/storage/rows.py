"""What each node has of storage: the claims and disks that its pods use, the drivers, and what is attached to it.

Claims and disks are kept in step with pods as they come and go. What is attached is worked out, for rows where
something changed, when a pod asks whose volumes are of a driver with a limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np

from k8slite.kinds.base import Object

from ..change import Change
from ..columns import Columns, Placed
from ..framework import Handle
from ..view import Node
from .claims import wanted
from .disks import Disk, disks_of, inline
from .drivers import Counts, Drivers
from .migration import Attachment
from .objects import Claim, CsiNode, PersistentVolume, StorageClass, VolumeAttachment
from .state import NODE_NAME, VOLUME_NAME, Storage

T = TypeVar("T", str, Attachment, Disk)


class _Attached(NamedTuple):
    """What is attached to a row: for pods, and of other volumes."""

    used: frozenset[Attachment] = frozenset()
    other: frozenset[Attachment] = frozenset()


class VolumeRows:
    """The one column of storage, made of a handle by `rows_of`."""

    def __init__(self, storage: Storage, columns: Columns) -> None:
        self.storage = storage
        self.drivers = Drivers()
        self.columns = columns
        self._capacity = 0
        self._named: Counter[str] = Counter()
        self._users: dict[str, dict[int, int]] = {}
        self._disks: dict[Disk, dict[int, int]] = {}
        self._inline: dict[Attachment, dict[int, int]] = {}
        self._on: dict[int, dict[str | Attachment | Disk, None]] = {}
        self._attached: dict[int, _Attached] = {}
        self._counts: dict[str, Counts] = {}
        self._where: dict[Attachment, set[int]] = {}
        self._stale: set[int] = set()
        storage.listeners.append(self._on_change)

    def used(self, claim: str) -> bool:
        """Whether any placed pod names the claim."""
        return claim in self._named

    def conflicts(self, disks: Iterable[Disk]) -> set[int]:
        """The rows where a disk is in the way."""
        rows: set[int] = set()
        for disk in disks:
            rows.update(self._disks.get(Disk(disk.identity, read_only=False), ()))
            if not disk.read_only:
                rows.update(self._disks.get(Disk(disk.identity, read_only=True), ()))
        return rows

    def count(self, driver: str) -> Counts:
        """How many volumes of a driver are attached to each row."""
        self._renew()
        return self._counts.get(driver, np.zeros(self._capacity))

    def having(self, attachment: Attachment) -> set[int]:
        """The rows where pods use a volume already."""
        self._renew()
        return self._where.get(attachment, set())

    def account(self, placed: Placed, sign: int) -> None:
        """A pod comes or goes."""
        pod = placed.pod
        if not pod.spec.volumes:
            return
        row = placed.row
        for want in wanted(pod):
            self._count(self._users, want.key, row, sign)
            if not want.ephemeral:
                self._named[want.key] += sign
                if not self._named[want.key]:
                    del self._named[want.key]
        for attachment in inline(pod.spec.volumes):
            self._count(self._inline, attachment, row, sign)
        for disk in disks_of(pod):
            self._count(self._disks, disk, row, sign)
        self._stale.add(row)

    def set_node(self, row: int, node: Node | None) -> Change:
        """The node of a row came, or is gone."""
        self.drivers.set(row, self.storage.nodes.get(node.name) if node else None)
        self._stale.add(row)
        return Change.NOTHING

    def grow(self, capacity: int) -> None:
        """There are that many rows now."""
        self.drivers.grow(capacity)
        self._counts = {name: np.pad(found, (0, capacity - self._capacity)) for name, found in self._counts.items()}
        self._capacity = capacity

    def _on_change(self, old: Object | None, new: Object | None) -> None:
        """Which rows another state of storage bears on."""
        match new if new is not None else old:
            case CsiNode(name=name):
                if (row := self.columns.rows.get(name)) is not None:
                    self.drivers.set(row, self.storage.nodes.get(name))
            case Claim(key=key):
                self._stale.update(self._users.get(key, ()))
            case PersistentVolume(name=name):
                for claim in self.storage.claims.by_index(VOLUME_NAME, name):
                    self._stale.update(self._users.get(claim.key, ()))
                for attachment in self.storage.attachments.by_index(VOLUME_NAME, name):
                    self._mark_node(attachment.spec.node_name)
            case VolumeAttachment(spec=spec):
                self._mark_node(spec.node_name)
            case StorageClass():
                self._stale.update(self._on)

    def _mark_node(self, name: str) -> None:
        if (row := self.columns.rows.get(name)) is not None:
            self._stale.add(row)

    def _renew(self) -> None:
        """Work out again what is attached to rows where something changed."""
        for row in self._stale:
            before, now = self._attached.get(row, _Attached()), self._attached_to(row)
            if before == now:
                continue
            for attachments, sign in ((before.used | before.other, -1), (now.used | now.other, 1)):
                for attachment in attachments:
                    self._counts.setdefault(attachment.driver, np.zeros(self._capacity))[row] += sign
            for attachment in before.used:
                self._where[attachment].discard(row)
                if not self._where[attachment]:
                    del self._where[attachment]
            for attachment in now.used:
                self._where.setdefault(attachment, set()).add(row)
            self._attached[row] = now
            if now == _Attached():
                del self._attached[row]
        self._stale.clear()

    def _attached_to(self, row: int) -> _Attached:
        used = frozenset(self._used_on(row))
        name = self.columns.names[row]
        others = self.storage.attachments.by_index(NODE_NAME, name) if name else ()
        return _Attached(used, frozenset(self._reported(others)) - used)

    def _used_on(self, row: int) -> Iterator[Attachment]:
        for item in self._on.get(row, ()):
            if isinstance(item, Attachment):
                yield item
            elif (
                isinstance(item, str)
                and (claim := self.storage.claims.get(item))
                and (found := self.storage.attachment_of(claim))
            ):
                yield found

    def _count(self, users: dict[T, dict[int, int]], item: T, row: int, sign: int) -> None:
        rows = users.setdefault(item, {})
        rows[row] = rows.get(row, 0) + sign
        if rows[row] > 0:
            self._on.setdefault(row, {})[item] = None
            return
        del rows[row]
        if not rows:
            del users[item]
        del self._on[row][item]
        if not self._on[row]:
            del self._on[row]

    def _reported(self, attachments: Iterable[VolumeAttachment]) -> Iterator[Attachment]:
        for each in attachments:
            volume = self.storage.volumes.get(each.spec.source.persistent_volume_name)
            if volume is not None and volume.spec.csi is not None and each.spec.attacher:
                yield Attachment(each.spec.attacher, volume.spec.csi.volume_handle)


def rows_of(handle: Handle) -> VolumeRows:
    """The storage of a scheduler, shared by its plugins and profiles."""
    return handle.columns.of(VolumeRows, lambda: VolumeRows(Storage(handle), handle.columns))
