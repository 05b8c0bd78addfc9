"""What is allowed in volumes and claims and better not done: warnings for whoever makes one.

Source: Kubernetes' pkg/api/persistentvolume/util.go and pkg/api/persistentvolumeclaim/util.go.
"""

from __future__ import annotations

from typing import Any

from .resources import amount, text

Document = dict[str, Any]

_CLASS = "volume.beta.kubernetes.io/storage-class"
_MOUNT_OPTIONS = "volume.beta.kubernetes.io/mount-options"
_RECYCLE = (
    "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach "
    "is to use dynamic provisioning."
)
_SOURCES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}


def of_volume(obj: Document, old: Document | None) -> list[str]:
    """Warnings about a PersistentVolume."""
    spec, annotations = obj.get("spec") or {}, obj["metadata"].get("annotations") or {}
    found: list[str] = []
    if _CLASS in annotations:
        found.append(f'metadata.annotations[{_CLASS}]: deprecated since v1.8; use "storageClassName" attribute instead')
    if _MOUNT_OPTIONS in annotations:
        found.append(
            f'metadata.annotations[{_MOUNT_OPTIONS}]: deprecated since v1.31; use "mountOptions" attribute instead'
        )
    if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        found.append(_RECYCLE)
    found += [f"spec.{name}: {words}" for name, words in _SOURCES.items() if spec.get(name) is not None]
    size = (spec.get("capacity") or {}).get("storage")
    return found + _fraction(size, "spec.capacity[storage]")


def of_claim(obj: Document, old: Document | None) -> list[str]:
    """Warnings about a PersistentVolumeClaim."""
    found: list[str] = []
    if _CLASS in (obj["metadata"].get("annotations") or {}):
        found.append(f'metadata.annotations[{_CLASS}]: deprecated since v1.8; use "storageClassName" attribute instead')
    resources = (obj.get("spec") or {}).get("resources") or {}
    for kind in ("requests", "limits"):
        size = (resources.get(kind) or {}).get("storage")
        found += _fraction(size, f"spec.resources.{kind}[storage]")
    return found


def _fraction(size: Any, field: str) -> list[str]:
    number = amount(size) if size is not None else None
    if number is None or not number % 1:
        return []
    return [f'{field}: fractional byte value "{text(size)}" is invalid, must be an integer']
