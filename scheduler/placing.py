"""From the decision to the binding, and back where that fails: assume, reserve, permit, bind.

A pod counts as placed from the decision on, so that the next decision knows of it. Whatever then keeps it from being
bound (a plugin that rejects it, a permit that is not given in time, a binding that fails) undoes everything: reserving
plugins are told in reverse order, the place is given back, and the pod goes back to the queue.

Source: Kubernetes documentation, "Scheduling Framework", for the order of the steps.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from k8slite.clock import Clock

from . import metrics
from .binding import Binder, Bound, Elsewhere, Outcome, Refused
from .blame import survived, told
from .columns import Columns
from .permits import Rejection, Wait, WaitingPod, WaitingPods
from .profile import Profile
from .promises import Promises
from .queue import SchedulingQueue, Waiting
from .reporting import Reporter
from .view import Pod
from .waiting import NOBODY

log = logging.getLogger(__name__)


class Placer:
    """Carries decisions out; `waiting` are the pods held by permit plugins."""

    def __init__(
        self,
        profiles: Mapping[str, Profile],
        *,
        columns: Columns,
        promises: Promises,
        queue: SchedulingQueue,
        reporter: Reporter,
        waiting: WaitingPods,
        clock: Clock,
    ) -> None:
        self._profiles = profiles
        self._columns = columns
        self._promises = promises
        self._queue = queue
        self._reporter = reporter
        self._waiting = waiting
        self._clock = clock
        self._holding: set[asyncio.Task[None]] = set()
        self.binder = Binder(
            profiles, clock=clock, settle=self._settle, has_node=columns.has_node, wanted=queue.is_in_flight
        )

    async def run(self) -> None:
        """Bind until cancelled."""
        try:
            await self.binder.run()
        finally:
            for task in self._holding:
                task.cancel()

    def place(self, waiting: Waiting, node: str) -> None:
        """Put a pod on the node chosen for it, and have it bound."""
        pod = waiting.pod
        profile = self._profiles[pod.spec.scheduler_name]
        event = self._columns.place(pod, waiting.shape, node)
        self._promises.end(pod.uid, placed=node)
        self._queue.placed(waiting, event)
        if profile.reserve or profile.permit:
            try:
                answer = self._accepted(profile, pod, node)
            except Exception as error:
                self._settle(waiting, node, Refused(told(error)))
                return
            if isinstance(answer, Rejection):
                self._settle(waiting, node, answer)
                return
            if answer is not None:
                self._hold(waiting, answer)
                return
        self._commit(waiting, node)

    def fail(self, waiting: Waiting, error: Exception) -> None:
        """Something broke before there was a node for the pod: this attempt is over, and nothing else."""
        pod, message = waiting.pod, told(error)
        if pod.uid not in self._queue:
            return
        self._attempted(waiting, metrics.ERROR)
        self._queue.changed(self._columns.remove(pod.uid))
        self._queue.retry(waiting)
        self._reporter.failed(pod, message)

    def forget(self, uid: str) -> None:
        """The pod is gone, or somebody else's business: it need not wait for permits any more."""
        self._waiting.reject(uid)

    def _accepted(self, profile: Profile, pod: Pod, node: str) -> Rejection | WaitingPod | None:
        """What plugins say of a place: a rejection, or that the pod has to wait; None if nobody minds."""
        for reserving in profile.reserve:
            if reason := reserving.reserve(pod, node):
                return Rejection(reserving.name, reason)
        waits = {}
        for permitting in profile.permit:
            answer = permitting.permit(pod, node)
            if isinstance(answer, Wait):
                waits[permitting.name] = answer.seconds
            elif answer:
                return Rejection(permitting.name, answer)
        return WaitingPod(pod, node, waits, clock=self._clock) if waits else None

    def _hold(self, waiting: Waiting, held: WaitingPod) -> None:
        self._waiting.add(held)
        task = asyncio.create_task(self._await_permit(waiting, held))
        self._holding.add(task)
        task.add_done_callback(self._holding.discard)

    async def _await_permit(self, waiting: Waiting, held: WaitingPod) -> None:
        since = self._clock.monotonic()
        rejection = await self._waiting.wait(held)
        verdict = "Unschedulable" if rejection else "Success"
        metrics.PERMIT_SECONDS.observe(self._clock.monotonic() - since, verdict)
        if rejection is not None:
            self._settle(waiting, held.node, rejection)
        else:
            self._commit(waiting, held.node)

    def _commit(self, waiting: Waiting, node: str) -> None:
        self._queue.committed(waiting)
        self.binder.submit(waiting, node)

    def _attempted(self, waiting: Waiting, result: str) -> None:
        metrics.attempted(waiting, result, self._clock.monotonic() - waiting.attempted)

    def _settle(self, waiting: Waiting, node: str, outcome: Outcome | Rejection) -> None:
        """A placement ended."""
        pod = waiting.pod
        profile = self._profiles[pod.spec.scheduler_name]
        if isinstance(outcome, Bound):
            self._attempted(waiting, metrics.SCHEDULED)
            metrics.bound(waiting, self._clock.monotonic() - waiting.arrived)
            self._queue.done(pod.uid)
            self._reporter.bound(pod, node)
            for hearing in profile.post_bind:
                with survived():
                    hearing.post_bind(pod, node)
            return
        for reserving in reversed(profile.reserve):
            with survived():
                reserving.unreserve(pod, node)
        # The pod may be gone, or the watch has brought where it is bound.
        wanted = self._queue.is_in_flight(waiting)
        if wanted and isinstance(outcome, Elsewhere):
            self._queue.done(pod.uid)
            self._reporter.forget(pod.uid)
            self._queue.changed(self._columns.place(pod, waiting.shape, outcome.node))
            return
        if wanted:
            self._queue.changed(self._columns.remove(pod.uid))
        match outcome:
            case Rejection(plugin, reason):
                # Anybody else sent it back for the sake of others: nothing speaks against it, also not elsewhere.
                own = any(plugin == asked.name for asked in (*profile.reserve, *profile.permit))
                self._queue.reject(waiting, frozenset({plugin}) if own else NOBODY)
                if wanted:
                    self._attempted(waiting, metrics.UNSCHEDULABLE)
                    self._reporter.unschedulable(pod, f"0/1 nodes are available: 1 {reason}.", nominate="")
            case Refused(message, outrun):
                self._attempted(waiting, metrics.ERROR)
                self._queue.retry(waiting)
                if wanted and not outrun:
                    self._reporter.failed(pod, message)
                    self._reporter.nominate(pod, "")
