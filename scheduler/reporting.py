"""Telling users: where a pod was put, or why it could not be put anywhere.

The condition PodScheduled=False is patched, and the event FailedScheduling recorded, when there is something new to be
said; the event also each `REMIND_AFTER`, so that `kubectl describe` still shows why a pod has been waiting for hours.
Thousands of pods may be waiting, for whom the numbers of nodes in the message change whenever a node comes: such news
are told of as many pods as is cheap, and of the others when they are tried next. What is new is told of everybody, at a
pace that leaves the API server room for bindings; promises of nodes go before everything else.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

import aiohttp

from k8slite.client import Client, Patch
from k8slite.clock import Clock, timestamp
from k8slite.errors import ApiError
from k8slite.events import EventRecorder
from k8slite.pace import Allowance, Pace

from .pod_status import ERROR, UNSCHEDULABLE, Verdict, note, shown, status_patch
from .view import PODS, Pod

log = logging.getLogger(__name__)

REMIND_AFTER = 1800.0
WRITERS = 4
WRITES_AT_ONCE, WRITES_PER_SECOND = 200, 200.0
BUSY, BUSY_WRITES_PER_SECOND = 100, 50.0
"""While more than so many verdicts a second are new, few are written: bindings are more welcome."""
RENEWED_AT_ONCE, RENEWED_PER_SECOND = 100, 5.0
"""Verdicts that differ in their numbers only."""
TRIES = 5
"""What the API server answers with errors again and again is left alone until the pod is tried anew."""


@dataclass(frozen=True, slots=True)
class _Said:
    verdict: Verdict
    at: float


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be written of a pod; None for what stays as it is."""

    pod: Pod
    verdict: Verdict | None = None
    nominate: str | None = None
    tries: int = 0


class Reporter:
    """Writes conditions and nominations in the background, and hands events to the recorder of the pod's scheduler."""

    def __init__(self, client: Client, *, events: Mapping[str, EventRecorder], clock: Clock) -> None:
        self._client = client
        self._events = events
        self._clock = clock
        self._said: dict[str, _Said] = {}
        self._wanted: dict[str, _Wanted] = {}
        self._writing: set[str] = set()
        self._jobs: deque[str] = deque()
        self._pending = asyncio.Event()
        self._renewals = Allowance(clock=clock, rate=RENEWED_PER_SECOND, burst=RENEWED_AT_ONCE)
        self._pace = Pace(
            clock=clock,
            rate=WRITES_PER_SECOND,
            burst=WRITES_AT_ONCE,
            busy=BUSY,
            busy_rate=BUSY_WRITES_PER_SECOND,
        )

    def bound(self, pod: Pod, node: str) -> None:
        """The pod was put on a node."""
        self.forget(pod.uid)
        message = f"Successfully assigned {pod.key} to {node}"
        self._events[pod.spec.scheduler_name].record(pod, reason="Scheduled", message=message, action="Binding")

    def record(self, speaker: str, pod: Pod, reason: str, message: str) -> None:
        """Something of a pod that a user should know, said by the scheduler of a name."""
        self._events[speaker].record(pod, reason=reason, message=message)

    def failed(self, pod: Pod, message: str) -> None:
        """An attempt failed for another reason than the nodes."""
        self._tell(pod, Verdict(ERROR, message))

    def unschedulable(self, pod: Pod, message: str, *, nominate: str | None = None) -> None:
        """No node fits the pod, and why; `nominate` is the node that it is promised, empty for none any more."""
        self._tell(pod, Verdict(UNSCHEDULABLE, message))
        if nominate is not None:
            self.nominate(pod, nominate)

    def nominate(self, pod: Pod, node: str) -> None:
        """The pod is promised a node, or (empty) none any more."""
        self._want(_Wanted(pod, nominate=node))

    def forget(self, uid: str) -> None:
        """The pod is gone or bound."""
        self._said.pop(uid, None)
        self._wanted.pop(uid, None)

    def _tell(self, pod: Pod, verdict: Verdict) -> None:
        now = self._clock.monotonic()
        said = self._said.get(pod.uid)
        if said is None and (before := shown(pod)) is not None:
            said = self._said[pod.uid] = _Said(before, now)  # by a scheduler that ran before this one
        if said is not None:
            if said.verdict == verdict:
                if now - said.at < REMIND_AFTER:
                    return
            elif not verdict.differs(said.verdict) and not self._renewals.take():
                return
        self._said[pod.uid] = _Said(verdict, now)
        self._events[pod.spec.scheduler_name].record(
            pod, reason="FailedScheduling", message=note(verdict.message), type="Warning", action="Scheduling"
        )
        self._want(_Wanted(pod, verdict))

    def _want(self, more: _Wanted) -> None:
        uid = more.pod.uid
        before = self._wanted.get(uid)
        if before is None:
            if uid not in self._writing and _is_shown(more):
                return
            self._wanted[uid] = more
            self._pace.came()
        else:
            verdict = before.verdict if more.verdict is None else more.verdict
            nominate = before.nominate if more.nominate is None else more.nominate
            self._wanted[uid] = _Wanted(more.pod, verdict, nominate)
        if more.nominate is not None and (before is None or before.nominate is None):
            self._jobs.appendleft(uid)
        elif before is None:
            self._jobs.append(uid)
        self._pending.set()

    async def run(self) -> None:
        """Write conditions until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WRITERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            while not self._jobs:
                self._pending.clear()
                await self._pending.wait()
            uid = self._jobs.popleft()
            if uid in self._writing:
                continue  # whoever writes of this pod goes on with it
            self._writing.add(uid)
            try:
                while (wanted := self._wanted.get(uid)) is not None:
                    if wanted.nominate is None or self._pace.held:
                        await self._pace.turn()
                    if (wanted := self._wanted.pop(uid, None)) is not None:
                        await self._write(wanted)
            finally:
                self._writing.discard(uid)

    async def _write(self, wanted: _Wanted) -> None:
        pod = wanted.pod
        try:
            await self._client.patch(
                PODS,
                pod.name,
                status_patch(pod, wanted.verdict, nominate=wanted.nominate, now=timestamp(self._clock.now())),
                namespace=pod.namespace,
                subresource="status",
                patch=Patch.STRATEGIC,
            )
        except ApiError as error:
            if error.code >= 500 or error.code == 429:
                self._again(replace(wanted, tries=wanted.tries + 1), error, seconds=error.retry_after or 0.0)
            elif error.reason not in ("NotFound", "Conflict"):
                log.warning("condition of %s: %s", pod.key, error)
        except (aiohttp.ClientError, OSError) as error:
            self._again(wanted, error)
        except ValueError as error:  # whoever answered is no API server
            self._again(replace(wanted, tries=wanted.tries + 1), error)
        else:
            self._pace.go_on()

    def _again(self, wanted: _Wanted, error: Exception, *, seconds: float = 0.0) -> None:
        """Hold all writers for a while, and write it then unless there is something else to be said."""
        log.warning("condition of %s: %s: %s", wanted.pod.key, type(error).__name__, error)
        self._pace.hold(seconds)
        uid = wanted.pod.uid
        if wanted.tries > TRIES:
            self._said.pop(uid, None)
        elif uid in self._said:
            self._wanted.setdefault(uid, wanted)


def _is_shown(wanted: _Wanted) -> bool:
    pod = wanted.pod
    nominated = wanted.nominate is None or wanted.nominate == pod.status.nominated_node_name
    return nominated and (wanted.verdict is None or wanted.verdict == shown(pod))
