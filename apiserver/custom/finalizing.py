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


class _Gone(Exception):
    """The definition whose end was begun is no more."""


class Finalizer:
    """Brings definitions to their end, one task each."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, name: str) -> None:
        """End a definition that is marked for deletion; nothing happens if that has begun."""
        if name not in self._tasks:
            self._tasks[name] = asyncio.create_task(self._finish(name))

    async def stop(self) -> None:
        """Leave off."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _finish(self, name: str) -> None:
        try:
            while document := self._due(name):
                try:
                    await self._end(name, document)
                except _Gone:
                    await asyncio.sleep(_RETRY)  # the cache will hear of it
                except (ApiError, StoreError) as error:
                    log.warning("%s cannot be deleted yet: %s", name, error)
                    await asyncio.sleep(_RETRY)
                except Exception:
                    log.exception("%s cannot be deleted yet", name)
                    await asyncio.sleep(_RETRY)
        finally:
            del self._tasks[name]

    def _due(self, name: str) -> Document | None:
        """The definition, if it is to go and waits for this."""
        entry = self._registry.find(GROUP, "v1", PLURAL).cache.get("", name)
        return entry.document if entry is not None and _is_due(entry.document) else None

    async def _end(self, name: str, document: Document) -> None:
        registry = self._registry
        uid, group, plural = document["metadata"]["uid"], document["spec"]["group"], document["spec"]["names"]["plural"]
        final = ("NeverEstablished", "resource was never established")
        if (group, plural) in registry.custom:
            await self._tell(name, uid, "True", "InstanceDeletionInProgress", "CustomResource deletion is in progress")
            await self._empty(group, plural)
            final = ("InstanceDeletionCompleted", "removed all instances")
        elif is_true(document, "Established"):
            final = ("OverlappingBuiltInResource", "instances overlap with built-in resources in storage")
        await self._tell(name, uid, "False", *final, done=True)

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
        """A custom resource in the version that is stored, whether it is served or not. Raises _Gone."""
        if (group, plural) not in self._registry.custom:
            raise _Gone
        return self._registry.at_rest(group, plural)

    async def _delete(self, served: Served, namespace: str, name: str) -> None:
        resource = served.resource
        info = RequestInfo("DELETE", "", "delete", resource.group, resource.version, namespace, resource.plural, name)
        call = Call(info, Options(), _USER, resource, OBJECT, "", b"", {}, _nothing, _ignore, _ignore)
        try:
            await deleting.remove(self._registry, served, call, name, call.options)
        except ApiError as error:
            if error.reason != "NotFound":
                raise

    async def _tell(self, name: str, uid: str, status: str, reason: str, message: str, *, done: bool = False) -> None:
        """Set the condition Terminating; when all is done, let the definition go.

        Raises _Gone if another server let it go: what has its name now may be a new definition.
        """
        registry = self._registry
        served = registry.find(GROUP, "v1", PLURAL)
        now = timestamp(registry.clock.now())

        async def decide(document: Document, revision: int) -> Document | Removal:
            if document["metadata"]["uid"] != uid or not _is_due(document):
                raise _Gone
            document = with_condition(document, "Terminating", status, reason, message, now=now)
            if not done:
                return document
            meta = document["metadata"]
            meta["finalizers"] = [each for each in meta.get("finalizers") or () if each != FINALIZER]
            if meta["finalizers"]:
                return document
            del meta["finalizers"]
            return Removal(document)

        try:
            await registry.change(served, "", name, decide, dry_run=False)
        except ApiError as error:
            if error.reason == "NotFound":
                raise _Gone from None
            raise


def _is_due(document: Document) -> bool:
    """Whether a definition is to go and waits for this."""
    meta = document["metadata"]
    return bool(meta.get("deletionTimestamp")) and FINALIZER in (meta.get("finalizers") or ())


async def _nothing() -> Document:
    return {}


async def _ignore(message: object) -> None:
    pass
