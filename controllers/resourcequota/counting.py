"""Counting what is there: read from the API, not from a cache, which may lag behind what was charged.

Where a number says everything, one object is read and the API says how many remain.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from k8slite.catalogue import builtin
from k8slite.client import Client
from k8slite.errors import ApiError
from k8slite.kinds.base import ResourceType
from k8slite.kinds.core import PartialObject
from k8slite.usage.amounts import ZERO, Amount, Amounts
from k8slite.usage.measures import Place, Quota, measure_of, places, total


@dataclass(frozen=True, slots=True)
class Counted:
    """What was found, and the names that nothing counts: those of no resource, or of one that is not served."""

    used: Amounts = field(default_factory=dict)
    uncountable: set[str] = field(default_factory=set)


class Counter:
    """Counts the objects of a namespace; remembers in which version custom resources are served."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._custom: dict[Place, ResourceType[PartialObject] | None] = {}

    def forget(self) -> None:
        """Custom resources came, went or changed."""
        self._custom.clear()

    async def count(self, namespace: str, quota: Quota, names: Collection[str], *, now: datetime) -> Counted:
        """What the namespace uses of these names now. Raises ApiError."""
        counted = Counted()
        for place, own in places(names).items():
            resource = await self.resource(place)
            if resource is not None and resource.namespaced:
                counted.used.update(await self._count(namespace, quota, place, resource, own, now=now))
        counted.uncountable.update(set(names) - counted.used.keys())
        return counted

    async def _count(
        self,
        namespace: str,
        quota: Quota,
        place: Place,
        resource: ResourceType[Any],
        names: list[str],
        *,
        now: datetime,
    ) -> Amounts:
        measure = measure_of(*place)
        if measure.plain and quota.scopes:
            return dict.fromkeys(names, ZERO)
        only_number = not quota.scopes and all(name in measure.counted for name in names)
        query = {"limit": "1"} if only_number else {}
        listed = await self._client.request("GET", resource.path(namespace=namespace), query=query)
        if only_number:
            number = len(listed["items"]) + (listed["metadata"].get("remainingItemCount") or 0)
            return dict.fromkeys(names, Amount(Decimal(number)))
        return total(measure, names, quota.scopes, of=listed["items"], now=now)

    async def resource(self, place: Place) -> ResourceType[PartialObject] | None:
        """How a resource is reached; None if it is not served. Raises ApiError."""
        found = own(place)
        if found is not None:
            return found
        if place not in self._custom:
            self._custom[place] = await self._discover(*place)
        return self._custom[place]

    async def _discover(self, group: str, plural: str) -> ResourceType[PartialObject] | None:
        if not group:
            return None
        try:
            served = await self._client.request("GET", f"/apis/{group}")
            preferred = served["preferredVersion"]["version"]
            versions = [preferred, *(one["version"] for one in served["versions"] if one["version"] != preferred)]
            for version in versions:
                listed = await self._client.request("GET", f"/apis/{group}/{version}")
                for item in listed.get("resources") or ():
                    if item["name"] == plural:
                        namespaced = bool(item["namespaced"])
                        return ResourceType(group, version, plural, item["kind"], namespaced, PartialObject)
        except ApiError as error:
            if error.code != 404:
                raise
        return None


def own(place: Place) -> ResourceType[PartialObject] | None:
    """A resource that every server has, in the version that it is stored in."""
    return _BUILTIN.get(place)


_BUILTIN = {
    (row.group, row.plural): ResourceType(row.group, row.version, row.plural, row.kind, row.namespaced, PartialObject)
    for row in builtin()
    if row.stored_as_itself and "list" in row.verbs
}
