"""Writes pod statuses: only changes, one request at a time per pod, always the latest, never for another pod's UID."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import aiohttp

from ..client import Client, Patch
from ..clock import Clock
from ..errors import ApiError
from ..kinds.core import Pod
from ..kinds.resources import PODS

log = logging.getLogger(__name__)

_AT_ONCE = 8
_RETRY_FIRST, _RETRY_MOST = 0.2, 10.0


class StatusWriter:
    """The statuses on their way to the API server."""

    def __init__(self, client: Client, *, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._wanted: dict[str, tuple[Pod, dict[str, Any]]] = {}
        self._written: dict[str, dict[str, Any]] = {}
        self._writing: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def put(self, pod: Pod, status: dict[str, Any]) -> None:
        """Have a status written, unless it stands there already."""
        if self._written.get(pod.uid) == status and pod.uid not in self._wanted:
            return
        self._wanted[pod.uid] = (pod, status)
        if pod.uid not in self._writing:
            task = asyncio.ensure_future(self._write(pod.uid))
            self._writing[pod.uid] = task
            task.add_done_callback(lambda _: self._writing.pop(pod.uid, None))

    async def flush(self, uid: str) -> None:
        """Return when the latest status of a pod is written, or cannot be."""
        while (task := self._writing.get(uid)) is not None:
            await asyncio.wait({task})

    async def _write(self, uid: str) -> None:
        delay = _RETRY_FIRST
        while (wanted := self._wanted.pop(uid, None)) is not None:
            pod, status = wanted
            if self._written.get(uid) == status:
                continue
            body = {"metadata": {"uid": uid}, "status": status}
            try:
                async with self._slots:
                    await self._client.patch(
                        PODS, pod.name, body, namespace=pod.namespace, subresource="status", patch=Patch.STRATEGIC
                    )
            except ApiError as error:
                if error.code < 500 and error.code != 429:
                    # Gone, or another pod of that name: there is nothing to report to.
                    if error.code not in (404, 409):
                        log.warning("status of %s: %s", pod.key, error)
                    continue
            except (aiohttp.ClientError, OSError) as error:
                log.debug("status of %s: %s", pod.key, error)
            else:
                self._written[uid] = status
                delay = _RETRY_FIRST
                continue
            self._wanted.setdefault(uid, wanted)
            await self._clock.sleep(delay)
            delay = min(delay * 2, _RETRY_MOST)

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
