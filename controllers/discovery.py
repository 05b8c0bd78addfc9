"""Which resources the API serves: what the garbage collector watches, a namespace's end empties, an autoscaler scales.

Source: Kubernetes documentation, "API discovery".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from k8slite.client import Client
from k8slite.errors import ApiError
from k8slite.kinds.base import ResourceType
from k8slite.kinds.core import PartialObject


@dataclass(frozen=True, slots=True)
class Served:
    """One resource in the version that its group prefers, read as mere metadata."""

    resource: ResourceType[PartialObject]
    verbs: frozenset[str]

    @property
    def qualified(self) -> str:
        """`pods.` or `deployments.apps`, as the conditions of a namespace name it, the last dot included."""
        return f"{self.resource.plural}.{self.resource.group}"


@dataclass(frozen=True, slots=True)
class Discovery:
    """All resources, and the group versions that could not be asked."""

    resources: tuple[Served, ...]
    failed: tuple[str, ...] = ()


async def discover(client: Client) -> Discovery:
    """Ask the API server. Raises ApiError or aiohttp.ClientError if it cannot even list its groups."""
    groups = (await client.request("GET", "/apis")).get("groups") or ()
    found: dict[tuple[str, str], Served] = {}
    failed: list[str] = []
    for group_version in ["v1", *_versions(groups)]:
        path = f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"
        try:
            listed = await client.request("GET", path)
        except (ApiError, aiohttp.ClientError):
            failed.append(group_version)
            continue
        for served in _resources(group_version, listed):
            found.setdefault((served.resource.group, served.resource.plural), served)
    return Discovery(tuple(found.values()), tuple(failed))


def _versions(groups: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every group version, the preferred one of each group first."""
    versions = []
    for group in groups:
        preferred = group["preferredVersion"]["groupVersion"]
        others = [version["groupVersion"] for version in group["versions"]]
        versions += [preferred, *(version for version in others if version != preferred)]
    return versions


def _resources(group_version: str, listed: Mapping[str, Any]) -> Iterable[Served]:
    group, _, version = group_version.rpartition("/")
    for item in listed.get("resources") or ():
        if "/" not in item["name"]:
            resource = ResourceType(group, version, item["name"], item["kind"], bool(item["namespaced"]), PartialObject)
            yield Served(resource, frozenset(item.get("verbs") or ()))


class Mapper:
    """Finds the resources of a kind, in the version that their group prefers; remembers those that it found."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[tuple[str, str], tuple[Served, ...]] = {}

    async def find(self, group: str, kind: str) -> tuple[Served, ...]:
        """The resources of a kind; none if it is not served. Raises ApiError, aiohttp.ClientError."""
        found = self._known.get((group, kind), ())
        if not found:
            found = tuple(one for one in await self._of(group) if one.resource.kind == kind)
            if found:
                self._known[group, kind] = found
        return found

    def forget(self, group: str, kind: str) -> None:
        """What is known of a kind led nowhere: ask again."""
        self._known.pop((group, kind), None)

    async def _of(self, group: str) -> list[Served]:
        try:
            if not group:
                return list(_resources("v1", await self._client.request("GET", "/api/v1")))
            found: dict[str, Served] = {}
            for version in _versions([await self._client.request("GET", f"/apis/{group}")]):
                listed = await self._client.request("GET", f"/apis/{version}")
                for served in _resources(version, listed):
                    found.setdefault(served.resource.plural, served)
        except ApiError as error:
            if error.code != 404:
                raise
            return []
        return list(found.values())
