"""From a Service and its pods to the older Endpoints object, for clients that still read it: pure.

Source: Kubernetes documentation, "Endpoints"; pkg/controller/endpoint and pkg/api/v1/endpoints (RepackSubsets).
"""

from __future__ import annotations

import ipaddress
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from k8slite.kinds.core import EndpointAddress, EndpointPort, EndpointSubset, ObjectReference, Service, ServicePort

from ..endpointslice.desired import belongs, families, target_port
from ..pods import Pod

MAX_ADDRESSES = 1000
MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
HEADLESS = "service.kubernetes.io/headless"
OVER_CAPACITY, TRUNCATED = "endpoints.kubernetes.io/over-capacity", "truncated"
LEADER = "control-plane.alpha.kubernetes.io/leader"
"""The annotation of Endpoints that are no endpoints but a lock for leader election."""

Ports = tuple[EndpointPort, ...]


def subsets(service: Service, pods: Iterable[Pod]) -> list[EndpointSubset]:
    """Addresses grouped by the ports that they share, ready ones apart from the rest; sorted, so that equal is equal.

    Only addresses of the Service's first family. A terminating pod is listed only for a Service that publishes whatever
    there is.
    """
    anyway = service.spec.publish_not_ready_addresses
    sixth = families(service)[0] == "IPv6"
    fixed = None if any(isinstance(port.target_port, str) for port in service.spec.ports) else service.spec.ports
    same: Ports | None = None
    groups: dict[Ports, tuple[list[EndpointAddress], list[EndpointAddress]]] = defaultdict(lambda: ([], []))
    for pod in pods:
        if not belongs(pod) or (pod.deleting and not anyway):
            continue
        given = [item.ip for item in pod.status.pod_ips] or [pod.status.pod_ip]
        ip = next((ip for ip in given if (":" in ip) is sixth), "")
        if not ip:
            continue
        if fixed is None or same is None:
            same = _ports(service.spec.ports, pod)
        ready, not_ready = groups[same]
        (ready if anyway or pod.ready else not_ready).append(_address(service, pod, ip))
    made = [
        EndpointSubset(
            addresses=sorted(ready, key=_order), not_ready_addresses=sorted(not_ready, key=_order), ports=list(ports)
        )
        for ports, (ready, not_ready) in groups.items()
        if ports or (service.headless and not service.spec.ports)
    ]
    return sorted(made, key=lambda subset: [(port.name, port.port) for port in subset.ports])


def truncate(subsets: Sequence[EndpointSubset]) -> tuple[list[EndpointSubset], bool]:
    """No more than 1,000 addresses, ready ones first and by each subset's share; and whether any was left out."""
    ready = sum(len(subset.addresses) for subset in subsets)
    rest = sum(len(subset.not_ready_addresses) for subset in subsets)
    if ready + rest <= MAX_ADDRESSES:
        return list(subsets), False
    full = ready > MAX_ADDRESSES
    room, total = (MAX_ADDRESSES, ready) if full else (MAX_ADDRESSES - ready, rest)
    left, cut = room, []
    for subset in subsets:
        count = len(subset.addresses if full else subset.not_ready_addresses)
        share = min(math.ceil(count * room / total), left)
        left -= min(share, count)
        if full:
            changed = {"addresses": subset.addresses[:share], "not_ready_addresses": []}
        else:
            changed = {"not_ready_addresses": subset.not_ready_addresses[:share]}
        cut.append(subset.model_copy(update=changed))
    return [subset for subset in cut if subset.addresses or subset.not_ready_addresses], True


def labels(service: Service) -> dict[str, str]:
    """The labels of the Endpoints object."""
    own = {key: value for key, value in service.metadata.labels.items() if key not in (MANAGED_BY, HEADLESS)}
    return own | {MANAGED_BY: MANAGER} | ({HEADLESS: ""} if service.headless else {})


def to_wire(made: Iterable[EndpointSubset]) -> list[dict[str, Any]]:
    """The field `subsets`."""
    return [{key: value for key, value in subset.to_wire().items() if value} for subset in made]


def _address(service: Service, pod: Pod, ip: str) -> EndpointAddress:
    named = bool(pod.spec.hostname) and pod.spec.subdomain == service.name
    fields: dict[str, Any] = {"hostname": pod.spec.hostname} if named else {}
    if pod.spec.node_name:
        fields["node_name"] = pod.spec.node_name
    return EndpointAddress(
        ip=ip,
        target_ref=ObjectReference(kind="Pod", namespace=pod.namespace, name=pod.name, uid=pod.uid),
        **fields,
    )


def _order(address: EndpointAddress) -> tuple[bytes, str]:
    try:
        return ipaddress.ip_address(address.ip).packed, address.target_ref.uid if address.target_ref else ""
    except ValueError:
        return address.ip.encode(), ""


def _ports(ports: Iterable[ServicePort], pod: Pod) -> Ports:
    found = []
    for port in ports:
        number = target_port(port, pod)
        if number:
            fields: dict[str, Any] = {"name": port.name} if port.name else {}
            if port.app_protocol is not None:
                fields["app_protocol"] = port.app_protocol
            found.append(EndpointPort(port=number, protocol=port.protocol, **fields))
    return tuple(sorted(found, key=lambda item: (item.name, item.port)))
