"""The end of a definition: all its custom objects are deleted, as anybody would delete them, then it may go itself.

Objects with finalizers are waited for. Every server does this; each finds less to do where another was faster.

Source: Kubernetes' apiextensions-apiserver, controller/finalizer/crd_finalizer.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from k8slite.clock import timestamp
from k8slite.errors import ApiError

from ..authn.base import User
from ..calls import Call
from ..documents import Document
from ..registry import Registry, Removal, Served
from ..storage.base import StoreError
from ..strategies.definitions import FINALIZER
from ..verbs import deleting
from ..wire.negotiation import OBJECT
from ..wire.options import Options
from ..wire.request import RequestInfo
from .conditions import with_condition
from .definition import GROUP, PLURAL, is_true

log = logging.getLogger(__name__)

_RETRY = 1.0
_AT_ONCE = 32
_USER = User("system:apiserver", groups=("system:masters",))


class Finalizer:
    """Brings definitions to their end, one task each."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, name: str) -> None:
        """End a definition that is marked for deletion; nothing happens if that has begun."""
        if name not in self._tasks:
            task = self._tasks[name] = asyncio.create_task(self._finish(name))
            task.add_done_callback(lambda _: self._tasks.pop(name, None))

    async def stop(self) -> None:
        """Leave off."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _finish(self, name: str) -> None:
        while True:
            try:
                await self._end(name)
                return
            except (ApiError, StoreError) as error:
                if isinstance(error, ApiError) and error.reason == "NotFound":
                    return  # another server was faster
                log.warning("%s cannot be deleted yet: %s", name, error)
                await asyncio.sleep(_RETRY)

    async def _end(self, name: str) -> None:
        registry = self._registry
        document = await self._marked(name)
        if document is None:
            return
        group, plural = document["spec"]["group"], document["spec"]["names"]["plural"]
        final = ("NeverEstablished", "resource was never established")
        if (group, plural) in registry.custom:
            await self._tell(name, "True", "InstanceDeletionInProgress", "CustomResource deletion is in progress")
            await self._empty(group, plural)
            final = ("InstanceDeletionCompleted", "removed all instances")
        elif is_true(document, "Established"):
            final = ("OverlappingBuiltInResource", "instances overlap with built-in resources in storage")
        await self._tell(name, "False", *final, done=True)

    async def _marked(self, name: str) -> Document | None:
        """The definition, if it is to go and waits for this."""
        served = self._registry.find(GROUP, "v1", PLURAL)
        entry = served.cache.get("", name)
        if entry is None:
            return None
        document = entry.document
        meta = document["metadata"]
        return document if meta.get("deletionTimestamp") and FINALIZER in (meta.get("finalizers") or ()) else None

    async def _empty(self, group: str, plural: str) -> None:
        """Delete all objects of a custom resource and wait until the last is gone."""
        registry = self._registry
        cache = registry.cache.resource(group, plural)
        watcher = cache.watch(after=registry.cache.revision)
        changed = asyncio.Event()
        watcher.on_ready = changed.set
        try:
            while len(cache):
                served = self._stored(group, plural)
                left = [each for each in cache.select() if not each.document["metadata"].get("deletionTimestamp")]
                for start in range(0, len(left), _AT_ONCE):
                    batch = left[start : start + _AT_ONCE]
                    await asyncio.gather(*(self._delete(served, each.namespace, each.name) for each in batch))
                changed.clear()
                watcher.skip()
                if len(cache):
                    if watcher.ended:
                        await asyncio.sleep(_RETRY)
                    else:
                        await changed.wait()
        finally:
            watcher.close()

    def _stored(self, group: str, plural: str) -> Served:
        """A custom resource in the version that is stored, whether it is served or not."""
        custom = self._registry.custom[group, plural]
        stored, cache = custom.stored, self._registry.cache.resource(group, plural)
        return Served(stored, stored, stored, custom.strategies[stored.version], cache, custom.converter)

    async def _delete(self, served: Served, namespace: str, name: str) -> None:
        resource = served.resource
        info = RequestInfo("DELETE", "", "delete", resource.group, resource.version, namespace, resource.plural, name)
        call = Call(info, Options(), _USER, resource, OBJECT, "", b"", {}, _nothing, _ignore, _ignore)
        try:
            await deleting.remove(self._registry, served, call, name, call.options)
        except ApiError as error:
            if error.reason != "NotFound":
                raise

    async def _tell(self, name: str, status: str, reason: str, message: str, *, done: bool = False) -> None:
        """Set the condition Terminating; when all is done, let the definition go."""
        registry = self._registry
        served = registry.find(GROUP, "v1", PLURAL)
        now = timestamp(registry.clock.now())

        async def decide(document: Document, revision: int) -> Document | Removal:
            document = with_condition(document, "Terminating", status, reason, message, now=now)
            if not done:
                return document
            meta = document["metadata"]
            meta["finalizers"] = [each for each in meta.get("finalizers") or () if each != FINALIZER]
            if meta["finalizers"]:
                return document
            del meta["finalizers"]
            return Removal(document)

        await registry.change(served, "", name, decide, dry_run=False)


async def _nothing() -> Document:
    return {}


async def _ignore(message: object) -> None:
    pass
