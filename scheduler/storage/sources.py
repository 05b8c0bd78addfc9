"""Where the data of a volume lies, as far as it bears on scheduling: for volumes in pods and for PersistentVolumes.

Of a pod's volumes only those are kept that do: the token that nearly every pod mounts costs no memory.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from k8slite.kinds.base import Model


class AwsDisk(Model):
    """A disk of Amazon's."""

    volume_id: str = Field(default="", alias="volumeID")


class GceDisk(Model):
    """A disk of Google's."""

    pd_name: str = ""
    read_only: bool = False


class AzureDisk(Model):
    """A disk of Microsoft's; only managed ones have a driver today."""

    disk_uri: str = Field(default="", alias="diskURI")
    kind: str = ""


class CinderDisk(Model):
    """A disk of OpenStack's."""

    volume_id: str = Field(default="", alias="volumeID")


class PortworxDisk(Model):
    """A disk of Portworx'."""

    volume_id: str = Field(default="", alias="volumeID")


class Sources(Model):
    """The sources that once were part of Kubernetes and are served by drivers now; at most one is set."""

    aws_elastic_block_store: AwsDisk | None = None
    gce_persistent_disk: GceDisk | None = None
    azure_disk: AzureDisk | None = None
    cinder: CinderDisk | None = None
    portworx_volume: PortworxDisk | None = None


class CsiSource(Model):
    """A volume of a driver."""

    driver: str
    volume_handle: str = ""


class ClaimSource(Model):
    """A claim by name."""

    claim_name: str = ""


class EphemeralSource(Model):
    """A claim that is made for the pod and goes with it."""


class IscsiDisk(Model):
    """A disk over iSCSI."""

    iqn: str = ""
    read_only: bool = False


class RbdDisk(Model):
    """An image in a Ceph cluster."""

    monitors: list[str] = []
    pool: str = "rbd"
    image: str = ""
    read_only: bool = False


class ImageSource(Model):
    """An image that is mounted."""

    reference: str = ""


class Volume(Sources):
    """A volume of a pod."""

    name: str
    persistent_volume_claim: ClaimSource | None = None
    ephemeral: EphemeralSource | None = None
    iscsi: IscsiDisk | None = None
    rbd: RbdDisk | None = None
    image: ImageSource | None = None


def _relevant(volumes: tuple[Volume, ...]) -> tuple[Volume, ...]:
    """Those with a source that is read here, which is then set beside the name."""
    return tuple(volume for volume in volumes if len(volume.model_fields_set) > 1)


Volumes = Annotated[tuple[Volume, ...], AfterValidator(_relevant)]
