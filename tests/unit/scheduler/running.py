"""A scheduler at work on virtual time, over an API that records what is asked of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from k8slite.client import Client, ClientConfig
from k8slite.clock import VirtualClock
from k8slite.scheduler.extenders.extender import Extender
from k8slite.scheduler.framework import Handle
from k8slite.scheduler.plugins import default_profiles
from k8slite.scheduler.profile import Profile
from k8slite.scheduler.scheduler import Scheduler
from k8slite.scheduler.view import Pod

NO_VICTIMS = "No preemption victims found for incoming pod"
NOT_HELPFUL = "Preemption is not helpful for scheduling"
Profiles = Callable[[Handle], Mapping[str, Profile]]


def and_no_preemption(*, without_victims: int = 0, not_helped: int = 0) -> str:
    """What is said after the reasons where preemption finds no pod to remove, or would not help."""
    counted = ((without_victims, NO_VICTIMS), (not_helped, NOT_HELPFUL))
    texts = ", ".join(sorted(f"{number} {reason}" for number, reason in counted if number))
    return f" preemption: 0/{without_victims + not_helped} nodes are available: {texts}."


class Api(Client):
    """Answers everything, unless told to fail; remembers bindings, events, deletions and what is said of pods."""

    def __init__(self) -> None:
        super().__init__(ClientConfig(server="http://nowhere"))
        self.bound: list[tuple[str, str]] = []
        self.conditions: list[tuple[str, str]] = []
        self.events: list[tuple[str, str]] = []
        self.nominated: list[tuple[str, str]] = []
        self.disrupted: list[tuple[str, str]] = []
        self.deleted: list[str] = []
        self.fail: list[Exception] = []
        self.fail_status: list[Exception] = []
        self.fail_delete: list[Exception] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.under_way = self.most_under_way = 0

    async def request(self, method: str, path: str, **more: Any) -> Any:
        if method == "GET":
            name = path.rpartition("/")[2]
            return {"metadata": {"name": name, "managedFields": []}, "spec": {"containers": []}}
        self.under_way += 1
        self.most_under_way = max(self.under_way, self.most_under_way)
        try:
            await asyncio.sleep(0)
            await self.hold.wait()
            if self.fail:
                raise self.fail.pop(0)
        finally:
            self.under_way -= 1
        body = more["body"]
        self.bound.append((body["metadata"]["name"], body["target"]["name"]))
        return None

    async def patch(self, resource: Any, name: str, body: Any, **more: Any) -> Any:
        assert more["subresource"] == "status"
        if self.fail_status:
            raise self.fail_status.pop(0)
        for condition in body["status"].get("conditions", ()):
            told = self.conditions if condition["type"] == "PodScheduled" else self.disrupted
            told.append((name, condition["message"]))
        if "nominatedNodeName" in body["status"]:
            self.nominated.append((name, body["status"]["nominatedNodeName"] or ""))

    async def delete(self, resource: Any, name: str, **more: Any) -> None:
        await asyncio.sleep(0)
        await self.hold.wait()
        if self.fail_delete:
            raise self.fail_delete.pop(0)
        self.deleted.append(name)

    async def create(self, resource: Any, body: Any, **more: Any) -> Any:
        self.events.append((body["reason"], body["message"]))


class Cluster:
    """A scheduler at work, and its levers."""

    def __init__(self, api: Api, clock: VirtualClock, profiles: Profiles, extenders: Sequence[Extender]) -> None:
        self.api = api
        self.clock = clock
        self.scheduler = Scheduler(api, clock=clock, random=Random(1), profiles=profiles, extenders=extenders)
        self.seen: dict[str, Pod] = {}

    def show(self, *pods: Pod) -> None:
        """The watch brings pods, new or changed."""
        for each in pods:
            self.scheduler.on_pod(self.seen.get(each.uid), each)
            self.seen[each.uid] = each

    def gone(self, *pods: Pod) -> None:
        for each in pods:
            self.scheduler.on_pod(self.seen.pop(each.uid, each), None)

    async def settle(self, holds: Callable[[], object] = lambda: True) -> None:
        """Let everything run that can run at this moment."""
        for _ in range(300):
            await asyncio.sleep(0)
        assert holds()


@asynccontextmanager
async def cluster(
    *nodes: Any,
    profiles: Profiles = default_profiles,
    extenders: Sequence[Extender] = (),
    clock: VirtualClock | None = None,
) -> AsyncIterator[Cluster]:
    running = Cluster(Api(), clock or VirtualClock(), profiles, extenders)
    for each in nodes:
        running.scheduler.on_node(None, each)
    work = asyncio.create_task(running.scheduler.work())
    try:
        yield running
    finally:
        work.cancel()
        await running.clock.advance(10)
        await asyncio.gather(work, return_exceptions=True)
