"""The shell around the decision: informers feed columns and queue, decisions go to the binder, outcomes come back.

All state is changed between awaits of one event loop, so that a decision always sees whole columns. Nothing is kept
that the API server does not know: a restart lists nodes and pods and goes on.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from random import Random

from k8slite.client import Client
from k8slite.clock import Clock
from k8slite.events import EventRecorder
from k8slite.informer import Informer

from . import metrics
from .binding import Binder, Bound, Outcome, Refused
from .columns import Change, Columns
from .cycle import Cycle, Placement
from .framework import Handle, Profile
from .peers import kind_of
from .plugins import build
from .queue import Place, SchedulingQueue, Waiting
from .reporting import Reporter
from .services import Services
from .shape import shape_of
from .view import NODES, PODS, SERVICES, Node, Pod

log = logging.getLogger(__name__)

#: Decisions in one turn of the loop: long enough to share the turn's cost, short enough not to hold up the watches.
BATCH = 32


class Scheduler:
    """One scheduler, for the pods that name it."""

    def __init__(
        self, client: Client, *, clock: Clock, random: Random, name: str, profile: Profile | None = None
    ) -> None:
        profile = profile or build(Handle(client))
        self._profile = profile
        self._name = name
        self._clock = clock
        self._events = EventRecorder(client, component=name, clock=clock)
        self._pods = Informer(client, PODS, clock=clock)
        self._nodes = Informer(client, NODES, clock=clock)
        self._services = Informer(client, SERVICES, clock=clock)
        self._reporter = Reporter(client, events=self._events, clock=clock)
        self._cycle = Cycle(profile, random=random)
        self.columns = Columns()
        self.services = Services()
        self.queue = SchedulingQueue(
            clock=clock,
            sort_key=profile.queue_sort.sort_key,
            admits=lambda pod: all(plugin.admits(pod) for plugin in profile.pre_enqueue),
            cures=profile.cures,
        )
        self._binder = Binder(profile, settle=self._settle, has_node=self.columns.has_node)
        for place in (Place.ACTIVE, Place.BACKOFF, Place.UNSCHEDULABLE, Place.GATED):
            metrics.PENDING.labels(place).set_function(partial(self._waiting_in, place))

    def _waiting_in(self, place: Place) -> float:
        return self.queue.counts()[place]

    async def run(self) -> None:
        """Schedule until cancelled."""
        self._services.add_handler(self.services.on_service)
        self._nodes.add_handler(self.on_node)
        self._pods.add_handler(self.on_pod)
        async with asyncio.TaskGroup() as group:
            # Services first: what selects a pod is looked up when the pod is first seen.
            group.create_task(self._services.run())
            await self._services.wait_synced()
            group.create_task(self._nodes.run())
            group.create_task(self._pods.run())
            await self._nodes.wait_synced()
            await self._pods.wait_synced()
            log.info("%d nodes, %d pods to schedule", self.columns.node_count, len(self.queue))
            group.create_task(self.work())

    async def work(self) -> None:
        """Work on what the handlers brought, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for part in (self._events, self._reporter, self._binder):
                group.create_task(part.run())
            group.create_task(self._schedule())

    def on_node(self, old: Node | None, new: Node | None) -> None:
        """A node changed."""
        if new is not None:
            self.queue.changed(self.columns.set_node(new))
        elif old is not None:
            self.columns.remove_node(old.name)

    def on_pod(self, old: Pod | None, new: Pod | None) -> None:
        """A pod changed."""
        if new is None:
            if old is not None:
                self._drop(old.uid)
        elif new.finished:
            self._drop(new.uid)
        elif new.spec.node_name:
            self.queue.done(new.uid)
            self.queue.changed(self.columns.place(new.uid, shape_of(new), new.spec.node_name, kind=kind_of(new)))
        elif new.spec.scheduler_name != self._name or new.deleting:
            self._drop(new.uid)
        elif self.columns.node_of(new.uid) is None or new.uid in self.queue:
            self.queue.put(new, shape_of(new, selected_by=self.services.selecting(new)))

    def _drop(self, uid: str) -> None:
        self.queue.delete(uid)
        self._reporter.forget(uid)
        if self.columns.remove(uid):
            self.queue.changed(Change.POD_REMOVED)

    async def _schedule(self) -> None:
        while True:
            await self.queue.wait()
            await self._binder.room()
            for waiting in self.queue.pop(min(BATCH, self._binder.free)):
                self.attempt(waiting)
            await asyncio.sleep(0)

    def attempt(self, waiting: Waiting) -> None:
        """Decide for one pod, and start what follows from it."""
        pod, shape = waiting.pod, waiting.shape
        with metrics.DECISION_SECONDS.time():
            decision = self._cycle.decide(pod, shape, self.columns)
        if isinstance(decision, Placement):
            self.columns.place(pod.uid, shape, decision.node, kind=kind_of(pod))
            self.queue.placed()
            for plugin in self._profile.reserve:
                plugin.reserve(pod, decision.node)
            self._binder.submit(waiting, decision.node)
            return
        metrics.ATTEMPTS.labels("unschedulable").inc()
        said = [decision.message, *(plugin.post_filter(pod, self.columns) for plugin in self._profile.post_filter)]
        self.queue.reject(waiting, decision.rejected_by)
        self._reporter.unschedulable(pod, " ".join(filter(None, said)))

    def _settle(self, waiting: Waiting, node: str, outcome: Outcome) -> None:
        """A binding ended."""
        pod = waiting.pod
        match outcome:
            case Bound():
                metrics.ATTEMPTS.labels("scheduled").inc()
                metrics.POD_SECONDS.observe(self._clock.monotonic() - waiting.arrived)
                self.queue.done(pod.uid)
                self._reporter.bound(pod, node)
            case Refused(message, outrun):
                metrics.ATTEMPTS.labels("error").inc()
                for plugin in self._profile.reserve:
                    plugin.unreserve(pod, node)
                # The pod may have been bound, by us or others, although the answer did not reach us.
                if pod.uid in self.queue and self.columns.remove(pod.uid):
                    self.queue.changed(Change.POD_REMOVED)
                self.queue.retry(waiting)
                if not outrun:
                    self._reporter.failed(pod, message)
