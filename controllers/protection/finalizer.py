"""A protecting finalizer: put on where it is missing, taken away from what is to go and is used no more.

Admission puts it on when the object is made. Before it goes, users are asked for once more where they are written, not
in the cache: it may lag.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic

from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.informer import Informer
from k8slite.kinds.base import K, ResourceType

from ..context import Context
from .plan import unprotected, waits


class Guard(Generic[K]):
    """Syncs the objects of one resource. `used` tells of one that is to go whether anything uses it."""

    def __init__(
        self,
        name: str,
        context: Context,
        informer: Informer[K],
        *,
        finalizer: str,
        used: Callable[[K], Awaitable[bool]],
    ) -> None:
        self._context = context
        self._informer = informer
        self._resource: ResourceType[K] = informer.resource
        self._finalizer = finalizer
        self._used = used
        self.controller = Controller(name, self.sync, clock=context.clock, workers=1)
        informer.add_handler(lambda old, new: self.wake(new))

    def wake(self, item: K | None) -> None:
        """Look at an object, if there is something to see to."""
        if item is not None and (waits(item, self._finalizer) or unprotected(item, self._finalizer)):
            self.controller.queue.add(item.key)

    async def sync(self, key: str) -> Result:
        """One object."""
        item = self._informer.get(key)
        if item is None:
            return DONE
        if unprotected(item, self._finalizer):
            await self._write(item, [*item.metadata.finalizers, self._finalizer])
        elif waits(item, self._finalizer) and not await self._used(item):
            await self._write(item, [name for name in item.metadata.finalizers if name != self._finalizer])
        return DONE

    async def _write(self, item: K, finalizers: list[str]) -> None:
        metadata = {
            "uid": item.uid,
            "resourceVersion": item.metadata.resource_version,
            "finalizers": finalizers or None,
        }
        try:
            await self._context.client.patch(
                self._resource, item.name, {"metadata": metadata}, namespace=item.namespace
            )
        except ApiError as error:
            if error.code != 404:
                raise
