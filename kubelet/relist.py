"""Relisting is the truth: everything that runs is compared with the last time, and changed pods are woken.

The runtime's events only hint, so that a change is seen in milliseconds; a lost hint costs one relist period.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from k8slite.clock import Clock

from .runtime.base import ContainerRuntime, PodState, RuntimeFault

log = logging.getLogger(__name__)

_RETRY_FIRST, _RETRY_MOST = 1.0, 10.0
_PATIENCE = 30.0
"""Seconds that the runtime may be away before its node is no longer fit: a restart takes less."""


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
        self._last: Mapping[str, PodState] = {}
        self._answered = clock.monotonic()

    async def run(self) -> None:
        """List now and then until cancelled; `health` hears why the runtime fails for long, or an empty text."""
        delay = _RETRY_FIRST
        while True:
            if await self._list():
                await self._clock.sleep(self._period)
                self._answered, delay = self._clock.monotonic(), _RETRY_FIRST
            else:
                await self._clock.sleep(min(delay, self._period))
                delay *= 2

    async def _list(self) -> bool:
        """Wake whom a listing shows changed; whether the runtime answered. Nothing that it answers ends the kubelet."""
        try:
            now = await self._runtime.list()
        except Exception as fault:
            if not isinstance(fault, RuntimeFault):
                log.exception("the listing of all containers")
            if self._clock.monotonic() - self._answered >= _PATIENCE:
                self._health(str(fault))
            return False
        self._answered = self._clock.monotonic()
        self._health("")
        for uid in changed(self._last, now):
            self._wake(uid)
        for uid, state in now.items():
            if not self._known(uid):
                self._orphan(state)
        self._last = now
        return True

    async def hints(self) -> None:
        """Wake pods that events name, until cancelled; a broken stream is opened again."""
        delay = _RETRY_FIRST
        while True:
            try:
                async for event in self._runtime.events():
                    delay = _RETRY_FIRST
                    self._wake(event.pod_uid)
            except RuntimeFault as fault:
                log.log(logging.WARNING if delay == _RETRY_FIRST else logging.DEBUG, "events of the runtime: %s", fault)
            await self._clock.sleep(delay)
            delay = min(delay * 2, _RETRY_MOST)
            # What happened in between was missed: an engine that was restarted took every pod with it.
            await self._list()
