"""Makes claims for pods as these appear, and again when one is removed while its pod lives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.resources import PERSISTENT_VOLUME_CLAIMS
from k8slite.kinds.storage import PersistentVolumeClaim

from ..context import Context, Runnable
from ..pods import PODS, Pod, by_claim
from .plan import body, claim_name, foreign, made_for, plan

COMPONENT = "ephemeral_volume"


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [EphemeralVolumes(context).controller]


class EphemeralVolumes:
    """Syncs pods that have ephemeral volumes."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pods = context.informers.of(PODS, claim=by_claim)
        self._claims = context.informers.of(PERSISTENT_VOLUME_CLAIMS)
        self.controller = Controller(COMPONENT, self.sync, clock=context.clock, workers=context.config.workers)
        self._pods.add_handler(self._pod_changed)
        self._claims.add_handler(self._claim_changed)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        """What a pod wants of volumes never changes: it is looked at once."""
        if old is None and new is not None and any(volume.ephemeral for volume in new.spec.volumes):
            self.controller.queue.add(new.key)

    def _claim_changed(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> None:
        if old is not None and new is None:
            for pod in self._pods.by_index("claim", old.key):
                self.controller.queue.add(pod.key)

    async def sync(self, key: str) -> Result:
        """One pod."""
        pod = self._pods.get(key)
        if pod is None:
            return DONE
        decided = plan(pod=pod, claim=lambda name: self._claims.get(f"{pod.namespace}/{name}"))
        for volume, problem in decided.conflicts:
            self._complain(pod, volume, problem)
        if decided.create:
            await self._create(pod, decided.create)
        return DONE

    async def _create(self, pod: Pod, volumes: Sequence[str]) -> None:
        """The templates are read now: only few pods have any, and each once."""
        try:
            document: dict[str, Any] = await self._context.client.request(
                "GET", PODS.path(namespace=pod.namespace, name=pod.name)
            )
        except ApiError as error:
            if error.code == 404:
                return
            raise
        if document["metadata"]["uid"] != pod.uid:
            return
        for volume in document["spec"].get("volumes") or ():
            if volume["name"] in volumes:
                await self._create_one(pod, volume["name"], volume["ephemeral"]["volumeClaimTemplate"])

    async def _create_one(self, pod: Pod, volume: str, template: dict[str, Any]) -> None:
        client = self._context.client
        try:
            await client.create(PERSISTENT_VOLUME_CLAIMS, body(pod, volume, template), namespace=pod.namespace)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                self._complain(pod, volume, f"create PVC {claim_name(pod.name, volume)}: {error}")
                raise
            # Ours, whose answer was lost or which the cache does not show yet; or somebody else's.
            found = await client.get(PERSISTENT_VOLUME_CLAIMS, claim_name(pod.name, volume), namespace=pod.namespace)
            if not made_for(found, pod):
                self._complain(pod, volume, foreign(found, pod))

    def _complain(self, pod: Pod, volume: str, problem: str) -> None:
        message = f"ephemeral volume {volume}: {problem}"
        self._context.say(COMPONENT, pod, "FailedBinding", message, type="Warning")
