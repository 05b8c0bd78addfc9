"""Relisting is the truth: everything that runs is compared with the last time, and changed pods are woken.

The runtime's events only hint, so that a change is seen in milliseconds; a lost hint costs one relist period.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from k8slite.clock import Clock

from .runtime.base import ContainerRuntime, PodState, RuntimeFault

log = logging.getLogger(__name__)

_RECONNECT = 1.0


def changed(old: Mapping[str, PodState], new: Mapping[str, PodState]) -> set[str]:
    """The UIDs of pods whose containers are not what they were."""
    return {uid for uid in old.keys() | new.keys() if old.get(uid) != new.get(uid)}


class Relist:
    """Watches the runtime. `wake` gets the UIDs of changed pods, `orphan` states whose pod `known` denies."""

    def __init__(
        self,
        runtime: ContainerRuntime,
        *,
        clock: Clock,
        period: float,
        wake: Callable[[str], None],
        known: Callable[[str], bool],
        orphan: Callable[[PodState], None],
        health: Callable[[str], None],
    ) -> None:
        self._runtime, self._clock, self._period = runtime, clock, period
        self._wake, self._known, self._orphan, self._health = wake, known, orphan, health
        self._last: dict[str, PodState] = {}

    async def run(self) -> None:
        """List now and then until cancelled; `health` hears each time why the runtime fails, or an empty text."""
        while True:
            try:
                now = await self._runtime.list()
            except RuntimeFault as fault:
                self._health(str(fault))
            else:
                self._health("")
                for uid in changed(self._last, now):
                    self._wake(uid)
                for uid, state in now.items():
                    if not self._known(uid):
                        self._orphan(state)
                self._last = now
            await self._clock.sleep(self._period)

    async def hints(self) -> None:
        """Wake pods that events name, until cancelled; a broken stream is opened again."""
        while True:
            try:
                async for event in self._runtime.events():
                    self._wake(event.pod_uid)
            except RuntimeFault as fault:
                log.warning("events of the runtime: %s", fault)
            await self._clock.sleep(_RECONNECT)
            # What happened in between was missed.
            for uid in self._last:
                self._wake(uid)
