"""The API client of every daemon: typed, asynchronous, over aiohttp.

Reads return frozen models; writes take plain dictionaries, because a component never rebuilds a whole object from its
partial view.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, Literal

from .kinds.base import K, ResourceType

Body = Mapping[str, Any] | Sequence[Any]


class Patch(StrEnum):
    """The media types of PATCH."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """Where the API server is and who we are; `token` is never logged."""

    server: str
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    token: str = ""
    user_agent: str = "k8slite"

    @classmethod
    def from_kubeconfig(cls, path: Path, *, context: str = "") -> ClientConfig:
        """Read a kubeconfig; inline `*-data` is written to private temporary files. Raises ConfigError."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Listing(Generic[K]):
    """A consistent list: items and the revision to watch from."""

    items: list[K]
    resource_version: str
    continue_token: str = ""


@dataclass(frozen=True, slots=True)
class WatchEvent(Generic[K]):
    """One change. A BOOKMARK's object holds nothing but its resource version."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: K


class Client:
    """Verbs over one connection pool. Every method raises ApiError for a Status, aiohttp.ClientError for the network.

    Safe reads are retried once on a dropped keep-alive connection; writes are not.
    """

    def __init__(self, config: ClientConfig) -> None:
        self.config = config

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        raise NotImplementedError

    async def get(self, resource: ResourceType[K], name: str, *, namespace: str = "") -> K:
        """One object."""
        raise NotImplementedError

    async def list(
        self,
        resource: ResourceType[K],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str | None = None,
        limit: int = 0,
        continue_token: str = "",
    ) -> Listing[K]:
        """A page of objects (all of them without `limit`)."""
        raise NotImplementedError

    def watch(
        self,
        resource: ResourceType[K],
        *,
        resource_version: str,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        timeout: float = 0.0,
    ) -> AsyncIterator[WatchEvent[K]]:
        """Changes after a revision, with bookmarks, until the stream ends. ApiError 410 asks for a relist."""
        raise NotImplementedError

    async def create(
        self, resource: ResourceType[K], body: Body, *, namespace: str = "", name: str = "", subresource: str = ""
    ) -> K:
        """POST an object, or to a subresource of `name`."""
        raise NotImplementedError

    async def update(
        self, resource: ResourceType[K], name: str, body: Body, *, namespace: str = "", subresource: str = ""
    ) -> K:
        """PUT a whole object."""
        raise NotImplementedError

    async def patch(
        self,
        resource: ResourceType[K],
        name: str,
        body: Body,
        *,
        namespace: str = "",
        subresource: str = "",
        patch: Patch = Patch.MERGE,
    ) -> K:
        """PATCH; put `metadata.uid` or `metadata.resourceVersion` in a merge body to make it conditional."""
        raise NotImplementedError

    async def delete(
        self,
        resource: ResourceType[K],
        name: str,
        *,
        namespace: str = "",
        uid: str = "",
        resource_version: str = "",
        grace_period: int | None = None,
        propagation: Literal["", "Background", "Foreground", "Orphan"] = "",
    ) -> None:
        """DELETE, conditional on UID or revision when given."""
        raise NotImplementedError

    async def delete_collection(
        self, resource: ResourceType[K], *, namespace: str = "", label_selector: str = ""
    ) -> None:
        """DELETE every object that matches."""
        raise NotImplementedError

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
        content_type: str = "application/json",
    ) -> Any:
        """Any other call: the decoded JSON answer, or bytes if it is none."""
        raise NotImplementedError
