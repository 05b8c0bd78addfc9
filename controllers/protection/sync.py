"""Takes the protecting finalizer away from what is to go and is used no more.

The finalizer is set by admission when the object is made. Before it goes, users are asked for once more where they are
written, not in the cache: it may lag.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.base import K, Object, ResourceType

from ..context import Context, Runnable
from ..pods import PODS, Pod, by_claim
from .plan import claim_in_use, class_in_use, shut_down, volume_in_use, waits
from .storage import CLAIMS, CLASSES, VOLUMES, Claim, Volume

CLAIM, VOLUME, CLASS = (f"kubernetes.io/{word}-protection" for word in ("pvc", "pv", "vac"))


def build(context: Context) -> Sequence[Runnable]:
    """One controller for each of the three kinds."""
    protection = Protection(context)
    return [protection.claims, protection.volumes, protection.classes]


class Protection:
    """Syncs claims, volumes and classes."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._claims = context.informers.of(CLAIMS)
        self._volumes = context.informers.of(VOLUMES)
        self._classes = context.informers.of(CLASSES)
        self._pods = context.informers.of(PODS, claim=by_claim)
        self.claims = Controller("pvc-protection", self.sync_claim, clock=context.clock, workers=1)
        self.volumes = Controller("pv-protection", self.sync_volume, clock=context.clock, workers=1)
        self.classes = Controller("vac-protection", self.sync_class, clock=context.clock, workers=1)
        self._claims.add_handler(self._claim_changed)
        self._volumes.add_handler(self._volume_changed)
        self._classes.add_handler(lambda old, new: _enqueue(self.classes, new, CLASS))
        self._pods.add_handler(self._pod_changed)

    def _claim_changed(self, old: Claim | None, new: Claim | None) -> None:
        _enqueue(self.claims, new, CLAIM)
        before = old.attribute_classes if old is not None else set()
        self._release_classes(before - (new.attribute_classes if new is not None else set()))

    def _volume_changed(self, old: Volume | None, new: Volume | None) -> None:
        _enqueue(self.volumes, new, VOLUME)
        before = {old.spec.volume_attributes_class_name} - {""} if old is not None else set()
        self._release_classes(before - ({new.spec.volume_attributes_class_name} if new is not None else set()))

    def _release_classes(self, names: set[str]) -> None:
        for name in names:
            _enqueue(self.classes, self._classes.get(name), CLASS)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if old is not None and old.spec.volumes and (new is None or shut_down(new)):
            for key in by_claim(old):
                _enqueue(self.claims, self._claims.get(key), CLAIM)

    async def sync_claim(self, key: str) -> Result:
        """One claim."""
        claim = self._claims.get(key)
        if claim is None or not waits(claim, CLAIM) or claim_in_use(claim, self._pods.by_index("claim", key)):
            return DONE
        written = await self._context.client.list(PODS, namespace=claim.namespace)
        if not claim_in_use(claim, written.items):
            await self._release(CLAIMS, claim, CLAIM)
        return DONE

    async def sync_volume(self, key: str) -> Result:
        """One volume."""
        volume = self._volumes.get(key)
        if volume is not None and waits(volume, VOLUME) and not volume_in_use(volume):
            await self._release(VOLUMES, volume, VOLUME)
        return DONE

    async def sync_class(self, key: str) -> Result:
        """One class."""
        found = self._classes.get(key)
        if found is None or not waits(found, CLASS):
            return DONE
        if class_in_use(found, self._claims.list(), self._volumes.list()):
            return DONE
        client = self._context.client
        claims, volumes = await client.list(CLAIMS), await client.list(VOLUMES)
        if not class_in_use(found, claims.items, volumes.items):
            await self._release(CLASSES, found, CLASS)
        return DONE

    async def _release(self, resource: ResourceType[K], item: Object, finalizer: str) -> None:
        left = [name for name in item.metadata.finalizers if name != finalizer]
        metadata = {"uid": item.uid, "resourceVersion": item.metadata.resource_version, "finalizers": left or None}
        try:
            await self._context.client.patch(resource, item.name, {"metadata": metadata}, namespace=item.namespace)
        except ApiError as error:
            if error.code != 404:
                raise


def _enqueue(controller: Controller, item: Any, finalizer: str) -> None:
    if item is not None and waits(item, finalizer):
        controller.queue.add(item.key)
