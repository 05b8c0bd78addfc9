"""Services: addresses and node ports are given out here.

What is taken is read from the watch cache at each allocation; only Services that changed since the last time are
decoded. What was given out a moment ago, and is not in the cache yet, is reserved for a while: a write that fails after
its allocation needs no undoing.

Source: Kubernetes documentation, "Service"; registry/core/service/storage/alloc.go.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from k8slite.errors import ApiError, Cause, internal, invalid, invalid_value

from ..defaults import core as defaults
from ..lookup import Rows
from ..validation import services as rules
from ..validation.names import dns_1035_label
from ..validation.service_addresses import cluster_ips, validate_addresses_update
from .base import Context, Document, Strategy
from .simple import fields

_RESERVED_FOR = timedelta(seconds=30)
_ATTEMPTS = 64
_WITH_ADDRESS = ("ClusterIP", "NodePort", "LoadBalancer")
_WITH_NODE_PORTS = ("NodePort", "LoadBalancer")

Item = tuple[str, int]
"""An address and 0, or a protocol and a node port."""


class Allocations:
    """What Services hold: addresses and node ports."""

    def __init__(self, services: Rows) -> None:
        self._services = services
        self._known: dict[str, tuple[int, frozenset[Item]]] = {}
        self._used: dict[Item, str] = {}
        self._reserved: dict[Item, datetime] = {}
        self._changed = -1

    def holder(self, item: Item, now: datetime) -> str:
        """The key of the Service that has it, `reserved` if it was just given out, empty if it is free."""
        self._refresh()
        if (found := self._used.get(item)) is not None:
            return found
        due = self._reserved.get(item)
        return "reserved" if due is not None and due > now else ""

    def reserve(self, item: Item, now: datetime) -> None:
        """Keep it from others until its Service is in the cache."""
        if len(self._reserved) > 1000:
            self._reserved = {known: due for known, due in self._reserved.items() if due > now}
        self._reserved[item] = now + _RESERVED_FOR

    def free(self, items: Iterable[Item]) -> None:
        """Forget reservations: the write did not, or no longer does, need them."""
        for item in items:
            self._reserved.pop(item, None)

    def _refresh(self) -> None:
        rows = self._services
        if rows.changed == self._changed:
            return
        known: dict[str, tuple[int, frozenset[Item]]] = {}
        for entry in rows.select():
            before = self._known.get(entry.key)
            if before is None or before[0] != entry.revision:
                before = (entry.revision, frozenset(items_of(entry.document)))
            known[entry.key] = before
        self._known = known
        self._used = {item: key for key, (_, items) in known.items() for item in items}
        self._changed = rows.changed


def items_of(service: Document) -> Iterable[Item]:
    """What a Service holds."""
    spec = service.get("spec") or {}
    for address in spec.get("clusterIPs") or ():
        if address != "None":
            yield address, 0
    for port in spec.get("ports") or ():
        if port.get("nodePort"):
            yield port.get("protocol", "TCP"), port["nodePort"]
    if spec.get("healthCheckNodePort"):
        yield "TCP", spec["healthCheckNodePort"]


class ServiceStrategy(Strategy):
    """The strategy of Services."""

    has_generation = False
    create_on_update = True
    returns_deleted = True
    name_rule = staticmethod(dns_1035_label)
    selectable_fields = fields("spec.clusterIP", "spec.type")

    def __init__(
        self, *, cidr: str, node_ports: tuple[int, int], allocations: Allocations, source: random.Random
    ) -> None:
        self._network = ipaddress.ip_network(cidr)
        self._node_ports = node_ports
        self._allocations = allocations
        self._source = source

    def default(self, obj: Document) -> None:
        """Fill in what the user left out."""
        defaults.service(obj)

    def prepare_create(self, obj: Document, context: Context) -> None:
        """Give the Service its address and ports."""
        obj["status"] = {"loadBalancer": {}}
        self._allocate(obj, None, context)

    def prepare_update(self, obj: Document, old: Document, context: Context) -> None:
        """Carry address and ports over; give out what is new."""
        self._carry_over(obj["spec"], old["spec"])
        _drop_of_other_types(obj["spec"], old["spec"])
        self._allocate(obj, old, context)

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

    def after_delete(self, obj: Document, context: Context) -> None:
        """What it held may be given out at once."""
        self._allocations.free(items_of(obj))

    def _carry_over(self, spec: Document, old: Document) -> None:
        if spec["type"] in _WITH_ADDRESS and old.get("type") in _WITH_ADDRESS:
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
        if spec["type"] in _WITH_NODE_PORTS and old.get("type") in _WITH_NODE_PORTS:
            held = {(p.get("protocol", "TCP"), p["port"]): p.get("nodePort") for p in old.get("ports") or ()}
            taken = {p.get("nodePort") for p in spec.get("ports") or ()}
            for port in spec.get("ports") or ():
                before = held.get((port["protocol"], port.get("port")))
                if not port.get("nodePort") and before and before not in taken:
                    port["nodePort"] = before

    def _allocate(self, obj: Document, old: Document | None, context: Context) -> None:
        spec = obj["spec"]
        own = frozenset(items_of(old)) if old is not None else frozenset()
        if spec["type"] in _WITH_ADDRESS:
            self._address(obj, old, own, context)
        if spec["type"] not in _WITH_NODE_PORTS:
            for port in spec.get("ports") or ():
                held = {(port.get("protocol") or "TCP", port.get("nodePort"))}
                if old is not None and old["spec"].get("type") in _WITH_NODE_PORTS and held <= own:
                    port.pop("nodePort", None)
            return
        if rules.needs_health_check(spec):
            self._health_check(obj, own, context)
        if spec["type"] == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False:
            return
        self._ports(obj, own, context)

    def _address(self, obj: Document, old: Document | None, own: frozenset[Item], context: Context) -> None:
        spec = obj["spec"]
        family = f"IPv{self._network.version}"
        if spec.get("clusterIP") and not spec.get("clusterIPs"):
            spec["clusterIPs"] = [spec["clusterIP"]]
        if causes := cluster_ips(spec):
            raise invalid("Service", obj["metadata"].get("name") or "", causes)
        self._check_families(obj, family)
        wanted = spec.get("clusterIP") or ""
        if old is not None and validate_addresses_update(spec, old["spec"]):
            return  # validation says what may not change
        spec.setdefault("ipFamilies", [family])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        if wanted == "None":
            spec["clusterIP"], spec["clusterIPs"] = "None", ["None"]
            return
        if wanted:
            if (wanted, 0) not in own:
                self._claim_address(obj, wanted, context)
        else:
            wanted = self._free_address(context.now)
        spec["clusterIP"], spec["clusterIPs"] = wanted, [wanted]
        if not context.dry_run and (wanted, 0) not in own:
            self._allocations.reserve((wanted, 0), context.now)

    def _check_families(self, obj: Document, family: str) -> None:
        """Refuse families that this cluster has not. Raises ApiError 422."""
        spec = obj["spec"]
        causes: list[Cause] = []
        if spec.get("ipFamilyPolicy") == "RequireDualStack" and not _chooses_itself(spec):
            detail = "this cluster is not configured for dual-stack services"
            causes.append(invalid_value("spec.ipFamilyPolicy", "RequireDualStack", detail))
        if not _chooses_itself(spec):
            for index, other in enumerate(spec.get("ipFamilies") or ()):
                if other != family:
                    detail = "not configured on this cluster"
                    causes.append(invalid_value(f"spec.ipFamilies[{index}]", other, detail))
        if causes:
            raise invalid("Service", obj["metadata"].get("name") or "", causes)

    def _health_check(self, obj: Document, own: frozenset[Item], context: Context) -> None:
        """Give a balanced Service the port at which its nodes tell whether they have endpoints. Raises ApiError 422."""
        spec, field = obj["spec"], "spec.healthCheckNodePort"
        first, last = self._node_ports
        number = spec.get("healthCheckNodePort") or 0
        if not number:
            item = self._free_port("TCP", set(), context.now)
            spec["healthCheckNodePort"] = item[1]
        elif ("TCP", number) in own:
            return
        elif not first <= number <= last:
            detail = f"provided port is not in the valid range. The range of valid ports is {first}-{last}"
            raise _refused(obj, invalid_value(field, number, detail))
        elif self._allocations.holder(("TCP", number), context.now):
            detail = f"failed to allocate requested HealthCheck NodePort {number}: provided port is already allocated"
            raise internal(detail)
        if not context.dry_run:
            self._allocations.reserve(("TCP", spec["healthCheckNodePort"]), context.now)

    def _claim_address(self, obj: Document, wanted: str, context: Context) -> None:
        try:
            inside = ipaddress.ip_address(wanted) in self._network
        except ValueError:
            return  # validation says what is wrong with it
        if not inside:
            detail = (
                f"failed to allocate IP {wanted}: the provided IP ({wanted}) is not in the valid range. "
                f"The range of valid IPs is {self._network}"
            )
            raise _refused(obj, invalid_value("spec.clusterIPs", [wanted], detail))
        if self._allocations.holder((wanted, 0), context.now):
            detail = f"failed to allocate IP {wanted}: provided IP is already allocated"
            raise _refused(obj, invalid_value("spec.clusterIPs", [wanted], detail))

    def _free_address(self, now: datetime) -> str:
        # The first address is the API server's own Service; the low range is left to those who choose by hand.
        size = self._network.num_addresses - 2
        lower = min(max(16, size // 16), 256) if size > 32 else 1
        for low in (lower, 1):
            for _ in range(_ATTEMPTS):
                candidate = str(self._network[self._source.randint(low + 1, size)])
                if not self._allocations.holder((candidate, 0), now):
                    return candidate
        for offset in range(2, size + 1):
            candidate = str(self._network[offset])
            if not self._allocations.holder((candidate, 0), now):
                return candidate
        raise internal("failed to allocate a serviceIP: range is full")

    def _ports(self, obj: Document, own: frozenset[Item], context: Context) -> None:
        taken: set[Item] = set()
        first, last = self._node_ports
        for index, port in enumerate(obj["spec"].get("ports") or ()):
            number, protocol = port.get("nodePort") or 0, port["protocol"]
            field = f"spec.ports[{index}].nodePort"
            if number:
                item = (protocol, number)
                if not first <= number <= last:
                    detail = f"provided port is not in the valid range. The range of valid ports is {first}-{last}"
                    raise _refused(obj, invalid_value(field, number, detail))
                if item in taken or (item not in own and self._allocations.holder(item, context.now)):
                    raise _refused(obj, invalid_value(field, number, "provided port is already allocated"))
            else:
                # Ports that share a number in different protocols share the node port, as DNS over TCP and UDP does.
                same = [p.get("nodePort") for p in obj["spec"]["ports"][:index] if p.get("port") == port.get("port")]
                item = (protocol, same[0]) if same and same[0] else ("", 0)
                if not same or not same[0] or self._allocations.holder(item, context.now):
                    item = self._free_port(protocol, taken, context.now)
                port["nodePort"] = item[1]
            taken.add(item)
            if not context.dry_run and item not in own:
                self._allocations.reserve(item, context.now)

    def _free_port(self, protocol: str, taken: set[Item], now: datetime) -> Item:
        first, last = self._node_ports
        candidates: list[Any] = [self._source.randint(first, last) for _ in range(_ATTEMPTS)]
        for number in (*candidates, *range(first, last + 1)):
            item = (protocol, number)
            if item not in taken and not self._allocations.holder(item, now):
                return item
        raise internal("failed to allocate a nodePort: range is full")


def _drop_of_other_types(spec: Document, old: Document) -> None:
    """What only the type before could have, and the user left as it was, goes with that type."""
    kind = spec["type"]
    if not rules.needs_health_check(spec) and spec.get("healthCheckNodePort") == old.get("healthCheckNodePort"):
        spec.pop("healthCheckNodePort", None)
    if kind == old.get("type"):
        return
    gone = []
    if kind not in _WITH_ADDRESS:
        gone += ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"]
    if not rules.externally_accessible(spec):
        gone.append("externalTrafficPolicy")
    if kind != "LoadBalancer":
        gone += ["allocateLoadBalancerNodePorts", "loadBalancerClass"]
    for name in gone:
        if name in spec and spec[name] == old.get(name):
            del spec[name]


def _chooses_itself(spec: Document) -> bool:
    """Whether the user makes the endpoints by hand, of any family."""
    return spec.get("clusterIP") == "None" and not spec.get("selector")


def _refused(obj: Document, cause: Cause) -> ApiError:
    return invalid("Service", obj["metadata"].get("name") or "", [cause])
