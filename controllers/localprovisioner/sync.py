"""Makes local volumes and deletes them. It needs no disk: see `k8slite.local_volumes` for who does what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from k8slite import local_volumes
from k8slite.controller import DONE, Controller, Result, TryAgain
from k8slite.errors import ApiError
from k8slite.kinds.core import Node
from k8slite.kinds.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES
from k8slite.kinds.storage import SELECTED_NODE, PersistentVolume, PersistentVolumeClaim, StorageClass

from ..context import Context, Runnable
from . import claims, volumes

COMPONENT = local_volumes.PROVISIONER


def build(context: Context) -> Sequence[Runnable]:
    """The controller: one queue for claims, one for volumes."""
    provisioner = Provisioner(context)
    return [provisioner.claim_queue, provisioner.volume_queue]


class Provisioner:
    """Syncs claims that wait for us, and the volumes that we made."""

    def __init__(self, context: Context) -> None:
        self._context = context
        informers = context.informers
        self._claims = informers.of(PERSISTENT_VOLUME_CLAIMS, awaits_local=_awaits)
        self._volumes = informers.of(PERSISTENT_VOLUMES, keeper=_keeper)
        self._classes = informers.of(STORAGE_CLASSES)
        self._nodes = informers.of(NODES)
        workers = context.config.workers
        self.claim_queue = Controller("local_claims", self.sync_claim, clock=context.clock, workers=workers)
        self.volume_queue = Controller("local_volumes", self.sync_volume, clock=context.clock, workers=workers)
        self._claims.add_handler(self._claim_changed)
        self._volumes.add_handler(self._volume_changed)
        self._classes.add_handler(self._class_changed)
        self._nodes.add_handler(self._node_changed)

    def _claim_changed(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> None:
        if new is not None and claims.waits(new):
            self.claim_queue.queue.add(new.key)
        elif old is not None and claims.waits(old):
            self.claim_queue.queue.drop(old.key)

    def _volume_changed(self, old: PersistentVolume | None, new: PersistentVolume | None) -> None:
        if new is not None and volumes.ours(new):
            self.volume_queue.queue.add(new.key)
        elif old is not None and new is None and old.spec.claim_ref is not None:
            self.claim_queue.queue.add(old.spec.claim_ref.key)  # it may wait still: for another

    def _class_changed(self, old: StorageClass | None, new: StorageClass | None) -> None:
        if new is not None and new.provisioner == local_volumes.PROVISIONER:
            self._wake_claims()

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is None and old is not None:
            for volume in self._volumes.by_index("keeper", old.name):
                self.volume_queue.queue.add(volume.key)
        elif new is not None and (old is None or _offers(old) != _offers(new)):
            self._wake_claims()

    def _wake_claims(self) -> None:
        for claim in self._claims.by_index("awaits_local", "yes"):
            self.claim_queue.queue.add(claim.key)

    async def sync_claim(self, key: str) -> Result:
        """One claim."""
        claim = self._claims.get(key)
        if claim is None or self._volumes.get(local_volumes.volume_name(claim.uid)) is not None:
            return DONE
        found = self._classes.get(claim.storage_class)
        decided = claims.plan(claim=claim, found=found, node=self._nodes.get, nodes=self._nodes.list)
        if decided.problem:
            await self._fail(claim, decided.problem)
        if decided.volume is not None:
            about = f'External provisioner is provisioning volume for claim "{claim.key}"'
            self._context.say(COMPONENT, claim, "Provisioning", about)
            if problem := await self._make(claim, decided.volume):
                await self._fail(claim, problem)
            name = decided.volume["metadata"]["name"]
            self._context.say(COMPONENT, claim, "ProvisioningSucceeded", f"Successfully provisioned volume {name}")
        return DONE

    async def _make(self, claim: PersistentVolumeClaim, body: dict[str, object]) -> str:
        """Why it could not be made; empty if it is there, made now or before a crash."""
        client = self._context.client
        try:
            await client.create(PERSISTENT_VOLUMES, body)
        except ApiError as error:
            if error.reason == "AlreadyExists":
                found = await client.get(PERSISTENT_VOLUMES, local_volumes.volume_name(claim.uid))
                return "" if found.kept_for(claim) else f'volume "{found.name}" exists, but is not for this claim'
            if error.code in (403, 422):
                return str(error)
            raise
        return ""

    async def _fail(self, claim: PersistentVolumeClaim, problem: str) -> None:
        """Say so, and let the scheduler choose again: it waits for its annotation to go. Raises TryAgain."""
        message = f'failed to provision volume with StorageClass "{claim.storage_class}": {problem}'
        self._context.say(COMPONENT, claim, "ProvisioningFailed", message, type="Warning")
        if SELECTED_NODE in claim.metadata.annotations:
            metadata = {
                "uid": claim.uid,
                "resourceVersion": claim.metadata.resource_version,
                "annotations": {SELECTED_NODE: None},
            }
            body = {"metadata": metadata}
            await self._context.client.patch(PERSISTENT_VOLUME_CLAIMS, claim.name, body, namespace=claim.namespace)
        raise TryAgain(message)

    async def sync_volume(self, key: str) -> Result:
        """One volume."""
        volume = self._volumes.get(key)
        if volume is None:
            return DONE
        keeper = local_volumes.keeper(volume.metadata.labels)
        node = self._nodes.get(keeper)
        if node is None and keeper and volume.deleting:
            node = await self._written_node(keeper)
        decided = volumes.plan(volume=volume, node=node)
        revision = volume.metadata.resource_version
        client = self._context.client
        try:
            if decided.finalizers is not None:
                if decided.warn:
                    self._context.say(COMPONENT, volume, "VolumeFailedDelete", decided.warn, type="Warning")
                metadata = {"uid": volume.uid, "resourceVersion": revision, "finalizers": list(decided.finalizers)}
                await client.patch(PERSISTENT_VOLUMES, volume.name, {"metadata": metadata})
            elif decided.delete:
                await client.delete(PERSISTENT_VOLUMES, volume.name, uid=volume.uid, resource_version=revision)
        except ApiError as error:
            if error.code != 404:
                raise
        return DONE

    async def _written_node(self, name: str) -> Node | None:
        """A node as it is written: before data are given up, the cache's word is not enough."""
        try:
            return await self._context.client.get(NODES, name)
        except ApiError as error:
            if error.code != 404:
                raise
            return None


def _awaits(claim: PersistentVolumeClaim) -> Iterable[str]:
    """Index: `yes` for claims that wait for us."""
    return ("yes",) if claims.waits(claim) else ()


def _keeper(volume: PersistentVolume) -> Iterable[str]:
    """Index: the node that keeps a volume's data."""
    found = local_volumes.keeper(volume.metadata.labels)
    return (found,) if found else ()


def _offers(node: Node) -> tuple[object, ...]:
    """What of a node decides whether it takes volumes."""
    directory = node.metadata.annotations.get(local_volumes.DIRECTORY)
    return directory, node.ready, node.spec.unschedulable, node.metadata.labels
