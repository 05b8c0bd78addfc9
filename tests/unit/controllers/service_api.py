"""An API of Services, pods and slices that may refuse a write or lose its answer, and caches that lag behind it."""

from __future__ import annotations

import copy
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from k8slite.clock import VirtualClock
from k8slite.config import ControllerManagerConfig
from k8slite.errors import ApiError, already_exists, conflict
from k8slite.kinds.base import Object, ResourceType


class Lost(OSError):
    """The answer never came."""


class Api:
    """Objects by resource; every write may meet a fault: `refused`, or `lost` once it has taken effect."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self.events: list[tuple[str, str, dict[str, Any] | None]] = []
        self.faults: list[str] = []
        self.writes = 0
        self._revision = itertools.count(2)

    def put(self, plural: str, document: dict[str, Any]) -> dict[str, Any]:
        document = copy.deepcopy(document)
        metadata = document["metadata"]
        metadata.setdefault("namespace", "default")
        metadata["resourceVersion"] = str(next(self._revision))
        self.objects[plural][metadata["name"]] = document
        self.events.append((plural, metadata["name"], copy.deepcopy(document)))
        return document

    def drop(self, plural: str, name: str) -> None:
        if self.objects[plural].pop(name, None) is not None:
            self.events.append((plural, name, None))

    async def create(self, resource: ResourceType[Any], body: dict[str, Any], *, namespace: str) -> Any:
        fault = self._fault()
        name = body["metadata"]["name"]
        if name in self.objects[resource.plural]:
            raise already_exists(resource.plural, name)
        body = copy.deepcopy(body)
        body["metadata"]["uid"] = f"{resource.plural}-{next(self._revision)}"
        return self._answer(resource, self.put(resource.plural, body), fault)

    async def get(self, resource: ResourceType[Any], name: str, *, namespace: str) -> Any:
        return resource.model.model_validate(self._find(resource, name))

    async def patch(self, resource: ResourceType[Any], name: str, body: dict[str, Any], *, namespace: str) -> Any:
        fault = self._fault()
        found = copy.deepcopy(self._find(resource, name))
        for field in ("uid", "resourceVersion"):
            if body["metadata"].get(field, found["metadata"][field]) != found["metadata"][field]:
                raise conflict(resource.plural, name, "changed")
        return self._answer(resource, self.put(resource.plural, _merged(found, body)), fault)

    async def delete(self, resource: ResourceType[Any], name: str, *, namespace: str, uid: str) -> None:
        fault = self._fault()
        if self._find(resource, name)["metadata"]["uid"] != uid:
            raise conflict(resource.plural, name, "another")
        self.drop(resource.plural, name)
        if fault == "lost":
            raise Lost

    def _find(self, resource: ResourceType[Any], name: str) -> dict[str, Any]:
        if name not in self.objects[resource.plural]:
            raise ApiError(404, "NotFound", name)
        return self.objects[resource.plural][name]

    def _fault(self) -> str:
        fault = self.faults.pop() if self.faults else ""
        if fault == "refused":
            raise ApiError(503, "ServiceUnavailable", "not now")
        self.writes += 1
        return fault

    def _answer(self, resource: ResourceType[Any], document: dict[str, Any], fault: str) -> Any:
        if fault == "lost":
            raise Lost
        return resource.model.model_validate(document)


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged


class Cache:
    """An informer that is behind until somebody waits for it, or `deliver` is called."""

    lists = 0

    def __init__(self, api: Api, resource: ResourceType[Any]) -> None:
        self.resource = resource
        self._api = api
        self._items = {
            name: resource.model.model_validate(found) for name, found in api.objects[resource.plural].items()
        }
        self._seen = len(api.events)
        self._handlers: list[Callable[[Any, Any], None]] = []
        self.indexers: dict[str, Callable[[Any], Iterable[str]]] = {}

    def add_handler(self, handler: Callable[[Any, Any], None]) -> None:
        self._handlers.append(handler)
        for found in list(self._items.values()):
            handler(None, found)

    def get(self, key: str) -> Any:
        return self._items.get(key.rpartition("/")[2])

    def list(self) -> list[Any]:
        return list(self._items.values())

    def by_index(self, index: str, value: str) -> list[Any]:
        return [item for item in self._items.values() if value in set(self.indexers[index](item))]

    @property
    def behind(self) -> bool:
        return self._seen < len(self._api.events)

    def deliver(self) -> None:
        while self.behind:
            plural, name, document = self._api.events[self._seen]
            self._seen += 1
            if plural != self.resource.plural:
                continue
            old: Object | None = self._items.pop(name, None)
            new = self.resource.model.model_validate(document) if document is not None else None
            if new is not None:
                self._items[name] = new
            for handler in self._handlers:
                handler(old, new)

    async def wait_for_revision(self, key: str, revision: str, **_: Any) -> bool:
        self.deliver()
        return True


class Manager:
    """What a controller is given by a process that began just now."""

    def __init__(self, api: Api, random: Any, **settings: Any) -> None:
        self.client = api
        self.clock = VirtualClock()
        self.random = random
        self.config = ControllerManagerConfig(kubeconfig="unused", **settings)  # type: ignore[arg-type]
        self.caches: dict[str, Cache] = {}

    @property
    def informers(self) -> Manager:
        return self

    def of(self, resource: ResourceType[Any], **indexers: Callable[[Any], Iterable[str]]) -> Cache:
        if resource.plural not in self.caches:
            self.caches[resource.plural] = Cache(self.client, resource)
        self.caches[resource.plural].indexers |= indexers
        return self.caches[resource.plural]

    def say(self, *_: Any, **__: Any) -> None:
        """Nobody listens."""

    def deliver(self) -> None:
        for cache in self.caches.values():
            cache.deliver()
