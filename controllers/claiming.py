"""Owners and what they claim: whom a child wakes, taking over orphans that a selector matches, letting go the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from k8slite import ownership
from k8slite.errors import ApiError
from k8slite.kinds.base import K, Object, ResourceType
from k8slite.workqueue import WorkQueue

from .children import Ledger
from .context import Context


def waking(queue: WorkQueue, *, kind: str, takers: Callable[[K], None]) -> Callable[[K | None, K | None], None]:
    """A handler of children: their controllers of this kind look again, before a change and after it.

    `takers` is told of children without a controller, which somebody may want.
    """

    def changed(old: K | None, new: K | None) -> None:
        for child in (old, new):
            if child is None:
                continue
            owner = child.metadata.controller
            if owner is None:
                takers(child)
            elif owner.kind == kind:
                queue.add(f"{child.namespace}/{owner.name}")

    return changed


async def carry_out(
    context: Context,
    claims: ownership.Claims[K],
    *,
    owner: Object,
    owners: ResourceType[Any],
    children: ResourceType[K],
    ledger: Ledger[K],
) -> list[K]:
    """What the owner has then. Nothing is taken over unless a fresh read says that the owner is there to stay.

    Raises ApiError and aiohttp.ClientError; `Conflict` if a child changed meanwhile.
    """
    client, namespace = context.client, owner.namespace
    kept = list(claims.owned)
    for item in claims.release:
        try:
            await client.patch(children, item.name, ownership.release(item, owner), namespace=namespace)
        except ApiError as error:
            if error.code != 404:
                raise
    if claims.adopt:
        fresh = await client.get(owners, owner.name, namespace=namespace)
        if fresh.uid != owner.uid or fresh.deleting:
            return kept
    for item in claims.adopt:
        adopted = await client.patch(children, item.name, ownership.adoption(item, owner), namespace=namespace)
        ledger.wrote(owner.key, adopted)
        kept.append(adopted)
    return kept
