"""Keeps the kernel's rules what Services and EndpointSlices ask for.

A change marks its Service; after a moment all marked Services are worked out again and their difference goes to the
kernel in one transaction. When a transaction fails, or somebody took the table away, the whole table is written anew,
which is one transaction as well: there is no moment without rules. On the way out the rules stay, so that traffic flows
while the program is restarted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import replace

from k8slite.clock import Clock
from k8slite.informer import Informer
from k8slite.kinds.core import Service
from k8slite.kinds.discovery import EndpointSlice

from .. import metrics
from . import apply, host, removal, table
from .flows import StaleFlow, stale_flows
from .model import Frontend, Target, frontends
from .render import Rules, Ruleset, rules, script

log = logging.getLogger(__name__)

DEBOUNCE = 0.02
CHECK_PERIOD = 300.0
_RETRY = 2.0
_OTHER_PROXY = "service.kubernetes.io/service-proxy-name"

SERVICE_INDEX = "service"


def slice_service(piece: EndpointSlice) -> list[str]:
    """The index that finds the slices of a Service by its key."""
    return [f"{piece.namespace}/{piece.service_name}"] if piece.service_name else []


class ServiceRules:
    """The loop between informers and kernel. The slices' informer must have `slice_service` as its index `service`."""

    def __init__(
        self,
        *,
        services: Informer[Service],
        slices: Informer[EndpointSlice],
        settings: table.TableSettings,
        nodes: Collection[str],
        clock: Clock,
    ) -> None:
        self._services = services
        self._slices = slices
        self._settings = settings
        self._nodes = frozenset(nodes)
        self._clock = clock
        self._ruleset = Ruleset()
        self._frontends: dict[str, Mapping[Frontend, Target]] = {}
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        self._whole = True
        self._stale: list[StaleFlow] = []
        """Flows to forget as soon as the rules that make them stale are in force."""
        self.applied = asyncio.Event()
        """Set once the rules of everything first listed are in force."""

    async def run(self) -> None:
        """Work until cancelled."""
        await self._services.wait_synced()
        await self._slices.wait_synced()
        self._dirty.update(service.key for service in self._services.list())
        self._services.add_handler(self._service_changed)
        self._slices.add_handler(self._slice_changed)
        self._wake.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._check())
            group.create_task(self._notice_removal())
            while True:
                await self._wake.wait()
                await self._clock.sleep(DEBOUNCE)
                self._wake.clear()
                try:
                    await self._sync()
                except (apply.NftError, OSError) as error:  # refused; or no nft could be run at all
                    log.error("nftables: %s; writing the whole table again", error)
                    metrics.SYNC_FAILURES.inc()
                    if self._whole:
                        await self._clock.sleep(_RETRY)
                    self._whole = True
                    self._wake.set()
                    continue
                if not self.applied.is_set():
                    self.applied.set()
                    group.create_task(self._prepare_bridge())

    async def _sync(self) -> None:
        """Bring the kernel up to date. Raises NftError and OSError, then the whole table has to be written."""
        began = self._clock.monotonic()
        dirty, self._dirty = self._dirty, set()
        for key in dirty:
            try:
                self._stale += self._update(key)
            except Exception:
                # One Service that nobody foresaw must not take the others' changes with it.
                log.exception("the rules of service %s", key)
        change = self._ruleset.take_change()
        if self._whole:
            await self._prepare()
            await apply.transact(table.recreate(self._settings) + script(self._settings.name, self._ruleset.whole()))
            self._whole = False
            log.info("wrote the rules of %d services", len(self._frontends))
        elif change:
            await apply.transact(script(self._settings.name, change))
        stale, self._stale = self._stale, []
        await apply.forget_flows(stale)
        metrics.SYNC_SECONDS.observe(self._clock.monotonic() - began)

    def _update(self, key: str) -> list[StaleFlow]:
        """Work one Service out again; the datagram flows that this leaves stale."""
        service = self._services.get(key)
        new: Mapping[Frontend, Target] = {}
        if service is not None and _OTHER_PROXY not in service.metadata.labels:
            new = frontends(service, self._slices.by_index(SERVICE_INDEX, key), nodes=self._nodes)
        old = self._frontends.pop(key, {})
        if new:
            self._frontends[key] = new
        if new == old:
            return []
        self._ruleset.put(key, rules(new) if new else Rules())
        return stale_flows(old, new)

    async def _prepare(self) -> None:
        host.ensure_forwarding()
        filtered = await host.ensure_bridge_filtering()
        if not filtered and self._settings.bridge_filtered:
            log.warning("br_netfilter is not available: Services hide pods of this machine from each other")
        self._settings = replace(self._settings, bridge_filtered=filtered)
        await apply.accept_forwarding(self._settings.bridge)

    async def _prepare_bridge(self) -> None:
        settings = self._settings
        ranges = (settings.service_cidr, *settings.load_balancer_cidrs)
        await host.prepare_bridge(settings.bridge, ranges=ranges, clock=self._clock)

    async def _check(self) -> None:
        """Now and then, see whether everything is still there, and whether Docker has come meanwhile."""
        while True:
            await self._clock.sleep(CHECK_PERIOD)
            try:
                await apply.accept_forwarding(self._settings.bridge)
                await self._check_table()
                if self.applied.is_set():  # a bridge that was made anew has lost what was set on it
                    await self._prepare_bridge()
            except OSError as error:
                log.warning("checking the rules: %s", error)

    async def _check_table(self) -> None:
        if not self._whole and not await apply.table_exists(self._settings.name):
            log.warning("the nftables table %s has vanished; writing it again", self._settings.name)
            self._whole = True
            self._wake.set()

    async def _notice_removal(self) -> None:
        """Write the table again at once when somebody removes it."""
        try:
            async for name in removal.removed_tables():
                if name in (self._settings.name, removal.UNKNOWN):
                    await self._check_table()
        except OSError as error:
            log.warning("the kernel does not tell of changes to nftables, so a lost table is missed longer: %s", error)

    def _service_changed(self, old: Service | None, new: Service | None) -> None:
        for service in (old, new):
            if service is not None:
                self._mark(service.key)

    def _slice_changed(self, old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        for piece in (old, new):
            if piece is not None:
                for key in slice_service(piece):
                    self._mark(key)

    def _mark(self, key: str) -> None:
        self._dirty.add(key)
        self._wake.set()
