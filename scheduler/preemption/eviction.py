"""Carrying a preemption out, in the background: victims are told why they go, and deleted.

A preemptor is not tried again before all calls for its victims have been made; then it waits for them to leave. If a
call fails it is tried again after a pause. It may be gone, or have lost the promise of the node, before its turn comes
or half-way: then nobody else goes. A victim that still waits for a permit is only sent back to the queue.
A victim counts as terminating from the decision on, so that preemptors which are promised the same node wait for all of
them; if it stays after all, everybody who is promised the node is tried again.

Source: kube-scheduler's preemption executor.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

from k8slite.client import Patch
from k8slite.clock import timestamp
from k8slite.errors import ApiError

from .. import metrics
from ..framework import Handle
from ..view import PODS, Pod

log = logging.getLogger(__name__)

#: Preemptions carried out at once, and victims of each.
WORKERS, AT_ONCE = 16, 16
#: Seconds until a preemptor is tried again of whose victims one could not be evicted.
PAUSE = 1.0
#: So many victims may be remembered for nothing.
FEW = 64
REASON = "PreemptionByScheduler"


def preempted(pod: Pod) -> bool:
    """Whether the pod is on its way out because it was preempted."""
    return pod.deleting and any(
        found.type == "DisruptionTarget" and found.status == "True" and found.reason == REASON
        for found in pod.status.conditions
    )


@dataclass(frozen=True, slots=True)
class Preemption:
    """A pod, the node that it will have, and those who must go."""

    preemptor: Pod
    node: str
    victims: Sequence[Pod]


class Evictions:
    """All preemptions under way. `name` is the plugin's, for pods that wait for permits."""

    def __init__(self, handle: Handle, *, name: str) -> None:
        self._handle = handle
        self._name = name
        self._jobs: asyncio.Queue[Preemption] = asyncio.Queue()
        self._preemptors: set[str] = set()
        self._leaving: set[str] = set()
        """Victims that were chosen, until it is seen that they go, or later."""
        self._many = FEW

    def busy(self, uid: str) -> bool:
        """Whether calls for the victims of this preemptor are still being made."""
        return uid in self._preemptors

    def leaving(self, pod: Pod) -> bool:
        """Whether a placed pod terminates because of a preemption, as far as is known."""
        if pod.deleting:
            self._leaving.discard(pod.uid)
            return preempted(pod)
        return pod.uid in self._leaving

    def begin(self, preemption: Preemption) -> None:
        """Make room; who goes already is left alone, and pods of lower priority lose the promise of the node."""
        preemptor = preemption.preemptor
        for nominated in list(self._handle.columns.nominations.on(preemption.node).values()):
            if nominated.pod.spec.priority < preemptor.spec.priority:
                self._handle.revoke(nominated.pod)
        victims = [pod for pod in preemption.victims if not pod.deleting and pod.uid not in self._leaving]
        if victims:
            metrics.PREEMPTION_VICTIMS.observe(len(preemption.victims))
            self._preemptors.add(preemptor.uid)
            self._leaving.update(pod.uid for pod in victims)
            self._jobs.put_nowait(Preemption(preemptor, preemption.node, victims))

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work(group))

    async def _work(self, group: asyncio.TaskGroup) -> None:
        while True:
            preemption = await self._jobs.get()
            uid = preemption.preemptor.uid
            started = self._handle.clock.monotonic()
            done = await self._carry_out(preemption)
            result = "success" if done else "error"
            metrics.EVICTIONS.add(result)
            metrics.EVICTION_SECONDS.observe(self._handle.clock.monotonic() - started, result)
            if done:
                self._end(uid)
            else:
                group.create_task(self._end_later(preemption))
            self._forget()

    async def _end_later(self, preemption: Preemption) -> None:
        """So that an API server that is away is not asked all the time."""
        await self._handle.clock.sleep(PAUSE)
        self._end(preemption.preemptor.uid)
        for uid in {preemption.preemptor.uid, *self._handle.columns.nominations.on(preemption.node)}:
            self._handle.activate(uid)

    def _end(self, uid: str) -> None:
        self._preemptors.discard(uid)
        self._handle.admit(uid)

    async def _carry_out(self, preemption: Preemption) -> bool:
        """Evict all victims; whether that went well."""
        places = asyncio.Semaphore(AT_ONCE)

        async def evict(victim: Pod) -> bool:
            async with places:
                if await self._evict(victim, preemption):
                    return True
            self._leaving.discard(victim.uid)
            return False

        return all(await asyncio.gather(*map(evict, preemption.victims)))

    async def _evict(self, victim: Pod, preemption: Preemption) -> bool:
        preemptor = preemption.preemptor
        promised = self._handle.columns.nominations.get(preemptor.uid)
        if promised is None or promised.node != preemption.node:
            return False
        placed = self._handle.columns.placed(victim.uid)
        if placed is None or placed.pod.deleting:
            return True  # others saw to it meanwhile
        if self._handle.waiting.reject(victim.uid, plugin=self._name, reason="preempted"):
            self._leaving.discard(victim.uid)  # it is tried again, and may be placed again
        else:
            try:
                await self._delete(victim, preemptor.spec.scheduler_name)
            except ApiError as error:
                if error.reason in ("NotFound", "Conflict"):
                    return True  # it went by itself; a namesake is not meant
                log.warning("preempting %s for %s: %s", victim.key, preemptor.key, error)
                return False
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                log.warning("preempting %s for %s: %s: %s", victim.key, preemptor.key, type(error).__name__, error)
                return False
            except Exception:  # the others' evictions go on, and so do those for others
                log.exception("preempting %s for %s", victim.key, preemptor.key)
                return False
        message = f"Preempted by pod {preemptor.uid} on node {preemption.node}"
        self._handle.record(preemptor.spec.scheduler_name, victim, "Preempted", message)
        return True

    async def _delete(self, victim: Pod, scheduler: str) -> None:
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": REASON,
            "message": f"{scheduler}: preempting to accommodate a higher priority pod",
            "lastTransitionTime": timestamp(self._handle.clock.now()),
        }
        client, body = self._handle.client, {"metadata": {"uid": victim.uid}, "status": {"conditions": [condition]}}
        await client.patch(
            PODS, victim.name, body, namespace=victim.namespace, subresource="status", patch=Patch.STRATEGIC
        )
        await client.delete(PODS, victim.name, namespace=victim.namespace, uid=victim.uid)

    def _forget(self) -> None:
        """Of those that were seen to go, or are gone, nothing needs to be known; looked for when there are many."""
        if len(self._leaving) < self._many:
            return
        columns = self._handle.columns
        found = {uid: columns.placed(uid) for uid in self._leaving}
        self._leaving = {uid for uid, placed in found.items() if placed is not None and not placed.pod.deleting}
        self._many = 2 * len(self._leaving) + FEW
