"""What an autoscaler scales, by the scale subresource of whatever kind it is.

Source: Kubernetes API reference, "Scale" (autoscaling/v1); client-go's scale client.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from k8slite.client import Client
from k8slite.errors import ApiError
from k8slite.kinds.autoscaling import CrossVersionObjectReference

from ..discovery import Mapper

_ATTEMPTS = 5


class NoTarget(Exception):
    """What is to be scaled cannot be found; the text says why, in Kubernetes' words."""


class Moved(Exception):
    """Somebody else scaled it meanwhile: what was decided is decided on what is no longer so."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How many replicas something has, and where this can be changed."""

    path: str
    document: dict[str, Any]

    @property
    def replicas(self) -> int:
        """The replicas that are wished for."""
        return int((self.document.get("spec") or {}).get("replicas") or 0)

    @property
    def status_replicas(self) -> int:
        """The replicas that there are."""
        return int((self.document.get("status") or {}).get("replicas") or 0)

    @property
    def selector(self) -> str:
        """Which pods they are."""
        return str((self.document.get("status") or {}).get("selector") or "")


class Targets:
    """Reads and writes scales."""

    def __init__(self, client: Client, mapper: Mapper) -> None:
        self._client = client
        self._mapper = mapper

    async def read(self, reference: CrossVersionObjectReference, *, namespace: str) -> Scale:
        """The scale of what is referred to. Raises NoTarget, ApiError, aiohttp.ClientError."""
        group = group_of(reference)
        found = await self._mapper.find(group, reference.kind)
        if not found:
            raise NoTarget(f'no matches for kind "{reference.kind}" in group "{group}"')
        problem: ApiError | None = None
        for served in found:
            path = served.resource.path(namespace=namespace, name=reference.name, subresource="scale")
            try:
                return Scale(path, await self._client.request("GET", path))
            except ApiError as error:
                problem = problem or error
        assert problem is not None  # there was something to ask
        if problem.code == 404:
            self._mapper.forget(group, reference.kind)
            raise NoTarget(problem.message) from problem
        raise problem

    async def write(self, scale: Scale, replicas: int) -> None:
        """Scale, unless somebody else did. Raises Moved, ApiError, aiohttp.ClientError."""
        decided_on = scale.replicas
        for attempt in range(_ATTEMPTS):
            body = {**scale.document, "spec": {**(scale.document.get("spec") or {}), "replicas": replicas}}
            try:
                await self._client.request("PUT", scale.path, body=body)
                return
            except ApiError as error:
                if error.reason != "Conflict" or attempt == _ATTEMPTS - 1:
                    raise
            scale = Scale(scale.path, await self._client.request("GET", scale.path))
            if scale.replicas != decided_on:
                raise Moved(f"{decided_on} replicas have become {scale.replicas}")


def group_of(reference: CrossVersionObjectReference) -> str:
    """The API group that is referred to. Raises NoTarget."""
    version = reference.api_version
    if version.count("/") > 1:
        raise NoTarget(f"unexpected GroupVersion string: {version}")
    return version.rpartition("/")[0]
