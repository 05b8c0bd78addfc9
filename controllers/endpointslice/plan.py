"""From a Service and its pods to EndpointSlices, changing as few slices as possible.

An endpoint stays in the slice where it is. Only slices whose content differs are written.

Source: Kubernetes documentation, "EndpointSlices".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from k8slite.kinds.base import Model
from k8slite.kinds.core import ObjectReference, Service, ServicePort
from k8slite.kinds.discovery import Endpoint, EndpointConditions, EndpointSlice, EndpointSlicePort

from ..pods import Pod

MAX_ENDPOINTS = 100
"""Endpoints in a slice at most."""

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"

Ports = tuple[EndpointSlicePort, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """What a slice is to hold."""

    address_type: str
    ports: Ports
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What one sync writes."""

    create: tuple[Content, ...]
    update: tuple[tuple[EndpointSlice, Content], ...]
    delete: tuple[EndpointSlice, ...]


def plan(
    *,
    service: Service,
    pods: Iterable[Pod],
    slices: Sequence[EndpointSlice],
    labels: Mapping[str, str],
    zone: Callable[[str], str | None],
) -> Plan:
    """Decide for one Service; `slices` are those that this controller manages for it, `labels` what they must carry.

    A Service without any endpoint keeps one empty slice, so that readers can tell "none" from "not yet".
    """
    groups: dict[tuple[str, Ports], list[Endpoint]] = defaultdict(list)
    families = _families(service)
    for pod in pods:
        if not belongs(pod):
            continue
        ports = resolve_ports(service.spec.ports, pod)
        for family in families:
            if (address := _address(pod, family)) is not None:
                groups[family, ports].append(endpoint(service, pod, address=address, zone=zone(pod.spec.node_name)))
    for family in families:
        if not any(key[0] == family for key in groups):
            groups[family, ()] = []
    create: list[Content] = []
    update: list[tuple[EndpointSlice, Content]] = []
    delete: list[EndpointSlice] = []
    present: dict[tuple[str, Ports], list[EndpointSlice]] = defaultdict(list)
    for item in slices:
        present[item.address_type, tuple(item.ports)].append(item)
    for (family, ports), wanted in groups.items():
        _fill(family, ports, wanted, present.pop((family, ports), []), labels, create, update, delete)
    for left in present.values():
        delete += left
    return _reuse(create, update, delete)


def _reuse(
    create: Sequence[Content], update: Sequence[tuple[EndpointSlice, Content]], delete: Sequence[EndpointSlice]
) -> Plan:
    """Turn slices that would go into those that would come: one write for two, and no moment without either."""
    changed, new, spare = list(update), [], list(delete)
    for content in create:
        fit = next((item for item in spare if item.address_type == content.address_type), None)
        if fit is None:
            new.append(content)
        else:
            spare.remove(fit)
            changed.append((fit, content))
    return Plan(tuple(new), tuple(changed), tuple(spare))


def _fill(
    family: str,
    ports: Ports,
    wanted: Sequence[Endpoint],
    present: Sequence[EndpointSlice],
    labels: Mapping[str, str],
    create: list[Content],
    update: list[tuple[EndpointSlice, Content]],
    delete: list[EndpointSlice],
) -> None:
    """Place the endpoints of one group of ports: where they are, then where there is room, then in new slices."""
    missing = {_identity(item): item for item in wanted}
    kept: list[tuple[EndpointSlice, list[Endpoint]]] = []
    for slice_ in present:
        stay: list[Endpoint] = []
        for old in slice_.endpoints:
            item = missing.pop(_identity(old), None)
            if item is not None and len(stay) < MAX_ENDPOINTS:
                stay.append(item)
            elif item is not None:
                missing[_identity(old)] = item
        kept.append((slice_, stay))
    rest = list(missing.values())
    for slice_, stay in kept:
        room = MAX_ENDPOINTS - len(stay)
        stay += rest[:room]
        del rest[:room]
        if not stay and (wanted or slice_ is not present[0]):
            delete.append(slice_)
        elif stay != slice_.endpoints or labels != slice_.metadata.labels:
            update.append((slice_, Content(family, ports, tuple(stay))))
    starts = range(0, len(rest), MAX_ENDPOINTS) if rest else range(0 if present else 1)
    for start in starts:
        create.append(Content(family, ports, tuple(rest[start : start + MAX_ENDPOINTS])))


def _identity(item: Endpoint) -> tuple[str, ...]:
    return (item.target_ref.uid if item.target_ref else "", *item.addresses)


def belongs(pod: Pod) -> bool:
    """Whether the pod can be an endpoint at all; terminating ones still are, marked as such."""
    return bool(pod.status.pod_ip) and not pod.finished


def endpoint(service: Service, pod: Pod, *, address: str, zone: str | None) -> Endpoint:
    """The endpoint of a pod. Ready is what a proxy may use; serving tells of a terminating pod that still answers."""
    serving = pod.ready
    ready = service.spec.publish_not_ready_addresses or (serving and not pod.deleting)
    named = bool(pod.spec.hostname) and pod.spec.subdomain == service.name
    return Endpoint(
        addresses=[address],
        conditions=EndpointConditions(ready=ready, serving=serving, terminating=pod.deleting),
        hostname=pod.spec.hostname if named else None,
        target_ref=ObjectReference(kind="Pod", namespace=pod.namespace, name=pod.name, uid=pod.uid),
        node_name=pod.spec.node_name or None,
        zone=zone,
    )


def resolve_ports(ports: Iterable[ServicePort], pod: Pod) -> Ports:
    """The pod's numbers for the Service's ports; a name that the pod does not know is left out."""
    found = []
    for port in ports:
        number = target_port(port, pod)
        if number is not None:
            found.append(
                EndpointSlicePort(name=port.name, protocol=port.protocol, port=number, app_protocol=port.app_protocol)
            )
    return tuple(found)


def target_port(port: ServicePort, pod: Pod) -> int | None:
    """The number behind a `targetPort`: itself, the port's own, or that of the container port so named."""
    target = port.target_port
    if isinstance(target, int):
        return target or port.port
    if not target:
        return port.port
    containers = [*pod.spec.containers, *(c for c in pod.spec.init_containers if c.restart_policy == "Always")]
    for container in containers:
        for offered in container.ports:
            if offered.name == target and offered.protocol == port.protocol:
                return offered.container_port
    return None


def _families(service: Service) -> list[str]:
    return service.spec.ip_families or ["IPv6" if ":" in service.spec.cluster_ip else "IPv4"]


def _address(pod: Pod, family: str) -> str | None:
    candidates = [item.ip for item in pod.status.pod_ips] or [pod.status.pod_ip]
    return next((ip for ip in candidates if (":" in ip) == (family == "IPv6")), None)


def slice_labels(service: Service) -> dict[str, str]:
    """The labels of a Service's slices: the Service's own and those that say whose they are."""
    own = {
        key: value for key, value in service.metadata.labels.items() if key not in (SERVICE_NAME, MANAGED_BY, HEADLESS)
    }
    return own | {SERVICE_NAME: service.name, MANAGED_BY: MANAGER} | ({HEADLESS: ""} if service.headless else {})


def to_wire(content: Content) -> dict[str, Any]:
    """The fields of an EndpointSlice."""
    return {
        "addressType": content.address_type,
        "ports": [_wire(port) for port in content.ports],
        "endpoints": [_wire(item) for item in content.endpoints],
    }


def _wire(model: Model) -> dict[str, Any]:
    return model.to_wire()
