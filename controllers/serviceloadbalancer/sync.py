"""Gives Services of type LoadBalancer an address from a pool; the proxy does the rest.

Nothing but the Services themselves says which address is whose, so that a restart learns everything from them. One
worker decides, and what it promised counts before the API server shows it: no two Services get one address. Where no
pools are configured, load balancers are somebody else's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from k8slite.config import ConfigError
from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.kinds.core import Service
from k8slite.kinds.resources import SERVICES

from ..children import Ledger
from ..context import Context, Runnable
from . import plan
from .pools import Effect, Pools, addresses_of

COMPONENT = "service-controller"


def build(context: Context) -> Sequence[Runnable]:
    """The controller, if there are pools. Raises ConfigError for a pool that is none."""
    pools = context.config.load_balancer_pools
    return [LoadBalancerSync(context, parse(pools)).controller] if pools else []


def parse(pools: Sequence[str]) -> Pools:
    """The ranges of a setting. Raises ConfigError."""
    try:
        return Pools([ipaddress.ip_network(pool) for pool in pools])
    except ValueError as error:
        raise ConfigError(f"loadBalancerPools: {error}") from error


class LoadBalancerSync:
    """Syncs Services."""

    def __init__(self, context: Context, pools: Pools) -> None:
        self._context = context
        self._pools = pools
        self.controller = Controller("service", self.sync, clock=context.clock, workers=1)
        self._services = context.informers.of(SERVICES)
        self._ledger = Ledger(self._services)
        self._waiting: dict[str, None] = {}
        """Services that there was no address for, in the order in which they asked."""
        self._told: dict[str, str] = {}
        """What was said last about the problem of each: once is enough."""
        self._services.add_handler(self._changed)

    def _changed(self, old: Service | None, new: Service | None) -> None:
        self._tell_others(self._pools.observe(old, new))
        for service in (old, new):
            if service is not None and (plan.wanted(service) or plan.needs_cleanup(service)):
                self.controller.queue.add(service.key)

    def _tell_others(self, effect: Effect) -> None:
        for key in effect.rivals:
            self.controller.queue.add(key)
        if effect.freed:
            for key in self._waiting:
                self.controller.queue.add(key)

    async def sync(self, key: str) -> Result:
        """One Service."""
        await self._ledger.settle(key)
        service = self._services.get(key)
        if service is None:
            self._forget(key)
            self._ledger.forget(key)
        elif plan.needs_cleanup(service):
            self._forget(key)
            await self._clean_up(service)
        elif plan.wanted(service) and not service.deleting:
            await self._ensure(service)
        else:
            self._forget(key)
        return DONE

    def _forget(self, key: str) -> None:
        self._waiting.pop(key, None)
        self._told.pop(key, None)

    async def _ensure(self, service: Service) -> None:
        decided = plan.give(service, self._pools)
        if decided.problem:
            self._waiting[service.key] = None
            if self._told.get(service.key) != decided.problem:
                self._told[service.key] = decided.problem
                message = f"Error syncing load balancer: failed to ensure load balancer: {decided.problem}"
                self._say(service, "SyncLoadBalancerFailed", message, warning=True)
        else:
            self._forget(service.key)
        self._tell_others(self._pools.promise(service, decided.addresses))
        changed = list(decided.addresses) != addresses_of(service)
        if changed and decided.addresses:
            self._say(service, "EnsuringLoadBalancer", "Ensuring load balancer")
        if not plan.has_finalizer(service) and decided.addresses:
            service = await self._finalizers(service, [*service.metadata.finalizers, plan.FINALIZER])
        if changed:
            await self._status(service, decided.addresses)
            if decided.addresses:
                self._say(service, "EnsuredLoadBalancer", "Ensured load balancer")

    async def _clean_up(self, service: Service) -> None:
        """The status first, so that nobody dials an address that may be another's soon; then the finalizer."""
        had = addresses_of(service)
        if had:
            self._say(service, "DeletingLoadBalancer", "Deleting load balancer")
        if had and not service.deleting:
            service = await self._status(service, ())
        rest = [name for name in service.metadata.finalizers if name != plan.FINALIZER]
        try:
            service = await self._finalizers(service, rest)
        except ApiError as error:
            if error.code != 404:
                raise
        self._tell_others(self._pools.promise(service, ()))
        self._say(service, "DeletedLoadBalancer", "Deleted load balancer")

    async def _finalizers(self, service: Service, wanted: Sequence[str]) -> Service:
        body = {"metadata": self._exactly(service) | {"finalizers": list(wanted) or None}}
        changed = await self._context.client.patch(SERVICES, service.name, body, namespace=service.namespace)
        self._ledger.wrote(service.key, changed)
        return changed

    async def _status(self, service: Service, addresses: Sequence[str]) -> Service:
        ingress = [{"ip": address, "ipMode": "VIP"} for address in addresses]
        body = {"metadata": self._exactly(service), "status": {"loadBalancer": {"ingress": ingress or None}}}
        changed = await self._context.client.patch(
            SERVICES, service.name, body, namespace=service.namespace, subresource="status"
        )
        self._ledger.wrote(service.key, changed)
        return changed

    def _exactly(self, service: Service) -> dict[str, Any]:
        return {"uid": service.uid, "resourceVersion": service.metadata.resource_version}

    def _say(self, service: Service, reason: str, message: str, *, warning: bool = False) -> None:
        self._context.say(COMPONENT, service, reason, message, type="Warning" if warning else "Normal")
