"""Storage in a line: claims, volumes, classes and what drivers say, and a scheduler's view of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from k8slite.kinds.base import Object, ResourceType
from k8slite.kinds.storage import BIND_COMPLETED, SELECTED_NODE
from k8slite.scheduler.columns import Columns
from k8slite.scheduler.framework import Handle
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.storage import objects
from k8slite.scheduler.view import Node, Pod

from .builders import handle

Document = dict[str, Any]

KINDS: dict[str, ResourceType[Any]] = {
    resource.kind: resource
    for resource in (
        objects.CLASSES,
        objects.CSI_DRIVERS,
        objects.CSI_NODES,
        objects.CSI_CAPACITIES,
        objects.VOLUMES,
        objects.CLAIMS,
        objects.ATTACHMENTS,
    )
}


def _document(kind: str, name: str, *, namespace: str = "", **more: Any) -> Document:
    metadata: Document = {"name": name, "uid": f"uid-{name}", "resourceVersion": "1"}
    if namespace:
        metadata["namespace"] = namespace
    metadata |= more.pop("metadata", {})
    return {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": metadata, **more}


def claim(
    name: str = "data",
    *,
    size: str | None = "1Gi",
    storage_class: str | None = "slow",
    modes: tuple[str, ...] = ("ReadWriteOnce",),
    volume: str = "",
    bound: bool | None = None,
    selected: str = "",
    phase: str = "",
    owner: str = "",
    deleting: bool = False,
    namespace: str = "default",
    **spec: Any,
) -> Document:
    """A claim; one that names its volume is bound to it unless said otherwise."""
    bound = bool(volume) if bound is None else bound
    annotations = {BIND_COMPLETED: "yes"} if bound else {}
    if selected:
        annotations[SELECTED_NODE] = selected
    metadata: Document = {"annotations": annotations}
    if owner:
        reference = {"apiVersion": "v1", "kind": "Pod", "name": owner, "uid": f"uid-{owner}", "controller": True}
        metadata["ownerReferences"] = [reference]
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    body: Document = {"accessModes": list(modes), "resources": {"requests": {"storage": size} if size else {}}}
    if storage_class is not None:
        body["storageClassName"] = storage_class
    if volume:
        body["volumeName"] = volume
    status = {"phase": phase or ("Bound" if bound else "Pending")}
    return _document(
        "PersistentVolumeClaim", name, namespace=namespace, metadata=metadata, spec=body | spec, status=status
    )


def volume(
    name: str = "disk",
    *,
    size: str = "1Gi",
    storage_class: str = "slow",
    modes: tuple[str, ...] = ("ReadWriteOnce",),
    on: str = "",
    terms: list[Document] | None = None,
    kept_for: str = "",
    uid: str = "",
    phase: str = "Available",
    labels: dict[str, str] | None = None,
    deleting: bool = False,
    **spec: Any,
) -> Document:
    """A volume; `on` is the host that it lies on, `kept_for` the claim (with `uid`, or for any of that name)."""
    body: Document = {"capacity": {"storage": size}, "accessModes": list(modes), "storageClassName": storage_class}
    if on:
        terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [on]}]}]
    if terms is not None:
        body["nodeAffinity"] = {"required": {"nodeSelectorTerms": terms}}
    if kept_for:
        body["claimRef"] = {"kind": "PersistentVolumeClaim", "namespace": "default", "name": kept_for}
        if uid:
            body["claimRef"]["uid"] = uid
    metadata: Document = {"labels": labels or {}}
    if deleting:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return _document("PersistentVolume", name, metadata=metadata, spec=body | spec, status={"phase": phase})


def storage_class(
    name: str = "slow",
    *,
    delayed: bool = True,
    provisioner: str = "kubernetes.io/no-provisioner",
    allowed: list[Document] | None = None,
) -> Document:
    found = _document(
        "StorageClass",
        name,
        provisioner=provisioner,
        volumeBindingMode="WaitForFirstConsumer" if delayed else "Immediate",
    )
    if allowed is not None:
        found["allowedTopologies"] = [{"matchLabelExpressions": [term]} if "key" in term else term for term in allowed]
    return found


def driver(name: str = "csi", *, capacity: bool = False, insists: bool = False) -> Document:
    return _document("CSIDriver", name, spec={"storageCapacity": capacity, "preventPodSchedulingIfMissing": insists})


def csi_node(name: str, *, migrated: tuple[str, ...] = (), **limits: int | None) -> Document:
    """`limits` are the drivers and how many volumes they can attach; dots in their names are underscores here."""
    drivers = [
        {"name": each.replace("_", "."), "nodeID": name} | ({} if count is None else {"allocatable": {"count": count}})
        for each, count in limits.items()
    ]
    metadata = {"annotations": {objects.MIGRATED_PLUGINS: ",".join(migrated)}} if migrated else {}
    return _document("CSINode", name, metadata=metadata, spec={"drivers": drivers})


def capacity(
    name: str,
    *,
    storage_class: str = "slow",
    total: str | None = "10Gi",
    largest: str | None = None,
    labels: dict[str, str] | None = None,
) -> Document:
    """Room for the nodes with these labels; None is no node."""
    found = _document("CSIStorageCapacity", name, namespace="kube-system", storageClassName=storage_class)
    if labels is not None:
        found["nodeTopology"] = {"matchLabels": labels}
    if total is not None:
        found["capacity"] = total
    if largest is not None:
        found["maximumVolumeSize"] = largest
    return found


def attachment(name: str, *, node: str, volume: str, attacher: str = "csi") -> Document:
    spec = {"attacher": attacher, "nodeName": node, "source": {"persistentVolumeName": volume}}
    return _document("VolumeAttachment", name, spec=spec)


def claims_as_volumes(*names: str) -> list[Document]:
    """The volumes of a pod that names these claims; `=x` is one that is made for the pod."""
    return [
        {"name": name[1:], "ephemeral": {"volumeClaimTemplate": {}}}
        if name.startswith("=")
        else {"name": f"v{index}", "persistentVolumeClaim": {"claimName": name}}
        for index, name in enumerate(names)
    ]


def show(to: Handle, document: Document) -> Object:
    """The watch brings an object, new or changed."""
    resource = KINDS[document["kind"]]
    found: Object = resource.model.model_validate(document)
    informer = to.informers.of(resource)
    informer._replace(informer.get(found.key), found)
    return found


def hide(to: Handle, document: Document) -> None:
    """The watch says that an object is gone."""
    resource = KINDS[document["kind"]]
    found = resource.model.model_validate(document)
    to.informers.of(resource)._remove(found, found)


@dataclass
class World:
    """Nodes with pods on them, and everything of storage, as documents in the order in which they come."""

    nodes: list[Document] = field(default_factory=list)
    placed: list[Document] = field(default_factory=list)
    storage: list[Document] = field(default_factory=list)

    def of(self, kind: str) -> list[Document]:
        """The objects of a kind."""
        return [document for document in self.storage if document["kind"] == kind]

    def get(self, kind: str, name: str, namespace: str = "") -> Document | None:
        """One object."""
        for document in self.of(kind):
            if document["metadata"]["name"] == name and document["metadata"].get("namespace", "") == namespace:
                return document
        return None

    def seen(self) -> tuple[Handle, Columns]:
        """A scheduler's view of it."""
        columns = Columns(capacity=2)
        to = handle(columns)
        for document in self.nodes:
            columns.set_node(Node.model_validate(document))
        for document in self.placed:
            pod = Pod.model_validate(document)
            columns.place(pod, shape_of(pod), pod.spec.node_name)
        return to, columns

    def fill(self, to: Handle) -> None:
        """Show all of storage."""
        for document in self.storage:
            show(to, document)
