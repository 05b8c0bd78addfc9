"""Keeps the ControllerRevisions of an owner: claims them, makes the one that its template asks for, drops old ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Generic

from k8slite import ownership, selectors
from k8slite.errors import ApiError
from k8slite.informer import Informer
from k8slite.kinds.apps import ControllerRevision
from k8slite.kinds.base import K, ResourceType
from k8slite.kinds.resources import CONTROLLER_REVISIONS
from k8slite.kinds.template import RawTemplate

from . import claiming, revisions
from .children import BehindError, Ledger
from .context import Context, by_controller


class History(Generic[K]):
    """The revisions of one kind's objects. Methods raise ApiError, aiohttp.ClientError and BehindError."""

    def __init__(self, context: Context, owners: ResourceType[K]) -> None:
        self._context = context
        self._owners = owners
        self.informer: Informer[ControllerRevision] = context.informers.of(
            CONTROLLER_REVISIONS, controller=by_controller
        )
        self._ledger = Ledger(self.informer)

    def forget(self, key: str) -> None:
        """The owner is gone."""
        self._ledger.forget(key)

    async def claimed(self, owner: K, selector: selectors.LabelSelector) -> list[ControllerRevision]:
        """The owner's revisions, oldest first, with orphans that its selector matches taken over."""
        deleted = await self._ledger.settle(owner.key)
        owned = self.informer.by_index("controller", owner.uid)
        orphans = self.informer.by_index("controller", f"orphans/{owner.namespace}")
        claims = ownership.claim(owner, [*owned, *orphans], selector=selector)
        kept = await claiming.carry_out(
            self._context,
            claims,
            owner=owner,
            owners=self._owners,
            children=CONTROLLER_REVISIONS,
            ledger=self._ledger,
        )
        return revisions.in_order(item for item in kept if not item.deleting and item.uid not in deleted)

    async def newest(
        self,
        owner: K,
        template: RawTemplate,
        known: Sequence[ControllerRevision],
        *,
        collisions: int,
        extra_label: str = "",
    ) -> tuple[ControllerRevision, int]:
        """The revision that stands for the owner's template, made the newest of `known`, and the collisions by now.

        A revision that is made carries the template's labels, and its hash as `controller.kubernetes.io/hash` and
        under `extra_label`.
        """
        data = revisions.data_of(template)
        number = revisions.next_number(known)
        if (found := revisions.find(known, data)) is not None:
            if all(one.revision < found.revision for one in known if one.uid != found.uid):
                return found, collisions
            body = {"metadata": {"uid": found.uid}, "revision": number}
            return await self._write(owner, found.name, body), collisions
        while True:
            hash_ = revisions.hash_of(data, collisions=collisions)
            labels = dict(template.labels) | {revisions.HASH_LABEL: hash_}
            if extra_label:
                labels[extra_label] = hash_
            made = await self._create(owner, revisions.name_of(owner.name, hash_), labels, data=data, number=number)
            if made is not None:
                return made, collisions
            collisions += 1

    async def trim(self, owner: K, known: Sequence[ControllerRevision], *, live: Collection[str], limit: int) -> None:
        """Delete the oldest revisions beyond the limit that nothing lives from."""
        for item in revisions.superfluous(known, live=live, limit=limit):
            try:
                await self._context.client.delete(
                    CONTROLLER_REVISIONS, item.name, namespace=owner.namespace, uid=item.uid
                )
            except ApiError as error:
                if error.code not in (404, 409):
                    raise
            self._ledger.deleted(owner.key, item)

    async def _write(self, owner: K, name: str, body: dict[str, Any]) -> ControllerRevision:
        written = await self._context.client.patch(CONTROLLER_REVISIONS, name, body, namespace=owner.namespace)
        self._ledger.wrote(owner.key, written)
        return written

    async def _create(
        self, owner: K, name: str, labels: dict[str, str], *, data: dict[str, Any], number: int
    ) -> ControllerRevision | None:
        """The revision, made now or by an earlier try of which we did not hear; None if others have the name.

        Raises BehindError for an orphan that is the owner's to take: under another name, all pods would be of another
        revision.
        """
        body = {
            "apiVersion": CONTROLLER_REVISIONS.api_version,
            "kind": CONTROLLER_REVISIONS.kind,
            "metadata": {
                "name": name,
                "namespace": owner.namespace,
                "labels": labels,
                "annotations": dict(owner.metadata.annotations),
                "ownerReferences": [ownership.controller_reference(owner)],
            },
            "data": data,
            "revision": number,
        }
        client = self._context.client
        try:
            made = await client.create(CONTROLLER_REVISIONS, body, namespace=owner.namespace)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            made = await client.get(CONTROLLER_REVISIONS, name, namespace=owner.namespace)
            if made.deleting or revisions.canonical(made.data) != revisions.canonical(data):
                return None
            controller = made.metadata.controller
            if controller is None and labels.items() <= made.metadata.labels.items():
                raise BehindError(f"the cache does not show yet that {name} is an orphan") from error
            if controller is None or controller.uid != owner.uid:
                return None
        self._ledger.wrote(owner.key, made)
        return made
