"""Where pods that concern extenders are decided: one after the other, beside the decisions that need nobody else.

A decision is made in one go, without waiting for anybody; an extender has to be waited for. So its pods step aside: the
nodes that can run the pod are found, the extenders are asked about them, and then the decision is made like any other,
over the columns as they are by then, with the answers as one more plugin. What has changed meanwhile is thereby seen: a
node that was taken is not chosen, and one that came is not known to be allowed.

One pod at a time, the most important first, because extenders may keep accounts of their own: each is asked when the
pod before has its place.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import aiohttp

from k8slite.client import Client
from k8slite.errors import ApiError
from k8slite.informer import Informer

from ..columns import Columns
from ..cycle import Decision, Placement, Unschedulable
from ..framework import Judge, PostFilter
from ..profile import Profile
from ..queue import Place, SchedulingQueue, Waiting
from ..view import PODS, Pod
from .consultation import consult
from .extender import Extender, ExtenderError
from .plugins import Opinions
from .preemption import Preemptor, agreed
from .wire import WholeNode


class Decider(Protocol):
    """What the scheduler does about a pod."""

    queue: SchedulingQueue
    columns: Columns
    profiles: Mapping[str, Profile]

    def decide(self, waiting: Waiting) -> Decision:
        """A decision as things stand."""
        ...

    def conclude(
        self, waiting: Waiting, decision: Decision, *, post_filters: Sequence[PostFilter] | None = None
    ) -> None:
        """Start what follows from it; `post_filters` stand in for the profile's."""
        ...

    def judge(self, pod: Pod) -> Judge:
        """All filters of the pod's profile."""
        ...

    def feasible(self, waiting: Waiting) -> list[str]:
        """The names of all nodes that can run the pod as things stand."""
        ...

    def fail(self, waiting: Waiting, error: Exception) -> None:
        """The attempt came to nothing."""
        ...


class Lane:
    """The pods that wait for extenders. `nodes` is there if one of these wants to see nodes whole."""

    def __init__(
        self,
        extenders: Sequence[Extender],
        *,
        client: Client,
        opinions: Opinions,
        nodes: Informer[WholeNode] | None,
        scheduler: Decider,
    ) -> None:
        self._extenders = extenders
        self._asked = [extender for extender in extenders if extender.filter_verb or extender.prioritize_verb]
        self._preempting = [extender for extender in extenders if extender.preempt_verb]
        self._client = client
        self._opinions = opinions
        self._nodes = nodes
        self._scheduler = scheduler
        self._heap: list[tuple[int, int, Waiting]] = []
        self._filled = asyncio.Event()

    def takes(self, waiting: Waiting) -> bool:
        """Whether the pod concerns an extender that has to be asked; if so, it is decided here."""
        if not any(extender.concerns(waiting.pod) for extender in (*self._asked, *self._preempting)):
            return False
        heapq.heappush(self._heap, (self._scheduler.queue.rank(waiting), waiting.order, waiting))
        self._filled.set()
        return True

    async def run(self) -> None:
        """Decide until cancelled."""
        try:
            while True:
                await self._filled.wait()
                *_, waiting = heapq.heappop(self._heap)
                if not self._heap:
                    self._filled.clear()
                if self._in_flight(waiting):
                    await self._attempt(waiting)
        finally:
            for extender in self._extenders:
                await extender.close()

    async def _attempt(self, waiting: Waiting) -> None:
        try:
            await self._decide(waiting)
        except Exception as error:
            self._scheduler.fail(waiting, error)

    async def _decide(self, waiting: Waiting) -> None:
        """Ask, and ask again if the pod has become another meanwhile."""
        self._scheduler.queue.begin(waiting)
        decision = self._scheduler.decide(waiting)
        while isinstance(decision, Placement) and self._in_flight(waiting):
            pod, shape = waiting.pod, waiting.shape
            concerned = [extender for extender in self._asked if extender.concerns(pod)]
            if not concerned:
                break
            names = self._scheduler.feasible(waiting)
            opinion = await consult(concerned, await self._whole(pod), names, nodes=self._nodes)
            with self._opinions.held(pod, opinion):
                decision = self._scheduler.decide(waiting)
            if waiting.shape == shape:
                break
        post_filters = None
        if isinstance(decision, Unschedulable):
            post_filters = await self._preemption(waiting)
        if self._in_flight(waiting):
            self._scheduler.conclude(waiting, decision, post_filters=post_filters)

    async def _preemption(self, waiting: Waiting) -> Sequence[PostFilter] | None:
        """Post filters that extenders had their say about; None if they need not be asked."""
        pod = waiting.pod
        extenders = [extender for extender in self._preempting if extender.concerns(pod)]
        if not extenders:
            return None
        profile = self._scheduler.profiles[pod.spec.scheduler_name]
        preemptor = Preemptor(pod, waiting.shape, self._scheduler.columns, self._scheduler.judge(pod))
        return await agreed(profile.post_filter, extenders, preemptor, whole=self._whole)

    def _in_flight(self, waiting: Waiting) -> bool:
        """Whether it is still to be decided about; it may be gone, or have been bound by others."""
        return self._scheduler.queue.place_of(waiting.pod.uid) is Place.IN_FLIGHT

    async def _whole(self, pod: Pod) -> dict[str, Any]:
        """The pod with all its fields. Raises ExtenderError if it cannot be had."""
        try:
            found: dict[str, Any] = await self._client.request("GET", PODS.path(namespace=pod.namespace, name=pod.name))
        except (ApiError, aiohttp.ClientError, OSError) as error:
            raise ExtenderError(str(error)) from error
        found["metadata"].pop("managedFields", None)
        return found
