"""What a decision about a claim or a volume consists of: writes in their order, and what is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from k8slite.kinds.base import Quantities
from k8slite.kinds.storage import (
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    PersistentVolume,
    PersistentVolumeClaim,
    storage_of,
)

Body = dict[str, Any]

PRE_RESIZE_CAPACITY = "volume.alpha.kubernetes.io/pre-resize-capacity"
"""On a volume: what its claim had before the volume grew under a file system that has not grown yet."""


@dataclass(frozen=True, slots=True)
class Write:
    """A merge patch of a claim or a volume, conditional on the revision that was decided on."""

    target: PersistentVolumeClaim | PersistentVolume
    body: Body
    status: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """An event."""

    about: PersistentVolumeClaim | PersistentVolume
    reason: str
    message: str
    type: Literal["Normal", "Warning"] = "Warning"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write, one after the other; what to say before, as often as it changes, and after, once it is written."""

    writes: tuple[Write, ...] = ()
    say: tuple[Said, ...] = ()
    then_say: tuple[Said, ...] = ()
    wake_claim: bool = False
    """Whether the volume's claim has something to do."""


def bind(volume: PersistentVolume, claim: PersistentVolumeClaim) -> tuple[Write, ...]:
    """The writes that are missing until both are bound to each other and say so."""
    found = [
        *_claim_reference(volume, claim),
        *volume_phase(volume, "Bound"),
        *_volume_name(claim, volume),
        *bound_status(claim, volume),
    ]
    return tuple(found)


def _claim_reference(volume: PersistentVolume, claim: PersistentVolumeClaim) -> list[Write]:
    kept = volume.kept_for(claim)
    reference = volume.spec.claim_ref
    if kept and reference is not None and reference.uid:
        return []
    body: Body = {
        "spec": {
            "claimRef": {
                "kind": "PersistentVolumeClaim",
                "apiVersion": "v1",
                "namespace": claim.namespace,
                "name": claim.name,
                "uid": claim.uid,
                "resourceVersion": claim.metadata.resource_version,
            }
        }
    }
    if not kept:
        body["metadata"] = {"annotations": {BOUND_BY_CONTROLLER: "yes"}}
    return [Write(volume, body)]


def _volume_name(claim: PersistentVolumeClaim, volume: PersistentVolume) -> list[Write]:
    annotations: Body = {}
    body: Body = {}
    if claim.spec.volume_name != volume.name:
        body["spec"] = {"volumeName": volume.name}
        annotations[BOUND_BY_CONTROLLER] = "yes"
    if not claim.bind_completed:
        annotations[BIND_COMPLETED] = "yes"
    if annotations:
        body["metadata"] = {"annotations": annotations}
    return [Write(claim, body)] if body else []


def bound_status(claim: PersistentVolumeClaim, volume: PersistentVolume) -> list[Write]:
    """What a bound claim says. Its size is told when it becomes bound; from then on who lets volumes grow tells it."""
    status: Body = {}
    if claim.status.access_modes != volume.spec.access_modes:
        status["accessModes"] = volume.spec.access_modes
    if claim.status.phase != "Bound":
        status["phase"] = "Bound"
        before = volume.metadata.annotations.get(PRE_RESIZE_CAPACITY)
        capacity: Quantities = {"storage": before} if before else volume.spec.capacity
        if storage_of(capacity) != claim.capacity:
            status["capacity"] = capacity
        if claim.status.current_volume_attributes_class_name != volume.spec.volume_attributes_class_name:
            status["currentVolumeAttributesClassName"] = volume.spec.volume_attributes_class_name or None
    return [Write(claim, {"status": status}, status=True)] if status else []


def unbound_status(claim: PersistentVolumeClaim, phase: str) -> list[Write]:
    """What a claim says that has no volume."""
    status: Body = {}
    if claim.status.phase != phase:
        status["phase"] = phase
    if claim.status.access_modes:
        status["accessModes"] = None
    if claim.status.capacity:
        status["capacity"] = None
    if claim.status.current_volume_attributes_class_name:
        status["currentVolumeAttributesClassName"] = None
    return [Write(claim, {"status": status}, status=True)] if status else []


def volume_phase(volume: PersistentVolume, phase: str, message: str = "") -> list[Write]:
    """What a volume says of itself."""
    if volume.status.phase == phase:
        return []
    return [Write(volume, {"status": {"phase": phase, "message": message or None}}, status=True)]


def unbind(volume: PersistentVolume) -> tuple[Write, ...]:
    """Take a binding back that did not come about; a volume that a user keeps for a claim is kept for it still."""
    if BOUND_BY_CONTROLLER in volume.metadata.annotations:
        body: Body = {"spec": {"claimRef": None}, "metadata": {"annotations": {BOUND_BY_CONTROLLER: None}}}
    else:
        body = {"spec": {"claimRef": {"uid": None}}}
    return (Write(volume, body), *volume_phase(volume, "Available"))
