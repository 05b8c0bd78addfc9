"""An API server in memory as schedulers know it: nodes, pods, bindings that can go wrong, and watches that lag."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import aiohttp

from k8slite import errors
from k8slite.client import Client, ClientConfig
from k8slite.clock import VirtualClock
from k8slite.scheduler.plugins import default_profiles
from k8slite.scheduler.requests import CPU
from k8slite.scheduler.scheduler import Scheduler
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.view import Node, Pod

#: What may become of a request to bind. Only `ok` and `lost after` have been done by the time of the answer.
FAULTS = ("ok", "refused", "lost before", "lost after", "late", "broken", "slow")
LATE, GRACE = 5.0, 2.0


@dataclass
class Server:
    """What is true. `log` has every change; `check` is called after each binding."""

    clock: VirtualClock
    faults: Iterator[str]
    nodes: dict[str, Node] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    log: list[tuple[Node | Pod | None, Node | Pod | None]] = field(default_factory=list)
    bindings: list[tuple[str, str]] = field(default_factory=list)
    writes: int = 0
    late: list[asyncio.Task[None]] = field(default_factory=list)
    check: Callable[[str], None] = lambda node: None

    def put_node(self, node: Node) -> None:
        before = self.nodes.get(node.name)
        self.nodes[node.name] = node
        self.log.append((before, node))

    def remove_node(self, name: str) -> None:
        """The node is gone, and as a controller would, so are its pods."""
        self.log.append((self.nodes.pop(name), None))
        for pod in [pod for pod in self.pods.values() if pod.spec.node_name == name]:
            self.remove_pod(pod.name)

    def put_pod(self, pod: Pod) -> None:
        before = self.pods.get(pod.name)
        self.pods[pod.name] = pod
        self.log.append((before, pod))

    def remove_pod(self, name: str) -> None:
        self.log.append((self.pods.pop(name), None))

    async def bind(self, body: dict[str, Any]) -> None:
        """One request, with whatever fate it has."""
        match next(self.faults, "ok"):
            case "refused":
                raise errors.forbidden("pods/binding", body["metadata"]["name"], "just so")
            case "lost before":
                raise aiohttp.ClientConnectionError("lost")
            case "broken":
                raise errors.ApiError(500, "InternalError", "broken")
            case "lost after":
                self.apply(body)
                raise aiohttp.ServerTimeoutError("no answer")
            case "late":
                self.late.append(asyncio.create_task(self._bind_late(body)))
                raise aiohttp.ServerTimeoutError("no answer")
            case "slow":
                await self.clock.sleep(1.0)
        self.apply(body)

    async def _bind_late(self, body: dict[str, Any]) -> None:
        await self.clock.sleep(LATE)
        try:
            self.apply(body)
        except errors.ApiError:
            return

    def apply(self, body: dict[str, Any]) -> None:
        """What the API server does about a binding."""
        name, node = body["metadata"]["name"], body["target"]["name"]
        pod = self.pods.get(name)
        if pod is None:
            raise errors.not_found("pods", name)
        if pod.uid != body["metadata"]["uid"]:
            raise errors.conflict("pods/binding", name, "Precondition failed: UID in precondition")
        if pod.spec.node_name:
            said = f'pod {name} is already assigned to node "{pod.spec.node_name}"'
            raise errors.conflict("pods/binding", name, said)
        self.bindings.append((pod.uid, node))
        self.put_pod(on_node(pod, node))
        if node not in self.nodes:
            self.remove_pod(name)
        self.check(node)

    async def patch(self, name: str, body: dict[str, Any]) -> None:
        """Of a pod's status only the promise of a node matters here."""
        self.writes += 1
        pod = self.pods.get(name)
        if pod is None or pod.uid != body["metadata"]["uid"]:
            raise errors.not_found("pods", name)
        if "nominatedNodeName" in body["status"]:
            node = body["status"]["nominatedNodeName"] or ""
            status = pod.status.model_copy(update={"nominated_node_name": node})
            self.put_pod(pod.model_copy(update={"status": status}))

    async def delete(self, name: str, uid: str) -> None:
        """A pod on a node takes its time to go."""
        fate = next(self.faults, "ok")
        if fate in ("lost before", "broken"):
            raise aiohttp.ClientConnectionError(fate)
        pod = self.pods.get(name)
        if pod is None or pod.uid != uid:
            raise errors.not_found("pods", name)
        if not pod.spec.node_name:
            self.remove_pod(name)
            return
        metadata = pod.metadata.model_copy(update={"deletion_timestamp": self.clock.now()})
        self.put_pod(pod.model_copy(update={"metadata": metadata}))
        self.late.append(asyncio.create_task(self._remove_late(pod)))
        if fate in ("lost after", "late"):
            raise aiohttp.ServerTimeoutError("no answer")

    async def _remove_late(self, pod: Pod) -> None:
        await self.clock.sleep(GRACE)
        if (found := self.pods.get(pod.name)) is not None and found.uid == pod.uid:
            self.remove_pod(pod.name)

    def on(self, node: str) -> list[Pod]:
        """The pods of a node."""
        return [pod for pod in self.pods.values() if pod.spec.node_name == node]

    def free_cpu(self, node: str) -> int:
        """What is left, in millicores."""
        taken = sum(dict(shape_of(pod).requests).get(CPU, 0) for pod in self.on(node))
        return int(self.nodes[node].status.allocatable["cpu"]) * 1000 - taken


def on_node(pod: Pod, node: str) -> Pod:
    """The pod, bound."""
    return with_spec(pod, node_name=node)


def with_spec(pod: Pod, **spec: Any) -> Pod:
    """The pod with something else in its spec."""
    return pod.model_copy(update={"spec": pod.spec.model_copy(update=spec)})


class Connection(Client):
    """A scheduler's way to the server; what is under way when it is cut is done or not, by chance."""

    def __init__(self, server: Server, *, chance: Random) -> None:
        super().__init__(ClientConfig(server="http://nowhere"))
        self._server = server
        self._chance = chance

    async def request(self, method: str, path: str, **more: Any) -> Any:
        assert (method, path.rpartition("/")[2]) == ("POST", "binding")
        await asyncio.sleep(0)
        try:
            await self._server.bind(more["body"])
        except asyncio.CancelledError:
            if self._chance.random() < 0.5:  # the request had reached the server
                with contextlib.suppress(errors.ApiError):
                    self._server.apply(more["body"])
            raise

    async def patch(self, resource: Any, name: str, body: Any, **more: Any) -> Any:
        await asyncio.sleep(0)
        if more.get("subresource") == "status":
            await self._server.patch(name, body)

    async def delete(self, resource: Any, name: str, **more: Any) -> None:
        await asyncio.sleep(0)
        await self._server.delete(name, more["uid"])

    async def create(self, *args: Any, **more: Any) -> Any:
        self._server.writes += 1


class Running:
    """A scheduler that follows a server. It knows of changes when `deliver` brings them."""

    def __init__(self, server: Server, *, chance: Random) -> None:
        self._server = server
        self._chance = chance
        self.scheduler = Scheduler(
            Connection(server, chance=chance), clock=server.clock, random=chance, profiles=default_profiles
        )
        for node in server.nodes.values():
            self.scheduler.on_node(None, node)
        for pod in server.pods.values():
            self.scheduler.on_pod(None, pod)
        self._seen = len(server.log)
        self._work = asyncio.create_task(self.scheduler.work())

    def deliver(self, number: int | None = None) -> None:
        """The watch brings so many changes, or all."""
        assert not self._work.done(), "the scheduler ended"
        news = self._server.log[self._seen :][:number]
        self._seen += len(news)
        for old, new in news:
            if isinstance(old or new, Node):
                self.scheduler.on_node(old, new)  # type: ignore[arg-type]
            elif isinstance(old, Pod) and isinstance(new, Pod) and old.uid != new.uid:
                self.scheduler.on_pod(old, None)
                self.scheduler.on_pod(None, new)
            else:
                self.scheduler.on_pod(old, new)  # type: ignore[arg-type]

    async def stop(self) -> None:
        """Kill it: what it had sent late has arrived by the time somebody else begins, or never will."""
        self._work.cancel()
        while not self._work.done():  # the last events are being written
            await self._server.clock.advance(0.5)
        await asyncio.gather(self._work, return_exceptions=True)
