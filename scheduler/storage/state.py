"""All storage of the cluster as this scheduler knows it, together with what it has promised and not written yet.

A decision promises volumes to claims, and a node to claims for which a volume is to be made, so that no later decision
counts on the same. A promise holds until the API server's own state shows it, or the pod's binding fails. Whoever asks
here sees promises as if they were written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from k8slite.kinds.base import Object
from k8slite.kinds.storage import SELECTED_NODE

from ..change import NOWHERE, Change, Event
from ..framework import Handle
from .migration import DRIVERS, Attachment, migrated, plugin_of
from .objects import (
    ATTACHMENTS,
    CLAIMS,
    CLASSES,
    CSI_CAPACITIES,
    CSI_DRIVERS,
    CSI_NODES,
    VOLUMES,
    Claim,
    CsiCapacity,
    CsiDriver,
    CsiNode,
    PersistentVolume,
    StorageClass,
    VolumeAttachment,
)
from .supply import Room, Supply

VOLUME_NAME, NODE_NAME = "volume name", "node name"

#: Whose end may let a pod fit.
_MAKES_ROOM = (VolumeAttachment, CsiDriver, CsiNode)

Listener = Callable[[Object | None, Object | None], None]


@dataclass(slots=True)
class Promise:
    """What pods count on. `to` is a claim's key and UID, or a node's name; `written` the revision that shows it."""

    to: tuple[str, str]
    pods: set[str] = field(default_factory=set)
    written: int | None = None

    def shown_by(self, found: Object) -> bool:
        """Whether an object is at least as new as the promise's writing."""
        return self.written is not None and revision(found) >= self.written


def revision(found: Object) -> int:
    """The revision of an object, for comparison with others of the same store."""
    text = found.metadata.resource_version
    return int(text) if text.isdigit() else 0


class Storage:
    """Claims, volumes, classes, drivers and capacities. `listeners` hear of every change, before pods are woken."""

    def __init__(self, handle: Handle) -> None:
        self._changed = handle.changed
        self._rows = handle.columns.rows
        self.claims = handle.informers.of(CLAIMS)
        self.volumes = handle.informers.of(VOLUMES)
        self.classes = handle.informers.of(CLASSES)
        self.drivers = handle.informers.of(CSI_DRIVERS)
        self.nodes = handle.informers.of(CSI_NODES)
        self.attachments = handle.informers.of(ATTACHMENTS)
        self.listeners: list[Listener] = []
        self.waiting: dict[str, set[asyncio.Event]] = {}
        """Whom to wake when something of a claim changes, by its key."""
        self.version = 0
        """Goes up whenever anything changes here."""
        self._supplies: dict[str, Supply] = {}
        self._rooms: dict[str, Room] = {}
        self._kept: dict[str, dict[str, None]] = {}
        self._promised: dict[str, Promise] = {}
        self._selected: dict[str, Promise] = {}
        self.claims.add_indexer(VOLUME_NAME, lambda claim: filter(None, [claim.spec.volume_name]))
        self.attachments.add_indexer(NODE_NAME, lambda attachment: [attachment.spec.node_name])
        self.attachments.add_indexer(VOLUME_NAME, lambda attachment: [attachment.spec.source.persistent_volume_name])
        self.classes.add_handler(self.on_class)
        self.drivers.add_handler(self.on_driver)
        self.nodes.add_handler(self.on_node)
        handle.informers.of(CSI_CAPACITIES).add_handler(self.on_capacity)
        self.volumes.add_handler(self.on_volume)
        self.claims.add_handler(self.on_claim)
        self.attachments.add_handler(self.on_attachment)

    def class_of(self, claim: Claim) -> StorageClass | None:
        """The class of a claim, if there is such a one."""
        return self.classes.get(claim.storage_class)

    def selected_node(self, claim: Claim) -> str:
        """The node for which a volume is to be made; empty if that is open."""
        promise = self._selected.get(claim.key)
        return promise.to[0] if promise else claim.metadata.annotations.get(SELECTED_NODE, "")

    def supply(self, storage_class: str) -> Supply:
        """The volumes of a class."""
        return self._supplies.get(storage_class) or Supply()

    def kept_for(self, claim: Claim) -> PersistentVolume | None:
        """A volume of the claim's class that is bound or promised to it, or kept for it, and suits it."""
        for name in self._kept.get(claim.key, ()):
            volume = self.volumes.get(name)
            if volume is None or volume.storage_class != claim.storage_class:
                continue
            promise = self._promised.get(name)
            mine = promise.to == (claim.key, claim.uid) if promise else volume.kept_for(claim)
            if mine and self.supply(claim.storage_class).suits(claim, volume):
                return volume
        return None

    def room(self, storage_class: StorageClass) -> Room | None:
        """The capacities of a class; None if its driver does not report any."""
        driver = self.drivers.get(storage_class.provisioner)
        if driver is None or not driver.spec.storage_capacity:
            return None
        return self._rooms.get(storage_class.name) or Room()

    def attachment_of(self, claim: Claim) -> Attachment | None:
        """What a node must attach for a claim; None for what takes none of its places."""
        volume = self.volumes.get(claim.spec.volume_name) if claim.spec.volume_name else None
        if volume is None:
            # It counts as one of its class's driver's; the handle is what no driver would call a volume.
            storage_class = self.class_of(claim)
            if storage_class is None or not storage_class.provisioner:
                return None
            driver = DRIVERS.get(storage_class.provisioner)
            return Attachment(driver.name if driver else storage_class.provisioner, f"\0{claim.key}")
        if csi := volume.spec.csi:
            return Attachment(csi.driver, csi.volume_handle) if csi.volume_handle else None
        return migrated(volume.spec, volume=volume) if plugin_of(volume.spec) else None

    def promise_volume(self, volume: PersistentVolume, claim: Claim, *, pod: str) -> None:
        """Count a volume as the claim's, for the sake of a pod."""
        promise = self._promised.get(volume.name)
        if promise is None:
            promise = self._promised[volume.name] = Promise((claim.key, claim.uid))
            self._keep(claim.key, volume.name)
            self._show(volume)
            self.version += 1
        promise.pods.add(pod)

    def promise_node(self, node: str, claim: Claim, *, pod: str) -> None:
        """Count a node as selected for a claim, for the sake of a pod."""
        promise = self._selected.setdefault(claim.key, Promise((node, claim.uid)))
        promise.pods.add(pod)
        self.version += 1

    def wrote(self, written: PersistentVolume | Claim) -> None:
        """A promise is in the API server: what the informer brings of that revision takes its place."""
        promised = isinstance(written, PersistentVolume)
        promise = (self._promised if promised else self._selected).get(written.key)
        if promise is None:
            return
        promise.written = revision(written)
        found = (self.volumes if promised else self.claims).get(written.key)
        if found is not None and promise.shown_by(found):
            self._drop(written.key, volume=promised)

    def release(self, pod: str, *, volumes: Iterable[str], claims: Iterable[str]) -> None:
        """A pod does not count on these any more; what has been written stays until the informer shows it."""
        for promises, keys in ((self._promised, volumes), (self._selected, claims)):
            for key in keys:
                promise = promises.get(key)
                if promise is None or pod not in promise.pods:
                    continue
                promise.pods.discard(pod)
                if not promise.pods and promise.written is None:
                    self._drop(key, volume=promises is self._promised)

    def _drop(self, key: str, *, volume: bool) -> None:
        """A promise holds no more: others may have what it was about."""
        if volume:
            self._drop_promise(key)
            self._tell(None, self.volumes.get(key))
        else:
            del self._selected[key]
            self._tell(None, self.claims.get(key))

    def on_claim(self, old: Claim | None, new: Claim | None) -> None:
        """A claim changed."""
        found = new or old
        assert found is not None
        promise = self._selected.get(found.key)
        if promise and (new is None or SELECTED_NODE in new.metadata.annotations or promise.shown_by(new)):
            del self._selected[found.key]
        self._tell(old, new)

    def on_volume(self, old: PersistentVolume | None, new: PersistentVolume | None) -> None:
        """A volume changed."""
        found = new or old
        assert found is not None
        promise = self._promised.get(found.name)
        if promise and (new is None or new.spec.claim_ref is not None or promise.shown_by(new)):
            self._drop_promise(found.name)
        if old is not None and old.spec.claim_ref is not None:
            self._unkeep(old.spec.claim_ref.key, old.name)
        if old is not None and (new is None or new.storage_class != old.storage_class):
            supply = self._supplies[old.storage_class]
            supply.remove(old.name)
            if not supply:
                del self._supplies[old.storage_class]
        if new is not None:
            if new.spec.claim_ref is not None:
                self._keep(new.spec.claim_ref.key, new.name)
            self._show(new)
        self._tell(old, new)

    def on_class(self, old: StorageClass | None, new: StorageClass | None) -> None:
        """A class changed."""
        self._tell(old, new)

    def on_driver(self, old: CsiDriver | None, new: CsiDriver | None) -> None:
        """A driver changed."""
        self._tell(old, new)

    def on_node(self, old: CsiNode | None, new: CsiNode | None) -> None:
        """What drivers say of a node changed."""
        found = new or old
        assert found is not None
        self._tell(old, new, row=self._rows.get(found.name, NOWHERE))

    def on_capacity(self, old: CsiCapacity | None, new: CsiCapacity | None) -> None:
        """A capacity changed."""
        if old is not None and (new is None or new.storage_class_name != old.storage_class_name):
            room = self._rooms[old.storage_class_name]
            room.remove(old.key)
            if not room:
                del self._rooms[old.storage_class_name]
        if new is not None:
            self._rooms.setdefault(new.storage_class_name, Room()).put(new)
        self._tell(old, new)

    def on_attachment(self, old: VolumeAttachment | None, new: VolumeAttachment | None) -> None:
        """A volume was attached or detached."""
        self._tell(old, new)

    def _show(self, volume: PersistentVolume) -> None:
        """Let the supply know whether the volume is to be had."""
        available = volume.status.phase == "Available" and not volume.deleting
        free = available and volume.spec.claim_ref is None and volume.name not in self._promised
        self._supplies.setdefault(volume.storage_class, Supply()).put(volume, free=free)

    def _drop_promise(self, name: str) -> None:
        """Let the volume itself say again whose it is."""
        self._unkeep(self._promised.pop(name).to[0], name)
        volume = self.volumes.get(name)
        if volume is not None:
            if volume.spec.claim_ref is not None:
                self._keep(volume.spec.claim_ref.key, name)
            self._show(volume)

    def _keep(self, claim: str, volume: str) -> None:
        self._kept.setdefault(claim, {})[volume] = None

    def _unkeep(self, claim: str, volume: str) -> None:
        kept = self._kept.get(claim, {})
        if kept.pop(volume, volume) is None and not kept:
            del self._kept[claim]

    def _tell(self, old: Object | None, new: Object | None, *, row: int = NOWHERE) -> None:
        self.version += 1
        for listener in self.listeners:
            listener(old, new)
        for waiting in self.waiting.get(_claim_of(new if new is not None else old), ()):
            waiting.set()
        if new is not None or isinstance(old, _MAKES_ROOM):
            self._changed(Event(Change.STORAGE, row, old, new))


def _claim_of(found: Object | None) -> str:
    """The key of the claim that an object is, or is bound to."""
    if isinstance(found, PersistentVolume):
        return found.spec.claim_ref.key if found.spec.claim_ref else ""
    return found.key if isinstance(found, Claim) else ""
