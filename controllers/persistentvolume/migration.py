"""The volume plugins that once were part of Kubernetes, and the drivers that took their volumes over.

Source: Kubernetes documentation, "Volumes: Migrating to CSI drivers from in-tree plugins"; csi-translation-lib.
"""

from __future__ import annotations

from k8slite.kinds.base import Object
from k8slite.kinds.storage import (
    BETA_STORAGE_PROVISIONER,
    MIGRATED_TO,
    PROVISIONED_BY,
    STORAGE_PROVISIONER,
)

DRIVERS = {
    "kubernetes.io/aws-ebs": "ebs.csi.aws.com",
    "kubernetes.io/azure-disk": "disk.csi.azure.com",
    "kubernetes.io/azure-file": "file.csi.azure.com",
    "kubernetes.io/cinder": "cinder.csi.openstack.org",
    "kubernetes.io/gce-pd": "pd.csi.storage.gke.io",
    "kubernetes.io/portworx-volume": "pxd.portworx.com",
    "kubernetes.io/vsphere-volume": "csi.vsphere.vmware.com",
}
_IN_TREE = "kubernetes.io/"


def driver(provisioner: str) -> str | None:
    """Who makes the volumes of a provisioner; None for one that was part of Kubernetes and has no successor."""
    found = DRIVERS.get(provisioner, provisioner)
    return None if found.startswith(_IN_TREE) else found


def missing_note(item: Object) -> str:
    """The driver that is to be noted on a claim or a volume of such a plugin; empty if nothing is missing."""
    annotations = item.metadata.annotations
    for key in (STORAGE_PROVISIONER, BETA_STORAGE_PROVISIONER, PROVISIONED_BY):
        wanted = DRIVERS.get(annotations.get(key, ""), "")
        if wanted and annotations.get(MIGRATED_TO) != wanted:
            return wanted
    return ""
