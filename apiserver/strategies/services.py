"""Services: what a changed one keeps, and what it holds in the cluster (`allocation/` gives it out).

Source: Kubernetes documentation, "Service"; registry/core/service/strategy.go.
"""

from __future__ import annotations

from k8slite.errors import Cause

from ..allocation.allocator import WITH_ADDRESS, WITH_NODE_PORTS, Allocator
from ..allocation.holdings import items_of
from ..defaults import core as defaults
from ..validation import services as rules
from ..validation.names import dns_1035_label
from .base import Context, Document, Finish, Strategy
from .simple import fields


class ServiceStrategy(Strategy):
    """The strategy of Services."""

    has_generation = False
    create_on_update = True
    returns_deleted = True
    name_rule = staticmethod(dns_1035_label)
    selectable_fields = fields("spec.clusterIP", "spec.type")

    def __init__(self, allocator: Allocator) -> None:
        self._allocator = allocator

    def default(self, obj: Document) -> None:
        """Fill in what the user left out."""
        defaults.service(obj)

    def prepare_create(self, obj: Document, context: Context) -> None:
        """Nothing balances it yet."""
        obj["status"] = {"loadBalancer": {}}

    def prepare_update(self, obj: Document, old: Document, context: Context) -> None:
        """Carry address and ports over."""
        _carry_over(obj["spec"], old["spec"])
        _drop_of_other_types(obj["spec"], old["spec"])

    async def begin(self, obj: Document, old: Document | None, context: Context) -> Finish:
        """Give the Service its address and ports; once it is written, what it no longer holds is free."""
        taking = await self._allocator.allocate(obj, old, context)
        bound = taking.bound
        context.unless.extend(bound)

        async def finish(written: bool) -> None:
            if not written:
                context.unless[:] = [one for one in context.unless if one not in bound]
                await self._allocator.give_back(taking)
            elif old is not None and not context.dry_run and (left := taking.own.difference(items_of(obj))):
                await self._allocator.release(left, before=old, now=context.now)

        return finish

    def validate(self, obj: Document) -> list[Cause]:
        """A Service's rules."""
        return rules.validate(obj)

    def validate_update(self, obj: Document, old: Document) -> list[Cause]:
        """A Service keeps its address."""
        return rules.validate_update(obj, old)

    def validate_subresource(self, subresource: str, obj: Document, old: Document) -> list[Cause]:
        """The status is what a load balancer says."""
        return rules.validate_status(obj, old)

    def warn(self, obj: Document, old: Document | None) -> list[str]:
        """What it says in vain."""
        return rules.warnings(obj, old)

    async def after_delete(self, obj: Document, context: Context) -> None:
        """What it held may be given out at once."""
        await self._allocator.release(items_of(obj), before=obj, now=context.now)


def _carry_over(spec: Document, old: Document) -> None:
    if spec["type"] in WITH_ADDRESS and old.get("type") in WITH_ADDRESS:
        if not spec.get("clusterIP") and "clusterIP" in old:
            spec["clusterIP"] = old["clusterIP"]
        if not spec.get("clusterIPs") and "clusterIPs" in old and spec.get("clusterIP") == old.get("clusterIP"):
            spec["clusterIPs"] = old["clusterIPs"]
        elif spec.get("clusterIPs") == old.get("clusterIPs") and spec.get("clusterIP") != old.get("clusterIP"):
            # Who changes the first address alone means both forms.
            spec["clusterIPs"] = [spec["clusterIP"]]
        for name in ("ipFamilies", "ipFamilyPolicy"):
            if name in old:
                spec.setdefault(name, old[name])
    if rules.needs_health_check(spec) and rules.needs_health_check(old) and "healthCheckNodePort" in old:
        spec.setdefault("healthCheckNodePort", old["healthCheckNodePort"])
    if spec["type"] in WITH_NODE_PORTS and old.get("type") in WITH_NODE_PORTS:
        held = {(p.get("protocol", "TCP"), p["port"]): p.get("nodePort") for p in old.get("ports") or ()}
        taken = {p.get("nodePort") for p in spec.get("ports") or ()}
        for port in spec.get("ports") or ():
            before = held.get((port["protocol"], port.get("port")))
            if not port.get("nodePort") and before and before not in taken:
                port["nodePort"] = before


def _drop_of_other_types(spec: Document, old: Document) -> None:
    """What only the type before could have, and the user left as it was, goes with that type."""
    kind = spec["type"]
    if not rules.needs_health_check(spec) and spec.get("healthCheckNodePort") == old.get("healthCheckNodePort"):
        spec.pop("healthCheckNodePort", None)
    if kind == old.get("type"):
        return
    gone = []
    if kind not in WITH_ADDRESS:
        gone += ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"]
    if not rules.externally_accessible(spec):
        gone.append("externalTrafficPolicy")
    if kind != "LoadBalancer":
        gone += ["allocateLoadBalancerNodePorts", "loadBalancerClass"]
    for name in gone:
        if name in spec and spec[name] == old.get(name):
            del spec[name]
