"""An API server in memory, caches that lag behind it, and faults at chosen writes: what a sync is tried on.

The real sync runs on it, so that what is lost between two of its writes is found without a server. Crashes end the
program: from the write that is hit on, nothing reaches the API until `restart`.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, Generic

import aiohttp

from k8slite.clock import VirtualClock, timestamp
from k8slite.controllers.context import Context
from k8slite.errors import already_exists, conflict, not_found, service_unavailable
from k8slite.kinds.base import K, ResourceType


class Crash(Exception):
    """The program ended here."""


class Fault(StrEnum):
    """What befalls a write."""

    CRASH = "the program ends before it is sent"
    LATE_CRASH = "the program ends after it took effect"
    LOST = "it takes effect, and the answer is lost"
    REFUSED = "the server is not available"


class FakeApi:
    """Objects by resource, namespace and name. Methods are those of the client that controllers use."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.faults: dict[int, Fault] = {}
        self.watchers: list[Callable[[str, str, dict[str, Any]], None]] = []
        """Called before each write of the controller with its verb, the resource's plural and the object."""
        self._numbers = itertools.count(1)
        self._writes = 0
        self._dead = False

    def restart(self, faults: dict[int, Fault] | None = None) -> None:
        """The program is there again; these writes of it, counted from now on, will go wrong."""
        self._dead, self._writes, self.faults = False, 0, faults or {}

    def put(self, plural: str, document: dict[str, Any]) -> dict[str, Any]:
        """Write as somebody else does, without faults; gives what it lacks of metadata."""
        document = copy.deepcopy(document)
        metadata = document["metadata"]
        metadata.setdefault("namespace", "default")
        metadata.setdefault("uid", f"uid-{next(self._numbers)}")
        metadata.setdefault("generation", 1)
        metadata.setdefault("creationTimestamp", timestamp(self.clock.now()))
        metadata["resourceVersion"] = str(next(self._numbers))
        if plural == "pods":
            document.setdefault("status", {}).setdefault("phase", "Pending")
        self.objects[plural, metadata["name"]] = document
        return document

    def remove(self, plural: str, name: str) -> None:
        """Let an object be gone."""
        self.objects.pop((plural, name), None)
        next(self._numbers)

    def of(self, plural: str) -> dict[str, dict[str, Any]]:
        """All objects of a resource by name."""
        return {name: document for (kind, name), document in self.objects.items() if kind == plural}

    @property
    def revision(self) -> str:
        """The newest resource version that there can be."""
        return str(next(self._numbers))

    async def get(self, resource: ResourceType[K], name: str, *, namespace: str = "") -> K:
        if self._dead:
            raise Crash
        return self._model(resource, name)

    async def create(self, resource: ResourceType[K], body: dict[str, Any], *, namespace: str = "") -> K:
        name = body["metadata"]["name"]

        def apply() -> None:
            if (resource.plural, name) in self.objects:
                raise already_exists(resource.plural, name, group=resource.group)
            self.put(resource.plural, body)

        self._write("create", resource.plural, body, apply)
        return self._model(resource, name)

    async def patch(
        self,
        resource: ResourceType[K],
        name: str,
        body: dict[str, Any],
        *,
        namespace: str = "",
        subresource: str = "",
        patch: Any = None,
    ) -> K:
        def apply() -> None:
            stored = self._checked(resource, name, body["metadata"])
            merged = _merge(stored, {key: value for key, value in body.items() if key != "metadata"})
            meta = {key: value for key, value in body["metadata"].items() if key not in ("uid", "resourceVersion")}
            if merged.get("spec") != stored.get("spec"):
                meta["generation"] = stored["metadata"]["generation"] + 1
            self.put(resource.plural, merged | {"metadata": _merge(stored["metadata"], meta)})

        self._write("patch", resource.plural, {**body, "metadata": {**body["metadata"], "name": name}}, apply)
        return self._model(resource, name)

    async def delete(self, resource: ResourceType[K], name: str, *, namespace: str = "", uid: str = "") -> None:
        def apply() -> None:
            stored = self._checked(resource, name, {"uid": uid})
            if resource.plural != "pods":
                self.remove(resource.plural, name)
            elif "deletionTimestamp" not in stored["metadata"]:
                gone = {**stored["metadata"], "deletionTimestamp": timestamp(self.clock.now())}
                self.put(resource.plural, stored | {"metadata": gone})

        stored = self.objects.get((resource.plural, name), {"metadata": {"name": name}})
        self._write("delete", resource.plural, stored, apply)

    def _checked(self, resource: ResourceType[Any], name: str, expected: dict[str, Any]) -> dict[str, Any]:
        stored = self.objects.get((resource.plural, name))
        if stored is None:
            raise not_found(resource.plural, name, group=resource.group)
        for field in ("uid", "resourceVersion"):
            if expected.get(field) not in (None, "", stored["metadata"][field]):
                raise conflict(resource.plural, name, field, group=resource.group)
        return stored

    def _write(self, verb: str, plural: str, document: dict[str, Any], apply: Callable[[], None]) -> None:
        if self._dead:
            raise Crash
        fault = self.faults.get(self._writes)
        self._writes += 1
        if fault is Fault.REFUSED:
            raise service_unavailable("not now")
        if fault is not Fault.CRASH:
            for watcher in self.watchers:
                watcher(verb, plural, document)
            apply()
        if fault is Fault.LOST:
            raise aiohttp.ServerDisconnectedError
        if fault is not None:
            self._dead = True
            raise Crash

    def _model(self, resource: ResourceType[K], name: str) -> K:
        document = self.objects.get((resource.plural, name))
        if document is None:
            raise not_found(resource.plural, name, group=resource.group)
        kind = {"kind": resource.kind, "apiVersion": resource.api_version}
        return resource.model.model_validate(document | kind)


def _merge(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = _merge(merged.get(key) or {}, value)
        else:
            merged[key] = value
    return merged


class FakeInformer(Generic[K]):
    """A cache that shows what was there when it last caught up; who waits for a revision makes it catch up."""

    def __init__(self, api: FakeApi, resource: ResourceType[K]) -> None:
        self.resource = resource
        self.lists = 0
        self._api = api
        self._view: dict[str, K] = {}
        self._indexers: dict[str, Callable[[K], Iterable[str]]] = {}
        self._seen = 0
        self.catch_up()

    def catch_up(self) -> None:
        """Show what is there."""
        view = {}
        for name, document in self._api.of(self.resource.plural).items():
            key = f"{document['metadata']['namespace']}/{name}"
            old, version = self._view.get(key), document["metadata"]["resourceVersion"]
            same = old is not None and old.metadata.resource_version == version
            view[key] = old if same and old is not None else self._api._model(self.resource, name)
        self._view = view
        self._seen = int(self._api.revision)

    async def wait_for_revision(self, key: str, resource_version: str, *, lists: int | None = None) -> bool:
        if int(resource_version) > self._seen:
            self.catch_up()
        return True

    def add_handler(self, handler: Any) -> None: ...

    def add_indexer(self, name: str, indexer: Callable[[K], Iterable[str]]) -> None:
        self._indexers[name] = indexer

    def get(self, key: str) -> K | None:
        return self._view.get(key)

    def list(self, namespace: str = "") -> Sequence[K]:
        return list(self._view.values())

    def by_index(self, index: str, value: str) -> Sequence[K]:
        return [item for item in self._view.values() if value in self._indexers[index](item)]


class FakeInformers:
    """One lagging cache for each resource."""

    def __init__(self, api: FakeApi) -> None:
        self._api = api
        self._all: dict[str, FakeInformer[Any]] = {}

    def of(self, resource: ResourceType[K], **indexers: Callable[[K], Iterable[str]]) -> FakeInformer[K]:
        informer = self._all.setdefault(resource.plural, FakeInformer(self._api, resource))
        for name, indexer in indexers.items():
            informer.add_indexer(name, indexer)
        return informer

    def catch_up(self, plural: str = "") -> None:
        """One cache, or all, show what is there."""
        for name, informer in self._all.items():
            if plural in ("", name):
                informer.catch_up()


class FakeEvents:
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def record(self, about: Any, *, reason: str, message: str, type: str, component: str) -> None:
        self.said.append((reason, message))


class _Config:
    workers = 1


def context(api: FakeApi) -> Context:
    """What a controller is given, new as after a start."""
    return Context(api, FakeInformers(api), FakeEvents(), api.clock, _Config())  # type: ignore[arg-type]
