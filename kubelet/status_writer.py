"""Writes pod statuses: only changes, one request at a time per pod, always the latest, never for another pod's UID."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import aiohttp

from k8slite.client import Client, Patch
from k8slite.clock import Clock
from k8slite.errors import ApiError
from k8slite.kinds.core import Pod
from k8slite.kinds.resources import PODS

log = logging.getLogger(__name__)

_AT_ONCE = 8
_RETRY_FIRST, _RETRY_MOST = 0.2, 10.0
_REFUSALS = 5
"""Refusals in a row (a conflict, or rights that the server has still to learn of) until a status is given up."""


@dataclass(frozen=True, slots=True)
class _Written:
    """What was written, and the revision that it made."""

    status: dict[str, Any]
    resource_version: str

    def overwritten(self, pod: Pod) -> bool:
        """Whether `pod`, if it is as new as the write, shows that somebody else changed our conditions."""
        seen, ours = pod.metadata.resource_version, self.resource_version
        if not (seen.isdigit() and ours.isdigit() and int(seen) > int(ours)):
            return False
        shown = {condition.type: condition.status for condition in pod.status.conditions}
        return any(shown.get(c["type"]) != c["status"] for c in self.status["conditions"])


class StatusWriter:
    """The statuses on their way to the API server."""

    def __init__(self, client: Client, *, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._wanted: dict[str, tuple[Pod, dict[str, Any]]] = {}
        self._written: dict[str, _Written] = {}
        self._writing: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def put(self, pod: Pod, status: dict[str, Any]) -> None:
        """Have a status written, unless it stands there already and nobody has changed it since."""
        written = self._written.get(pod.uid)
        if written is not None and _bare(written.status) == _bare(status) and pod.uid not in self._wanted:
            if not written.overwritten(pod):
                return
            del self._written[pod.uid]
        self._wanted[pod.uid] = (pod, status)
        if pod.uid not in self._writing:
            self._writing[pod.uid] = asyncio.ensure_future(self._write_all(pod.uid))

    async def flush(self, uid: str) -> None:
        """Return when the latest status of a pod is written, or cannot be."""
        while (task := self._writing.get(uid)) is not None:
            await asyncio.wait({task})

    async def _write_all(self, uid: str) -> None:
        delay, refusals = _RETRY_FIRST, 0
        try:
            while (wanted := self._wanted.pop(uid, None)) is not None:
                pod, status = wanted
                if (written := self._written.get(uid)) is not None and _bare(written.status) == _bare(status):
                    continue
                try:
                    await self._write(pod, status)
                except (ApiError, aiohttp.ClientError, OSError, ValueError) as error:
                    refusals += isinstance(error, ApiError) and error.code < 500 and error.code != 429
                    if (isinstance(error, ApiError) and error.code == 404) or refusals >= _REFUSALS:
                        log.debug("status of %s is given up: %s", pod.key, error)
                        refusals = 0
                        continue
                    log.log(logging.WARNING if refusals else logging.DEBUG, "status of %s: %s", pod.key, error)
                    self._wanted.setdefault(uid, wanted)
                    await self._clock.sleep(delay)
                    delay = min(delay * 2, _RETRY_MOST)
                else:
                    delay, refusals = _RETRY_FIRST, 0
        finally:
            # At once, not by a callback: a status that is put in between would lie there.
            del self._writing[uid]

    async def _write(self, pod: Pod, status: dict[str, Any]) -> None:
        """One write, and never to another pod of that name. Raises ApiError and aiohttp.ClientError."""
        body = {"metadata": {"uid": pod.uid}, "status": status}
        async with self._slots:
            answer = await self._client.patch(
                PODS, pod.name, body, namespace=pod.namespace, subresource="status", patch=Patch.STRATEGIC
            )
        self._written[pod.uid] = _Written(status, answer.metadata.resource_version)

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        self._wanted.pop(uid, None)
        self._written.pop(uid, None)

    async def close(self) -> None:
        """Give up what is not written yet."""
        tasks = list(self._writing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _bare(status: dict[str, Any]) -> dict[str, Any]:
    """A status without the nulls that take old reasons away: with and without them it says the same."""
    conditions = [{k: v for k, v in condition.items() if v is not None} for condition in status["conditions"]]
    return {**status, "conditions": conditions}
