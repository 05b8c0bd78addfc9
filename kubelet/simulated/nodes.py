"""Plays nodes: registers them, keeps their Leases and statuses current, and takes them through their stages.

A node that somebody deletes stays deleted, until the program starts again. A node of such a name without our label is
somebody else's: neither it nor its pods are touched.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from k8slite.client import Client
from k8slite.clock import Clock, micro_timestamp, timestamp
from k8slite.config import SimulatorConfig
from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.informer import Informer
from k8slite.kinds.resources import LEASES

from . import node_objects
from .addresses import Block
from .decide import node_step
from .facts import PLAYED_NODES, Json, Node
from .node_objects import ANNOTATION, LEASE_NAMESPACE, READY, SIMULATOR_LABEL, Description
from .seen import Awaited
from .stages import NodeNext, Stages
from .wire import MERGE, STRATEGIC, Wire

log = logging.getLogger(__name__)

_TICK = 0.25
"""Seconds between two handfuls of heartbeats: enough of them together to share a commit, too few to be felt."""
_LAG = 0.1
"""Seconds that the informer has to show what was written, before a node is looked at again."""
_ANNOTATIONS = {ANNOTATION: "true"}


Write = Callable[["Played"], Awaitable[None]]


@dataclass(slots=True)
class Played:
    """A node and what became of it. Times are monotonic seconds."""

    description: Description
    block: Block
    next: NodeNext = READY
    since: float = 0.0
    turn: int = 0
    gone: bool = False
    leased: bool = False
    said: bool = False
    """Whether the Node is as this program has it; an earlier one may have had it otherwise."""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def silent(self) -> bool:
        """Whether the node does nothing at all."""
        return self.gone or self.next.state == "Silent"

    @property
    def works(self) -> bool:
        """Whether the node sees to its pods: it is registered and lives."""
        return self.leased and not self.silent


class NodePlayer:
    """All nodes of this program."""

    def __init__(
        self,
        nodes: Sequence[tuple[Description, Block]],
        *,
        config: SimulatorConfig,
        client: Client,
        wire: Wire,
        clock: Clock,
        stages: Stages,
        woken: Callable[[str], None],
    ) -> None:
        """`woken` is called with the name of a node that does its work again, or for the first time."""
        self._wire, self._clock, self._config, self._stages, self._woken = wire, clock, config, stages, woken
        began = clock.monotonic()
        self._played = {one.name: Played(one, block, since=began, labels=one.labels) for one, block in nodes}
        self._awaited = Awaited()
        self.controller = Controller("simulated-nodes", self.sync, clock=clock, workers=config.connections)
        self.informer: Informer[Node] = Informer(
            client, PLAYED_NODES, clock=clock, label_selector=f"{SIMULATOR_LABEL}={config.name}"
        )
        self.informer.add_handler(self._changed)

    def find(self, name: str) -> Played | None:
        """A node of ours."""
        return self._played.get(name)

    def since(self, name: str) -> datetime | None:
        """When a node of ours was registered, if it is."""
        seen = self.informer.get(name)
        return seen.metadata.creation_timestamp if seen is not None else None

    async def run(self) -> None:
        """Play until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.informer.run())
            await self.informer.wait_synced()
            for name in self._played:
                self.controller.queue.add(name)
            tasks.create_task(self._beat(self._config.node_lease_duration / 2, self._renew))
            tasks.create_task(self._beat(self._config.node_status_period, self._report))
            tasks.create_task(self.controller.run())

    async def remove(self) -> None:
        """Delete every node of ours."""

        async def remove(played: Played) -> None:
            await self._delete(played.description.name)

        ours = [one for one in self._played.values() if one.said and not one.gone]
        await self._each(ours, remove, "not removed")

    def _changed(self, old: Node | None, new: Node | None) -> None:
        shown = new or old
        played = self._played.get(shown.name) if shown is not None else None
        if played is None or shown is None:
            return
        played.gone = new is None
        if new is None:
            played.leased = False
            self._awaited.forget(shown.name)
            log.info("node %s was deleted", shown.name)
            return
        if played.labels != new.metadata.labels:
            played.labels = new.metadata.labels
            self._woken(new.name)
        if new.spec.pod_cidr and (old is None or old.spec.pod_cidr != new.spec.pod_cidr):
            played.block = _block(new.spec.pod_cidr, played.block)
        if old is None or _marks(old) != _marks(new) or not node_objects.is_said(new, played.next):
            self.controller.queue.add(new.name)

    async def sync(self, name: str) -> Result:
        """One node."""
        played, seen = self._played[name], self.informer.get(name)
        if played.gone:
            return DONE
        if seen is not None and self._awaited.lags(name, seen.metadata.resource_version):
            return Result(_LAG)
        if seen is None:
            await self._register(played)
            return DONE  # the informer tells of it
        if not played.leased and not played.silent:
            await self._lease(played, seen.uid)
        if not played.silent:
            if not played.said:
                await self._mark(played, seen)
            if not (
                node_objects.is_said(seen, played.next)
                and (played.said or node_objects.is_described(seen, played.description))
            ):
                await self._say(played, seen)
            played.said = True
        step = node_step(
            name=name,
            state=played.next.state if played.next.state != "Deleted" else "Silent",
            labels=played.labels,
            annotations=_ANNOTATIONS | seen.metadata.annotations,
            turn=played.turn,
            stages=self._stages,
            elapsed=self._clock.monotonic() - played.since,
        )
        if step is None:
            return DONE
        if step.wait > 0:
            return Result(step.wait)
        return await self._move(played, step.next)

    async def _move(self, played: Played, next_: NodeNext) -> Result:
        name = played.description.name
        if next_.state == "Deleted":
            await self._delete(name)
            return DONE
        played.next, played.since, played.turn = next_, self._clock.monotonic(), played.turn + 1
        log.info("node %s is %s", name, next_.state)
        if not played.silent:
            self._woken(name)
        return Result(0.0)

    async def _register(self, played: Played) -> None:
        body = node_objects.registration(played.description, next_=played.next, now=timestamp(self._clock.now()))
        played.said = True  # the informer may be faster than the answer
        try:
            await self._wire.send("POST", PLAYED_NODES.path(), orjson.dumps(body))
        except ApiError as error:
            played.said = False
            if error.code == 409:  # ours, and the informer is late; or somebody else's
                log.warning("node %s is there already: %s", played.description.name, error)
            raise

    async def _lease(self, played: Played, uid: str) -> None:
        """Make the Lease of a node that is new, take over that of one which an earlier program has left."""
        if played.said:
            await self._make_lease(played, uid) or await self._renew_lease(played)
        else:
            await self._renew_lease(played) or await self._make_lease(played, uid)
        played.leased = True
        self._woken(played.description.name)

    async def _make_lease(self, played: Played, uid: str) -> bool:
        """Whether there was none yet."""
        body = node_objects.lease(
            played.description.name,
            uid,
            duration=self._config.node_lease_duration,
            now=micro_timestamp(self._clock.now()),
        )
        try:
            await self._wire.send("POST", LEASES.path(namespace=LEASE_NAMESPACE), orjson.dumps(body))
        except ApiError as error:
            if error.code != 409:
                raise
            return False
        return True

    async def _renew_lease(self, played: Played) -> bool:
        """Whether there is one."""
        name = played.description.name
        spec = {
            "holderIdentity": name,
            "leaseDurationSeconds": self._config.node_lease_duration,
            "renewTime": micro_timestamp(self._clock.now()),
        }
        path = LEASES.path(namespace=LEASE_NAMESPACE, name=name)
        try:
            await self._wire.send("PATCH", path, orjson.dumps({"spec": spec}), media=MERGE)
        except ApiError as error:
            if error.code != 404:
                raise
            return False
        return True

    async def _renew(self, played: Played) -> None:
        if not await self._renew_lease(played):
            played.leased = False
            self.controller.queue.add(played.description.name)

    async def _report(self, played: Played) -> None:
        if (seen := self.informer.get(played.description.name)) is not None:
            now = timestamp(self._clock.now())
            await self._write(seen, {"conditions": node_objects.conditions(played.next, seen=seen, now=now)})

    async def _say(self, played: Played, seen: Node) -> None:
        """Write the node's status, all of it: the program that wrote it first may have had another port."""
        now = timestamp(self._clock.now())
        await self._write(seen, node_objects.status(played.description, next_=played.next, seen=seen, now=now))

    async def _write(self, seen: Node, body: Json) -> None:
        path = PLAYED_NODES.path(name=seen.name, subresource="status")
        await self._patch(seen.name, path, {"status": body}, media=STRATEGIC)

    async def _mark(self, played: Played, seen: Node) -> None:
        labels = {k: v for k, v in played.description.labels.items() if seen.metadata.labels.get(k) != v}
        wanted = {node_objects.METRICS_PATH: node_objects.resource_path(seen.name)}
        annotations = {k: v for k, v in wanted.items() if seen.metadata.annotations.get(k) != v}
        if labels or annotations:
            body = {"metadata": {"labels": labels, "annotations": annotations}}
            await self._patch(seen.name, PLAYED_NODES.path(name=seen.name), body, media=MERGE)

    async def _patch(self, name: str, path: str, body: Json, *, media: str) -> None:
        answer = await self._wire.send("PATCH", path, orjson.dumps(body), media=media)
        self._awaited.wrote(name, answer, shown=self.informer.get(name))

    async def _delete(self, name: str) -> None:
        try:
            await self._wire.send("DELETE", PLAYED_NODES.path(name=name), b"{}")
        except ApiError as error:
            if error.code != 404:
                raise

    async def _beat(self, period: float, write: Write) -> None:
        """Write for every node that lives once in a period, a handful at each tick."""
        ring, due, last = itertools.cycle(self._played.values()), 0.0, self._clock.monotonic()
        while True:
            await self._clock.sleep(max(_TICK, period / len(self._played)))
            now = self._clock.monotonic()
            due = min(due + len(self._played) * (now - last) / period, float(len(self._played)))
            last = now
            turn = [next(ring) for _ in range(int(due))]
            due -= len(turn)
            await self._each([one for one in turn if one.works], write, "not heard of")

    async def _each(self, nodes: Sequence[Played], write: Write, failed: str) -> None:
        failures: list[tuple[str, Exception]] = []
        rest = iter(nodes)

        async def work() -> None:
            for one in rest:  # shared: each worker takes the next one
                try:
                    await write(one)
                except (ApiError, OSError) as error:
                    failures.append((one.description.name, error))

        await asyncio.gather(*(work() for _ in range(min(len(nodes), self._config.connections))))
        if failures:
            name, error = failures[-1]
            log.warning("%d nodes %s; the last was %s: %s", len(failures), failed, name, error)


def _marks(node: Node) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """What stages choose nodes by."""
    return node.metadata.labels, node.metadata.annotations


def _block(cidr: str, old: Block) -> Block:
    """The addresses of the pod CIDR that a node was given; the old ones if it is the same, or none of ours (IPv6)."""
    try:
        fresh = Block.of(cidr)
    except ValueError:
        return old
    return old if (fresh.first, fresh.size) == (old.first, old.size) else fresh
