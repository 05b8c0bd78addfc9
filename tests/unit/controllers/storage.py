"""Claims, volumes and classes for tests, and a store for them that writes as the API server does."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from k8slite.controllers.persistentvolume.steps import Plan, Write
from k8slite.kinds.storage import PersistentVolume, PersistentVolumeClaim, StorageClass

Document = dict[str, Any]


def claim(name: str = "c", size: str = "1Gi", *, uid: str = "", **more: Any) -> PersistentVolumeClaim:
    return PersistentVolumeClaim.model_validate(claim_document(name, size, uid=uid, **more))


def claim_document(
    name: str = "c",
    size: str = "1Gi",
    *,
    uid: str = "",
    annotations: Iterable[str] | dict[str, str] = (),
    status: Document | None = None,
    deleting: bool = False,
    **spec: Any,
) -> Document:
    metadata = _metadata(name, uid, annotations, deleting=deleting) | {"namespace": "default"}
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
    return {"metadata": metadata, "spec": asked, "status": status or {"phase": "Pending"}}


def volume(name: str = "v", size: str = "1Gi", **more: Any) -> PersistentVolume:
    return PersistentVolume.model_validate(volume_document(name, size, **more))


def volume_document(
    name: str = "v",
    size: str = "1Gi",
    *,
    annotations: Iterable[str] | dict[str, str] = (),
    labels: dict[str, str] | None = None,
    phase: str = "Available",
    deleting: bool = False,
    **spec: Any,
) -> Document:
    metadata = _metadata(name, "", annotations, deleting=deleting) | {"labels": labels or {}}
    has = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], **spec}
    return {"metadata": metadata, "spec": has, "status": {"phase": phase}}


def _metadata(name: str, uid: str, annotations: Iterable[str] | dict[str, str], *, deleting: bool) -> Document:
    noted = annotations if isinstance(annotations, dict) else dict.fromkeys(annotations, "yes")
    found: Document = {"name": name, "uid": uid or f"uid-{name}", "resourceVersion": "1", "annotations": dict(noted)}
    return found | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleting else {})


def storage_class(name: str, **more: Any) -> StorageClass:
    metadata = {"name": name, "annotations": more.pop("annotations", {}), **more.pop("metadata", {})}
    return StorageClass.model_validate({"metadata": metadata, "provisioner": "example.com/disks", **more})


def reference(name: str, uid: str = "") -> Document:
    return {"namespace": "default", "name": name} | ({"uid": uid} if uid else {})


def merged(document: Any, patch: Any) -> Any:
    """A merge patch, RFC 7396."""
    if not isinstance(patch, dict):
        return deepcopy(patch)
    found = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), value)
    return found


class ConflictError(Exception):
    """The object is not what was decided on."""


class Store:
    """Documents by kind and key, with optimistic locking."""

    def __init__(self) -> None:
        self.claims: dict[str, Document] = {}
        self.volumes: dict[str, Document] = {}
        self._revision = 1

    def put(self, kind: dict[str, Document], document: Document) -> None:
        self._revision += 1
        document["metadata"]["resourceVersion"] = str(self._revision)
        kind[document["metadata"]["name"]] = document

    def claim(self, name: str) -> PersistentVolumeClaim | None:
        return PersistentVolumeClaim.model_validate(self.claims[name]) if name in self.claims else None

    def volume(self, name: str) -> PersistentVolume | None:
        return PersistentVolume.model_validate(self.volumes[name]) if name in self.volumes else None

    def carry_out(self, plan: Plan, *, at_most: int = 99) -> None:
        """The first writes of a plan; who is killed gets no further. Raises ConflictError."""
        revisions: dict[str, str] = {}
        for write in plan.writes[:at_most]:
            if not self._write(write, revisions):
                return

    def _write(self, write: Write, revisions: dict[str, str]) -> bool:
        target = write.target
        kind = self.volumes if isinstance(target, PersistentVolume) else self.claims
        found = kind.get(target.name)
        if found is None:
            return False
        expected = revisions.get(target.uid, target.metadata.resource_version)
        if found["metadata"]["uid"] != target.uid or found["metadata"]["resourceVersion"] != expected:
            raise ConflictError(target.name)
        assert set(write.body) <= ({"status"} if write.status else {"metadata", "spec"})
        self.put(kind, merged(found, write.body))
        revisions[target.uid] = kind[target.name]["metadata"]["resourceVersion"]
        return True
