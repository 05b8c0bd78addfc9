"""From a Service and its pods to the older Endpoints object, for clients that still read it.

Source: Kubernetes documentation, "Endpoints".
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from k8slite.kinds.core import EndpointAddress, EndpointPort, EndpointSubset, ObjectReference, Service, ServicePort

from ..endpointslice.plan import target_port
from ..pods import Pod

MAX_ADDRESSES = 1000
MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
HEADLESS = "service.kubernetes.io/headless"

Ports = tuple[EndpointPort, ...]


def subsets(service: Service, pods: Iterable[Pod]) -> list[EndpointSubset]:
    """Addresses grouped by the ports that they share, ready ones apart from the rest; sorted, so that equal is equal.

    A terminating pod is listed only for a Service that publishes whatever there is.
    """
    anyway = service.spec.publish_not_ready_addresses
    groups: dict[Ports, tuple[list[EndpointAddress], list[EndpointAddress]]] = defaultdict(lambda: ([], []))
    listed = (pod for pod in pods if pod.status.pod_ip and not pod.finished and (anyway or not pod.deleting))
    for pod in itertools.islice(listed, MAX_ADDRESSES):
        ready, not_ready = groups[_ports(service.spec.ports, pod)]
        (ready if anyway or pod.ready else not_ready).append(_address(service, pod))
    made = [
        EndpointSubset(
            addresses=sorted(ready, key=lambda a: a.ip),
            not_ready_addresses=sorted(not_ready, key=lambda a: a.ip),
            ports=list(ports),
        )
        for ports, (ready, not_ready) in groups.items()
        if ports or service.headless
    ]
    return sorted(made, key=lambda subset: [(port.name, port.port) for port in subset.ports])


def labels(service: Service) -> dict[str, str]:
    """The labels of the Endpoints object."""
    own = {key: value for key, value in service.metadata.labels.items() if key not in (MANAGED_BY, HEADLESS)}
    return own | {MANAGED_BY: MANAGER} | ({HEADLESS: ""} if service.headless else {})


def to_wire(made: Iterable[EndpointSubset]) -> list[dict[str, Any]]:
    """The field `subsets`."""
    return [{key: value for key, value in subset.to_wire().items() if value} for subset in made]


def _address(service: Service, pod: Pod) -> EndpointAddress:
    named = bool(pod.spec.hostname) and pod.spec.subdomain == service.name
    fields: dict[str, Any] = {"hostname": pod.spec.hostname} if named else {}
    return EndpointAddress(
        ip=pod.status.pod_ip,
        node_name=pod.spec.node_name or None,
        target_ref=ObjectReference(kind="Pod", namespace=pod.namespace, name=pod.name, uid=pod.uid),
        **fields,
    )


def _ports(ports: Iterable[ServicePort], pod: Pod) -> Ports:
    found = []
    for port in ports:
        number = target_port(port, pod)
        if number is not None:
            fields: dict[str, Any] = {"name": port.name} if port.name else {}
            found.append(EndpointPort(port=number, protocol=port.protocol, **fields))
    return tuple(sorted(found, key=lambda item: (item.name, item.port)))
