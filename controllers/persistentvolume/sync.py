"""Looks at claims and volumes whenever something may have changed for them, and carries out what is decided."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES
from k8slite.kinds.storage import DELAYED, PersistentVolume, PersistentVolumeClaim, StorageClass

from ..context import Context, Runnable
from ..pods import PODS, Pod, by_claim
from . import claims, volumes
from .writing import Writer


def build(context: Context) -> Sequence[Runnable]:
    """The controller: one queue for claims, one for volumes, named as upstream's."""
    binder = Binder(context)
    return [binder.claim_queue, binder.volume_queue]


class Binder:
    """Syncs claims and volumes."""

    def __init__(self, context: Context) -> None:
        self._context = context
        informers = context.informers
        self._claims = informers.of(PERSISTENT_VOLUME_CLAIMS, volume=_by_volume, unbound=_unbound_by_class)
        self._volumes = informers.of(PERSISTENT_VOLUMES, reference=_by_reference, free=_free_by_class)
        self._classes = informers.of(STORAGE_CLASSES)
        self._pods = informers.of(PODS, claim=by_claim)
        self._writer = Writer(context, claims=self._claims, volumes=self._volumes)
        self._chosen: dict[str, str] = {}
        """Free volumes that are being given to a claim, by name, with the claim's key: nobody else takes them."""
        workers = context.config.workers
        self.claim_queue = Controller("claims", self.sync_claim, clock=context.clock, workers=workers)
        self.volume_queue = Controller("volumes", self.sync_volume, clock=context.clock, workers=workers)
        self._claims.add_handler(self._claim_changed)
        self._volumes.add_handler(self._volume_changed)
        self._classes.add_handler(self._class_changed)
        self._pods.add_handler(self._pod_changed)

    def _claim_changed(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> None:
        if new is not None:
            self.claim_queue.queue.add(new.key)
        elif old is not None:
            self._writer.forget(old)
            self.claim_queue.queue.drop(old.key)
        if old is None or new is None or old.spec.volume_name != new.spec.volume_name:
            for claim in (old, new):
                if claim is None:
                    continue
                if claim.spec.volume_name:
                    self.volume_queue.queue.add(claim.spec.volume_name)
                for volume in self._volumes.by_index("reference", claim.key):
                    self.volume_queue.queue.add(volume.key)

    def _volume_changed(self, old: PersistentVolume | None, new: PersistentVolume | None) -> None:
        volume = new or old
        if volume is None:
            return
        if new is not None:
            self.volume_queue.queue.add(volume.key)
        else:
            self._writer.forget(volume)
            self.volume_queue.queue.drop(volume.key)
        for one in (old, new):
            if one is not None and one.spec.claim_ref is not None:
                self._wake(one.spec.claim_ref.key)
        for claim in self._claims.by_index("volume", volume.name):
            self.claim_queue.queue.add(claim.key)
        if new is not None and _offered(new) and not (old is not None and _offered(old) and _same_offer(old, new)):
            found = self._classes.get(new.storage_class)
            if found is None or found.volume_binding_mode != DELAYED:
                for claim in self._claims.by_index("unbound", new.storage_class):
                    self.claim_queue.queue.add(claim.key)

    def _class_changed(self, old: StorageClass | None, new: StorageClass | None) -> None:
        for found in (old, new):
            if found is not None:
                names = {found.name, ""} if found.is_default else {found.name}
                for claim in (claim for name in names for claim in self._claims.by_index("unbound", name)):
                    self.claim_queue.queue.add(claim.key)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        """A claim that waits for its first pod says which ones are there."""
        pod = new or old
        if pod is None or not pod.spec.volumes:
            return
        if old is None or new is None or old.spec.node_name != new.spec.node_name or old.finished != new.finished:
            for key in by_claim(pod):
                claim = self._claims.get(key)
                if claim is not None and not claim.bind_completed:
                    self.claim_queue.queue.add(key)

    def _wake(self, key: str) -> None:
        if self._claims.get(key) is not None:
            self.claim_queue.queue.add(key)

    async def sync_claim(self, key: str) -> Result:
        """One claim."""
        claim = await self._writer.settled(self._claims, key)
        if claim is None:
            return DONE
        name = claim.spec.volume_name
        named = await self._writer.settled(self._volumes, name) if name else None
        if name and named is None and claim.bind_completed and claim.status.phase != "Lost":
            named = await self._written_volume(name)
        decided = claims.plan(
            claim=claim,
            named=named,
            volumes=self._candidates(claim),
            found=self._classes.get(claim.storage_class) if claim.storage_class else None,
            provisioning=self._context.config.enable_dynamic_provisioning,
            default=None if claim.has_class else claims.default_class(self._classes.list()),
            waiting=sorted(
                pod.name for pod in self._pods.by_index("claim", key) if not pod.spec.node_name and not pod.finished
            ),
        )
        chosen = [w.target.name for w in decided.writes if isinstance(w.target, PersistentVolume)]
        self._chosen |= dict.fromkeys(chosen, key)
        try:
            await self._writer.carry_out(decided)
        finally:
            for volume in chosen:
                self._chosen.pop(volume, None)
        return DONE

    def _candidates(self, claim: PersistentVolumeClaim) -> list[PersistentVolume]:
        if claim.spec.volume_name or claim.bind_completed:
            return []
        kept = self._volumes.by_index("reference", claim.key)
        free = [
            volume
            for volume in self._volumes.by_index("free", claim.storage_class)
            if self._chosen.get(volume.name, claim.key) == claim.key and not self._writer.lags(volume)
        ]
        return [*kept, *free]

    async def _written_volume(self, name: str) -> PersistentVolume | None:
        """A volume as it is written: before a claim is told that its data are lost, the cache's word is not enough."""
        try:
            return await self._context.client.get(PERSISTENT_VOLUMES, name)
        except ApiError as error:
            if error.code != 404:
                raise
            return None

    async def sync_volume(self, key: str) -> Result:
        """One volume."""
        volume = await self._writer.settled(self._volumes, key)
        if volume is None:
            return DONE
        claim = await self._claim_of(volume)
        decided = volumes.plan(volume=volume, claim=claim)
        await self._writer.carry_out(decided)
        if decided.wake_claim and volume.spec.claim_ref is not None:
            self._wake(volume.spec.claim_ref.key)
        return DONE

    async def _claim_of(self, volume: PersistentVolume) -> PersistentVolumeClaim | None:
        """The very claim that a volume refers to. Before a volume is given up, it is asked for where it is written."""
        reference = volume.spec.claim_ref
        if reference is None or not reference.uid:
            return None
        found = await self._writer.settled(self._claims, reference.key)
        if found is not None and found.uid == reference.uid:
            return found
        if volume.status.phase in ("Released", "Failed"):
            return None
        try:
            found = await self._context.client.get(
                PERSISTENT_VOLUME_CLAIMS, reference.name, namespace=reference.namespace
            )
        except ApiError as error:
            if error.code != 404:
                raise
            return None
        return found if found.uid == reference.uid else None


def _by_volume(claim: PersistentVolumeClaim) -> Iterable[str]:
    """Index: the volume that a claim names."""
    return (claim.spec.volume_name,) if claim.spec.volume_name else ()


def _unbound_by_class(claim: PersistentVolumeClaim) -> Iterable[str]:
    """Index: the class of a claim that looks for a volume."""
    return () if claim.spec.volume_name or claim.bind_completed else (claim.storage_class,)


def _by_reference(volume: PersistentVolume) -> Iterable[str]:
    """Index: the claim that a volume is bound to or kept for."""
    return (volume.spec.claim_ref.key,) if volume.spec.claim_ref is not None else ()


def _free_by_class(volume: PersistentVolume) -> Iterable[str]:
    """Index: the class of a volume that is nobody's."""
    return (volume.storage_class,) if volume.spec.claim_ref is None else ()


def _offered(volume: PersistentVolume) -> bool:
    return volume.spec.claim_ref is None and volume.status.phase == "Available" and not volume.deleting


def _same_offer(old: PersistentVolume, new: PersistentVolume) -> bool:
    return old.spec == new.spec and old.metadata.labels == new.metadata.labels
