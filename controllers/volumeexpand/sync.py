"""Looks at claims that ask for more than they have."""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from k8slite.kinds.storage import PersistentVolume, PersistentVolumeClaim

from ..context import Context, Runnable
from .plan import Plan, Said, plan, wishes

COMPONENT = "volume_expand"


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [Expander(context).controller]


class Expander:
    """Syncs claims."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._claims = context.informers.of(PERSISTENT_VOLUME_CLAIMS)
        self._volumes = context.informers.of(PERSISTENT_VOLUMES)
        self._told: dict[str, Said] = {}
        self.controller = Controller(COMPONENT, self.sync, clock=context.clock, workers=context.config.workers)
        self._claims.add_handler(self._claim_changed)
        self._volumes.add_handler(self._volume_changed)

    def _claim_changed(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> None:
        if new is not None and wishes(new):
            self.controller.queue.add(new.key)
        elif old is not None:
            self._told.pop(old.uid, None)

    def _volume_changed(self, old: PersistentVolume | None, new: PersistentVolume | None) -> None:
        reference = new.spec.claim_ref if new is not None else None
        if reference is not None and (claim := self._claims.get(reference.key)) is not None and wishes(claim):
            self.controller.queue.add(claim.key)

    async def sync(self, key: str) -> Result:
        """One claim."""
        claim = self._claims.get(key)
        if claim is None:
            return DONE
        volume = self._volumes.get(claim.spec.volume_name)
        decided = plan(claim=claim, volume=volume, now=self._context.clock.now())
        try:
            if decided.volume is not None and volume is not None:
                body = {"metadata": _condition(volume), **decided.volume}
                await self._context.client.patch(PERSISTENT_VOLUMES, volume.name, body)
            elif decided.status is not None:
                body = {"metadata": _condition(claim), "status": decided.status}
                await self._context.client.patch(
                    PERSISTENT_VOLUME_CLAIMS, claim.name, body, namespace=claim.namespace, subresource="status"
                )
        except ApiError as error:
            if error.code != 404:
                raise
            return DONE
        self._tell(claim, decided)
        return DONE

    def _tell(self, claim: PersistentVolumeClaim, decided: Plan) -> None:
        """What is left to others is said once for as long as the claim waits."""
        said = decided.say
        if said is not None and (decided.status is not None or self._told.get(claim.uid) != said):
            self._context.say(COMPONENT, claim, said.reason, said.message, type=said.type)
            if decided.status is None:
                self._told[claim.uid] = said


def _condition(item: PersistentVolume | PersistentVolumeClaim) -> dict[str, str]:
    return {"uid": item.uid, "resourceVersion": item.metadata.resource_version}
