"""Giving out addresses and node ports: which item a Service gets, and why one that it asks for is refused.

An item that looks free is claimed (`claims.py`) before it counts; whoever was slower chooses another one.

Source: Kubernetes documentation, "Service"; registry/core/service/storage/alloc.go.
"""

from __future__ import annotations

import ipaddress
import itertools
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from k8slite.errors import ApiError, Cause, internal, invalid, invalid_value, service_unavailable

from ..storage.base import StoreUnavailable, Unless
from ..strategies.base import Context, Document
from ..validation import services as rules
from ..validation.service_addresses import validate_addresses_update
from . import families
from .claims import Claim, Claims
from .holdings import Holdings, Item, canonical, items_of
from .ranges import Ranges

_ATTEMPTS = 64
MOST_BOUND = 50
"""etcd takes 128 conditions in one transaction, and each claim needs two. Who takes more ports at once is bound to his
first claims, and else relies on the two minutes in which nobody takes a claim for abandoned."""
WITH_ADDRESS = ("ClusterIP", "NodePort", "LoadBalancer")
WITH_NODE_PORTS = ("NodePort", "LoadBalancer")


@dataclass(slots=True)
class Taking:
    """What one write of a Service takes. `own` is what it held before."""

    service: Document
    old: Document | None
    context: Context
    own: frozenset[Item]
    claims: list[Claim] = field(default_factory=list)
    items: set[Item] = field(default_factory=set)

    @property
    def bound(self) -> list[Unless]:
        """The Service is not written if somebody has taken its claims for abandoned."""
        return [Unless(claim.key, claim.revision, gone=True) for claim in self.claims[:MOST_BOUND]]


class Allocator:
    """Gives out the addresses of ranges, and the node ports of another."""

    def __init__(
        self, *, ranges: Ranges, node_ports: tuple[int, int], holdings: Holdings, claims: Claims, source: random.Random
    ) -> None:
        self._ranges = ranges
        self._node_ports = node_ports
        self._holdings = holdings
        self._claims = claims
        self._source = source

    async def allocate(self, service: Document, old: Document | None, context: Context) -> Taking:
        """Give a Service what it asks for and what it lacks. Raises ApiError; then nothing is taken."""
        own = frozenset(items_of(old)) if old is not None else frozenset()
        taking = Taking(service, old, context, own)
        try:
            await self._allocate(taking)
        except StoreUnavailable as error:
            await self.give_back(taking)
            raise service_unavailable(f"the store is not available: {error}") from error
        except BaseException:
            await self.give_back(taking)
            raise
        return taking

    async def give_back(self, taking: Taking) -> None:
        """The write failed: what it took is free again."""
        await self._claims.give_back(taking.claims)

    async def release(self, items: Iterable[Item], *, before: Document, now: datetime) -> None:
        """A Service, whose last state was `before`, no longer holds these."""
        await self._claims.release(items, before=int(before["metadata"]["resourceVersion"]), now=now)

    async def _allocate(self, taking: Taking) -> None:
        spec, old = taking.service["spec"], taking.old
        if spec["type"] in WITH_ADDRESS:
            await self._address(taking)
        if spec["type"] not in WITH_NODE_PORTS:
            for port in spec.get("ports") or ():
                held = {(port.get("protocol") or "TCP", port.get("nodePort"))}
                if old is not None and old["spec"].get("type") in WITH_NODE_PORTS and held <= taking.own:
                    port.pop("nodePort", None)
            return
        if rules.needs_health_check(spec):
            await self._health_check(taking)
        if spec["type"] == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False:
            return
        await self._ports(taking)

    async def _take(self, taking: Taking, item: Item) -> bool:
        """Whether an item is this Service's from now on: it was before, or nobody else had it."""
        if item in taking.own or item in taking.items:
            return True
        if self._holdings.holder(item):
            return False
        if not taking.context.dry_run:
            meta, context = taking.service["metadata"], taking.context
            name = meta.get("name") or meta.get("generateName") or ""
            claim = await self._claims.take(item, namespace=context.namespace, name=name, now=context.now)
            if claim is None:
                return False
            taking.claims.append(claim)
        taking.items.add(item)
        return True

    async def _address(self, taking: Taking) -> None:
        spec, old = taking.service["spec"], taking.old
        if causes := families.settle(spec, old["spec"] if old is not None else None, configured=self._ranges.families):
            raise invalid("Service", taking.service["metadata"].get("name") or "", causes)
        if old is not None and validate_addresses_update(spec, old["spec"]):
            return  # validation says what may not change
        wanted = list(spec.get("clusterIPs") or ())
        if wanted[:1] == ["None"]:
            spec["clusterIP"], spec["clusterIPs"] = "None", ["None"]
            return
        for index, family in enumerate(spec["ipFamilies"]):
            if index >= len(wanted):
                wanted.append(await self._any_address(taking, family))
            else:
                await self._wanted_address(taking, wanted[index], wanted)
        spec["clusterIP"], spec["clusterIPs"] = wanted[0], wanted

    async def _wanted_address(self, taking: Taking, wanted: str, together: list[str]) -> None:
        item = (canonical(wanted), 0)
        if item in taking.own:
            return
        try:
            address = ipaddress.ip_address(wanted)
        except ValueError:
            return  # validation says what is wrong with it
        usable = self._ranges.of(f"IPv{address.version}")
        if not any(address in network for network in usable):
            detail = (
                f"failed to allocate IP {wanted}: the provided IP ({wanted}) is not in the valid range. "
                f"The range of valid IPs is {', '.join(map(str, usable))}"
            )
        elif await self._take(taking, item):
            return
        else:
            detail = f"failed to allocate IP {wanted}: provided IP is already allocated"
        raise _refused(taking.service, invalid_value("spec.clusterIPs", together, detail))

    async def _any_address(self, taking: Taking, family: str) -> str:
        for network in self._ranges.of(family):
            for offset in self._offsets(self._ranges.offsets(network)):
                candidate = str(network[offset])
                if await self._take(taking, (candidate, 0)):
                    return candidate
        raise internal("failed to allocate a serviceIP: range is full")

    def _offsets(self, there: range) -> Iterator[int]:
        """Numbers of addresses to try; the low ones are left to those who choose by hand."""
        if not there:
            return
        size, first = there[-1], there[0]
        lower = min(max(16, size // 16), 256) + 1 if size > 32 else first
        for low in (lower, first):
            for _ in range(_ATTEMPTS):
                yield self._source.randint(low, size)
        yield from there

    async def _health_check(self, taking: Taking) -> None:
        """Give a balanced Service the port at which its nodes tell whether they have endpoints. Raises ApiError."""
        spec, field = taking.service["spec"], "spec.healthCheckNodePort"
        number = spec.get("healthCheckNodePort") or 0
        if not number:
            spec["healthCheckNodePort"] = await self._any_port(taking, "TCP")
        elif ("TCP", number) in taking.own:
            return
        elif cause := self._out_of_range(field, number):
            raise _refused(taking.service, cause)
        elif not await self._take(taking, ("TCP", number)):
            detail = f"failed to allocate requested HealthCheck NodePort {number}: provided port is already allocated"
            raise internal(detail)

    async def _ports(self, taking: Taking) -> None:
        spec = taking.service["spec"]
        given: set[Item] = {("TCP", spec["healthCheckNodePort"])} if spec.get("healthCheckNodePort") else set()
        ports = spec.get("ports") or []
        for index, port in enumerate(ports):
            number, protocol = port.get("nodePort") or 0, port["protocol"]
            field = f"spec.ports[{index}].nodePort"
            if number:
                if cause := self._out_of_range(field, number):
                    raise _refused(taking.service, cause)
                if (protocol, number) in given or not await self._take(taking, (protocol, number)):
                    cause = invalid_value(field, number, "provided port is already allocated")
                    raise _refused(taking.service, cause)
            else:
                number = await self._shared_port(taking, ports[:index] + ports[index + 1 :], port, given)
                port["nodePort"] = number
            given.add((protocol, number))

    async def _shared_port(self, taking: Taking, others: list[Document], port: Document, given: set[Item]) -> int:
        """A node port; ports of one number in several protocols share theirs, as DNS over TCP and UDP does."""
        protocol = port["protocol"]
        for other in others:
            number = int(other.get("nodePort") or 0)
            if other.get("port") == port.get("port") and number and (protocol, number) not in given:
                if await self._take(taking, (protocol, number)):
                    return number
                break
        return await self._any_port(taking, protocol)

    async def _any_port(self, taking: Taking, protocol: str) -> int:
        first, last = self._node_ports
        candidates: list[int] = [self._source.randint(first, last) for _ in range(_ATTEMPTS)]
        for number in itertools.chain(candidates, range(first, last + 1)):
            item = (protocol, number)
            if item not in taking.items and item not in taking.own and await self._take(taking, item):
                return number
        raise internal("failed to allocate a nodePort: range is full")

    def _out_of_range(self, field: str, number: int) -> Cause | None:
        first, last = self._node_ports
        if first <= number <= last:
            return None
        detail = f"provided port is not in the valid range. The range of valid ports is {first}-{last}"
        return invalid_value(field, number, detail)


def _refused(service: Document, cause: Cause) -> ApiError:
    return invalid("Service", service["metadata"].get("name") or "", [cause])
