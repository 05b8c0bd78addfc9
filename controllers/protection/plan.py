"""Whether something uses a claim, a volume or a volume attributes class.

Source: Kubernetes documentation, "Persistent Volumes: Storage Object in Use Protection"; its controllers pvcprotection,
pvprotection and vacprotection.
"""

from __future__ import annotations

from collections.abc import Iterable

from k8slite.kinds.base import Object
from k8slite.kinds.storage import PersistentVolume, PersistentVolumeClaim, VolumeAttributesClass

from ..pods import Pod


def waits(item: Object, finalizer: str) -> bool:
    """Whether the object is to go and only waits for its users."""
    return item.deleting and finalizer in item.metadata.finalizers


def unprotected(item: Object, finalizer: str) -> bool:
    """Whether the object would go at once; it was made while admission did not see to that."""
    return not item.deleting and finalizer not in item.metadata.finalizers


def claim_in_use(claim: PersistentVolumeClaim, pods: Iterable[Pod]) -> bool:
    """Whether a pod that is on a node uses the claim; on no node it will not start with a claim that goes."""
    return any(_uses(pod, claim) for pod in pods if pod.spec.node_name and pod.namespace == claim.namespace)


def _uses(pod: Pod, claim: PersistentVolumeClaim) -> bool:
    for volume in pod.spec.volumes:
        if volume.persistent_volume_claim is not None:
            if volume.persistent_volume_claim.claim_name == claim.name:
                return True
        elif f"{pod.name}-{volume.name}" == claim.name and not shut_down(pod):
            owner = claim.metadata.controller
            if owner is not None and owner.uid == pod.uid:
                return True
    return False


def shut_down(pod: Pod) -> bool:
    """Whether only finalizers keep the pod: it may wait for the very claims that were made for it."""
    return pod.deleting and pod.metadata.deletion_grace_period_seconds == 0


def volume_in_use(volume: PersistentVolume) -> bool:
    """Whether a claim has the volume."""
    return volume.status.phase == "Bound"


def class_in_use(
    found: VolumeAttributesClass, claims: Iterable[PersistentVolumeClaim], volumes: Iterable[PersistentVolume]
) -> bool:
    """Whether a claim or a volume has the attributes of the class, or is about to."""
    return any(found.name in claim.attribute_classes for claim in claims) or any(
        volume.spec.volume_attributes_class_name == found.name for volume in volumes
    )
