"""Events sent to another server: lists of them, posted to the cluster that a kubeconfig names.

Events wait until there are many or the oldest has waited long, and are sent a bounded number of times a second. A list
that is not taken is sent again, after longer and longer waits; then its events are lost, and counted.

Source: Kubernetes documentation, "Auditing" (webhook backend); apiserver, plugin/pkg/audit/{webhook,buffered}.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from k8slite.clock import Clock
from k8slite.config import AuditWebhookConfig, ConfigError

from .event import PREFIX
from .log import ROOM

if TYPE_CHECKING:
    import aiohttp

_TIMEOUT = 30.0
_TRIES = 5
_FACTOR = 1.5
_END = 5.0
"""Seconds that are left for what still waits when the server ends."""
_HEAD = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":['
_log = logging.getLogger(__name__)


def event_list(lines: list[bytes]) -> bytes:
    """Events as one EventList; its items do not repeat their kind."""
    return _HEAD + b",".join(b"{" + line[len(PREFIX) :].rstrip() for line in lines) + b"]}"


class WebhookSink:
    """Posts events in batches."""

    waits = strict = False

    def __init__(self, config: AuditWebhookConfig, *, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self.max_event_size = config.max_event_size
        self.errors = {"buffered": 0, "webhook": 0}
        self._lines: list[bytes] = []
        self._bytes = self._sending = 0
        self._first, self._full, self._ending = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None
        self._url = ""
        self._tokens, self._refilled = float(config.throttle_burst), 0.0

    async def start(self) -> None:
        """Read the kubeconfig and begin. Raises ConfigError."""
        from k8slite.connection import ClientConfig, connect

        assert self._config.kubeconfig is not None
        client = ClientConfig.from_kubeconfig(self._config.kubeconfig)
        if not client.server:
            raise ConfigError(f"{self._config.kubeconfig}: the cluster has no server")
        self._url, self._session = client.server, connect(client)
        self._task = asyncio.create_task(self._run())

    def put(self, line: bytes) -> None:
        """Take an event, unless too many wait."""
        if len(self._lines) >= self._config.buffer_size or self._bytes + len(line) > ROOM:
            if not self.errors["buffered"]:
                _log.error("audit events are lost: the webhook does not take them fast enough")
            self.errors["buffered"] += 1
            return
        self._lines.append(line)
        self._bytes += len(line)
        self._first.set()
        if len(self._lines) >= self._config.batch_max_size:
            self._full.set()

    async def flushed(self) -> bool:
        """Nobody waits for a webhook."""
        return True

    async def stop(self) -> None:
        """Send what waits, for a short time."""
        self._ending.set()
        self._full.set()
        self._first.set()
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END):
                    await self._task
            self.errors["webhook"] += len(self._lines) + self._sending
        if self._session is not None:
            await self._session.close()

    async def _run(self) -> None:
        while not (self._ending.is_set() and not self._lines):
            await self._first.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._config.batch_max_wait):
                    await self._full.wait()
            await self._send(self._take())

    def _take(self) -> list[bytes]:
        size = self._config.batch_max_size
        batch, self._lines = self._lines[:size], self._lines[size:]
        self._bytes -= sum(map(len, batch))
        if not self._ending.is_set():
            if len(self._lines) < size:
                self._full.clear()
            if not self._lines:
                self._first.clear()
        return batch

    async def _send(self, batch: list[bytes]) -> None:
        if not batch:
            return
        self._sending = len(batch)
        await self._throttle()
        body, wait, problem = event_list(batch), self._config.initial_backoff, ""
        for attempt in range(_TRIES):
            if attempt:
                if self._ending.is_set():
                    break
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._ending.wait()
                wait *= _FACTOR
            problem = await self._post(body)
            if not problem:
                break
        self._sending = 0
        if not problem:
            return
        self.errors["webhook"] += len(batch)
        _log.error("%d audit events are lost, the webhook did not take them: %s", len(batch), problem)

    async def _post(self, body: bytes) -> str:
        """Send a list; what went wrong, empty if nothing did."""
        import aiohttp

        assert self._session is not None
        try:
            async with self._session.post(
                self._url,
                data=body,
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT),
            ) as answer:
                return "" if 200 <= answer.status < 300 else f"it answered with {answer.status}"
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return str(error) or type(error).__name__

    async def _throttle(self) -> None:
        """Wait for a turn: so many a second on average, so many at once after a rest."""
        rate, burst = self._config.throttle_qps, self._config.throttle_burst
        now = self._clock.monotonic()
        self._tokens = min(float(burst), self._tokens + (now - self._refilled) * rate)
        self._refilled = now
        self._tokens -= 1
        if self._tokens < 0 and not self._ending.is_set():
            await self._clock.sleep(-self._tokens / rate)
