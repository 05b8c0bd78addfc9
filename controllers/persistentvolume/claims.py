"""What to do about a claim.

Source: pkg/controller/volume/persistentvolume/pv_controller.go (syncClaim); the words of the events are its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from k8slite.kinds.storage import (
    BETA_STORAGE_PROVISIONER,
    BOUND_BY_CONTROLLER,
    DELAYED,
    MIGRATED_TO,
    SELECTED_NODE,
    STORAGE_PROVISIONER,
    PersistentVolume,
    PersistentVolumeClaim,
    StorageClass,
)

from . import migration
from .matching import best, mismatch
from .steps import Plan, Said, Write, bind, unbound_status


def default_class(classes: Iterable[StorageClass]) -> StorageClass | None:
    """The class for claims that name none: the newest of those that say so, the first by name of one age."""
    defaults = [found for found in classes if found.is_default]
    return min(defaults, key=lambda found: (-_born(found), found.name), default=None)


def _born(found: StorageClass) -> float:
    made = found.metadata.creation_timestamp
    return made.timestamp() if made is not None else 0.0


def plan(
    *,
    claim: PersistentVolumeClaim,
    named: PersistentVolume | None,
    volumes: Sequence[PersistentVolume],
    found: StorageClass | None,
    default: StorageClass | None,
    waiting: Sequence[str],
    provisioning: bool = True,
) -> Plan:
    """`named` is the volume of `spec.volumeName`, `volumes` are those that are free or kept for the claim.

    `found` is its class, `default` the class of claims that name none, `waiting` the names of pods that use the claim
    and are on no node yet. Without `provisioning` nobody is asked for a volume.
    """
    if driver := migration.missing_note(claim):
        return Plan((Write(claim, {"metadata": {"annotations": {MIGRATED_TO: driver}}}),))
    if claim.bind_completed:
        return _bound(claim, named)
    if claim.spec.volume_name:
        return _asking(claim, named)
    delayed = found is not None and found.volume_binding_mode == DELAYED
    volume = best(claim, volumes, delayed=delayed)
    if volume is not None:
        return Plan(bind(volume, claim))
    if not claim.has_class and default is not None:
        return Plan((Write(claim, {"spec": {"storageClassName": default.name}}),))
    if delayed and SELECTED_NODE not in claim.metadata.annotations:
        return _pending(claim, _awaited(claim, waiting))
    if claim.storage_class:
        return _provision(claim, found) if provisioning else Plan()
    none = "no persistent volumes available for this claim and no storage class is set"
    return _pending(claim, Said(claim, "FailedBinding", none, "Normal"))


def _pending(claim: PersistentVolumeClaim, *say: Said) -> Plan:
    return Plan(tuple(unbound_status(claim, "Pending")), say)


def _awaited(claim: PersistentVolumeClaim, waiting: Sequence[str]) -> Said:
    if not waiting:
        message = "waiting for first consumer to be created before binding"
        return Said(claim, "WaitForFirstConsumer", message, "Normal")
    noun = "pods" if len(waiting) > 1 else "pod"
    message = f"waiting for {noun} {','.join(waiting)} to be scheduled"
    return Said(claim, "WaitForPodScheduled", message, "Normal")


def _provision(claim: PersistentVolumeClaim, found: StorageClass | None) -> Plan:
    """Volumes are made by others; they are told which of them is meant."""
    if found is None:
        missing = f'storageclass.storage.k8s.io "{claim.storage_class}" not found'
        return Plan(say=(Said(claim, "ProvisioningFailed", missing),))
    name = migration.driver(found.provisioner)
    if name is None:
        nobody = f"no volume plugin matched name: {found.provisioner}"
        return Plan(say=(Said(claim, "ProvisioningFailed", nobody),))
    message = (
        f"Waiting for a volume to be created either by the external provisioner '{name}' or manually by the system "
        "administrator. If volume creation is delayed, please verify that the provisioner is running and correctly "
        "registered."
    )
    wanted = {STORAGE_PROVISIONER: name, BETA_STORAGE_PROVISIONER: name}
    told = claim.metadata.annotations.get(STORAGE_PROVISIONER) == name
    writes = () if told else (Write(claim, {"metadata": {"annotations": wanted}}),)
    return Plan(writes, say=(Said(claim, "ExternalProvisioning", message, "Normal"),))


def _asking(claim: PersistentVolumeClaim, volume: PersistentVolume | None) -> Plan:
    """A claim that names its volume: by its maker's wish, or because it was being bound when somebody interfered."""
    if volume is None:
        return _pending(claim)
    if volume.spec.claim_ref is None:
        if why := mismatch(volume, claim):
            message = f'Cannot bind to requested volume "{volume.name}": {why}'
            return _pending(claim, Said(claim, "VolumeMismatch", message))
        return Plan(bind(volume, claim))
    if volume.kept_for(claim):
        return Plan(bind(volume, claim))
    taken = Said(claim, "FailedBinding", f'volume "{volume.name}" already bound to a different claim.')
    if BOUND_BY_CONTROLLER in claim.metadata.annotations:
        return Plan(say=(taken,))
    return _pending(claim, taken)


def _bound(claim: PersistentVolumeClaim, volume: PersistentVolume | None) -> Plan:
    """A claim that was bound once keeps its volume, or says that it is lost: it never gets another."""
    if not claim.spec.volume_name:
        message = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"
        return _lost(claim, "ClaimLost", message)
    if volume is None:
        return _lost(claim, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
    reference = volume.spec.claim_ref
    if reference is None or reference.uid == claim.uid:
        return Plan(bind(volume, claim))
    message = "Two claims are bound to the same volume, this one is bound incorrectly"
    return _lost(claim, "ClaimMisbound", message)


def _lost(claim: PersistentVolumeClaim, reason: str, message: str) -> Plan:
    if claim.status.phase == "Lost":
        return Plan()
    return Plan(tuple(unbound_status(claim, "Lost")), then_say=(Said(claim, reason, message),))
