"""Preemption under random arrivals, departures, lost nodes, failures and restarts."""

from __future__ import annotations

from random import Random

import aiohttp
import pytest

from .serving import Document, Running, consumer, host, running

STEPS = 50
ROOM = 4


def name_of(document: Document) -> str:
    return str(document["metadata"]["name"])


def priority(pod: Document) -> int:
    return int(pod["spec"]["priority"])


def cpus(pod: Document) -> int:
    return int(pod["spec"]["containers"][0]["resources"]["requests"]["cpu"])


class Churn:
    """Does one random thing after the other to a cluster."""

    def __init__(self, it: Running, random: Random) -> None:
        self.it = it
        self.random = random
        self.number = 0
        self.pause = 0.0
        self.again = False

    def pods(self) -> list[Document]:
        return list(self.it.server.objects.get("Pod", {}).values())

    def nodes(self) -> list[str]:
        return [name_of(node) for node in self.it.server.objects["Node"].values()]

    def on(self, node: str) -> list[Document]:
        return [pod for pod in self.pods() if pod["spec"].get("nodeName") == node]

    def waiting(self) -> list[Document]:
        return [pod for pod in self.pods() if not pod["spec"].get("nodeName")]

    async def step(self) -> None:
        acts = (self.arrive, self.depart, self.end, self.gain, self.lose, self.fail, self.wait, self.restart)
        waiting = {pod["metadata"]["uid"]: priority(pod) for pod in self.waiting()}
        self.it.server.deleted.clear()
        self.random.choices(acts, (12, 3, 6, 1, 1, 2, 6, 1))[0]()
        waiting |= {pod["metadata"]["uid"]: priority(pod) for pod in self.waiting()}
        await self.it.settle()
        if self.pause:
            await self.it.clock.advance(self.pause)
        if self.again:
            await self.it.restart()
        self.pause, self.again = 0.0, False
        self.check(waiting)

    def arrive(self) -> None:
        self.number += 1
        cpu, priority = self.random.choice(("1", "1", "2", "4")), self.random.choice((0, 0, 5, 10))
        container = {"name": "c", "resources": {"requests": {"cpu": cpu}}}
        self.it.server.put(consumer(f"p{self.number}", containers=[container], priority=priority))

    def depart(self) -> None:
        if pods := self.pods():
            self.it.server.remove("Pod", f"default/{name_of(self.random.choice(pods))}")

    def end(self) -> None:
        """Those who were evicted are gone."""
        for pod in self.pods():
            if "deletionTimestamp" in pod["metadata"]:
                self.it.server.remove("Pod", f"default/{name_of(pod)}")

    def gain(self) -> None:
        self.number += 1
        self.it.server.put(host(f"n{self.number}"))

    def lose(self) -> None:
        """A node goes, and its pods with it."""
        if len(nodes := self.nodes()) > 1:
            lost = self.random.choice(nodes)
            self.it.server.remove("Node", lost)
            for pod in self.on(lost):
                self.it.server.remove("Pod", f"default/{name_of(pod)}")

    def fail(self) -> None:
        self.it.server.fail.append(aiohttp.ClientConnectionError("reset"))

    def wait(self) -> None:
        self.pause = self.random.choice((1.0, 5.0, 20.0))

    def restart(self) -> None:
        self.again = True

    def check(self, waiting: dict[str, int]) -> None:
        """What must hold at any time; `waiting` are those that waited meanwhile, by UID, with their priorities."""
        for node in self.nodes():
            assert sum(map(cpus, self.on(node))) <= ROOM
        for victim in self.it.server.deleted:
            assert priority(victim) < max(waiting.values(), default=-1), "nobody goes for nothing"

    async def rest(self) -> None:
        """Whoever fits is bound, also in the place of those of lower priority; nothing is left of the others."""
        self.it.server.fail.clear()
        for _ in range(30):
            self.end()
            await self.it.clock.advance(10)
        for pod in self.waiting():
            for node in self.nodes():
                stay = sum(cpus(other) for other in self.on(node) if priority(other) >= priority(pod))
                assert stay + cpus(pod) > ROOM, f"{name_of(pod)} could be on {node}"
        left = {pod["metadata"]["uid"] for pod in self.pods()}
        columns = self.it.scheduler.columns
        promised = {uid for node in [*columns.rows] for uid in columns.nominations.on(node)}
        assert len(columns.nominations) == len(promised)
        assert promised <= {pod["metadata"]["uid"] for pod in self.waiting()}
        assert columns.pod_count == len(left) - len(self.waiting())


@pytest.mark.parametrize("seed", (*range(12), 34, 98, 120, 152, 184, 186, 228))
async def test_nobody_goes_for_nothing_and_nobody_is_forgotten(seed: int) -> None:
    async with running(host("a"), host("b")) as it:
        churn = Churn(it, Random(seed))
        for _ in range(STEPS):
            await churn.step()
        await churn.rest()
