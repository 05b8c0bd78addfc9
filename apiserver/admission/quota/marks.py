"""Marks in the store that keep counts and writes apart, so that no count misses an object that it lets go uncharged.

An object is charged before it is stored. A count that is made between the two misses it, and would give back what the
object is about to use. So whoever counts a quota says so first (`countBegins`, a parameter of ours of writes of the
quota's status, names the resources to be counted): each kind of object behind these names gets its mark written anew. A
charged object is stored only if its kind's mark was not written since it was charged. What was charged before a count
began has therefore been stored by then, or never will be; what is charged later changes the figure over which the count
would be written.

Only the store looks at marks: it compares their revisions. They are no resource of the API.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import orjson

from k8slite.errors import service_unavailable
from k8slite.usage.measures import Place

from ... import documents
from ...storage.base import KeyExists, RevisionMismatch, Store, StoreUnavailable, Unless

PARAMETER = "countBegins"
_PLACE = ("internal.k8slite.io", "quotamarks")


def bound(namespace: str, place: Place, *, charged: int) -> Unless:
    """What an object is bound to that was charged at a revision."""
    return Unless(_key(namespace, place), charged)


async def begin(store: Store, namespace: str, places: Iterable[Place]) -> None:
    """Begin a count: from now on nothing is stored that was charged before. Raises ApiError 503."""
    try:
        await asyncio.gather(*(_write(store, _key(namespace, place)) for place in places))
    except StoreUnavailable as error:
        raise service_unavailable(f"the store is not available: {error}") from error


async def forget(store: Store, namespace: str) -> None:
    """Remove the marks of a namespace that will have no quota. Raises ApiError 503."""
    try:
        found = await store.range(documents.prefix(*_PLACE, namespace))
        await asyncio.gather(*(_remove(store, record.key, record.revision) for record in found.records))
    except StoreUnavailable as error:
        raise service_unavailable(f"the store is not available: {error}") from error


async def _write(store: Store, key: str) -> None:
    name = key.rpartition("/")[2]
    document = {"kind": "QuotaMark", "apiVersion": f"{_PLACE[0]}/v1", "metadata": {"resourceVersion": "", "name": name}}
    value = orjson.dumps(document)
    there = await store.get(key)
    try:
        if there is None:
            await store.create(key, value)
        else:
            await store.update(key, value, expected=there.revision)
    except (KeyExists, RevisionMismatch):
        if await store.get(key) is None:  # forgotten at this moment
            await _write(store, key)
        # Otherwise somebody else wrote it meanwhile, which is as good.


async def _remove(store: Store, key: str, revision: int) -> None:
    try:
        await store.delete(key, expected=revision)
    except RevisionMismatch:
        return


def _key(namespace: str, place: Place) -> str:
    group, plural = place
    return documents.key(*_PLACE, namespace, f"{plural}.{group}" if group else plural)
