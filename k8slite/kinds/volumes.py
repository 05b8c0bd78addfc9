"""`v1.Volume`: where the files of a pod come from."""

from __future__ import annotations

from pydantic import Field

from .base import Model
from .references import ObjectFieldSelector, ResourceFieldSelector


class KeyToPath(Model):
    """A key projected to a file."""

    key: str
    path: str
    mode: int | None = None


class ConfigMapVolumeSource(Model):
    """A ConfigMap as files."""

    name: str = ""
    items: list[KeyToPath] = []
    default_mode: int | None = None
    optional: bool = False


class SecretVolumeSource(Model):
    """A Secret as files."""

    secret_name: str = ""
    items: list[KeyToPath] = []
    default_mode: int | None = None
    optional: bool = False


class SecretProjection(Model):
    """A Secret inside a projected volume."""

    name: str = ""
    items: list[KeyToPath] = []
    optional: bool = False


class DownwardAPIVolumeFile(Model):
    """One file with a field of the pod."""

    path: str
    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    mode: int | None = None


class DownwardAPIVolumeSource(Model):
    """Fields of the pod as files."""

    items: list[DownwardAPIVolumeFile] = []
    default_mode: int | None = None


class ServiceAccountTokenProjection(Model):
    """A bound ServiceAccount token as a file, renewed before it expires."""

    path: str
    audience: str = ""
    expiration_seconds: int = 3600


class VolumeProjection(Model):
    """One source of a projected volume."""

    secret: SecretProjection | None = None
    config_map: ConfigMapVolumeSource | None = None
    downward_api: DownwardAPIVolumeSource | None = Field(default=None, alias="downwardAPI")
    service_account_token: ServiceAccountTokenProjection | None = None


class ProjectedVolumeSource(Model):
    """Several sources in one directory."""

    sources: list[VolumeProjection] = []
    default_mode: int | None = None


class EmptyDirVolumeSource(Model):
    """A directory that lives as long as the pod; `medium: Memory` is a tmpfs."""

    medium: str = ""
    size_limit: str | int | None = None


class HostPathVolumeSource(Model):
    """A path of the node."""

    path: str
    type: str = ""


class PersistentVolumeClaimVolumeSource(Model):
    """A claim by name."""

    claim_name: str
    read_only: bool = False


class EphemeralVolumeSource(Model):
    """A claim that is made for the pod, `<pod>-<volume>`; what it asks for is its maker's business."""


class Volume(Model):
    """A named volume: one source is set."""

    name: str
    empty_dir: EmptyDirVolumeSource | None = None
    host_path: HostPathVolumeSource | None = None
    config_map: ConfigMapVolumeSource | None = None
    secret: SecretVolumeSource | None = None
    projected: ProjectedVolumeSource | None = None
    downward_api: DownwardAPIVolumeSource | None = Field(default=None, alias="downwardAPI")
    persistent_volume_claim: PersistentVolumeClaimVolumeSource | None = None
    ephemeral: EphemeralVolumeSource | None = None
