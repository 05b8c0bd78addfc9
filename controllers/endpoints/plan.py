"""From a Service and its pods to the older Endpoints object, for clients that still read it: pure.

Source: Kubernetes documentation, "Endpoints"; pkg/controller/endpoint and pkg/api/v1/endpoints (RepackSubsets).
"""

from __future__ import annotations

import math
import socket
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from k8slite.kinds.core import Service

from ..endpointslice.desired import belongs, families, resolve
from ..endpointslice.model import Ports, Target
from ..pods import Pod
from .model import Address, Subset

MAX_ADDRESSES = 1000
MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
HEADLESS = "service.kubernetes.io/headless"
OVER_CAPACITY, TRUNCATED = "endpoints.kubernetes.io/over-capacity", "truncated"
LEADER = "control-plane.alpha.kubernetes.io/leader"
"""The annotation of Endpoints that are no endpoints but a lock for leader election."""


def subsets(service: Service, pods: Iterable[Pod]) -> list[Subset]:
    """Addresses grouped by the ports that they share, ready ones apart from the rest; sorted, so that equal is equal.

    Only addresses of the Service's first family. A terminating pod is listed only for a Service that publishes whatever
    there is.
    """
    anyway = service.spec.publish_not_ready_addresses
    sixth = families(service)[0] == "IPv6"
    named = any(isinstance(port.target_port, str) for port in service.spec.ports)
    ports: Ports | None = None
    groups: dict[Ports, tuple[list[Address], list[Address]]] = defaultdict(lambda: ([], []))
    for pod in pods:
        if not belongs(pod) or (pod.deleting and not anyway):
            continue
        given = [item.ip for item in pod.status.pod_ips] or [pod.status.pod_ip]
        ip = next((ip for ip in given if (":" in ip) is sixth), "")
        if not ip:
            continue
        if named or ports is None:
            ports = tuple(sorted(resolve(service.spec.ports, pod), key=lambda port: (port.name, port.port)))
            group = groups[ports]
        group[0 if anyway or pod.ready else 1].append(_address(service, pod, ip))
    order = _order(socket.AF_INET6 if sixth else socket.AF_INET)
    made = [
        Subset(tuple(sorted(ready, key=order)), tuple(sorted(not_ready, key=order)), ports)
        for ports, (ready, not_ready) in groups.items()
        if ports or (service.headless and not service.spec.ports)
    ]
    return sorted(made, key=lambda subset: [(port.name, port.port or 0) for port in subset.ports])


def truncate(subsets: Sequence[Subset]) -> tuple[list[Subset], bool]:
    """No more than 1,000 addresses, ready ones first and by each subset's share; and whether any was left out."""
    ready = sum(len(subset.addresses) for subset in subsets)
    rest = sum(len(subset.not_ready_addresses) for subset in subsets)
    if ready + rest <= MAX_ADDRESSES:
        return list(subsets), False
    full = ready > MAX_ADDRESSES
    room, total = (MAX_ADDRESSES, ready) if full else (MAX_ADDRESSES - ready, rest)
    left = room
    cut: list[Subset] = []
    for subset in subsets:
        count = len(subset.addresses if full else subset.not_ready_addresses)
        share = min(math.ceil(count * room / total), left)
        left -= min(share, count)
        if full:
            cut.append(replace(subset, addresses=subset.addresses[:share], not_ready_addresses=()))
        else:
            cut.append(replace(subset, not_ready_addresses=subset.not_ready_addresses[:share]))
    return [subset for subset in cut if subset.addresses or subset.not_ready_addresses], True


def labels(service: Service) -> dict[str, str]:
    """The labels of the Endpoints object."""
    own = {key: value for key, value in service.metadata.labels.items() if key not in (MANAGED_BY, HEADLESS)}
    return own | {MANAGED_BY: MANAGER} | ({HEADLESS: ""} if service.headless else {})


def _address(service: Service, pod: Pod, ip: str) -> Address:
    named = pod.spec.hostname and pod.spec.subdomain == service.name
    target = Target("Pod", pod.namespace, pod.name, pod.uid)
    return Address(ip, pod.spec.hostname if named else "", pod.spec.node_name or None, target)


def _order(version: int) -> Callable[[Address], tuple[bytes, str]]:
    """The order of numbers, and of UIDs for those that share an address."""

    def order(address: Address) -> tuple[bytes, str]:
        try:
            packed = socket.inet_pton(version, address.ip)
        except OSError:
            packed = address.ip.encode()
        return packed, address.target_ref.uid if address.target_ref else ""

    return order
