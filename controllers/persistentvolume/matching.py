"""Which volume a claim gets.

Source: Kubernetes documentation, "Persistent Volumes: Binding"; component-helpers storage/volume (FindMatchingVolume).
"""

from __future__ import annotations

from collections.abc import Iterable

from k8slite import selectors
from k8slite.kinds.storage import PersistentVolume, PersistentVolumeClaim


def best(
    claim: PersistentVolumeClaim, volumes: Iterable[PersistentVolume], *, delayed: bool
) -> PersistentVolume | None:
    """The volume that is kept for the claim if there is one, else the one that exceeds its wishes least.

    `delayed` leaves free volumes to the scheduler, which knows the pod's node. The fewest access modes count before the
    smallest size.
    """
    fitting = [volume for volume in volumes if _fits(volume, claim)]
    kept = [volume for volume in fitting if volume.kept_for(claim)]
    # One that has the claim's UID was given to it already: another would be a second one.
    if kept:
        return min(kept, key=lambda volume: (not _given(volume), *_excess(volume)))
    if delayed:
        return None
    return min((volume for volume in fitting if _is_free(volume, claim)), key=_excess, default=None)


def _given(volume: PersistentVolume) -> bool:
    return volume.spec.claim_ref is not None and bool(volume.spec.claim_ref.uid)


def _begun(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Whether the volume says already that the claim has it, so that it stays as long as the claim: deleted or not."""
    return volume.status.phase == "Bound" and volume.kept_for(claim) and _given(volume)


def _excess(volume: PersistentVolume) -> tuple[object, ...]:
    return len(volume.spec.access_modes), volume.size, volume.name


def _fits(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    return (
        volume.spec.volume_mode == claim.spec.volume_mode
        and (not volume.deleting or _begun(volume, claim))
        and volume.size >= claim.size
        and set(claim.spec.access_modes) <= set(volume.spec.access_modes)
        and volume.spec.volume_attributes_class_name == claim.spec.volume_attributes_class_name
    )


def _is_free(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    if volume.spec.claim_ref is not None or volume.status.phase != "Available":
        return False
    if volume.storage_class != claim.storage_class:
        return False
    if claim.spec.selector is None:
        return True
    selector = selectors.from_object(claim.spec.selector.to_wire())
    return selector is None or selector.matches(volume.metadata.labels)


def mismatch(volume: PersistentVolume, claim: PersistentVolumeClaim) -> str:
    """Why a volume that a claim asks for by name cannot be its own; empty if it can. The selector does not count."""
    if volume.deleting:
        return f'the volume is marked for deletion "{volume.name}"'
    if volume.size < claim.size:
        return "requested PV is too small"
    if volume.storage_class != claim.storage_class:
        return "storageClassName does not match"
    if volume.spec.volume_attributes_class_name != claim.spec.volume_attributes_class_name:
        return "volumeAttributesClassName does not match"
    if volume.spec.volume_mode != claim.spec.volume_mode:
        return "incompatible volumeMode"
    if not set(claim.spec.access_modes) <= set(volume.spec.access_modes):
        return "incompatible accessMode"
    return ""
