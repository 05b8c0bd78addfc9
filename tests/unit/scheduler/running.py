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

Profiles = Callable[[Handle], Mapping[str, Profile]]


class Api(Client):
    """Answers every binding, unless told to fail; remembers bindings, conditions and events."""

    def __init__(self) -> None:
        super().__init__(ClientConfig(server="http://nowhere"))
        self.bound: list[tuple[str, str]] = []
        self.conditions: list[tuple[str, str]] = []
        self.events: list[tuple[str, str]] = []
        self.fail: list[Exception] = []
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
        (condition,) = body["status"]["conditions"]
        self.conditions.append((name, condition["message"]))

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
    *nodes: Any, profiles: Profiles = default_profiles, extenders: Sequence[Extender] = ()
) -> AsyncIterator[Cluster]:
    running = Cluster(Api(), VirtualClock(), profiles, extenders)
    for each in nodes:
        running.scheduler.on_node(None, each)
    work = asyncio.create_task(running.scheduler.work())
    try:
        yield running
    finally:
        work.cancel()
        await running.clock.advance(10)
        await asyncio.gather(work, return_exceptions=True)
