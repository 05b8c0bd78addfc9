"""Volumes of the plugins that once were part of Kubernetes: the drivers that serve them today.

A volume counts as one of its driver's, and on nodes that say so its zones are looked up under the driver's own label.

Source: Kubernetes documentation, "CSI driver migration"; the library csi-translation for names and handles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from k8slite.node_affinity import Term
from k8slite.selectors import Requirement

from .objects import PersistentVolume, Where
from .sources import Sources

ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
BETA_ZONE, BETA_REGION = "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region"
SEVERAL = "__"
"""Stands between the zones in the label of a volume that lies in several."""


class Driver(NamedTuple):
    """The driver that took a plugin's place; `zone` is the label that it goes by, if it has one of its own."""

    name: str
    zone: str = ""


AWS, GCE, AZURE = "kubernetes.io/aws-ebs", "kubernetes.io/gce-pd", "kubernetes.io/azure-disk"
CINDER, PORTWORX = "kubernetes.io/cinder", "kubernetes.io/portworx-volume"
DRIVERS = {
    AWS: Driver("ebs.csi.aws.com", "topology.ebs.csi.aws.com/zone"),
    GCE: Driver("pd.csi.storage.gke.io", "topology.gke.io/zone"),
    AZURE: Driver("disk.csi.azure.com"),
    CINDER: Driver("cinder.csi.openstack.org", "topology.cinder.csi.openstack.org/zone"),
    PORTWORX: Driver("pxd.portworx.com"),
}


class Attachment(NamedTuple):
    """What a node must attach: equal ones are one and the same volume."""

    driver: str
    handle: str


def plugin_of(sources: Sources) -> str:
    """The plugin of a source; empty if the source is none of an old plugin's."""
    if sources.aws_elastic_block_store:
        return AWS
    if sources.gce_persistent_disk:
        return GCE
    if sources.azure_disk:
        return AZURE
    if sources.cinder:
        return CINDER
    return PORTWORX if sources.portworx_volume else ""


def migrated(sources: Sources, *, volume: PersistentVolume | None = None) -> Attachment | None:
    """What its driver calls the volume of a source; `volume` is the one that the source is of, if it is not a pod's."""
    handle = next(_handles(sources, volume), "")
    return Attachment(DRIVERS[plugin_of(sources)].name, handle) if handle else None


def _handles(sources: Sources, volume: PersistentVolume | None) -> Iterator[str]:
    if aws := sources.aws_elastic_block_store:
        yield re.sub("^aws://[^/]*/", "", aws.volume_id)
    elif gce := sources.gce_persistent_disk:
        if place := _place(volume):
            yield f"projects/UNSPECIFIED/{place}/disks/{gce.pd_name}"
    elif azure := sources.azure_disk:
        if azure.kind.lower() in ("", "managed"):
            yield azure.disk_uri
    elif other := sources.cinder or sources.portworx_volume:
        yield other.volume_id


def _place(volume: PersistentVolume | None) -> str:
    """The zone of Google's disk, or the region of one that lies in several; empty if that cannot be told."""
    labels = volume.metadata.labels if volume else {}
    zones = (labels.get(BETA_ZONE) or labels.get(ZONE) or "UNSPECIFIED").split(SEVERAL)
    if len(zones) == 1:
        return f"zones/{zones[0]}"
    regions = {zone.rpartition("-")[0] for zone in zones if zone.count("-") == 2}
    return f"regions/{regions.pop()}" if len(regions) == 1 else ""


def translated(volume: PersistentVolume) -> Where:
    """The nodes that can use a volume of an old plugin, where its driver serves it."""
    where, zone = volume.where, DRIVERS[plugin_of(volume.spec)].zone
    if not zone:
        return where
    named, region = _labels_of(volume, where)
    if _names(where, named, valued=True):
        where = _renamed(where, named, zone)
    elif zones := sorted({part.strip() for part in volume.metadata.labels.get(named, "").split(SEVERAL)} - {""}):
        added = Requirement(zone, "In", frozenset(zones))
        where = tuple(Term(labels=(*term.labels, added)) for term in where or (Term(),))
    return _renamed(where, region, REGION) if region == BETA_REGION else where


def _labels_of(volume: PersistentVolume, where: Where) -> tuple[str, str]:
    """The labels for zone and region that the volume goes by: the affinity's before its own, new before old."""
    for known in (lambda key: _names(where, key), volume.metadata.labels.__contains__):
        for zone, region in ((ZONE, REGION), (BETA_ZONE, BETA_REGION)):
            if known(zone):
                return zone, region
    return ZONE, REGION


def _names(where: Where, key: str, *, valued: bool = False) -> bool:
    """Whether a condition speaks of a label (and of values of it)."""
    named = (requirement for term in where or () for requirement in term.labels if requirement.key == key)
    return any(requirement.values or not valued for requirement in named)


def _renamed(where: Where, old: str, new: str) -> Where:
    if where is None:
        return None
    return tuple(
        Term(labels=tuple(Requirement(new, r.operator, r.values) if r.key == old else r for r in term.labels))
        for term in where
    )
