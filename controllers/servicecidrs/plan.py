"""What becomes of a ServiceCIDR: pure.

It carries a finalizer while it is in use. One that is being deleted goes when no address of a Service would be without
a range, and not before every API server had time to hear that it gives out no more.

Source: KEP-1880, Multiple Service CIDRs; pkg/controller/servicecidrs.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from k8slite.clock import timestamp
from k8slite.kinds.networking import IP_ALLOCATOR, MANAGED_BY, SERVICE_CIDR_FINALIZER, IPAddress, ServiceCIDR

GRACE = timedelta(seconds=10)
READY = "Ready"
_READY_MESSAGE = "Kubernetes Service CIDR is ready"
_BLOCKED_MESSAGE = (
    "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write: finalizers and condition if they are to change; and when to look again, in seconds."""

    finalizers: tuple[str, ...] | None = None
    condition: dict[str, Any] | None = None
    after: float | None = None


def plan(cidr: ServiceCIDR, *, others: Iterable[ServiceCIDR], addresses: Iterable[IPAddress], now: datetime) -> Plan:
    """Decide for one range; `addresses` are only asked for where it is being deleted."""
    own = tuple(cidr.metadata.finalizers)
    if cidr.metadata.deletion_timestamp is None:
        finalizers = None if SERVICE_CIDR_FINALIZER in own else (*own, SERVICE_CIDR_FINALIZER)
        return Plan(finalizers, _condition(cidr, status="True", reason="", message=_READY_MESSAGE, now=now))
    if SERVICE_CIDR_FINALIZER not in own:
        return Plan()
    if needed(cidr, others=others, addresses=addresses):
        return Plan(condition=_condition(cidr, status="False", reason="Terminating", message=_BLOCKED_MESSAGE, now=now))
    left = (cidr.metadata.deletion_timestamp + GRACE - now).total_seconds()
    if left > 0:
        return Plan(after=left)
    return Plan(tuple(name for name in own if name != SERVICE_CIDR_FINALIZER))


def needed(cidr: ServiceCIDR, *, others: Iterable[ServiceCIDR], addresses: Iterable[IPAddress]) -> bool:
    """Whether some address of a Service is in this range and in no other that stays."""
    staying = [network for other in others if not other.deleting and other.uid != cidr.uid for network in ranges(other)]
    alone = [mine for mine in ranges(cidr) if not any(_within(mine, network) for network in staying)]
    if not alone:
        return False
    for item in addresses:
        if item.metadata.labels.get(MANAGED_BY) != IP_ALLOCATOR:
            continue
        try:
            address = ipaddress.ip_address(item.name)
        except ValueError:
            continue
        if any(address in network for network in alone) and not any(address in network for network in staying):
            return True
    return False


def ranges(cidr: ServiceCIDR) -> list[Network]:
    """The ranges of an object; what is none is left out."""
    found: list[Network] = []
    for text in cidr.spec.cidrs:
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError:
            continue
    return found


def _within(inner: Network, outer: Network) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _condition(cidr: ServiceCIDR, *, status: str, reason: str, message: str, now: datetime) -> dict[str, Any] | None:
    """The condition to write, None if it stands as it should."""
    present = next((item for item in cidr.status.conditions if item.type == READY), None)
    if present is not None and present.status == status and (present.reason == reason or status == "True"):
        return None
    return {
        "type": READY,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": timestamp(now),
    }
