"""Which objects the pods of a node need: what makes a Secret, a claim or a token a node's business.

    node ← pod ← Secret, ConfigMap, ServiceAccount, ResourceClaim
                 PersistentVolumeClaim ← PersistentVolume ← Secret
    node ← VolumeAttachment, ResourceSlice, PodCertificateRequest, PersistentVolume (of ours, by label)

The edges are read out of the objects when they are asked for, along the index of pods by node, so a question costs
the pods of one node at most. What a pod names hardly ever changes: it is read once for each revision of the pod.

A mirror pod leads to nothing but itself. A kubelet makes them, and would give itself what they name.

Source: Kubernetes' node authorizer (graph.go, graph_populator.go); api/pod and volume/persistentvolume (Secrets that
kubelets use).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from k8slite import local_volumes
from k8slite.remembering import Recent
from k8slite.selectors import FieldRequirement, FieldSelector

from ..lookup import Objects
from ..strategies.base import Document

Reference = tuple[str, str]
"""Plural and name of an object in the pod's namespace."""

MIRROR = "kubernetes.io/config.mirror"
_BOUND = {
    "volumeattachments": "storage.k8s.io",
    "resourceslices": "resource.k8s.io",
    "podcertificaterequests": "certificates.k8s.io",
    "pods": "",
}
"""What names its node itself: plural → group."""
_NODES = 5000
"""As many nodes as a cluster has; nodes come and go, and what the pods of one named is not kept for ever."""


class NodeGraph:
    """Answers whether something leads to a node."""

    def __init__(self, objects: Objects) -> None:
        self._pods = objects.resource("", "pods")
        self._volumes = objects.resource("", "persistentvolumes")
        self._claims = objects.resource("", "persistentvolumeclaims")
        self._bound = {plural: objects.resource(group, plural) for plural, group in _BOUND.items()}
        self._read: Recent[str, dict[str, tuple[int, str, frozenset[Reference]]]] = Recent(_NODES)

    def leads(self, node: str, plural: str, *, namespace: str, name: str) -> bool:
        """Whether there is a way from an object to a node."""
        if plural in self._bound:
            entry = self._bound[plural].get(namespace, name)
            return entry is not None and (entry.document.get("spec") or {}).get("nodeName") == node
        if plural == "persistentvolumes":
            return self._volume(node, name)
        wanted = (plural, name)
        if any(place == namespace and wanted in found for _, place, found in self._by_pod(node).values()):
            return True
        return plural == "secrets" and (namespace, name) in self._secrets_of_volumes(node)

    def _volume(self, node: str, name: str) -> bool:
        entry = self._volumes.get("", name)
        claim = ((entry.document.get("spec") or {}).get("claimRef") or {}) if entry is not None else {}
        if not claim:
            return False
        place = str(claim.get("namespace", ""))
        return self.leads(node, "persistentvolumeclaims", namespace=place, name=str(claim.get("name", "")))

    def keeps(self, node: str, volume: str) -> bool:
        """Whether the node keeps the data of a volume."""
        entry = self._volumes.get("", volume) if volume else None
        return entry is not None and local_volumes.keeper(entry.document["metadata"].get("labels") or {}) == node

    def _secrets_of_volumes(self, node: str) -> set[tuple[str, str]]:
        found: set[tuple[str, str]] = set()
        for _, namespace, references in self._by_pod(node).values():
            for plural, name in references:
                claim = self._claims.get(namespace, name) if plural == "persistentvolumeclaims" else None
                if claim is None:
                    continue
                volume = self._volumes.get("", (claim.document.get("spec") or {}).get("volumeName") or "")
                if volume is not None:
                    found.update(_secrets_of(volume.document.get("spec") or {}, namespace, name))
        return found

    def _by_pod(self, node: str) -> dict[str, tuple[int, str, frozenset[Reference]]]:
        known = self._read.get(node, {})
        current: dict[str, tuple[int, str, frozenset[Reference]]] = {}
        for entry in self._pods.select(fields=FieldSelector((FieldRequirement("spec.nodeName", node, True),))):
            seen = known.get(entry.key)
            if seen is None or seen[0] != entry.revision:
                pod = entry.document
                mirror = MIRROR in (pod["metadata"].get("annotations") or {})
                named = frozenset(() if mirror else references(pod))
                seen = (entry.revision, pod["metadata"]["namespace"], named)
            current[entry.key] = seen
        if current:
            self._read.keep(node, current)
        else:
            self._read.pop(node, None)
        return current


def references(pod: Document) -> Iterator[Reference]:
    """What a pod names: Secrets, ConfigMaps, claims of volumes and devices, the service account."""
    spec: dict[str, Any] = pod.get("spec") or {}
    if account := spec.get("serviceAccountName"):
        yield "serviceaccounts", account
    for secret in spec.get("imagePullSecrets") or ():
        yield "secrets", secret.get("name", "")
    for volume in spec.get("volumes") or ():
        yield from _of_volume(volume, pod)
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield from _of_projection(source)
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or ():
            yield from _of_container(container)
    yield from _of_devices(pod)


def _of_volume(volume: dict[str, Any], pod: Document) -> Iterator[Reference]:
    if secret := volume.get("secret"):
        yield "secrets", secret.get("secretName", "")
    if config := volume.get("configMap"):
        yield "configmaps", config.get("name", "")
    if claim := volume.get("persistentVolumeClaim"):
        yield "persistentvolumeclaims", claim.get("claimName", "")
    elif volume.get("ephemeral"):
        yield "persistentvolumeclaims", f"{pod['metadata']['name']}-{volume['name']}"
    if azure := volume.get("azureFile"):
        yield "secrets", azure.get("secretName", "")
    for driver in ("csi", "flexVolume", "cephfs", "cinder", "rbd", "iscsi", "scaleIO", "storageos"):
        source = volume.get(driver) or {}
        secret = source.get("nodePublishSecretRef" if driver == "csi" else "secretRef") or {}
        if secret.get("name"):
            yield "secrets", secret["name"]


def _of_projection(source: dict[str, Any]) -> Iterator[Reference]:
    if secret := source.get("secret"):
        yield "secrets", secret.get("name", "")
    if config := source.get("configMap"):
        yield "configmaps", config.get("name", "")


def _of_container(container: dict[str, Any]) -> Iterator[Reference]:
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        if secret := source.get("secretKeyRef"):
            yield "secrets", secret.get("name", "")
        if config := source.get("configMapKeyRef"):
            yield "configmaps", config.get("name", "")
    for source in container.get("envFrom") or ():
        if secret := source.get("secretRef"):
            yield "secrets", secret.get("name", "")
        if config := source.get("configMapRef"):
            yield "configmaps", config.get("name", "")


def _of_devices(pod: Document) -> Iterator[Reference]:
    status = pod.get("status") or {}
    made = {entry["name"]: entry.get("resourceClaimName") for entry in status.get("resourceClaimStatuses") or ()}
    for claim in (pod.get("spec") or {}).get("resourceClaims") or ():
        if name := claim.get("resourceClaimName") or made.get(claim["name"]):
            yield "resourceclaims", name
    if name := (status.get("extendedResourceClaimStatus") or {}).get("resourceClaimName"):
        yield "resourceclaims", name


def _secrets_of(volume: dict[str, Any], namespace: str, claim: str) -> Iterator[tuple[str, str]]:
    """Namespace and name of the Secrets that mounting a volume takes, if it is bound to that claim."""
    bound = volume.get("claimRef") or {}
    if (bound.get("namespace"), bound.get("name")) != (namespace, claim):
        return
    if azure := volume.get("azureFile"):
        yield azure.get("secretNamespace") or namespace, azure.get("secretName", "")
    for driver in ("cephfs", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos"):
        if secret := (volume.get(driver) or {}).get("secretRef"):
            yield secret.get("namespace") or namespace, secret.get("name", "")
    source = volume.get("csi") or {}
    for field in ("nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef"):
        if secret := source.get(field):
            yield secret.get("namespace") or namespace, secret.get("name", "")
