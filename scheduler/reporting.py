"""Telling users: where a pod was put, or why it could not be put anywhere.

The condition PodScheduled=False is patched only when it says something new; the event FailedScheduling comes with it,
and again each `REMIND_AFTER`, so that `kubectl describe` still shows why a pod has been waiting for hours.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import aiohttp

from k8slite.client import Client, Patch
from k8slite.clock import Clock, timestamp
from k8slite.errors import ApiError
from k8slite.events import EventRecorder

from .view import PODS, Pod

log = logging.getLogger(__name__)

REMIND_AFTER = 1800.0
WRITERS = 4


@dataclass(frozen=True, slots=True)
class _Said:
    message: str
    at: float


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be written of a pod; None for what stays as it is."""

    pod: Pod
    message: str | None = None
    nominate: str | None = None


class Reporter:
    """Writes conditions and nominations in the background, and hands events to the recorder of the pod's scheduler."""

    def __init__(self, client: Client, *, events: Mapping[str, EventRecorder], clock: Clock) -> None:
        self._client = client
        self._events = events
        self._clock = clock
        self._said: dict[str, _Said] = {}
        self._wanted: dict[str, _Wanted] = {}
        self._writing: set[str] = set()
        self._jobs: asyncio.Queue[str] = asyncio.Queue()

    def bound(self, pod: Pod, node: str) -> None:
        """The pod was put on a node."""
        self.forget(pod.uid)
        self._events[pod.spec.scheduler_name].record(
            pod, reason="Scheduled", message=f"Successfully assigned {pod.key} to {node}"
        )

    def failed(self, pod: Pod, message: str) -> None:
        """An attempt failed for another reason than the nodes."""
        self._record(pod, reason="FailedScheduling", message=message, type="Warning")

    def record(self, speaker: str, pod: Pod, reason: str, message: str) -> None:
        """Something of a pod that a user should know, said by the scheduler of a name."""
        self._events[speaker].record(pod, reason=reason, message=message)

    def unschedulable(self, pod: Pod, message: str, *, nominate: str | None = None) -> None:
        """No node fits the pod, and why; `nominate` is the node that it is promised, empty for none any more."""
        now = self._clock.monotonic()
        said = self._said.get(pod.uid)
        if said is None or said.message != message or now - said.at >= REMIND_AFTER:
            self._said[pod.uid] = _Said(message, now)
            self._record(pod, reason="FailedScheduling", message=message, type="Warning")
        self._want(_Wanted(pod, message, nominate))

    def nominate(self, pod: Pod, node: str) -> None:
        """The pod is promised a node, or (empty) none any more."""
        self._want(_Wanted(pod, nominate=node))

    def _want(self, more: _Wanted) -> None:
        uid = more.pod.uid
        before = self._wanted.get(uid)
        if before is None:
            if uid not in self._writing and _shown(more):
                return
            self._jobs.put_nowait(uid)
            self._wanted[uid] = more
            return
        self._wanted[uid] = _Wanted(
            more.pod,
            before.message if more.message is None else more.message,
            before.nominate if more.nominate is None else more.nominate,
        )

    def forget(self, uid: str) -> None:
        """The pod is gone or bound."""
        self._said.pop(uid, None)
        self._wanted.pop(uid, None)

    def _record(self, pod: Pod, *, reason: str, message: str, type: Literal["Normal", "Warning"] = "Normal") -> None:
        self._events[pod.spec.scheduler_name].record(pod, reason=reason, message=message, type=type)

    async def run(self) -> None:
        """Write conditions until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WRITERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            uid = await self._jobs.get()
            if uid in self._writing:
                continue  # whoever writes of this pod goes on with it
            self._writing.add(uid)
            try:
                while (wanted := self._wanted.pop(uid, None)) is not None:
                    await self._write(wanted)
            finally:
                self._writing.discard(uid)

    async def _write(self, wanted: _Wanted) -> None:
        pod = wanted.pod
        try:
            await self._client.patch(
                PODS,
                pod.name,
                status_patch(pod, wanted.message, nominate=wanted.nominate, now=timestamp(self._clock.now())),
                namespace=pod.namespace,
                subresource="status",
                patch=Patch.STRATEGIC,
            )
        except ApiError as error:
            if error.reason not in ("NotFound", "Conflict"):
                log.warning("condition of %s: %s", pod.key, error)
        except (aiohttp.ClientError, OSError) as error:
            log.warning("condition of %s: %s: %s", pod.key, type(error).__name__, error)


def _shown(wanted: _Wanted) -> bool:
    pod = wanted.pod
    nominated = wanted.nominate is None or wanted.nominate == pod.status.nominated_node_name
    return nominated and (wanted.message is None or condition_says(pod, wanted.message))


def condition_says(pod: Pod, message: str) -> bool:
    """Whether the pod's condition tells the message already."""
    return any(
        condition.type == "PodScheduled"
        and condition.status == "False"
        and condition.reason == "Unschedulable"
        and condition.message == message
        for condition in pod.status.conditions
    )


def status_patch(pod: Pod, message: str | None, *, nominate: str | None = None, now: str) -> dict[str, object]:
    """The strategic merge patch of condition and nomination, for this very pod; None leaves either as it is.

    The time of the condition stays unless its status changes.
    """
    status: dict[str, object] = {}
    if message is not None:
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        if not any(found.type == "PodScheduled" and found.status == "False" for found in pod.status.conditions):
            condition["lastTransitionTime"] = now
        status["conditions"] = [condition]
    if nominate is not None:
        status["nominatedNodeName"] = nominate or None
    return {"metadata": {"uid": pod.uid}, "status": status}
