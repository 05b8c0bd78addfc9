"""A whole scheduler, or several, on virtual time: whatever happens to nodes, pods, bindings and the schedulers, no node
gets more than it has, no pod is bound twice, what a pod requires holds, and everything that fits is bound in the end,
long before the queue would try everybody again without a reason. Pods of priority evict others meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k8slite.clock import VirtualClock
from k8slite.scheduler.binding import PAUSES
from k8slite.scheduler.queue import FLUSH_AFTER, Backoff, Place
from k8slite.scheduler.requests import CPU
from k8slite.scheduler.shape import shape_of
from k8slite.scheduler.view import Pod

from .builders import node, pod
from .fake_api import FAULTS, LATE, Running, Server

HOSTNAME = "kubernetes.io/hostname"
ALONE: Mapping[str, Any] = {
    "affinity": {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"alone": "yes"}}}
            ]
        }
    }
}
#: After the last fault: what was given up is decided anew, errors back off, and late requests arrive.
CALM = sum(PAUSES) + LATE + 3 * Backoff().longest
NODES = {"a": {"disk": "ssd"}, "b": {"disk": "hdd"}, "c": {"disk": "ssd"}}


class World:
    """The server, the schedulers that are running, and what must always be true."""

    def __init__(self, faults: list[str], *, seed: int) -> None:
        self.clock = VirtualClock()
        self.server = Server(self.clock, iter(faults), check=self._check)
        self._chance = Random(seed)
        self.schedulers: list[Running] = []
        self.crowded = False
        """Two schedulers that do not know of each other may both use the last room of a node."""
        self.wrong: list[str] = []
        self._numbers = 0

    def start(self) -> None:
        self.schedulers.append(Running(self.server, chance=self._chance))
        self.crowded |= len(self.schedulers) > 1

    async def stop(self) -> None:
        if self.schedulers:
            await self.schedulers.pop(0).stop()
        if not self.schedulers:  # what was sent late never arrives, and what is leaving leaves
            for task in self.server.late:
                task.cancel()
            await asyncio.gather(*self.server.late, return_exceptions=True)
            for found in [found for found in self.server.pods.values() if found.deleting]:
                self.server.remove_pod(found.name)

    def add(self, cpu: int, wish: str, priority: int, gated: bool) -> None:
        self._numbers += 1
        spec: dict[str, Any] = {"priority": priority}
        spec |= {"nodeSelector": {"disk": "ssd"}} if wish == "ssd" else ALONE if wish == "alone" else {}
        spec |= {"schedulingGates": [{"name": "later"}]} if gated else {}
        labels = {"alone": "yes"} if wish == "alone" else {}
        self.server.put_pod(pod(f"p{self._numbers}", requests={"cpu": str(cpu)}, labels=labels, **spec))

    def open(self) -> None:
        """All gates are removed."""
        for found in [found for found in self.server.pods.values() if found.spec.scheduling_gates]:
            self.server.put_pod(
                found.model_copy(update={"spec": found.spec.model_copy(update={"scheduling_gates": []})})
            )

    async def tick(self, seconds: float, *, lag: bool = False) -> None:
        """Let time pass, and let the watches bring what happened, or a part of it."""
        for scheduler in self.schedulers:
            scheduler.deliver(self._chance.randrange(3) if lag else None)
        await self.clock.advance(seconds)

    async def calm(self) -> None:
        """Let everything come to rest, without more faults."""
        self.server.faults = iter(())
        if not self.schedulers:
            self.start()
        for _ in range(int(CALM * 4)):
            await self.tick(0.25)

    def _check(self, name: str) -> None:
        if name not in self.server.nodes or self.crowded:
            return
        # To be told in the end: whoever made the request would take an exception for a failure of the server.
        if self.server.free_cpu(name) < 0:
            self.wrong.append(f"too much on {name}")
        if sum("alone" in found.metadata.labels for found in self.server.on(name)) > 1:
            self.wrong.append(f"not alone on {name}")

    def settled(self) -> None:
        """What must hold in the end."""
        assert self.wrong == []
        bound = Counter(uid for uid, _ in self.server.bindings)
        assert not [uid for uid, times in bound.items() if times > 1], "bound twice"
        for found in self.server.pods.values():
            where = found.spec.node_name
            if where:
                wanted = found.spec.node_selector.items()
                assert wanted <= self.server.nodes[where].metadata.labels.items()
            elif not found.spec.scheduling_gates:
                assert not [name for name in self.server.nodes if self.fits(found, name)], f"{found.name} was forgotten"
        for running in self.schedulers:
            self._knows_the_truth(running)

    def fits(self, asking: Pod, name: str) -> bool:
        """Whether a node has what a pod asks for."""
        where = self.server.nodes[name]
        if not asking.spec.node_selector.items() <= where.metadata.labels.items():
            return False
        if asking.metadata.labels.get("alone") and any(p.metadata.labels.get("alone") for p in self.server.on(name)):
            return False
        return self.server.free_cpu(name) >= dict(shape_of(asking).requests).get(CPU, 0)

    def _knows_the_truth(self, running: Running) -> None:
        columns, queue = running.scheduler.columns, running.scheduler.queue
        assert queue.counts()[Place.IN_FLIGHT] == 0
        waiting = {found.uid for found in self.server.pods.values() if not found.spec.node_name}
        assert {uid for uid in waiting if uid in queue} == waiting
        assert len(queue) == len(waiting)
        for found in self.server.pods.values():
            assert (columns.node_of(found.uid) or "") == found.spec.node_name
        assert columns.requested[0].sum() == sum(
            dict(shape_of(found).requests).get(CPU, 0) for found in self.server.pods.values() if found.spec.node_name
        )


faults = st.lists(st.sampled_from(FAULTS), max_size=12)
names = st.sampled_from(sorted(NODES))
additions = st.tuples(
    st.just("add"),
    st.integers(1, 4),
    st.sampled_from(["", "", "ssd", "alone"]),
    st.sampled_from([0, 0, 7]),
    st.sampled_from([False, False, False, True]),
)
steps = st.one_of(
    additions,
    additions,
    st.tuples(st.just("node"), names, st.integers(2, 8)),
    st.tuples(st.just("lose"), names),
    st.tuples(st.just("delete"), st.integers(0, 20)),
    st.tuples(st.just("again"), st.integers(0, 20)),
    st.tuples(st.just("open")),
    st.tuples(st.just("tick"), st.sampled_from([0.0, 0.3, 2.0, 9.0]), st.booleans()),
    st.tuples(st.just("tick"), st.sampled_from([0.0, 0.3]), st.booleans()),
    st.tuples(st.just("restart")),
)
crowds = st.lists(additions, min_size=2, max_size=6)
histories = st.builds(
    lambda first, crowd, rest: [first, *crowd, *rest],
    st.tuples(st.just("node"), names, st.integers(2, 5)),
    crowds,
    st.lists(steps, min_size=3, max_size=25),
)


async def live(world: World, history: list[Any]) -> None:
    """Let things happen."""
    for step in history:
        pods = sorted(world.server.pods)
        match step:
            case "add", cpu, wish, priority, gated:
                world.add(cpu, wish, priority, gated)
            case "node", name, cpu if name not in world.server.nodes:
                labels = {HOSTNAME: name} | NODES[name]
                world.server.put_node(node(name, allocatable={"cpu": str(cpu)}, labels=labels))
            case "lose", name if name in world.server.nodes:
                world.server.remove_node(name)
            case "delete", index if pods:
                world.server.remove_pod(pods[index % len(pods)])
            case "again", index if pods:
                before = world.server.pods[pods[index % len(pods)]]
                world.server.remove_pod(before.name)
                other = {"metadata": before.metadata.model_copy(update={"uid": f"{before.uid}'"})}
                world.server.put_pod(
                    before.model_copy(update=other | {"spec": before.spec.model_copy(update={"node_name": ""})})
                )
            case ("open",):
                world.open()
            case "tick", seconds, lag:
                await world.tick(seconds, lag=lag)
            case ("restart",):
                await world.stop()
                world.start()
            case ("second",):
                world.start()


async def run(history: list[Any], fates: list[str], *, seed: int) -> None:
    world = World(fates, seed=seed)
    world.start()
    try:
        await live(world, history)
        await world.calm()
        world.settled()
        assert world.clock.monotonic() < FLUSH_AFTER, "so that nobody was helped by trying everybody again"
    finally:
        while world.schedulers:
            await world.stop()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories, faults, st.integers(0, 1000))
def test_whatever_happens_everything_that_fits_is_bound_once_and_nothing_else(
    history: list[Any], fates: list[str], seed: int
) -> None:
    asyncio.run(run(history, fates, seed=seed))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories, faults, st.integers(0, 1000))
def test_two_schedulers_at_once_never_bind_twice_nor_forget(history: list[Any], fates: list[str], seed: int) -> None:
    asyncio.run(run([("second",), *history], fates, seed=seed))
