"""Which resources the API serves: what the garbage collector watches and a namespace's end empties.

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
        """`pods.` or `deployments.apps`, as messages name it."""
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
