"""What the scheduler reads of claims, volumes, classes, drivers and what drivers say of nodes.

Source: Kubernetes API reference, "Config and Storage"; the documentation's "Persistent Volumes" and "Storage Classes".
"""

from __future__ import annotations

from k8slite import quantity
from k8slite.kinds.base import LabelSelectorModel, Model, Object, Quantities, ResourceType
from k8slite.kinds.core import NodeSelector, ResourceRequirements
from k8slite.kinds.storage import (
    BIND_COMPLETED,
    CLASS_ANNOTATION,
    FILESYSTEM,
    ClaimReference,
    TopologyTerm,
    VolumeNodeAffinity,
)
from k8slite.node_affinity import Term
from k8slite.selectors import Requirement

from ..groups import requirements_of
from .sources import CsiSource, Sources

MIGRATED_PLUGINS = "storage.alpha.kubernetes.io/migrated-plugins"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
ONE_POD = "ReadWriteOncePod"

Where = tuple[Term, ...] | None
"""The nodes that meet one of the terms; None is every node. A term without requirements is met by no node."""


class ClaimSpec(Model):
    """What is asked for."""

    access_modes: list[str] = []
    resources: ResourceRequirements = ResourceRequirements()
    storage_class_name: str | None = None
    volume_name: str = ""
    volume_mode: str = FILESYSTEM
    selector: LabelSelectorModel | None = None
    volume_attributes_class_name: str = ""


class ClaimStatus(Model):
    """How far it is."""

    phase: str = ""


class Claim(Object):
    """`v1.PersistentVolumeClaim` as the scheduler sees it."""

    spec: ClaimSpec = ClaimSpec()
    status: ClaimStatus = ClaimStatus()

    @property
    def storage_class(self) -> str:
        """The name of its class; empty if it has none."""
        return self.metadata.annotations.get(CLASS_ANNOTATION, self.spec.storage_class_name or "")

    @property
    def size(self) -> int | None:
        """The bytes asked for, if it says."""
        found = self.spec.resources.requests.get("storage")
        return None if found is None else quantity.whole(found)

    @property
    def bound(self) -> bool:
        """Whether claim and volume are bound to each other, seen from both."""
        return bool(self.spec.volume_name) and BIND_COMPLETED in self.metadata.annotations

    def owned_by(self, uid: str) -> bool:
        """Whether it was made for the pod with that UID."""
        owner = self.metadata.controller
        return owner is not None and owner.uid == uid


class PersistentVolumeSpec(Sources):
    """What a volume has, and for whom."""

    capacity: Quantities = {}
    access_modes: list[str] = []
    claim_ref: ClaimReference | None = None
    storage_class_name: str = ""
    volume_mode: str = FILESYSTEM
    volume_attributes_class_name: str = ""
    node_affinity: VolumeNodeAffinity | None = None
    csi: CsiSource | None = None


class PersistentVolumeStatus(Model):
    """Whether it is free."""

    phase: str = ""


class PersistentVolume(Object):
    """`v1.PersistentVolume` as the scheduler sees it."""

    spec: PersistentVolumeSpec = PersistentVolumeSpec()
    status: PersistentVolumeStatus = PersistentVolumeStatus()

    @property
    def storage_class(self) -> str:
        """The name of its class; empty if it has none."""
        return self.metadata.annotations.get(CLASS_ANNOTATION, self.spec.storage_class_name)

    @property
    def size(self) -> int:
        """Its bytes."""
        return quantity.whole(self.spec.capacity.get("storage", 0))

    @property
    def where(self) -> Where:
        """The nodes that can use it."""
        affinity = self.spec.node_affinity
        return None if affinity is None or affinity.required is None else terms_of(affinity.required)

    def kept_for(self, claim: Claim) -> bool:
        """Whether it is bound to the claim, or kept for it."""
        reference = self.spec.claim_ref
        return reference is not None and reference.key == claim.key and reference.uid in ("", claim.uid)


class StorageClass(Object):
    """`storage.k8s.io/v1 StorageClass` as the scheduler sees it."""

    provisioner: str = ""
    volume_binding_mode: str = "Immediate"
    allowed_topologies: list[TopologyTerm] = []

    @property
    def where(self) -> Where:
        """The nodes for which a volume may be made."""
        if not self.allowed_topologies:
            return None
        return tuple(
            Term(labels=tuple(Requirement(each.key, "In", frozenset(each.values)) for each in term))
            for term in (topology.match_label_expressions for topology in self.allowed_topologies)
        )


class CsiDriverSpec(Model):
    """What the scheduler must heed of a driver."""

    storage_capacity: bool = False
    prevent_pod_scheduling_if_missing: bool = False


class CsiDriver(Object):
    """`storage.k8s.io/v1 CSIDriver` as the scheduler sees it."""

    spec: CsiDriverSpec = CsiDriverSpec()


class Allocatable(Model):
    """How many volumes of a driver a node can take; without a count, any number."""

    count: int | None = None


class NodeDriver(Model):
    """A driver on a node."""

    name: str
    allocatable: Allocatable = Allocatable()


class CsiNodeSpec(Model):
    """The drivers of a node."""

    drivers: list[NodeDriver] = []


class CsiNode(Object):
    """`storage.k8s.io/v1 CSINode` as the scheduler sees it: it has the name of its node."""

    spec: CsiNodeSpec = CsiNodeSpec()

    @property
    def migrated(self) -> frozenset[str]:
        """The plugins of old whose volumes are served by drivers on this node."""
        return frozenset(filter(None, self.metadata.annotations.get(MIGRATED_PLUGINS, "").split(",")))


class CsiCapacity(Object):
    """`storage.k8s.io/v1 CSIStorageCapacity` as the scheduler sees it."""

    storage_class_name: str = ""
    node_topology: LabelSelectorModel | None = None
    capacity: str | int | float | None = None
    maximum_volume_size: str | int | float | None = None

    @property
    def limit(self) -> int | None:
        """The largest volume that could be made, if the driver says."""
        found = self.capacity if self.maximum_volume_size is None else self.maximum_volume_size
        return None if found is None else quantity.whole(found)

    @property
    def total(self) -> int:
        """All the bytes that are left; 0 if the driver does not say."""
        return 0 if self.capacity is None else quantity.whole(self.capacity)

    @property
    def where(self) -> Where:
        """The nodes that can use it: none if it does not say."""
        if self.node_topology is None:
            return ()
        requirements = requirements_of(self.node_topology)
        return (Term(labels=requirements),) if requirements else None


class AttachmentSource(Model):
    """What is attached."""

    persistent_volume_name: str = ""


class VolumeAttachmentSpec(Model):
    """What is attached where, and by which driver."""

    attacher: str = ""
    node_name: str = ""
    source: AttachmentSource = AttachmentSource()


class VolumeAttachment(Object):
    """`storage.k8s.io/v1 VolumeAttachment` as the scheduler sees it."""

    spec: VolumeAttachmentSpec = VolumeAttachmentSpec()


def terms_of(selector: NodeSelector) -> Where:
    """The terms of a volume's affinity. They see a node's labels only: conditions on fields do not count."""
    terms = []
    for term in selector.node_selector_terms:
        labels = tuple(
            Requirement(each.key, each.operator, frozenset(each.values))  # type: ignore[arg-type]
            for each in term.match_expressions
        )
        if not labels and term.match_fields:
            return None
        terms.append(Term(labels=labels))
    return tuple(terms)


_GROUP = "storage.k8s.io"
CLAIMS = ResourceType("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", True, Claim)
VOLUMES = ResourceType("", "v1", "persistentvolumes", "PersistentVolume", False, PersistentVolume)
CLASSES = ResourceType(_GROUP, "v1", "storageclasses", "StorageClass", False, StorageClass)
CSI_DRIVERS = ResourceType(_GROUP, "v1", "csidrivers", "CSIDriver", False, CsiDriver)
CSI_NODES = ResourceType(_GROUP, "v1", "csinodes", "CSINode", False, CsiNode)
CSI_CAPACITIES = ResourceType(_GROUP, "v1", "csistoragecapacities", "CSIStorageCapacity", True, CsiCapacity)
ATTACHMENTS = ResourceType(_GROUP, "v1", "volumeattachments", "VolumeAttachment", False, VolumeAttachment)
