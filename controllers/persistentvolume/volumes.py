"""What to do about a volume.

Source: pkg/controller/volume/persistentvolume/pv_controller.go (syncVolume); the words of the events are its own.
"""

from __future__ import annotations

from k8slite.kinds.storage import (
    MIGRATED_TO,
    PROVISIONED_BY,
    PersistentVolume,
    PersistentVolumeClaim,
)

from . import migration
from .steps import Plan, Said, Write, unbind, volume_phase


def plan(*, volume: PersistentVolume, claim: PersistentVolumeClaim | None) -> Plan:
    """`claim` is the one of that name and UID that the volume refers to, or None if it does not exist (any more)."""
    if driver := migration.missing_note(volume):
        return Plan((Write(volume, {"metadata": {"annotations": {MIGRATED_TO: driver}}}),))
    reference = volume.spec.claim_ref
    if reference is None:
        return Plan(tuple(volume_phase(volume, "Available")))
    if not reference.uid:
        # Kept for a claim by name: what the claim needs to know to be bound.
        return Plan(tuple(volume_phase(volume, "Available")), wake_claim=True)
    if claim is None:
        return _released(volume)
    if not claim.spec.volume_name:
        return _begun(volume, claim)
    if claim.spec.volume_name == volume.name:
        return Plan(tuple(volume_phase(volume, "Bound")))
    if PROVISIONED_BY in volume.metadata.annotations and volume.spec.persistent_volume_reclaim_policy == "Delete":
        return _released(volume)
    return Plan(unbind(volume))


def _begun(volume: PersistentVolume, claim: PersistentVolumeClaim) -> Plan:
    """The claim does not know yet; nothing is done about it here, so that one place decides about claims."""
    if volume.spec.volume_mode == claim.spec.volume_mode:
        return Plan(wake_claim=True)
    why = "due to incompatible volumeMode."
    of_volume = f'Cannot bind PersistentVolume to requested PersistentVolumeClaim "{claim.name}" {why}'
    of_claim = f'Cannot bind PersistentVolume "{volume.name}" to requested PersistentVolumeClaim {why}'
    return Plan(say=(Said(volume, "VolumeMismatch", of_volume), Said(claim, "VolumeMismatch", of_claim)))


def _released(volume: PersistentVolume) -> Plan:
    """Its claim is gone. A failure of reclaiming stays to be seen."""
    known = volume.status.phase in ("Released", "Failed")
    writes = [] if known else volume_phase(volume, "Released")
    if MIGRATED_TO in volume.metadata.annotations:
        return Plan(tuple(writes))
    reason, message = _reclaim(volume)
    if not reason or volume.status.phase == "Failed":
        return Plan(tuple(writes))
    writes += [Write(volume, {"status": {"phase": "Failed", "message": message}}, status=True)]
    return Plan(tuple(writes), then_say=(Said(volume, reason, message),))


def _reclaim(volume: PersistentVolume) -> tuple[str, str]:
    """Why a volume cannot be treated as its policy says, as reason and message; empty if somebody does.

    No plugin is built in: who made a volume deletes it, and scrubbing (`Recycle`) was deprecated long ago.
    """
    match volume.spec.persistent_volume_reclaim_policy:
        case "Retain":
            return "", ""
        case "Recycle":
            return "VolumeFailedRecycle", "No recycler plugin found for the volume!"
        case "Delete":
            maker = volume.metadata.annotations.get(PROVISIONED_BY, "")
            if (maker and migration.driver(maker) is not None) or volume.spec.csi is not None:
                return "", ""
            why = "no deletable volume plugin matched"
            return "VolumeFailedDelete", f'error getting deleter volume plugin for volume "{volume.name}": {why}'
        case _:
            return "VolumeUnknownReclaimPolicy", "Volume has unrecognized PersistentVolumeReclaimPolicy"
