"""Carrying plans out: each write on condition of the revision that was decided on, or that the one before made."""

from __future__ import annotations

from typing import Any

from k8slite.errors import ApiError
from k8slite.informer import Informer
from k8slite.kinds.base import K, Object, ResourceType
from k8slite.kinds.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from k8slite.kinds.storage import PersistentVolume, PersistentVolumeClaim

from ..children import BehindError
from ..context import Context
from .steps import Plan, Said, Write

COMPONENT = "persistentvolume-controller"


class Writer:
    """Writes and remembers what the caches may not show yet: nobody decides without it."""

    def __init__(
        self,
        context: Context,
        *,
        claims: Informer[PersistentVolumeClaim],
        volumes: Informer[PersistentVolume],
    ) -> None:
        self._context = context
        self._claims = claims
        self._volumes = volumes
        self._written: dict[str, tuple[Object, int]] = {}
        """By UID, with the number of lists that the cache had begun when the write ended."""
        self._told: dict[str, tuple[tuple[str, str], ...]] = {}

    def lags(self, volume: PersistentVolume) -> bool:
        """Whether the cache shows a volume as it was before a write of ours."""
        written = self._written.get(volume.uid)
        if written is None:
            return False
        return int(written[0].metadata.resource_version) > int(volume.metadata.resource_version)

    async def settled(self, informer: Informer[K], key: str) -> K | None:
        """An object with all that was written to it. Raises BehindError if the cache does not get there."""
        found = informer.get(key)
        written = self._written.get(found.uid) if found is not None else None
        if found is None or written is None:
            return found
        revision = written[0].metadata.resource_version
        if not await informer.wait_for_revision(key, revision, lists=written[1]):
            raise BehindError(f"{informer.resource.plural} are behind {revision}")
        if self._written.get(found.uid) is written:
            del self._written[found.uid]
        return informer.get(key)

    def forget(self, item: Object) -> None:
        """The object is gone."""
        self._written.pop(item.uid, None)
        self._told.pop(item.uid, None)

    async def carry_out(self, plan: Plan) -> None:
        """Write in order. Raises what the client raises; ApiError `Conflict` says that somebody else was there."""
        self._tell(plan)
        revisions: dict[str, str] = {}
        for write in plan.writes:
            if not await self._write(write, revisions):
                return
        for said in plan.then_say:
            self._say(said)

    def _tell(self, plan: Plan) -> None:
        """What holds for long is said again only when it changes: a claim may wait for days."""
        news: dict[str, tuple[tuple[str, str], ...]] = {}
        for said in plan.say:
            news[said.about.uid] = (*news.get(said.about.uid, ()), (said.reason, said.message))
        for said in plan.say:
            if self._told.get(said.about.uid) != news[said.about.uid]:
                self._say(said)
        self._told |= news

    def _say(self, said: Said) -> None:
        self._context.say(COMPONENT, said.about, said.reason, said.message, type=said.type)

    async def _write(self, write: Write, revisions: dict[str, str]) -> bool:
        """Whether the object was still there."""
        target, client = write.target, self._context.client
        metadata = {
            "uid": target.uid,
            "resourceVersion": revisions.get(target.uid, target.metadata.resource_version),
            **write.body.get("metadata", {}),
        }
        body = {**write.body, "metadata": metadata}
        subresource = "status" if write.status else ""
        resource: ResourceType[Any] = (
            PERSISTENT_VOLUMES if isinstance(target, PersistentVolume) else PERSISTENT_VOLUME_CLAIMS
        )
        informer: Informer[Any] = self._volumes if isinstance(target, PersistentVolume) else self._claims
        try:
            written: Object = await client.patch(
                resource, target.name, body, namespace=target.namespace, subresource=subresource
            )
        except ApiError as error:
            if error.code == 404:
                return False
            raise
        revisions[target.uid] = written.metadata.resource_version
        self._written[target.uid] = (written, informer.lists)
        return True
