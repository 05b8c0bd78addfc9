"""What the maker of local volumes, the kubelets that keep them and the API server that watches over both agree on.

A local volume is a directory of one node, made for one claim. The controller writes the PersistentVolume and never
touches a disk; the node's kubelet makes the directory when a pod needs it, and removes it when the volume is deleted,
which a finalizer holds up until then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

PROVISIONER = "k8slite.io/local"
DIRECTORY = "k8slite.io/local-volumes"
"""Annotation of a Node: the directory where its kubelet keeps local volumes. A node without it takes none."""
NODE = "k8slite.io/node"
"""Label of a volume: the node whose directory it is. It is what a kubelet finds its volumes by."""
FINALIZER = "k8slite.io/local-data"
"""On a volume that is deleted with its data: these are still there."""
SIMULATOR = "k8slite.io/simulator"
"""Label of nodes that are only played: they keep no data."""
_NAME = re.compile(r"pvc-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def volume_name(claim_uid: str) -> str:
    """The name of the volume that is made for a claim: whoever makes it again makes the same."""
    return f"pvc-{claim_uid}"


def is_volume_name(name: str) -> bool:
    """Whether a name is one that `volume_name` gives, and so a safe name of a directory."""
    return _NAME.fullmatch(name) is not None


def path_of(directory: str, name: str) -> str:
    """Where a volume's files stand below a node's directory."""
    return f"{directory.rstrip('/')}/{name}"


def keeper(labels: Mapping[str, str]) -> str:
    """The node that keeps a volume, empty if it is no local volume of ours."""
    return labels.get(NODE, "")
