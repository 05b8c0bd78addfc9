"""Nodes, pods and Leases in memory, the real node controllers over them in virtual time, and faults where they hurt."""

from __future__ import annotations

import asyncio
import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, cast

import aiohttp

from k8slite import errors
from k8slite.client import Client, Patch
from k8slite.clock import VirtualClock, micro_timestamp, timestamp
from k8slite.config import ControllerManagerConfig
from k8slite.controllers.context import Context, Informers, Runnable
from k8slite.controllers.nodelifecycle import sync as lifecycle
from k8slite.controllers.podgc import sync as collection
from k8slite.controllers.tainteviction import sync as eviction
from k8slite.events import EventRecorder
from k8slite.indexed import IndexedStore
from k8slite.kinds.base import Object, ResourceType

Build = Callable[[Context], Sequence[Runnable]]
NODES: tuple[Build, ...] = (lifecycle.build, eviction.build, collection.build)


class _Informer:
    """What an Informer shows of the store, a moment later."""

    def __init__(self, world: World, resource: ResourceType[Any]) -> None:
        self.resource = resource
        self._world = world
        self._store: IndexedStore[Any] = IndexedStore({})
        self._handlers: list[Callable[[Any, Any], None]] = []
        self.synced = True
        for document in world.objects[resource.plural].values():
            self._store.put(resource.model.model_validate(document))
        self.get, self.list, self.by_index = self._store.get, self._store.list, self._store.by_index
        self.has_index, self.add_indexer = self._store.has_index, self._store.add_indexer

    def add_handler(self, handler: Callable[[Any, Any], None]) -> None:
        self._handlers.append(handler)
        for found in self._store.list():
            handler(None, found)

    def listened(self) -> float:
        return self._world.clock.monotonic()

    def show(self, key: str, document: dict[str, Any] | None) -> None:
        old = self._store.get(key)
        new = self.resource.model.model_validate(document) if document is not None else None
        if new is not None:
            self._store.put(new)
        elif old is not None:
            self._store.remove(key)
        if old is not None or new is not None:
            for handler in self._handlers:
                handler(old, new)


class _Informers:
    def __init__(self, world: World) -> None:
        self._world = world
        self.made: dict[str, _Informer] = {}

    def of(
        self, resource: ResourceType[Any], *, field_selector: str = "", **indexers: Callable[[Any], Iterable[str]]
    ) -> _Informer:
        informer = self.made.setdefault(resource.plural, _Informer(self._world, resource))
        for name, indexer in indexers.items():
            if not informer.has_index(name):
                informer.add_indexer(name, indexer)
        return informer


@dataclass
class World:
    """The store is `objects` by plural and key; `log` is what happened to it: moment, what, key."""

    random: Random
    faults: float = 0.0
    config: ControllerManagerConfig = field(default_factory=lambda: ControllerManagerConfig(kubeconfig=Path("unused")))
    clock: VirtualClock = field(default_factory=VirtualClock)
    objects: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: defaultdict(dict))
    log: list[tuple[float, str, str]] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    said: list[str] = field(default_factory=list)
    last: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By name, what was deleted as it was then."""
    starts: int = 0
    _informers: _Informers | None = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _revision: int = 0

    def node(self, name: str, zone: str = "") -> None:
        """A node that is ready and beats."""
        labels = {"topology.kubernetes.io/zone": zone} if zone else {}
        metadata = {"name": name, "uid": f"uid-{name}", "labels": labels, "creationTimestamp": self._now()}
        self.put("nodes", name, {"metadata": metadata, "spec": {}, "status": {"conditions": []}})
        self.report(name, "True")

    def report(self, name: str, ready: str) -> None:
        """What the kubelet says."""
        condition = {"type": "Ready", "status": ready, "lastHeartbeatTime": self._now()}
        document = copy.deepcopy(self.objects["nodes"][name])
        document["status"]["conditions"] = [condition]
        self.put("nodes", name, document)

    def beat(self, name: str) -> None:
        key = f"kube-node-lease/{name}"
        metadata = {"name": name, "namespace": "kube-node-lease", "uid": f"uid-lease-{name}"}
        self.put("leases", key, {"metadata": metadata, "spec": {"renewTime": micro_timestamp(self.clock.now())}})

    def pod(self, name: str, node: str, *tolerations: dict[str, Any]) -> None:
        """A pod that runs and is ready."""
        self.put(
            "pods",
            f"default/{name}",
            {
                "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"},
                "spec": {"nodeName": node, "tolerations": list(tolerations)},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
            },
        )

    def put(self, plural: str, key: str, document: dict[str, Any] | None) -> None:
        if document is None:
            self.objects[plural].pop(key, None)
        else:
            self._revision += 1
            document["metadata"]["resourceVersion"] = str(self._revision)
            self.objects[plural][key] = document
        informer = self._informers.made.get(plural) if self._informers is not None else None
        if informer is not None:
            asyncio.get_running_loop().call_soon(informer.show, key, copy.deepcopy(document))

    def start(self, *builds: Build) -> None:
        """Start the controllers (unset: those of nodes), with nothing but what the store says."""
        self.starts += 1
        self._informers = _Informers(self)
        context = Context(
            cast(Client, self),
            cast(Informers, self._informers),
            cast(EventRecorder, self),
            self.clock,
            self.config,
            self.random,
        )
        runnables = [runnable for build in builds or NODES for runnable in build(context)]
        self._tasks = [asyncio.create_task(runnable.run()) for runnable in runnables]

    async def stop(self) -> None:
        """End them where they are."""
        self._informers = None
        for task in self._tasks:
            task.cancel()
        closing = asyncio.gather(*self._tasks, return_exceptions=True)
        while not closing.done():
            await self.clock.advance(1)
        self._tasks = []

    async def run(self, seconds: float) -> None:
        """Let time pass: nodes that are not silent beat each ten seconds."""
        goal = self.clock.monotonic() + seconds
        while (now := self.clock.monotonic()) < goal:
            step = min(10 - now % 10, goal - now)
            await self.clock.advance(step)
            if self.clock.monotonic() % 10 == 0:
                for name in self.objects["nodes"]:
                    if name not in self.silent:
                        self.beat(name)
        await self.clock.advance(0)

    def record(self, about: Object, *, reason: str, message: str, **_: Any) -> None:
        self.said.append(message)

    async def get(self, resource: ResourceType[Any], name: str, *, namespace: str = "") -> Any:
        await asyncio.sleep(0)
        return resource.model.model_validate(self._found(resource, name, namespace, {})[1])

    async def patch(
        self,
        resource: ResourceType[Any],
        name: str,
        body: dict[str, Any],
        *,
        namespace: str = "",
        subresource: str = "",
        patch: Patch = Patch.MERGE,
    ) -> Any:
        await self._trouble()
        key, found = self._found(resource, name, namespace, body.get("metadata", {}))
        document = copy.deepcopy(found)
        before = _evicting(document)
        _merge(document, body, strategic=patch is Patch.STRATEGIC)
        if resource.plural == "nodes" and not before and _evicting(document):
            self.log.append((self.clock.monotonic(), "emptied", name))
        self.put(resource.plural, key, document)
        await self._trouble()
        return resource.model.model_validate(document)

    async def delete(
        self,
        resource: ResourceType[Any],
        name: str,
        *,
        namespace: str = "",
        uid: str = "",
        resource_version: str = "",
        grace_period: int | None = None,
        **_: Any,
    ) -> None:
        await self._trouble()
        key, found = self._found(resource, name, namespace, {"uid": uid, "resourceVersion": resource_version})
        self.log.append((self.clock.monotonic(), "deleted", name))
        self.last[name] = found
        if grace_period == 0 or found.get("spec", {}).get("nodeName") not in self.silent:
            self.put(resource.plural, key, None)
        elif "deletionTimestamp" not in found["metadata"]:
            document = copy.deepcopy(found)
            document["metadata"]["deletionTimestamp"] = self._now()
            self.put(resource.plural, key, document)
        await self._trouble()

    def _found(
        self, resource: ResourceType[Any], name: str, namespace: str, wanted: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        key = f"{namespace}/{name}" if namespace else name
        found = self.objects[resource.plural].get(key)
        if found is None:
            raise errors.not_found(resource.plural, name)
        for each in ("uid", "resourceVersion"):
            if wanted.get(each) and wanted[each] != found["metadata"][each]:
                raise errors.conflict(resource.plural, name, f"another {each}")
        return key, found

    async def _trouble(self) -> None:
        """Before a write and after it, the connection may break."""
        await asyncio.sleep(0)
        if self.random.random() < self.faults:
            raise aiohttp.ClientConnectionError("broken")

    def _now(self) -> str:
        return timestamp(self.clock.now())


def _evicting(document: dict[str, Any]) -> list[str]:
    taints = document.get("spec", {}).get("taints") or ()
    return [taint["key"] for taint in taints if taint["effect"] == "NoExecute"]


def _merge(document: dict[str, Any], body: dict[str, Any], *, strategic: bool) -> None:
    for key, value in body.items():
        if key == "conditions" and strategic:
            changed = {condition["type"]: condition for condition in value}
            kept = [changed.pop(old["type"], None) or old for old in document.get(key, [])]
            document[key] = [*kept, *changed.values()]
        elif isinstance(value, dict) and isinstance(document.get(key), dict):
            _merge(document[key], value, strategic=strategic)
        elif value is None:
            document.pop(key, None)
        else:
            document[key] = value
