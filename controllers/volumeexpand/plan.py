"""The next write on the way to a larger volume.

A claim goes through three writes: what is being aimed at stands in its status, the volume grows, the claim says what it
has. Each sync decides on the one that is missing, so that it goes on wherever it was cut off.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from k8slite import local_volumes, quantity
from k8slite.clock import timestamp
from k8slite.kinds.storage import PROVISIONED_BY, PersistentVolume, PersistentVolumeClaim, storage_of

UNDER_WAY, INFEASIBLE = "ControllerResizeInProgress", "ControllerResizeInfeasible"
_OF_RESIZING = (
    "Resizing",
    "FileSystemResizePending",
    "ControllerResizeError",
    "NodeResizeError",
)
EXTERNAL = "waiting for an external controller to expand this PVC"


@dataclass(frozen=True, slots=True)
class Said:
    """An event about the claim."""

    reason: str
    message: str
    type: Literal["Normal", "Warning"] = "Normal"


@dataclass(frozen=True, slots=True)
class Plan:
    """At most one write: of the volume, or of the claim's status. `say` holds once it is done."""

    volume: dict[str, Any] | None = None
    status: dict[str, Any] | None = None
    say: Said | None = None


def wishes(claim: PersistentVolumeClaim) -> bool:
    """Whether the claim asks for more than it has, or did and is not told yet what became of it."""
    if not claim.bind_completed or claim.status.phase != "Bound":
        return False
    return claim.size > claim.capacity or claim.status.allocated_resource_statuses.get("storage") == UNDER_WAY


def plan(*, claim: PersistentVolumeClaim, volume: PersistentVolume | None, now: datetime) -> Plan:
    """`volume` is the one of the claim's `spec.volumeName`."""
    if not wishes(claim) or volume is None:
        return Plan()
    reference = volume.spec.claim_ref
    if reference is None or reference.uid != claim.uid:
        return Plan()
    if volume.metadata.annotations.get(PROVISIONED_BY) != local_volumes.PROVISIONER:
        type_: Literal["Normal", "Warning"] = "Normal" if volume.spec.csi is not None else "Warning"
        return Plan(say=Said("ExternalExpanding", EXTERNAL, type_))
    aim = target(claim, volume)
    if volume.size >= aim:
        done = Said("VolumeResizeSuccessful", f"ExpandVolume succeeded for volume {claim.key}")
        return Plan(status=_finished(claim, volume), say=done)
    if not _announced(claim, aim):
        return Plan(status=_begun(claim, aim, now))
    return Plan(volume={"spec": {"capacity": {"storage": _written(claim, aim)}}})


def target(claim: PersistentVolumeClaim, volume: PersistentVolume) -> Decimal:
    """The size to reach: what was begun is finished, though the claim asks for less meanwhile; nothing ever shrinks."""
    aim = claim.size
    if claim.status.allocated_resource_statuses.get("storage") == UNDER_WAY:
        aim = max(aim, storage_of(claim.status.allocated_resources))
    return max(aim, volume.size)


def _announced(claim: PersistentVolumeClaim, aim: Decimal) -> bool:
    status = claim.status
    return status.allocated_resource_statuses.get("storage") == UNDER_WAY and (
        storage_of(status.allocated_resources) == aim
    )


def _begun(claim: PersistentVolumeClaim, aim: Decimal, now: datetime) -> dict[str, Any]:
    others = _others(claim)
    since = timestamp(now)
    return {
        "allocatedResources": {"storage": _written(claim, aim)},
        "allocatedResourceStatuses": {"storage": UNDER_WAY},
        "conditions": [*others, {"type": "Resizing", "status": "True", "lastTransitionTime": since}],
    }


def _finished(claim: PersistentVolumeClaim, volume: PersistentVolume) -> dict[str, Any]:
    return {
        "capacity": volume.spec.capacity,
        "allocatedResources": volume.spec.capacity,
        "allocatedResourceStatuses": {"storage": None},
        "conditions": _others(claim) or None,
    }


def _others(claim: PersistentVolumeClaim) -> list[dict[str, Any]]:
    return [condition.to_wire() for condition in claim.status.conditions if condition.type not in _OF_RESIZING]


def _written(claim: PersistentVolumeClaim, aim: Decimal) -> str:
    """A size as the API writes it, in the suffixes that the claim uses."""
    return quantity.written(aim, quantity.form_of(claim.spec.resources.requests["storage"]))
