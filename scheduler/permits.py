"""Pods that hold a node and wait until plugins let them be bound.

A pod waits for every plugin that asked for it, each with its own patience; the first rejection, or the first that runs
out of patience, ends the waiting. Waiting holds nothing but the place: no worker of the binder.

Source: Kubernetes documentation, "Scheduling Framework", Permit; kube-scheduler's waiting pods for the words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from k8slite.clock import Clock

from .durations import show_duration
from .view import Pod

#: No plugin may keep a pod waiting longer, whatever it asks for.
LONGEST_WAIT = 900.0


@dataclass(frozen=True, slots=True)
class Wait:
    """What a permit plugin answers to keep a pod waiting for at most so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Rejection:
    """A plugin will not have the pod on the node that was chosen."""

    plugin: str
    reason: str


class WaitingPod:
    """One pod that waits, and how its waiting is ended."""

    def __init__(self, pod: Pod, node: str, waits: Mapping[str, float], *, clock: Clock) -> None:
        self.pod = pod
        self.node = node
        self._clock = clock
        self._waits = {plugin: min(seconds, LONGEST_WAIT) for plugin, seconds in waits.items()}
        self._since = clock.monotonic()
        self._rejection: Rejection | None = None
        self._told = asyncio.Event()

    @property
    def pending(self) -> frozenset[str]:
        """The plugins that have not allowed it yet."""
        return frozenset(self._waits)

    def allow(self, plugin: str) -> None:
        """A plugin lets it go; once all have, it is bound."""
        self._waits.pop(plugin, None)
        self._told.set()

    def reject(self, plugin: str, reason: str) -> None:
        """The pod gives its place up; only the first reason counts."""
        if self._rejection is None:
            self._rejection = Rejection(plugin, reason)
            self._told.set()

    async def verdict(self) -> Rejection | None:
        """Return when every plugin allows it, or with the reason why not."""
        while self._waits and self._rejection is None:
            plugin, seconds = min(self._waits.items(), key=lambda item: item[1])
            left = self._since + seconds - self._clock.monotonic()
            if left <= 0:
                shown = show_duration(seconds)
                self.reject(plugin, f"rejected due to timeout after waiting {shown} at plugin {plugin}")
                break
            self._told.clear()
            told = asyncio.ensure_future(self._told.wait())
            timer = asyncio.ensure_future(self._clock.sleep(left))
            try:
                await asyncio.wait((told, timer), return_when=asyncio.FIRST_COMPLETED)
            finally:
                told.cancel()
                timer.cancel()
        return self._rejection


class WaitingPods:
    """All pods that wait, by UID: what plugins look at to allow or reject others."""

    def __init__(self) -> None:
        self._pods: dict[str, WaitingPod] = {}

    def __iter__(self) -> Iterator[WaitingPod]:
        return iter(list(self._pods.values()))

    def __len__(self) -> int:
        return len(self._pods)

    def get(self, uid: str) -> WaitingPod | None:
        """The waiting pod, if it waits."""
        return self._pods.get(uid)

    def reject(self, uid: str, *, plugin: str = "", reason: str = "removed") -> bool:
        """End a pod's waiting; whether it waited."""
        waiting = self._pods.get(uid)
        if waiting is not None:
            waiting.reject(plugin, reason)
        return waiting is not None

    def add(self, waiting: WaitingPod) -> None:
        """From now on the pod can be found, and must be awaited."""
        self._pods[waiting.pod.uid] = waiting

    async def wait(self, waiting: WaitingPod) -> Rejection | None:
        """Hold a pod that was added until there is a verdict."""
        try:
            return await waiting.verdict()
        finally:
            if self._pods.get(waiting.pod.uid) is waiting:
                del self._pods[waiting.pod.uid]
