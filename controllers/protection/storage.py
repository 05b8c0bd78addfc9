"""Storage objects as this controller sees them."""

from __future__ import annotations

from k8slite.kinds.base import Model, Object, ResourceType


class ClaimSpec(Model):
    """What a claim wishes."""

    volume_attributes_class_name: str = ""


class Modification(Model):
    """A change of a volume's attributes that goes on."""

    target_volume_attributes_class_name: str = ""


class ClaimStatus(Model):
    """What became of a claim."""

    current_volume_attributes_class_name: str = ""
    modify_volume_status: Modification = Modification()


class Claim(Object):
    """`v1.PersistentVolumeClaim`."""

    spec: ClaimSpec = ClaimSpec()
    status: ClaimStatus = ClaimStatus()

    @property
    def attribute_classes(self) -> set[str]:
        """The volume attributes classes that it names: the wanted, the present, and the one on its way."""
        names = {
            self.spec.volume_attributes_class_name,
            self.status.current_volume_attributes_class_name,
            self.status.modify_volume_status.target_volume_attributes_class_name,
        }
        return names - {""}


class VolumeSpec(Model):
    """What a volume is."""

    volume_attributes_class_name: str = ""


class VolumeStatus(Model):
    """What became of a volume."""

    phase: str = ""


class Volume(Object):
    """`v1.PersistentVolume`."""

    spec: VolumeSpec = VolumeSpec()
    status: VolumeStatus = VolumeStatus()


class AttributesClass(Object):
    """`storage.k8s.io/v1.VolumeAttributesClass`: its name is all that matters."""


CLAIMS = ResourceType("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", True, Claim)
VOLUMES = ResourceType("", "v1", "persistentvolumes", "PersistentVolume", False, Volume)
CLASSES = ResourceType(
    "storage.k8s.io", "v1", "volumeattributesclasses", "VolumeAttributesClass", False, AttributesClass
)
