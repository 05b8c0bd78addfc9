"""Informer: list, watch, cache, index, relist on 410. What a component knows of the cluster stands in informers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic

from .client import Client
from .clock import Clock
from .kinds.base import K, ResourceType

Indexer = Callable[[K], Iterable[str]]
Handler = Callable[[K | None, K | None], None]


class Informer(Generic[K]):
    """A local, always catching-up copy of one resource.

    Invariants: an object in the cache is never replaced by an older revision; handlers see every change in order, after
    the cache holds it, as `(old, new)` with None for absent; a handler must not block (it maps objects to queue keys).
    """

    def __init__(
        self,
        client: Client,
        resource: ResourceType[K],
        *,
        clock: Clock,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        indexers: Mapping[str, Indexer[K]] | None = None,
    ) -> None:
        self.resource = resource

    async def run(self) -> None:
        """List and watch until cancelled; network faults and 410 are handled inside, with back-off."""
        raise NotImplementedError

    def add_handler(self, handler: Handler[K]) -> None:
        """Call `handler(old, new)` for every change, and once `(None, object)` for each object already there."""
        raise NotImplementedError

    async def wait_synced(self) -> None:
        """Return when the first list is in the cache."""
        raise NotImplementedError

    @property
    def synced(self) -> bool:
        """Whether the first list is in the cache."""
        raise NotImplementedError

    def get(self, key: str) -> K | None:
        """The object of `namespace/name` (or `name`)."""
        raise NotImplementedError

    def list(self, namespace: str = "") -> Sequence[K]:
        """All objects, or those of a namespace."""
        raise NotImplementedError

    def by_index(self, index: str, value: str) -> Sequence[K]:
        """The objects for which the named indexer yields `value`."""
        raise NotImplementedError

    async def wait_for_revision(self, key: str, resource_version: str, *, timeout: float = 5.0) -> bool:
        """Read your writes: wait until the cache has seen `key` at that revision or later; False on timeout."""
        raise NotImplementedError
