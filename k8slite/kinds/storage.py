"""Claims, volumes and their classes.

Source: Kubernetes API reference, "Config and Storage"; component-helpers storage/volume for the annotations.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from .. import quantity
from .base import Condition, LabelSelectorModel, Model, Object, Quantities
from .containers import ResourceRequirements
from .placement import NodeSelector
from .volumes import HostPathVolumeSource

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
"""On a claim: it was bound once; what is found of it from then on is told differently."""
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
"""On a claim or a volume: a controller has chosen the other, not a user."""
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
MIGRATED_TO = "pv.kubernetes.io/migrated-to"
STORAGE_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
BETA_STORAGE_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
DELAYED = "WaitForFirstConsumer"
FILESYSTEM = "Filesystem"
_NOTHING = Decimal(0)


class ClaimSpec(Model):
    """What is asked for."""

    access_modes: list[str] = []
    resources: ResourceRequirements = ResourceRequirements()
    storage_class_name: str | None = None
    volume_name: str = ""
    volume_mode: str = FILESYSTEM
    selector: LabelSelectorModel | None = None
    volume_attributes_class_name: str = ""
    data_source: dict[str, Any] | None = None
    data_source_ref: dict[str, Any] | None = None


class Modification(Model):
    """A change of a volume's attributes that goes on."""

    target_volume_attributes_class_name: str = ""


class ClaimStatus(Model):
    """How far it is."""

    phase: str = ""
    access_modes: list[str] = []
    capacity: Quantities = {}
    allocated_resources: Quantities = {}
    allocated_resource_statuses: dict[str, str] = {}
    conditions: list[Condition] = []
    current_volume_attributes_class_name: str = ""
    modify_volume_status: Modification = Modification()


class PersistentVolumeClaim(Object):
    """`v1.PersistentVolumeClaim`."""

    spec: ClaimSpec = ClaimSpec()
    status: ClaimStatus = ClaimStatus()

    @property
    def has_class(self) -> bool:
        """Whether it says which class it wants; an empty name is the wish for none."""
        return CLASS_ANNOTATION in self.metadata.annotations or self.spec.storage_class_name is not None

    @property
    def storage_class(self) -> str:
        """The name of its class; empty if it has none."""
        return self.metadata.annotations.get(CLASS_ANNOTATION, self.spec.storage_class_name or "")

    @property
    def size(self) -> Decimal:
        """The bytes asked for."""
        return storage_of(self.spec.resources.requests)

    @property
    def capacity(self) -> Decimal:
        """The bytes that it has."""
        return storage_of(self.status.capacity)

    @property
    def bind_completed(self) -> bool:
        """Whether it was bound once."""
        return BIND_COMPLETED in self.metadata.annotations

    @property
    def attribute_classes(self) -> set[str]:
        """The volume attributes classes that it names: the wanted, the present, and the one on its way."""
        names = {
            self.spec.volume_attributes_class_name,
            self.status.current_volume_attributes_class_name,
            self.status.modify_volume_status.target_volume_attributes_class_name,
        }
        return names - {""}


class ClaimReference(Model):
    """The claim that a volume is bound to, or kept for; without a UID it is kept for whatever claim has the name."""

    namespace: str = ""
    name: str = ""
    uid: str = ""

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


class VolumeNodeAffinity(Model):
    """Which nodes can use a volume."""

    required: NodeSelector | None = None


class LocalVolumeSource(Model):
    """A directory (or device) of one node."""

    path: str


class PersistentVolumeSpec(Model):
    """What a volume has, and for whom."""

    capacity: Quantities = {}
    access_modes: list[str] = []
    claim_ref: ClaimReference | None = None
    persistent_volume_reclaim_policy: str = "Retain"
    storage_class_name: str = ""
    volume_mode: str = FILESYSTEM
    volume_attributes_class_name: str = ""
    node_affinity: VolumeNodeAffinity | None = None
    mount_options: list[str] = []
    local: LocalVolumeSource | None = None
    host_path: HostPathVolumeSource | None = None
    csi: dict[str, Any] | None = None


class PersistentVolumeStatus(Model):
    """Whether it is free."""

    phase: str = ""
    message: str = ""


class PersistentVolume(Object):
    """`v1.PersistentVolume`."""

    spec: PersistentVolumeSpec = PersistentVolumeSpec()
    status: PersistentVolumeStatus = PersistentVolumeStatus()

    @property
    def storage_class(self) -> str:
        """The name of its class; empty if it has none."""
        return self.metadata.annotations.get(CLASS_ANNOTATION, self.spec.storage_class_name)

    @property
    def size(self) -> Decimal:
        """Its bytes."""
        return storage_of(self.spec.capacity)

    def kept_for(self, claim: PersistentVolumeClaim) -> bool:
        """Whether it is bound to the claim, or kept for it."""
        reference = self.spec.claim_ref
        return reference is not None and reference.key == claim.key and reference.uid in ("", claim.uid)


class TopologyRequirement(Model):
    """A label that must have one of the values."""

    key: str
    values: list[str] = []


class TopologyTerm(Model):
    """Labels that must all hold."""

    match_label_expressions: list[TopologyRequirement] = []


class StorageClass(Object):
    """`storage.k8s.io/v1 StorageClass`."""

    provisioner: str = ""
    parameters: dict[str, str] = {}
    reclaim_policy: str = "Delete"
    mount_options: list[str] = []
    volume_binding_mode: str = "Immediate"
    allow_volume_expansion: bool = False
    allowed_topologies: list[TopologyTerm] = []

    @property
    def is_default(self) -> bool:
        """Whether claims that name no class are meant for it."""
        return any(self.metadata.annotations.get(name) == "true" for name in DEFAULT_CLASS)


class VolumeAttributesClass(Object):
    """`storage.k8s.io/v1 VolumeAttributesClass`: its name is all that matters to us."""


def storage_of(amounts: Quantities) -> Decimal:
    """The bytes under `storage`."""
    found = amounts.get("storage")
    return _NOTHING if found is None else quantity.parse(found)
