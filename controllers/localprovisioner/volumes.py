"""What becomes of a local volume: when it is deleted, and who sees to its data.

Source: Kubernetes documentation, "Persistent Volumes: PersistentVolume deletion protection finalizer";
sig-storage-lib-external-provisioner (shouldDelete).
"""

from __future__ import annotations

from dataclasses import dataclass

from k8slite import local_volumes
from k8slite.kinds.core import Node
from k8slite.kinds.storage import PROVISIONED_BY, PersistentVolume


@dataclass(frozen=True, slots=True)
class Plan:
    """`delete` the volume; the `finalizers` that it should have, None if they are right; what to `warn` of then."""

    delete: bool = False
    finalizers: tuple[str, ...] | None = None
    warn: str = ""


def ours(volume: PersistentVolume) -> bool:
    """Whether we made the volume."""
    return volume.metadata.annotations.get(PROVISIONED_BY) == local_volumes.PROVISIONER


def plan(*, volume: PersistentVolume, node: Node | None) -> Plan:
    """`node` is the one that keeps the volume's data, None if there is none of that name (any more)."""
    if not ours(volume):
        return Plan()
    held = local_volumes.FINALIZER in volume.metadata.finalizers
    goes = volume.spec.persistent_volume_reclaim_policy == "Delete"
    rest = tuple(name for name in volume.metadata.finalizers if name != local_volumes.FINALIZER)
    if not goes:
        return Plan(finalizers=rest) if held else Plan()
    if not volume.deleting:
        wanted = None if held else (*volume.metadata.finalizers, local_volumes.FINALIZER)
        return Plan(delete=held and volume.status.phase == "Released", finalizers=wanted)
    if not held or volume.status.phase == "Bound":
        return Plan()
    if node is None:
        keeper = local_volumes.keeper(volume.metadata.labels)
        return Plan(finalizers=rest, warn=f'the data stay where they are: node "{keeper}" does not exist')
    if local_volumes.SIMULATOR in node.metadata.labels:
        return Plan(finalizers=rest)
    return Plan()
