"""Carries a plan out: claims before their pods, owners of claims before the pods whose they are go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from k8slite.client import Patch
from k8slite.errors import ApiError
from k8slite.informer import Informer
from k8slite.kinds.apps import StatefulSet
from k8slite.kinds.resources import PERSISTENT_VOLUME_CLAIMS
from k8slite.kinds.storage import PersistentVolumeClaim
from k8slite.kinds.template import RawTemplate

from ..children import Ledger, all_of, batches, create_once
from ..context import Context
from ..pods import PODS, Pod
from . import identity
from .plan import Birth, Mend, Plan

_FOREIGN = (
    "PersistentVolumeClaim {} has a conflicting OwnerReference that acts as a manging controller, the retention policy"
    " is ignored for this claim"
)
"""In upstream's very letters."""


class Hands:
    """Writes pods and claims, and tells of it. Methods raise ApiError, aiohttp.ClientError and BehindError."""

    def __init__(self, context: Context, *, pods: Ledger[Pod], claims: Informer[PersistentVolumeClaim]) -> None:
        self._context = context
        self._say = partial(context.say, "statefulset-controller")
        self._pods = pods
        self._claims = claims
        self._ledger = Ledger(claims)

    async def settle(self, key: str) -> None:
        """Wait until the cache shows all claims that were written for a set."""
        await self._ledger.settle(key)

    def forget(self, key: str) -> None:
        """The set is gone."""
        self._ledger.forget(key)

    async def carry_out(self, statefulset: StatefulSet, decided: Plan, templates: Mapping[str, RawTemplate]) -> None:
        """Take all steps; the first that fails keeps the later kinds of steps from being taken."""
        for name in decided.conflicting:
            self._say(statefulset, "ConflictingController", _FOREIGN.format(name), type="Warning")
        if decided.in_order:
            # A pod that cannot be mended holds up its successors.
            await all_of(self._mend(statefulset, mend) for mend in decided.mend)
        for group in batches(len(decided.create)):
            births = [decided.create[number] for number in group]
            await all_of(self._create(statefulset, birth, templates[birth.revision]) for birth in births)
        if not decided.in_order:
            await all_of(self._mend(statefulset, mend) for mend in decided.mend)
        for ordinal in decided.provide:
            await self._provide(statefulset, ordinal)
        await all_of(self._own(statefulset, mend) for mend in decided.release)
        await all_of(self._delete(statefulset, pod) for pod in decided.delete)

    async def _create(self, statefulset: StatefulSet, birth: Birth, template: RawTemplate) -> None:
        body = identity.pod_of(statefulset, template, ordinal=birth.ordinal, revision=birth.revision)
        name = body["metadata"]["name"]
        if problems := await self._provide(statefulset, birth.ordinal, of_new_pod=True):
            # The informer tells when they are gone; then there is another look.
            self._tell(statefulset, "create", name, failure=_together(problems))
            return
        try:
            made = await create_once(self._context.client, PODS, body, owner=statefulset)
        except ApiError as error:
            if error.reason == "Conflict":
                await self._tell_taken(statefulset, name)
            elif not error.namespace_goes:
                self._tell(statefulset, "create", name, failure=str(error))
            raise
        self._pods.wrote(statefulset.key, made)
        self._tell(statefulset, "create", name)

    async def _tell_taken(self, statefulset: StatefulSet, name: str) -> None:
        """Somebody else's pod has the name. One that is on its way out makes room without anybody's doing."""
        holder = await self._context.client.get(PODS, name, namespace=statefulset.namespace)
        if not holder.deleting:
            self._tell(statefulset, "create", name, failure=f'pods "{name}" already exists')

    async def _provide(self, statefulset: StatefulSet, ordinal: int, *, of_new_pod: bool = False) -> Sequence[str]:
        """Make the claims of a number that are not there. Tells of those that are, but are on their way out."""
        problems = []
        for body in identity.claims_of(statefulset, ordinal):
            name, pod = body["metadata"]["name"], identity.pod_name(statefulset, ordinal)
            present = self._claims.get(f"{statefulset.namespace}/{name}")
            if present is not None:
                if present.deleting:
                    problems.append(f"pvc {name} is being deleted")
                continue
            try:
                await self._create_claim(statefulset, body, pod)
            except ApiError as error:
                if of_new_pod and error.reason != "AlreadyExists" and not error.namespace_goes:
                    self._tell(statefulset, "create", pod, failure=f"failed to create PVC {name}: {error}")
                raise
        return problems

    async def _create_claim(self, statefulset: StatefulSet, body: dict[str, Any], pod: str) -> None:
        name = body["metadata"]["name"]
        about = f"Pod {pod} in StatefulSet {statefulset.name}"
        try:
            made = await self._context.client.create(PERSISTENT_VOLUME_CLAIMS, body, namespace=statefulset.namespace)
        except ApiError as error:
            if error.reason != "AlreadyExists" and not error.namespace_goes:
                message = f"create Claim {name} for {about} failed error: {error}"
                self._say(statefulset, "FailedCreate", message, type="Warning")
            raise
        self._ledger.wrote(statefulset.key, made)
        self._say(statefulset, "SuccessfulCreate", f"create Claim {name} {about} success")

    async def _mend(self, statefulset: StatefulSet, mend: Mend) -> None:
        """An attempt to give a pod other volumes is refused, as they never change: the event tells why it waits."""
        pod = mend.pod
        body: dict[str, Any] = {"metadata": {"uid": pod.uid}}
        if mend.labels:
            body["metadata"]["labels"] = dict(mend.labels)
        if mend.volumes:
            volumes = identity.volumes_of(dict(mend.volumes))
            body["spec"] = {"volumes": [{**volume, "$retainKeys": [*volume]} for volume in volumes]}
        try:
            if mend.volumes:
                await self._provide(statefulset, identity.ordinal_of(statefulset, pod.name) or 0)
            await self._own(statefulset, mend)
            if mend.labels or mend.volumes:
                client, namespace = self._context.client, pod.namespace
                changed = await client.patch(PODS, pod.name, body, namespace=namespace, patch=Patch.STRATEGIC)
                self._pods.wrote(statefulset.key, changed)
        except ApiError as error:
            self._tell(statefulset, "update", pod.name, failure=str(error))
            raise
        self._tell(statefulset, "update", pod.name)

    async def _own(self, statefulset: StatefulSet, mend: Mend) -> None:
        for claim, references in mend.owners:
            metadata = {
                "uid": claim.uid,
                "resourceVersion": claim.metadata.resource_version,
                "ownerReferences": references or None,
            }
            client = self._context.client
            changed = await client.patch(
                PERSISTENT_VOLUME_CLAIMS, claim.name, {"metadata": metadata}, namespace=claim.namespace
            )
            self._ledger.wrote(statefulset.key, changed)

    async def _delete(self, statefulset: StatefulSet, pod: Pod) -> None:
        try:
            await self._context.client.delete(PODS, pod.name, namespace=pod.namespace, uid=pod.uid)
        except ApiError as error:
            if error.code not in (404, 409):
                self._tell(statefulset, "delete", pod.name, failure=str(error))
                raise
        self._pods.deleted(statefulset.key, pod)
        self._tell(statefulset, "delete", pod.name)

    def _tell(self, statefulset: StatefulSet, verb: str, pod: str, *, failure: str = "") -> None:
        about = f"{verb} Pod {pod} in StatefulSet {statefulset.name}"
        if failure:
            message = f"{about} failed error: {failure}"
            self._say(statefulset, f"Failed{verb.capitalize()}", message, type="Warning")
        else:
            self._say(statefulset, f"Successful{verb.capitalize()}", f"{about} successful")


def _together(problems: Sequence[str]) -> str:
    """Several problems as Kubernetes prints an aggregate of them."""
    return problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
