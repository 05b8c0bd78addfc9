"""Objects that own each other, in an API that does what a server does with deletions, and caches that lag behind it.

The real collector runs on it. What must never happen is asserted where it would happen: at each of its writes.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from k8slite.clock import VirtualClock
from k8slite.controller import Controller, TryAgain
from k8slite.controllers.context import Context
from k8slite.controllers.garbage.plan import FOREGROUND, ORPHAN
from k8slite.controllers.garbage.sync import DISCOVER, Collector
from k8slite.errors import ApiError, conflict, not_found
from k8slite.kinds.base import ResourceType
from k8slite.kinds.core import PartialObject

from .fake_api import Crash, FakeEvents

HOLD = "example.com/hold"
NOW = "2026-01-01T00:00:00Z"
GROUP = "example.com"


@dataclass(frozen=True)
class Kind:
    group: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/v1" if self.group else "v1"


KINDS = [Kind("", "configmaps", "ConfigMap"), Kind(GROUP, "widgets", "Widget"), Kind(GROUP, "worlds", "World", False)]

Key = tuple[str, str, str]
"""Plural, namespace and name."""


class World:
    """The truth. Methods that the collector calls are those of the client."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.objects: dict[Key, dict[str, Any]] = {}
        self.history: list[tuple[Key, dict[str, Any]]] = []
        """Every change in order: what an object became, and whether it is gone."""
        self.spared: set[str] = set()
        """UIDs of owners that somebody deleted so that their dependents stay."""
        self.leading: set[str] = set()
        """UIDs of owners that were deleted in the foreground: their dependents go before them."""
        self.places: dict[str, str] = {}
        """The namespace of every UID that there was."""
        self.crash_at: int | None = None
        self.crash_after = False
        self._writes = 0
        self._dead = False
        self._numbers = itertools.count(1)

    def restart(self, crash_at: int | None, *, after: bool) -> None:
        """The program starts; it will end at this write of its own, or behind it."""
        self._dead, self._writes, self.crash_at, self.crash_after = False, 0, crash_at, after

    def make(self, kind: Kind, namespace: str, name: str, *, owners: list[dict[str, Any]], held: bool) -> None:
        """Somebody makes an object."""
        metadata = {"name": name, "uid": f"uid-{next(self._numbers)}", "ownerReferences": owners}
        if kind.namespaced:
            metadata["namespace"] = namespace
        metadata["finalizers"] = [HOLD] if held else []
        self.places[metadata["uid"]] = metadata.get("namespace", "")
        self._put((kind.plural, namespace if kind.namespaced else "", name), metadata)

    def remove(self, key: Key, policy: str) -> None:
        """Somebody deletes an object, or the collector does."""
        metadata = self.objects[key]
        finalizers = [one for one in metadata["finalizers"] if one not in (FOREGROUND, ORPHAN)]
        finalizers += {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(policy, [])
        if "deletionTimestamp" in metadata:
            return  # what was asked for first counts: a simplification that asks more of the collector
        self._put(key, metadata | {"finalizers": finalizers, "deletionTimestamp": NOW})

    def let_go(self, key: Key) -> None:
        """Whoever holds an object holds it no more, and in the same write nobody owns it."""
        metadata = self.objects[key]
        finalizers = [one for one in metadata["finalizers"] if one != HOLD]
        owners = metadata["ownerReferences"] if "deletionTimestamp" not in metadata else []
        self._put(key, metadata | {"finalizers": finalizers, "ownerReferences": owners})

    def owner(self, key: Key, reference: dict[str, Any]) -> dict[str, Any] | None:
        """The owner that a reference of an object means, if it is there."""
        found = next((kind for kind in KINDS if kind.kind == reference["kind"]), None)
        if found is None:
            return None
        if found.namespaced and not key[1]:
            return None
        metadata = self.objects.get((found.plural, key[1] if found.namespaced else "", reference["name"]))
        return metadata if metadata is not None and metadata["uid"] == reference["uid"] else None

    def dependents(self, uid: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Metadata and reference of all that this object owns."""
        for key, metadata in self.objects.items():
            for reference in metadata["ownerReferences"]:
                if reference["uid"] == uid and self.owner(key, reference) is not None:
                    yield metadata, reference

    async def request(self, method: str, path: str, **_: Any) -> Any:
        if path == "/apis":
            version = {"groupVersion": f"{GROUP}/v1"}
            return {"groups": [{"name": GROUP, "preferredVersion": version, "versions": [version]}]}
        group = GROUP if path.startswith("/apis") else ""
        verbs = ["list", "watch", "delete", "get"]
        return {
            "resources": [
                {"name": kind.plural, "kind": kind.kind, "namespaced": kind.namespaced, "verbs": verbs}
                for kind in KINDS
                if kind.group == group
            ]
        }

    async def get(self, resource: ResourceType[Any], name: str, *, namespace: str = "") -> Any:
        await asyncio.sleep(0)
        if self._dead:
            raise Crash
        metadata = self.objects.get((resource.plural, namespace, name))
        if metadata is None:
            raise not_found(resource.plural, name, group=resource.group)
        return model(metadata)

    async def delete(
        self,
        resource: ResourceType[Any],
        name: str,
        *,
        namespace: str,
        uid: str,
        resource_version: str,
        propagation: str,
    ) -> None:
        def apply(key: Key) -> None:
            metadata = self._checked(resource, key, {"uid": uid, "resourceVersion": resource_version})
            for reference in metadata["ownerReferences"]:
                owner = self.owner(key, reference)
                assert owner is None or owner["uid"] in self.leading, "an object goes that a living owner owns"
                spared = reference["uid"] in self.spared and self.places.get(reference["uid"]) in ("", key[1])
                assert not spared, "an object goes that was to outlive its owner"
            assert metadata["ownerReferences"], "an object goes that nobody owned"
            self.remove(key, propagation)

        await self._write((resource.plural, namespace, name), apply)

    async def patch(
        self, resource: ResourceType[Any], name: str, body: dict[str, Any], *, namespace: str = ""
    ) -> PartialObject:
        def apply(key: Key) -> None:
            metadata = self._checked(resource, key, body["metadata"])
            changes = {field: value or [] for field, value in body["metadata"].items() if field != "resourceVersion"}
            self._put(key, metadata | changes)

        key = (resource.plural, namespace, name)
        await self._write(key, apply)
        return model(self.objects.get(key) or {"name": name})

    async def _write(self, key: Key, apply: Callable[[Key], None]) -> None:
        await asyncio.sleep(0)
        hit = self._writes == self.crash_at
        self._writes += 1
        self._dead = self._dead or (hit and not self.crash_after)
        if self._dead:
            raise Crash
        apply(key)
        if hit:
            self._dead = True
            raise Crash

    def _checked(self, resource: ResourceType[Any], key: Key, expected: dict[str, Any]) -> dict[str, Any]:
        metadata = self.objects.get(key)
        if metadata is None:
            raise not_found(resource.plural, key[2], group=resource.group)
        for field in ("uid", "resourceVersion"):
            if metadata[field] != expected[field]:
                raise conflict(resource.plural, key[2], field, group=resource.group)
        return metadata

    def _put(self, key: Key, metadata: dict[str, Any]) -> None:
        """Write; what is being deleted and held by nobody is gone, and its last state is told."""
        metadata = metadata | {"resourceVersion": str(next(self._numbers))}
        gone = "deletionTimestamp" in metadata and not metadata["finalizers"]
        if waits(metadata):
            self.leading.add(metadata["uid"])
        if gone:
            self.objects.pop(key, None)
        else:
            self.objects[key] = metadata
        self.history.append((key, metadata | {"gone": True} if gone else metadata))


def waits(metadata: dict[str, Any]) -> bool:
    return "deletionTimestamp" in metadata and FOREGROUND in metadata["finalizers"]


def model(metadata: dict[str, Any]) -> PartialObject:
    return PartialObject.model_validate({"metadata": metadata})


class Lagging:
    """A cache of one resource that shows what it was told; handlers are called as an informer calls them."""

    def __init__(self, world: World, resource: ResourceType[Any]) -> None:
        self.resource, self.synced = resource, True
        self._world, self._told = world, len(world.history)
        self._view = {model(it).key: model(it) for key, it in world.objects.items() if key[0] == resource.plural}
        self._handlers: list[Callable[[Any, Any], None]] = []

    def add_handler(self, handler: Callable[[Any, Any], None]) -> None:
        self._handlers.append(handler)
        for item in self._view.values():
            handler(None, item)

    async def wait_synced(self) -> None: ...

    def get(self, key: str) -> Any:
        return self._view.get(key)

    def list(self, namespace: str = "") -> Any:
        return list(self._view.values())

    def hear(self, most: int) -> None:
        """Show so many more of the changes."""
        for (plural, _, _), metadata in self._world.history[self._told : self._told + most]:
            self._told += 1
            if plural == self.resource.plural:
                self._apply(model(metadata), gone="gone" in metadata)

    def _apply(self, new: PartialObject, *, gone: bool) -> None:
        old = self._view.pop(new.key, None)
        if not gone:
            self._view[new.key] = new
        if old is not None or not gone:
            for handler in self._handlers:
                handler(new if gone else old, None if gone else new)


class Caches:
    """The informers of one run of the program."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.all: dict[str, Lagging] = {}

    def known(self, resource: ResourceType[Any]) -> bool:
        return resource.plural in self.all

    def of(self, resource: ResourceType[Any]) -> Lagging:
        return self.all.setdefault(resource.plural, Lagging(self._world, resource))


class _Config:
    workers = 1


class Run:
    """The program from a start to its end."""

    def __init__(self, world: World) -> None:
        self.caches, self.events = Caches(world), FakeEvents()
        context = Context(world, self.caches, self.events, world.clock, _Config())  # type: ignore[arg-type]
        self._collector = Collector(context)

    async def start(self) -> None:
        """Learn what is there."""
        await self._collector.discovering._sync(DISCOVER)

    def hear(self, plural: str = "", *, most: int = 1_000_000) -> None:
        """One cache, or all, hear of more."""
        for name, cache in self.caches.all.items():
            if plural in ("", name):
                cache.hear(most)

    async def work(self, most: int) -> bool:
        """Look at so many keys at once, as several workers do; whether there were any. Raises Crash."""
        taken = [
            (controller, await controller.queue.get())
            for controller in (self._collector.deleting, self._collector.orphaning)
            for _ in range(min(most, len(controller.queue)))
        ]
        outcomes = await asyncio.gather(*(self._look(*one) for one in taken), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, Crash):
                raise outcome
        if any(outcomes):
            raise Crash
        return bool(taken)

    async def _look(self, controller: Controller, key: str) -> None:
        again = False
        try:
            await self._collector.sync(key)
        except (ApiError, TryAgain):
            again = True
        finally:
            controller.queue.done(key)
        if again:
            controller.queue.add(key)

    def forget(self, plural: str) -> None:
        """A resource is no longer served."""
        members = self._collector._graph.members.values()
        self._collector._graph.remove(next(one.served for one in members if one.served.resource.plural == plural))

    async def settle(self) -> None:
        """Hear of everything and do all there is to do. Raises Crash."""
        for _ in range(500):
            self.hear()
            if not await self.work(3):
                return
        raise AssertionError("the collector does not come to rest")
