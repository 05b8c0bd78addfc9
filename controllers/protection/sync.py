"""Who protects what: claims from pods' loss, volumes from claims', attribute classes from both's."""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.kinds.resources import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    VOLUME_ATTRIBUTES_CLASSES,
)
from k8slite.kinds.storage import PersistentVolume, PersistentVolumeClaim, VolumeAttributesClass

from ..context import Context, Runnable
from ..pods import PODS, Pod, by_claim
from .finalizer import Guard
from .live_pods import LivePods
from .plan import claim_in_use, class_in_use, shut_down, volume_in_use

CLAIM, VOLUME, CLASS = (f"kubernetes.io/{word}-protection" for word in ("pvc", "pv", "vac"))


def build_claims(context: Context) -> Sequence[Runnable]:
    """`persistentvolumeclaim-protection-controller`."""
    pods = context.informers.of(PODS, claim=by_claim)
    claims = context.informers.of(PERSISTENT_VOLUME_CLAIMS)
    live = LivePods(context.client, pods)

    async def used(claim: PersistentVolumeClaim) -> bool:
        if claim_in_use(claim, pods.by_index("claim", claim.key)):
            return True
        return await live.use(claim)

    guard = Guard("pvcprotection", context, claims, finalizer=CLAIM, used=used)

    def pod_changed(old: Pod | None, new: Pod | None) -> None:
        if old is not None and old.spec.volumes and (new is None or shut_down(new)):
            for key in by_claim(old):
                guard.wake(claims.get(key))

    pods.add_handler(pod_changed)
    return [guard.controller]


def build_volumes(context: Context) -> Sequence[Runnable]:
    """`persistentvolume-protection-controller`."""

    async def used(volume: PersistentVolume) -> bool:
        return volume_in_use(volume)

    volumes = context.informers.of(PERSISTENT_VOLUMES)
    return [Guard("pvprotection", context, volumes, finalizer=VOLUME, used=used).controller]


def build_attributes_classes(context: Context) -> Sequence[Runnable]:
    """`volumeattributesclass-protection-controller`."""
    claims = context.informers.of(PERSISTENT_VOLUME_CLAIMS)
    volumes = context.informers.of(PERSISTENT_VOLUMES)
    classes = context.informers.of(VOLUME_ATTRIBUTES_CLASSES)

    async def used(found: VolumeAttributesClass) -> bool:
        if class_in_use(found, claims.list(), volumes.list()):
            return True
        written = await context.client.list(PERSISTENT_VOLUME_CLAIMS)
        return class_in_use(found, written.items, (await context.client.list(PERSISTENT_VOLUMES)).items)

    guard = Guard("vacprotection", context, classes, finalizer=CLASS, used=used)

    def claim_changed(old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> None:
        before = old.attribute_classes if old is not None else set()
        wake(before - (new.attribute_classes if new is not None else set()))

    def volume_changed(old: PersistentVolume | None, new: PersistentVolume | None) -> None:
        before = {old.spec.volume_attributes_class_name} - {""} if old is not None else set()
        wake(before - ({new.spec.volume_attributes_class_name} if new is not None else set()))

    def wake(names: set[str]) -> None:
        for name in names:
            guard.wake(classes.get(name))

    claims.add_handler(claim_changed)
    volumes.add_handler(volume_changed)
    return [guard.controller]
