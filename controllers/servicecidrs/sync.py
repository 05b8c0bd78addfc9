"""Carries out what is planned for ServiceCIDRs. Addresses are watched only once a range is being deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from k8slite.controller import DONE, Controller, Result
from k8slite.errors import ApiError
from k8slite.informer import Informer
from k8slite.kinds.networking import IPAddress, ServiceCIDR
from k8slite.kinds.resources import IP_ADDRESSES, SERVICE_CIDRS

from ..children import Ledger
from ..context import Context, Runnable
from .plan import READY, Plan, plan

COMPONENT = "service-cidr-controller"


def build(context: Context) -> Sequence[Runnable]:
    """The controller."""
    return [ServiceCIDRSync(context).controller]


class ServiceCIDRSync:
    """Syncs ServiceCIDRs."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.controller = Controller("ipaddresses", self.sync, clock=context.clock, workers=1)
        self._cidrs = context.informers.of(SERVICE_CIDRS)
        self._addresses: Informer[IPAddress] | None = None
        self._ledger = Ledger(self._cidrs)
        self._cidrs.add_handler(self._cidr_changed)

    def _cidr_changed(self, old: ServiceCIDR | None, new: ServiceCIDR | None) -> None:
        """One that comes or goes may let another go, or hold it."""
        if item := new or old:
            self.controller.queue.add(item.name)
        if old is None or new is None or old.deleting != new.deleting:
            self._look_at_those_that_go()

    def _address_changed(self, old: IPAddress | None, new: IPAddress | None) -> None:
        if old is None or new is None:
            self._look_at_those_that_go()

    def _look_at_those_that_go(self) -> None:
        for item in self._cidrs.list():
            if item.deleting:
                self.controller.queue.add(item.name)

    async def sync(self, key: str) -> Result:
        """One range."""
        await self._ledger.settle(key)
        cidr = self._cidrs.get(key)
        if cidr is None:
            self._ledger.forget(key)
            return DONE
        addresses = (await self._given()).list() if cidr.deleting else ()
        others = self._cidrs.list()
        decided = plan(cidr, others=others, addresses=addresses, now=self._context.clock.now())
        await self._carry_out(cidr, decided)
        return Result(requeue_after=decided.after) if decided.after is not None else DONE

    async def _given(self) -> Informer[IPAddress]:
        """The addresses that are given out, all of them."""
        if self._addresses is None:
            self._addresses = self._context.informers.of(IP_ADDRESSES)
            self._addresses.add_handler(self._address_changed)
        await self._addresses.wait_synced()
        return self._addresses

    async def _carry_out(self, cidr: ServiceCIDR, decided: Plan) -> None:
        client = self._context.client
        if decided.finalizers is not None:
            body: dict[str, Any] = {
                "metadata": _exactly(cidr) | {"finalizers": list(decided.finalizers) or None},
            }
            try:
                cidr = await client.patch(SERVICE_CIDRS, cidr.name, body)
            except ApiError as error:
                if error.code != 404:
                    raise
                return
            self._ledger.wrote(cidr.key, cidr)
        if decided.condition is not None:
            rest = [item.to_wire() for item in cidr.status.conditions if item.type != READY]
            body = {"metadata": _exactly(cidr), "status": {"conditions": [*rest, decided.condition]}}
            try:
                changed = await client.patch(SERVICE_CIDRS, cidr.name, body, subresource="status")
            except ApiError as error:
                if decided.condition["status"] == "True" and error.reason not in ("Conflict", "NotFound"):
                    message = "The ServiceCIDR Status can not be set to Ready=True"
                    self._context.say(COMPONENT, cidr, "KubernetesServiceCIDRError", message, type="Warning")
                raise
            self._ledger.wrote(cidr.key, changed)


def _exactly(cidr: ServiceCIDR) -> dict[str, Any]:
    return {"uid": cidr.uid, "resourceVersion": cidr.metadata.resource_version}
