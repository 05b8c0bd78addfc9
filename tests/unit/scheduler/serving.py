"""An API server in memory for a whole scheduler on virtual time: lists, watches, conditional patches, bindings.

The controller of volumes is played by the test: `bind` and `provision` do what it would do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from random import Random
from typing import Any

from k8slite import errors
from k8slite.client import Client, ClientConfig
from k8slite.clock import VirtualClock
from k8slite.decoding import EventType, Listing, WatchEvent
from k8slite.kinds.base import ResourceType
from k8slite.kinds.storage import BIND_COMPLETED
from k8slite.scheduler.queue import Place
from k8slite.scheduler.scheduler import Scheduler
from k8slite.scheduler.view import NODES, PODS

from .storing import KINDS, Document, claims_as_volumes, volume

RESOURCES: dict[str, ResourceType[Any]] = KINDS | {"Pod": PODS, "Node": NODES}


def _key(document: Document) -> str:
    metadata = document["metadata"]
    return "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))


class Server(Client):
    """The objects by kind and key. `fail` are the errors of the next writes by the scheduler, `hold` delays them."""

    def __init__(self) -> None:
        super().__init__(ClientConfig(server="http://nowhere"))
        self.objects: dict[str, dict[str, Document]] = {}
        self.events: list[tuple[str, str]] = []
        self.writes: list[tuple[str, str]] = []
        self.deleted: list[Document] = []
        self.fail: list[Exception] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self._revision = 1
        self._history: list[tuple[str, EventType, Document]] = []
        self._news = asyncio.Event()

    def put(self, document: Document) -> Document:
        """Somebody writes an object."""
        found = self.objects.setdefault(document["kind"], {})
        before = found.get(_key(document))
        self._revision += 1
        new = deepcopy(document)
        new["metadata"]["resourceVersion"] = str(self._revision)
        found[_key(new)] = new
        self._tell("MODIFIED" if before else "ADDED", new)
        return new

    def remove(self, kind: str, key: str) -> None:
        """Somebody deletes an object."""
        self._revision += 1
        found = self.objects[kind].pop(key)
        found["metadata"]["resourceVersion"] = str(self._revision)
        self._tell("DELETED", found)

    def find(self, kind: str, key: str) -> Document:
        """An object as it stands."""
        return self.objects[kind][key]

    def change(self, kind: str, key: str, patch: Document) -> Document:
        """Somebody patches an object."""
        return self.put(_merged(self.find(kind, key), patch))

    def bind(self, claim: str, volume_name: str) -> None:
        """What the controller of volumes does when it finds a volume with a claim in it, or has made one for it."""
        found = self.find("PersistentVolumeClaim", claim)
        reference = {"namespace": found["metadata"]["namespace"], "name": found["metadata"]["name"]}
        reference |= {"kind": "PersistentVolumeClaim", "uid": found["metadata"]["uid"]}
        self.change("PersistentVolume", volume_name, {"spec": {"claimRef": reference}, "status": {"phase": "Bound"}})
        patch = {"spec": {"volumeName": volume_name}, "metadata": {"annotations": {BIND_COMPLETED: "yes"}}}
        self.change("PersistentVolumeClaim", claim, patch | {"status": {"phase": "Bound"}})

    def provision(self, claim: str, **more: Any) -> None:
        """What a provisioner does for a claim with a node."""
        name = f"pvc-{claim.rpartition('/')[2]}"
        self.put(
            volume(name, storage_class=self.find("PersistentVolumeClaim", claim)["spec"]["storageClassName"], **more)
        )
        self.bind(claim, name)

    def node_of(self, pod: str) -> str:
        """Where a pod is bound to."""
        return str(self.find("Pod", f"default/{pod}")["spec"].get("nodeName", ""))

    def _tell(self, type_: EventType, document: Document) -> None:
        self._history.append((document["kind"], type_, deepcopy(document)))
        self._news.set()
        self._news = asyncio.Event()

    async def list(self, resource: ResourceType[Any], **more: Any) -> Listing[Any]:
        await asyncio.sleep(0)
        items = [resource.model.model_validate(each) for each in self.objects.get(resource.kind, {}).values()]
        return Listing(items, str(self._revision))

    async def watch_batches(
        self, resource: ResourceType[Any], *, resource_version: str, **more: Any
    ) -> AsyncGenerator[Sequence[WatchEvent[Any]], None]:
        yield ()
        position = 0
        while True:
            news = self._news
            for kind, type_, document in self._history[position:]:
                if kind == resource.kind and int(document["metadata"]["resourceVersion"]) > int(resource_version):
                    yield [WatchEvent(type_, resource.model.model_validate(document))]
            position = len(self._history)
            await news.wait()

    async def patch(self, resource: ResourceType[Any], name: str, body: Any, **more: Any) -> Any:
        key = "/".join(filter(None, (more.get("namespace"), name)))
        if more.get("subresource") == "status":
            if key not in self.objects["Pod"]:
                raise errors.not_found("pods", name)
            status = self.find("Pod", key)["status"]
            said = body["status"].get("conditions", [])
            named = {condition["type"] for condition in said}
            others = [condition for condition in status.get("conditions", []) if condition["type"] not in named]
            self.change("Pod", key, {"status": body["status"] | {"conditions": [*said, *others]}})
            return None
        await self._admit()
        found = self.objects.get(resource.kind, {}).get(key)
        if found is None:
            raise errors.not_found(resource.plural, name)
        for field in ("uid", "resourceVersion"):
            if body["metadata"].get(field) not in (None, found["metadata"][field]):
                raise errors.conflict(resource.plural, name)
        self.writes.append((resource.kind, name))
        return resource.model.model_validate(self.change(resource.kind, key, body))

    async def request(self, method: str, path: str, **more: Any) -> Any:
        await self._admit()
        body = more["body"]
        key = f"{body['metadata']['namespace']}/{body['metadata']['name']}"
        if key not in self.objects["Pod"]:
            raise errors.not_found("pods", body["metadata"]["name"])
        self.change("Pod", key, {"spec": {"nodeName": body["target"]["name"]}})

    async def delete(self, resource: ResourceType[Any], name: str, **more: Any) -> None:
        """A pod that is on a node stays until the test removes it, as if it ended gracefully."""
        await self._admit()
        key = f"{more['namespace']}/{name}"
        if key not in self.objects["Pod"]:
            raise errors.not_found("pods", name)
        self.deleted.append(self.find("Pod", key))
        if self.node_of(name):
            self.change("Pod", key, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
        else:
            self.remove("Pod", key)

    async def create(self, resource: Any, body: Any, **more: Any) -> Any:
        self.events.append((body["reason"], body["message"]))

    async def _admit(self) -> None:
        await asyncio.sleep(0)
        await self.hold.wait()
        if self.fail:
            raise self.fail.pop(0)


def _merged(document: Document, patch: Document) -> Document:
    found = dict(document)
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        elif isinstance(value, dict):
            found[key] = _merged(found.get(key) or {}, value)
        else:
            found[key] = value
    return found


class Running:
    """A scheduler at work on a server; `restart` puts another in its place, as if it had been killed."""

    def __init__(self, server: Server, clock: VirtualClock) -> None:
        self.server = server
        self.clock = clock
        self.scheduler = Scheduler(server, clock=clock, random=Random(1))
        self._task = asyncio.create_task(self.scheduler.run())

    async def stop(self) -> None:
        self._task.cancel()
        await self.clock.advance(10)
        await asyncio.gather(self._task, return_exceptions=True)

    async def restart(self) -> None:
        await self.stop()
        self.scheduler = Scheduler(self.server, clock=self.clock, random=Random(2))
        self._task = asyncio.create_task(self.scheduler.run())
        await self.settle()

    async def settle(self) -> None:
        """Let everything run that can run at this moment."""
        for _ in range(400):
            await asyncio.sleep(0)

    async def until(self, pod: str, node: str) -> None:
        """Let time pass until a pod is bound, a minute at most."""
        for _ in range(60):
            await self.settle()
            if found := self.server.node_of(pod):
                assert found == node
                return
            await self.clock.advance(1)
        raise AssertionError(f"{pod} is not bound: {self.server.events}")

    def place_of(self, pod: str) -> Place | None:
        return self.scheduler.queue.place_of(f"uid-{pod}")

    def says(self, pod: str) -> str:
        """The message of a pod's condition."""
        conditions = self.server.find("Pod", f"default/{pod}").get("status", {}).get("conditions", [])
        return str(conditions[0]["message"]) if conditions else ""


@asynccontextmanager
async def running(*documents: Document) -> AsyncIterator[Running]:
    server = Server()
    for document in documents:
        server.put(document)
    it = Running(server, VirtualClock())
    await it.settle()
    try:
        yield it
    finally:
        await it.stop()


def host(name: str, **labels: str) -> Document:
    """A node."""
    named = {f"topology.kubernetes.io/{key}": value for key, value in labels.items()}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": {"kubernetes.io/hostname": name} | named},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}},
    }


def consumer(name: str, *claims: str, **spec: Any) -> Document:
    """A pod that uses these claims; `=x` is one that is made for it."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}"},
        "spec": {
            "containers": [{"name": "c"}],
            "schedulerName": "default-scheduler",
            "volumes": claims_as_volumes(*claims),
        }
        | spec,
        "status": {"phase": "Pending"},
    }
