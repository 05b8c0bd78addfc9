"""What to make for a claim.

Source: Kubernetes documentation, "Storage Classes", "Dynamic Volume Provisioning"; sig-storage-lib-external-provisioner
for when a provisioner acts, and its words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from k8slite import local_volumes
from k8slite.kinds.core import Node
from k8slite.kinds.storage import (
    BETA_STORAGE_PROVISIONER,
    DELAYED,
    FILESYSTEM,
    PROVISIONED_BY,
    SELECTED_NODE,
    STORAGE_PROVISIONER,
    PersistentVolumeClaim,
    StorageClass,
)

HOSTNAME = "kubernetes.io/hostname"
_MODES = {"ReadWriteOnce", "ReadWriteOncePod"}
_LONGEST = 63
"""Characters that a label's value may have."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A volume to make, or why none can be made. Both empty: nothing is to be done."""

    volume: dict[str, Any] | None = None
    problem: str = ""


def asked_of(claim: PersistentVolumeClaim) -> str:
    """The provisioner that a claim waits for."""
    annotations = claim.metadata.annotations
    return annotations.get(STORAGE_PROVISIONER, annotations.get(BETA_STORAGE_PROVISIONER, ""))


def waits(claim: PersistentVolumeClaim) -> bool:
    """Whether the claim waits for a volume of ours."""
    return asked_of(claim) == local_volumes.PROVISIONER and not claim.spec.volume_name and not claim.deleting


def plan(
    *,
    claim: PersistentVolumeClaim,
    found: StorageClass | None,
    node: Callable[[str], Node | None],
    nodes: Callable[[], Iterable[Node]],
) -> Plan:
    """`found` is the claim's class; `node` tells one by its name, `nodes` tells all of them."""
    if not waits(claim) or found is None or found.provisioner != local_volumes.PROVISIONER:
        return Plan()
    chosen = claim.metadata.annotations.get(SELECTED_NODE, "")
    if not chosen and found.volume_binding_mode == DELAYED:
        return Plan()
    if problem := _unserved(claim, found):
        return Plan(problem=problem)
    if chosen:
        place = node(chosen)
        if place is None:
            return Plan(problem=f'node "{chosen}" not found')
        if problem := _unfit(place, found):
            return Plan(problem=problem)
        return Plan(_volume(claim, found, place))
    fit = [each for each in nodes() if each.ready and not each.spec.unschedulable and not _unfit(each, found)]
    if not fit:
        return Plan(problem="no node is ready that keeps local volumes")
    return Plan(_volume(claim, found, _any(fit, claim.uid)))


def _unserved(claim: PersistentVolumeClaim, found: StorageClass) -> str:
    if claim.spec.selector is not None:
        return "claim Selector is not supported"
    if claim.spec.data_source is not None or claim.spec.data_source_ref is not None:
        return "claim DataSource is not supported"
    if claim.spec.volume_mode != FILESYSTEM:
        return f"volumeMode {claim.spec.volume_mode} is not supported"
    if others := sorted(set(claim.spec.access_modes) - _MODES):
        return f"accessModes {', '.join(others)} are not supported: the volume is a directory of one node"
    if found.parameters:
        return f"unknown parameters {', '.join(sorted(found.parameters))}"
    if found.mount_options:
        return f"mount options {found.mount_options} are not supported"
    return ""


def _unfit(node: Node, found: StorageClass) -> str:
    played = local_volumes.SIMULATOR in node.metadata.labels
    if not played and not node.metadata.annotations.get(local_volumes.DIRECTORY):
        return f'node "{node.name}" keeps no local volumes (it has no annotation {local_volumes.DIRECTORY})'
    if len(node.name) > _LONGEST:
        return f'the name of node "{node.name}" is longer than {_LONGEST} characters'
    if not _allowed(node.metadata.labels, found):
        return f'node "{node.name}" is not in the allowed topologies'
    return ""


def _allowed(labels: Mapping[str, str], found: StorageClass) -> bool:
    terms = (topology.match_label_expressions for topology in found.allowed_topologies)
    return not found.allowed_topologies or any(
        all(labels.get(each.key) in each.values for each in term) for term in terms
    )


def _any(nodes: Iterable[Node], uid: str) -> Node:
    """One of the nodes, the same one for the same claim: claims are spread by chance without any memory."""
    return min(nodes, key=lambda node: hashlib.sha256(f"{uid} {node.uid}".encode()).digest())


def _volume(claim: PersistentVolumeClaim, found: StorageClass, node: Node) -> dict[str, Any]:
    name = local_volumes.volume_name(claim.uid)
    directory = node.metadata.annotations.get(local_volumes.DIRECTORY, "/simulated")
    host = {"key": HOSTNAME, "operator": "In", "values": [node.metadata.labels.get(HOSTNAME, node.name)]}
    metadata: dict[str, Any] = {
        "name": name,
        "labels": {local_volumes.NODE: node.name},
        "annotations": {PROVISIONED_BY: local_volumes.PROVISIONER},
    }
    if found.reclaim_policy == "Delete":
        metadata["finalizers"] = [local_volumes.FINALIZER]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": metadata,
        "spec": {
            "capacity": {"storage": claim.spec.resources.requests["storage"]},
            "accessModes": claim.spec.access_modes,
            "claimRef": {
                "kind": "PersistentVolumeClaim",
                "apiVersion": "v1",
                "namespace": claim.namespace,
                "name": claim.name,
                "uid": claim.uid,
                "resourceVersion": claim.metadata.resource_version,
            },
            "persistentVolumeReclaimPolicy": found.reclaim_policy,
            "storageClassName": found.name,
            "volumeMode": FILESYSTEM,
            "local": {"path": local_volumes.path_of(directory, name)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [host]}]}},
        },
    }
