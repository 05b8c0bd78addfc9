"""The shell around the decision: informers feed columns and queue, decisions go to the binder, outcomes come back.

All state is changed between awaits of one event loop, so that a decision always sees whole columns. Nothing is kept
that the API server does not know: a restart lists nodes and pods and goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from time import perf_counter

import numpy as np

from k8slite.client import Client
from k8slite.clock import Clock
from k8slite.events import EventRecorder

from . import metrics
from .columns import Columns
from .cycle import Cycle, Decision, Placement
from .decisions import Decisions
from .extenders.extender import Extender
from .extenders.lane import Lane
from .extenders.plugins import Opinions, extended
from .extenders.wire import WHOLE_NODES
from .framework import Background, Handle, Judge, PostFilter, Remedy
from .informers import Informers
from .measuring import Meter
from .placing import Placer
from .plugins import default_profiles
from .profile import Profile
from .promises import Promises
from .queue import Backoff, Place, SchedulingQueue, Waiting
from .reporting import Reporter
from .services import Services
from .shape import shape_of
from .view import NODES, PODS, SERVICES, Node, Pod
from .waiting import DEFAULT_BACKOFF

log = logging.getLogger(__name__)

#: Decisions in one turn of the loop: long enough to share the turn's cost, short enough not to hold up the watches.
BATCH = 32

#: Seconds after which the work of a plugin that broke is begun anew.
RESTART = 10.0


class Scheduler:
    """One scheduler process, for the pods that name one of its profiles. `profiles` makes them, by scheduler name."""

    def __init__(
        self,
        client: Client,
        *,
        clock: Clock,
        random: Random,
        profiles: Callable[[Handle], Mapping[str, Profile]] = default_profiles,
        decisions: Decisions | None = None,
        extenders: Sequence[Extender] = (),
        backoff: Backoff = DEFAULT_BACKOFF,
    ) -> None:
        self._clock = clock
        self._follows = False
        self._decisions = decisions or Decisions(clock=clock)
        self.columns = Columns()
        self._informers = Informers(client, clock=clock)
        # Services first: what selects a pod is looked up when the pod is first seen.
        self._services = self._informers.of(SERVICES)
        self._nodes = self._informers.of(NODES)
        handle = Handle(
            client,
            clock,
            self.columns,
            self._informers,
            changed=lambda event: self.queue.changed(event),
            activate=lambda uid: self.queue.activate(uid),
            admit=lambda uid: self.queue.admit(uid),
            revoke=lambda pod: self._promises.revoke(pod),
            record=lambda *said: self._reporter.record(*said),
        )
        opinions = Opinions()
        self.profiles: Mapping[str, Profile] = {
            name: extended(profile, extenders, opinions) if extenders else profile
            for name, profile in profiles(handle).items()
        }
        whole = self._informers.of(WHOLE_NODES) if any(extender.wants_nodes for extender in extenders) else None
        # Pods last: what plugins follow bears on the pods, not the other way round.
        self._pods = self._informers.of(PODS)
        self._events = {name: EventRecorder(client, component=name, clock=clock) for name in self.profiles}
        self._reporter = Reporter(client, events=self._events, clock=clock)
        self._cycles = {name: Cycle(profile, random=random) for name, profile in self.profiles.items()}
        self.services = Services()
        self.queue = SchedulingQueue(self.profiles, clock=clock, columns=self.columns, backoff=backoff)
        self._lane = (
            Lane(extenders, client=client, opinions=opinions, nodes=whole, scheduler=self) if extenders else None
        )
        self._promises = Promises(self.columns, queue=self.queue, reporter=self._reporter)
        self._placer = Placer(
            self.profiles,
            columns=self.columns,
            promises=self._promises,
            queue=self.queue,
            reporter=self._reporter,
            waiting=handle.waiting,
            clock=clock,
        )
        self._meters = {name: Meter(name, profile) for name, profile in self.profiles.items()}
        self._show()

    def _show(self) -> None:
        """Let metrics look things up."""

        def pending() -> Mapping[tuple[str, ...], float]:
            return {(place,): number for place, number in self.queue.counts().items() if place is not Place.IN_FLIGHT}

        def known() -> Mapping[tuple[str, ...], float]:
            assumed = self.queue.counts()[Place.IN_FLIGHT]
            sizes = {"nodes": self.columns.node_count, "pods": self.columns.pod_count, "assumed_pods": assumed}
            return {(kind,): size for kind, size in sizes.items()}

        metrics.PENDING.read = pending
        metrics.REJECTED.read = lambda: dict(self.queue.unschedulable)
        metrics.INFLIGHT_EVENTS.read = lambda: Counter((metrics.label(e),) for e in self.queue.history)
        metrics.CACHE_SIZE.read = known
        metrics.GOROUTINES.read = lambda: {("binding",): self._placer.binder.under_way}

    async def run(self) -> None:
        """Schedule until cancelled."""
        if self._follows:
            await self.work()
            return
        async with self.following():
            await self.work()

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Know the cluster, and decide nothing yet: what `run` does first unless it was done before."""
        self._follows = True
        self._services.add_handler(self.services.on_service)
        self._nodes.add_handler(self.on_node)
        self._pods.add_handler(self.on_pod)
        async with self._informers.running():
            log.info("%d nodes, %d pods to schedule", self.columns.node_count, len(self.queue))
            yield

    async def work(self) -> None:
        """Work on what the handlers brought, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for events in self._events.values():
                group.create_task(events.run())
            for plugin in (plugin for profile in self.profiles.values() for plugin in profile.background):
                group.create_task(self._run(plugin))
            group.create_task(self._reporter.run())
            group.create_task(self._placer.run())
            if self._lane is not None:
                group.create_task(self._lane.run())
            group.create_task(self._schedule())

    async def _run(self, plugin: Background) -> None:
        """A plugin's own work, begun anew when it breaks."""
        while True:
            try:
                await plugin.run()
            except Exception:
                log.exception("the work of %s", plugin.name)
                await self._clock.sleep(RESTART)
            else:
                return

    def on_node(self, old: Node | None, new: Node | None) -> None:
        """A node changed."""
        started = perf_counter()
        name = (new or old or Node()).name
        event = self.columns.set_node(new) if new is not None else self.columns.remove_node(name)
        if event.change:
            self.queue.changed(event)
            metrics.EVENT_SECONDS.observe(perf_counter() - started, metrics.label(event))

    def on_pod(self, old: Pod | None, new: Pod | None) -> None:
        """A pod changed."""
        started = perf_counter()
        self._follow(old, new)
        metrics.EVENT_SECONDS.observe(perf_counter() - started, metrics.pod_label(old, new))

    def _follow(self, old: Pod | None, new: Pod | None) -> None:
        if new is None:
            if old is not None:
                self._drop(old.uid)
        elif new.finished:
            self._drop(new.uid)
        elif new.spec.node_name:
            self.queue.done(new.uid)
            self._placer.forget(new.uid)
            self._reporter.forget(new.uid)
            self._promises.end(new.uid, placed=new.spec.node_name)
            self.queue.changed(self.columns.place(new, shape_of(new), new.spec.node_name))
        elif new.spec.scheduler_name not in self.profiles or new.deleting:
            self._drop(new.uid)
        else:
            self._wait_for_node(old, new)

    def _wait_for_node(self, old: Pod | None, new: Pod) -> None:
        if old is not None and old.spec.node_name:
            self._drop(new.uid)  # the API server was restored from before its binding
        if self.columns.node_of(new.uid) is not None and new.uid not in self.queue:
            return  # it was bound meanwhile
        shape = shape_of(new, selected_by=self.services.selecting(new))
        self.queue.put(new, shape)
        self._promises.follow(old, new, shape)

    def _drop(self, uid: str) -> None:
        self.queue.delete(uid)
        self._placer.forget(uid)
        self._reporter.forget(uid)
        self._promises.end(uid)
        self.queue.changed(self.columns.remove(uid))

    async def _schedule(self) -> None:
        while True:
            await self.queue.wait()
            await self._placer.binder.room()
            for waiting in self.queue.pop(min(BATCH, self._placer.binder.free)):
                self.attempt(waiting)
            await asyncio.sleep(0)

    def attempt(self, waiting: Waiting) -> None:
        """Decide for one pod, and start what follows from it; a plugin that breaks ends this attempt, nothing else."""
        if self._lane is not None and self._lane.takes(waiting):
            return
        self.queue.begin(waiting)
        meter = self._meters[waiting.pod.spec.scheduler_name]
        measured = meter.begin()
        try:
            self.conclude(waiting, self.decide(waiting))
        except Exception as error:
            self.fail(waiting, error)
        finally:
            if measured:
                meter.end()

    def decide(self, waiting: Waiting) -> Decision:
        """Where the pod should go as things stand."""
        pod = waiting.pod
        started = perf_counter()
        cycle = self._cycles[pod.spec.scheduler_name]
        decision = cycle.decide(pod, waiting.shape, self.columns, thorough=not self.queue.busy)
        metrics.DECISION_SECONDS.observe(perf_counter() - started)
        return decision

    def feasible(self, waiting: Waiting) -> list[str]:
        """The nodes that can run the pod as things stand."""
        rows = np.flatnonzero(self.columns.live)
        cycle = self._cycles[waiting.pod.spec.scheduler_name]
        passed = cycle.feasible(waiting.pod, waiting.shape, self.columns, rows)
        return [self.columns.names[row] for row in rows[passed].tolist()]

    def judge(self, pod: Pod) -> Judge:
        """All filters of the pod's profile."""
        return self._cycles[pod.spec.scheduler_name]

    def fail(self, waiting: Waiting, error: Exception) -> None:
        """The attempt came to nothing."""
        self._placer.fail(waiting, error)

    def conclude(
        self, waiting: Waiting, decision: Decision, *, post_filters: Sequence[PostFilter] | None = None
    ) -> None:
        """Start what follows from a decision; `post_filters` stand in for the profile's."""
        pod, shape = waiting.pod, waiting.shape
        profile, cycle = self.profiles[pod.spec.scheduler_name], self._cycles[pod.spec.scheduler_name]
        self._decisions.note(waiting, decision)
        if isinstance(decision, Placement):
            self._placer.place(waiting, decision.node)
            return
        plugins = profile.post_filter if post_filters is None else post_filters
        remedy = remedied(plugins, waiting, self.columns, cycle)
        if remedy.nominate is not None:
            self._promises.give(pod, shape, remedy.nominate)
        self.queue.reject(waiting, decision.rejected_by)
        metrics.attempted(waiting, metrics.UNSCHEDULABLE, self._clock.monotonic() - waiting.attempted)
        message = " ".join(filter(None, (decision.message, remedy.message)))
        self._reporter.unschedulable(pod, message, nominate=remedy.nominate)


def remedied(plugins: Sequence[PostFilter], waiting: Waiting, columns: Columns, judge: Judge) -> Remedy:
    """What the first plugin did that could do something, or why none could; without any plugin nothing is nominated."""
    messages, nominate = [], None if plugins else ""
    for plugin in plugins:
        remedy = plugin.post_filter(waiting.pod, waiting.shape, columns, judge)
        if remedy.made:
            return remedy
        if remedy.message:
            messages.append(remedy.message)
        if remedy.nominate is not None:
            nominate = remedy.nominate
    return Remedy(", ".join(messages), nominate=nominate)
