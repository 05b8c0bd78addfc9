"""Columns of volumes, claims, storage classes and what drivers announce."""

from __future__ import annotations

from .base import AGE, NAME, NONE, UNSET, Column, Document, at, computed, count, text

_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def _modes(document: Document, path: str) -> str:
    given = at(document, path, ())
    return ",".join(short for long, short in _MODES.items() if long in given)


def _phase(document: Document) -> str:
    return "Terminating" if at(document, "metadata.deletionTimestamp") else at(document, "status.phase", "")


def _claim(volume: Document) -> str:
    claim = at(volume, "spec.claimRef")
    return f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else ""


def _class(document: Document) -> str:
    legacy = at(document, "metadata.annotations", {}).get("volume.beta.kubernetes.io/storage-class")
    return str(legacy if legacy is not None else at(document, "spec.storageClassName", ""))


def _has_volume(claim: Document) -> bool:
    """Whether a claim is bound; what its status says of capacity counts only then."""
    return bool(at(claim, "spec.volumeName"))


def _class_name(document: Document) -> str:
    annotations = at(document, "metadata.annotations", {})
    default = any(
        annotations.get(f"storageclass.{prefix}kubernetes.io/is-default-class") == "true" for prefix in ("", "beta.")
    )
    return f"{at(document, 'metadata.name', '')} (default)" if default else str(at(document, "metadata.name", ""))


def _audiences(driver: Document) -> str:
    return ",".join(each.get("audience", "") for each in at(driver, "spec.tokenRequests", ())) or UNSET


PERSISTENT_VOLUME = (
    NAME,
    text("Capacity", "spec.capacity.storage"),
    computed("Access Modes", lambda document: _modes(document, "spec.accessModes")),
    text("Reclaim Policy", "spec.persistentVolumeReclaimPolicy"),
    computed("Status", _phase),
    computed("Claim", _claim),
    computed("StorageClass", _class),
    text("VolumeAttributesClass", "spec.volumeAttributesClassName", default=UNSET),
    text("Reason", "status.reason"),
    AGE,
    text("VolumeMode", "spec.volumeMode", default=UNSET, wide=True),
)
PERSISTENT_VOLUME_CLAIM = (
    NAME,
    computed("Status", _phase),
    text("Volume", "spec.volumeName"),
    computed("Capacity", lambda document: at(document, "status.capacity.storage", "") if _has_volume(document) else ""),
    computed("Access Modes", lambda document: _modes(document, "status.accessModes") if _has_volume(document) else ""),
    computed("StorageClass", _class),
    text("VolumeAttributesClass", "spec.volumeAttributesClassName", default=UNSET),
    AGE,
    text("VolumeMode", "spec.volumeMode", default=UNSET, wide=True),
)
STORAGE_CLASS = (
    Column("Name", lambda document, _: _class_name(document), format="name"),
    text("Provisioner", "provisioner"),
    text("ReclaimPolicy", "reclaimPolicy", default="Delete"),
    text("VolumeBindingMode", "volumeBindingMode", default="Immediate"),
    computed("AllowVolumeExpansion", lambda document: at(document, "allowVolumeExpansion", False)),
    AGE,
)
VOLUME_ATTRIBUTES_CLASS = (NAME, text("DriverName", "driverName"), AGE)
VOLUME_ATTACHMENT = (
    NAME,
    Column("Attacher", lambda document, _: at(document, "spec.attacher", ""), format="name"),
    text("PV", "spec.source.persistentVolumeName"),
    text("Node", "spec.nodeName"),
    computed("Attached", lambda document: at(document, "status.attached", False), type="boolean"),
    AGE,
)
CSI_DRIVER = (
    NAME,
    computed("AttachRequired", lambda document: at(document, "spec.attachRequired", True), type="boolean"),
    computed("PodInfoOnMount", lambda document: at(document, "spec.podInfoOnMount", False), type="boolean"),
    computed("StorageCapacity", lambda document: at(document, "spec.storageCapacity", False), type="boolean"),
    computed("TokenRequests", _audiences),
    computed("RequiresRepublish", lambda document: at(document, "spec.requiresRepublish", False), type="boolean"),
    computed("Modes", lambda document: ",".join(at(document, "spec.volumeLifecycleModes", ())) or NONE),
    AGE,
)
CSI_NODE = (NAME, count("Drivers", "spec.drivers", type="integer"), AGE)
CSI_STORAGE_CAPACITY = (NAME, text("StorageClassName", "storageClassName"), text("Capacity", "capacity"))
