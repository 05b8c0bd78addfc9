"""The volume behind a claim: a directory of this node that was made for it, or one that an administrator names.

A kubelet may get the claims and volumes that its pods name, one by one, and no list of them. So they are asked for when
a pod is started; a claim that is bound stays with its volume, and what was found holds as long as the pod.

Source: Kubernetes documentation, "Persistent Volumes", "Volumes: local, hostPath"; the kubelet's volume manager for
what stands in the way, and its words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from k8slite import local_volumes, node_affinity
from k8slite.client import Client
from k8slite.errors import ApiError
from k8slite.kinds.core import Pod, Volume
from k8slite.kinds.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from k8slite.kinds.storage import FILESYSTEM, PROVISIONED_BY, PersistentVolume, PersistentVolumeClaim

from . import host_path
from .base import VolumeFault, make_directory


def claim_of(pod: Pod, volume: Volume) -> str:
    """The name of the claim that a volume of a pod stands for; empty if it stands for none."""
    if volume.persistent_volume_claim is not None:
        return volume.persistent_volume_claim.claim_name
    return f"{pod.name}-{volume.name}" if volume.ephemeral is not None else ""


@dataclass(frozen=True, slots=True)
class Found:
    """Where a claim's files are. `name` is the volume's; `owned` tells whether a pod's group may be given them, `alone`
    whether one pod at a time may have them."""

    name: str
    path: Path
    owned: bool
    alone: bool


class Claims:
    """Finds the volumes of claims. `directory` is where this node keeps those that are made on it."""

    def __init__(self, client: Client, *, node: str, directory: Path) -> None:
        self._client = client
        self._node = node
        self._directory = directory

    async def find(self, pod: Pod, volume: Volume) -> Found:
        """The directory, made if it is ours to make. Raises VolumeFault, and what the client raises."""
        name = claim_of(pod, volume)
        try:
            claim = await self._client.get(PERSISTENT_VOLUME_CLAIMS, name, namespace=pod.namespace)
            if volume.ephemeral is not None:
                _check_owner(claim, pod)
            _check_claim(claim, started=pod.status.phase not in ("", "Pending"))
            found = await self._client.get(PERSISTENT_VOLUMES, claim.spec.volume_name)
            _check_volume(found, claim)
            await self._check_node(found)
        except ApiError as error:
            raise VolumeFault(f"error processing PVC {pod.namespace}/{name}: {error}") from error
        except VolumeFault as fault:
            raise VolumeFault(f"error processing PVC {pod.namespace}/{name}: {fault}") from fault
        return await self._setup(found)

    async def _check_node(self, volume: PersistentVolume) -> None:
        if volume.spec.node_affinity is not None and volume.spec.node_affinity.required is not None:
            node = await self._client.get(NODES, self._node)
            if not usable(volume, node=self._node, labels=node.metadata.labels):
                raise VolumeFault(f'volume "{volume.name}" is not for this node: no matching NodeSelectorTerms')

    async def _setup(self, volume: PersistentVolume) -> Found:
        alone = volume.spec.access_modes == ["ReadWriteOncePod"]
        if volume.spec.host_path is not None:
            path = await asyncio.to_thread(host_path.setup, volume.spec.host_path)
            return Found(volume.name, path, owned=False, alone=alone)
        if volume.spec.local is None:
            raise VolumeFault("no volume plugin matched")
        path = Path(volume.spec.local.path)
        if volume.metadata.annotations.get(PROVISIONED_BY) == local_volumes.PROVISIONER:
            self._make(volume, path)
        elif not await asyncio.to_thread(path.exists):
            raise VolumeFault(f'path "{path}" does not exist')
        return Found(volume.name, path, owned=True, alone=alone)

    def _make(self, volume: PersistentVolume, path: Path) -> None:
        """A directory of this node's own, if it is not there. One that nobody here would remove is not made."""
        if not local_volumes.is_volume_name(volume.name) or path != self._directory / volume.name:
            raise VolumeFault(f'path "{path}" is not below "{self._directory}"')
        # Not in a thread, as other paths are, which may be on a server that does not answer: nobody comes between.
        if path.exists():
            return
        if (keeper := local_volumes.keeper(volume.metadata.labels)) != self._node:
            raise VolumeFault(f'node "{keeper}" keeps the data of volume "{volume.name}"')
        # Under another name first: what bears the volume's name is open to all, whenever the kubelet is killed.
        made = unfinished(path)
        make_directory(self._directory)
        made.mkdir(exist_ok=True)
        made.chmod(0o777)
        made.rename(path)


def _check_owner(claim: PersistentVolumeClaim, pod: Pod) -> None:
    owner = claim.metadata.controller
    if owner is None or owner.uid != pod.uid:
        raise VolumeFault(f"PVC {claim.key} was not created for pod {pod.key} (pod is not owner)")


def _check_claim(claim: PersistentVolumeClaim, *, started: bool) -> None:
    if claim.deleting and not started:  # who runs already holds the claim, also when the kubelet starts anew
        raise VolumeFault("PVC is being deleted")
    if claim.status.phase != "Bound":
        raise VolumeFault("PVC is not bound")
    if not claim.spec.volume_name:
        raise VolumeFault("PVC has empty pvc.Spec.VolumeName")


def _check_volume(volume: PersistentVolume, claim: PersistentVolumeClaim) -> None:
    reference = volume.spec.claim_ref
    if reference is None:
        detail = "it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim"
        raise VolumeFault(f'found PV object "{volume.name}" but {detail}')
    if reference.uid != claim.uid:
        detail = f'its pv.Spec.ClaimRef.UID "{reference.uid}" does not point to claim.UID "{claim.uid}"'
        raise VolumeFault(f'found PV object "{volume.name}" but {detail}')
    if volume.spec.volume_mode != FILESYSTEM:
        raise VolumeFault(f"volumeMode {volume.spec.volume_mode} is not supported")


def unfinished(path: Path) -> Path:
    """Where a directory stands until it is what it shall be."""
    return path.with_name(f".{path.name}")


def usable(volume: PersistentVolume, *, node: str, labels: Mapping[str, str]) -> bool:
    """Whether a volume may be used on a node."""
    affinity = volume.spec.node_affinity
    if affinity is None or affinity.required is None:
        return True
    terms = map(node_affinity.term_of, affinity.required.node_selector_terms)
    return any(term.matches(labels, name=node) for term in terms)
