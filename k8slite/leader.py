"""LeaderElection over a Lease: one of several equal programs acts.

Who does not hold the Lease judges its age by its own clock, from when it saw the record change, never by the times in
the record: clocks of different machines need not agree. The holder gives up after `renew_deadline` without a successful
renewal, which is before anyone else may take over after `lease_duration`. It looks at the age of its last renewal
before every write, so that one that was stopped for long (SIGSTOP, an overloaded machine) writes nothing afterwards.

Source: Kubernetes documentation, "Leases"; client-go leaderelection for the timing rules.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import aiohttp

from .client import Client
from .clock import Clock, micro_timestamp
from .config import LeaderElectionConfig
from .errors import ApiError
from .kinds.coordination import Lease
from .kinds.resources import LEASES
from .metrics import LEADER

log = logging.getLogger(__name__)


class LeadershipLost(Exception):
    """The Lease went to somebody else, or could not be renewed in time: the program must stop acting at once."""


async def lead(
    client: Client,
    *,
    name: str,
    identity: str,
    config: LeaderElectionConfig,
    clock: Clock,
    work: Callable[[], Awaitable[None]],
    namespace: str = "kube-system",
) -> None:
    """Wait for the Lease, run `work` while holding it, renew it meanwhile; raise LeadershipLost if it cannot be kept.

    `client` is the one that `work` writes with: it is fenced, and closed when the Lease is lost. The Lease is kept over
    a connection of its own, which no crowd of requests can hold up. It is released when `work` ends or is cancelled, so
    that a successor need not wait for it to expire.
    """
    if not config.enabled:
        await work()
        return
    async with Client(client.config) as own:
        candidate = _Candidate(own, name=name, identity=identity, config=config, clock=clock, namespace=namespace)
        await candidate.acquire()
        log.info("%s leads as %s", name, identity)
        LEADER.labels(name).set(1)
        client.fence(candidate.leads)
        working = asyncio.ensure_future(work())
        keeping = asyncio.create_task(candidate.keep())
        try:
            await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            LEADER.labels(name).set(0)
            lost = keeping.done() and not working.done()
            if lost:
                client.fence(lambda: False)
                await client.close()
            for task in (working, keeping):
                task.cancel()
            await asyncio.gather(working, keeping, return_exceptions=True)
            if not lost:
                await candidate.release()
        await (keeping if lost else working)


class _Candidate:
    """One program's view of the Lease."""

    def __init__(
        self, client: Client, *, name: str, identity: str, config: LeaderElectionConfig, clock: Clock, namespace: str
    ) -> None:
        self._client = client
        self._name = name
        self._namespace = namespace
        self._identity = identity
        self._config = config
        self._clock = clock
        self._lease: Lease | None = None
        self._seen_at = -math.inf
        self._renewed = -math.inf

    def leads(self) -> bool:
        """Whether the last renewal is young enough that nobody else can hold the Lease."""
        return self._clock.monotonic() < self._renewed + self._config.renew_deadline

    async def acquire(self) -> None:
        """Try until the Lease is ours: at least once a period, and as soon as what was seen of its holder is too old.

        So a successor acts at most one period, and the Lease's duration, after the holder's last renewal.
        """
        while not await self._try(self._take):
            pause = self._config.retry_period * random.uniform(0.7, 0.9)
            expires = self._seen_at + self._their_seconds - self._clock.monotonic()
            await self._clock.sleep(min(pause, expires) if expires > 0 else pause)

    async def keep(self) -> None:
        """Renew until it fails for too long. Raises LeadershipLost.

        A renewal that succeeded needs no successor for half the deadline; one that failed is tried again soon.
        """
        pause = self._config.renew_deadline / 2
        while True:
            await self._clock.sleep(pause)
            left = self._renewed + self._config.renew_deadline - self._clock.monotonic()
            if await self._try(self._renew, timeout=left):
                pause = self._config.renew_deadline / 2
            elif not self.leads():
                raise LeadershipLost(f"{self._name}: not renewed within {self._config.renew_deadline:g} s")
            else:
                pause = self._config.retry_period

    async def release(self) -> None:
        """Give the Lease back, as well as one can."""
        lease = self._lease
        if lease is None or lease.spec.holder_identity != self._identity:
            return
        with contextlib.suppress(ApiError, aiohttp.ClientError, OSError):
            await self._write(lease, holder="", seconds=1, acquired=self._clock.now(), took=False)

    async def _try(self, step: Callable[[], Awaitable[bool]], *, timeout: float | None = None) -> bool:
        """Whether the step made the Lease ours, or kept it so, for a time that runs from before the step."""
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(timeout):
                held = await step()
            if held:
                self._renewed = started
            return held
        except ApiError as error:
            log.log(logging.DEBUG if error.code == 409 else logging.WARNING, "%s: %s", self._name, error)
        except (aiohttp.ClientError, OSError) as error:
            log.warning("%s: %s: %s", self._name, type(error).__name__, error)
        return False

    async def _take(self) -> bool:
        try:
            self._observe(await self._client.get(LEASES, self._name, namespace=self._namespace))
        except ApiError as error:
            if error.code != 404:
                raise
            now = self._clock.now()
            spec = self._spec(self._identity, self._seconds, acquired=now, renewed=now, transitions=0)
            metadata = {"name": self._name, "namespace": self._namespace}
            body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec}
            self._observe(await self._client.create(LEASES, body, namespace=self._namespace))
            return True
        lease = self._lease
        assert lease is not None  # _observe has just set it
        holder = lease.spec.holder_identity
        expires = self._seen_at + self._their_seconds
        if holder and holder != self._identity and self._clock.monotonic() < expires:
            return False
        took = holder != self._identity
        acquired = self._clock.now() if took else lease.spec.acquire_time or self._clock.now()
        await self._write(lease, holder=self._identity, seconds=self._seconds, acquired=acquired, took=took)
        return True

    async def _renew(self) -> bool:
        lease = self._lease
        assert lease is not None  # acquired before
        acquired = lease.spec.acquire_time or self._clock.now()
        try:
            await self._write(lease, holder=self._identity, seconds=self._seconds, acquired=acquired, took=False)
        except ApiError as error:
            if error.code == 404:
                return await self._take()
            if error.code != 409:
                raise
            self._observe(await self._client.get(LEASES, self._name, namespace=self._namespace))
            if self._lease is not None and self._lease.spec.holder_identity != self._identity:
                raise LeadershipLost(f"{self._name}: {self._lease.spec.holder_identity} holds it now") from error
            return False
        return True

    async def _write(self, lease: Lease, *, holder: str, seconds: int, acquired: datetime, took: bool) -> None:
        transitions = (lease.spec.lease_transitions or 0) + took
        spec = self._spec(holder, seconds, acquired=acquired, renewed=self._clock.now(), transitions=transitions)
        body = {"metadata": {"resourceVersion": lease.metadata.resource_version}, "spec": spec}
        self._observe(await self._client.patch(LEASES, self._name, body, namespace=self._namespace))

    def _spec(
        self, holder: str, seconds: int, *, acquired: datetime, renewed: datetime, transitions: int
    ) -> dict[str, Any]:
        return {
            "holderIdentity": holder,
            "leaseDurationSeconds": seconds,
            "acquireTime": micro_timestamp(acquired),
            "renewTime": micro_timestamp(renewed),
            "leaseTransitions": transitions,
        }

    def _observe(self, lease: Lease) -> None:
        known = self._lease.metadata.resource_version if self._lease else None
        if lease.metadata.resource_version != known:
            self._seen_at = self._clock.monotonic()
        self._lease = lease

    @property
    def _their_seconds(self) -> int:
        """How long the Lease lasts by what its holder wrote."""
        return (self._lease.spec.lease_duration_seconds if self._lease is not None else None) or self._seconds

    @property
    def _seconds(self) -> int:
        return max(1, math.ceil(self._config.lease_duration))
