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


class Reporter:
    """Writes conditions in the background, and hands events to the recorder of the pod's scheduler."""

    def __init__(self, client: Client, *, events: Mapping[str, EventRecorder], clock: Clock) -> None:
        self._client = client
        self._events = events
        self._clock = clock
        self._said: dict[str, _Said] = {}
        self._wanted: dict[str, tuple[Pod, str]] = {}
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

    def unschedulable(self, pod: Pod, message: str) -> None:
        """No node fits the pod, and why."""
        now = self._clock.monotonic()
        said = self._said.get(pod.uid)
        if said is None or said.message != message or now - said.at >= REMIND_AFTER:
            self._said[pod.uid] = _Said(message, now)
            self._events[pod.spec.scheduler_name].record(
                pod, reason="FailedScheduling", message=message, type="Warning"
            )
        if condition_says(pod, message) and pod.uid not in self._wanted:
            return
        if pod.uid not in self._wanted:
            self._jobs.put_nowait(pod.uid)
        self._wanted[pod.uid] = (pod, message)

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
            wanted = self._wanted.pop(await self._jobs.get(), None)
            if wanted is None:
                continue
            pod, message = wanted
            try:
                await self._client.patch(
                    PODS,
                    pod.name,
                    condition_patch(pod, message, now=timestamp(self._clock.now())),
                    namespace=pod.namespace,
                    subresource="status",
                    patch=Patch.STRATEGIC,
                )
            except ApiError as error:
                if error.reason not in ("NotFound", "Conflict"):
                    log.warning("condition of %s: %s", pod.key, error)
            except (aiohttp.ClientError, OSError) as error:
                log.warning("condition of %s: %s: %s", pod.key, type(error).__name__, error)


def condition_says(pod: Pod, message: str) -> bool:
    """Whether the pod's condition tells the message already."""
    return any(
        condition.type == "PodScheduled"
        and condition.status == "False"
        and condition.reason == "Unschedulable"
        and condition.message == message
        for condition in pod.status.conditions
    )


def condition_patch(pod: Pod, message: str, *, now: str) -> dict[str, object]:
    """The strategic merge patch of the condition, for this very pod; the time stays unless the status changes."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    if not any(found.type == "PodScheduled" and found.status == "False" for found in pod.status.conditions):
        condition["lastTransitionTime"] = now
    return {"metadata": {"uid": pod.uid}, "status": {"conditions": [condition]}}
