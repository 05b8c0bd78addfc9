"""From a Service and its pods to the endpoints that it should have, by address family and by ports: pure.

Source: Kubernetes documentation, "EndpointSlices" and "Traffic distribution"; k8s.io/endpointslice/utils.go.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable

from k8slite.kinds.core import Service, ServicePort

from ..pods import Pod
from .model import Conditions, Endpoint, Port, Ports, Target, hints

NodeZone = Callable[[str], str | None]
"""The zone of a node: empty if it has none, None if there is no such node."""

PREFER_SAME_NODE = "PreferSameNode"
_CLOSE = ("PreferClose", "PreferSameZone", PREFER_SAME_NODE)

Groups = dict[frozenset[Port], tuple[Ports, dict[str, Endpoint]]]
"""By the ports that they share: those in the Service's order, and the endpoints by their pods' UIDs."""

_CONDITIONS = {
    (ready, serving, leaving): Conditions(ready, serving, leaving)
    for ready in (False, True)
    for serving in (False, True)
    for leaving in (False, True)
}


def desired(service: Service, pods: Iterable[Pod], *, family: str, zone: NodeZone, hinted: bool) -> Groups:
    """The endpoints of one family; `hinted` if `trafficDistribution` says who gets what traffic.

    A pod whose node is gone is left out, but where everything is published, ready or not.
    """
    groups: Groups = {}
    group: tuple[Ports, dict[str, Endpoint]] | None = None
    anyway = service.spec.publish_not_ready_addresses
    fixed = None if any(isinstance(port.target_port, str) for port in service.spec.ports) else _fixed(service)
    same_node = service.spec.traffic_distribution == PREFER_SAME_NODE
    version = socket.AF_INET6 if family == "IPv6" else socket.AF_INET
    for pod in pods:
        if not belongs(pod):
            continue
        node_name = pod.spec.node_name
        found = zone(node_name)
        if found is None and not anyway:
            continue
        addresses = _addresses(pod, version)
        if not addresses:
            continue
        where = found or None
        serving, leaving = pod.ready, pod.deleting
        ready = anyway or (serving and not leaving)
        if fixed is None or group is None:
            ports = fixed if fixed is not None else resolve(service.spec.ports, pod)
            group = groups.setdefault(frozenset(ports), (ports, {}))
        group[1][pod.uid] = Endpoint(
            addresses,
            _CONDITIONS[ready, serving, leaving],
            pod.spec.hostname if pod.spec.hostname and pod.spec.subdomain == service.name else None,
            Target("Pod", pod.namespace, pod.name, pod.uid),
            node_name or None,
            where,
            hints(where, (node_name or None) if same_node else None) if hinted and ready else None,
        )
    return groups


def families(service: Service) -> list[str]:
    """The address families of a Service."""
    return service.spec.ip_families or ["IPv6" if ":" in service.spec.cluster_ip else "IPv4"]


def distributes(service: Service) -> bool:
    """Whether `spec.trafficDistribution` asks for hints."""
    return service.spec.traffic_distribution in _CLOSE


def belongs(pod: Pod) -> bool:
    """Whether the pod can be an endpoint at all; terminating ones still are, marked as such."""
    return bool(pod.status.pod_ip or pod.status.pod_ips) and not pod.finished


def resolve(ports: Iterable[ServicePort], pod: Pod) -> Ports:
    """The pod's numbers for the Service's ports; a name that the pod does not know is left out."""
    found = ((port, target_port(port, pod)) for port in ports)
    return tuple(Port(port.name, port.protocol, number, port.app_protocol) for port, number in found if number)


def target_port(port: ServicePort, pod: Pod) -> int | None:
    """The number behind a `targetPort`: itself, the port's own, or that of the container port so named."""
    target = port.target_port
    if not isinstance(target, str) or not target:
        return target or port.port if not isinstance(target, str) else port.port
    containers = [*pod.spec.containers, *(c for c in pod.spec.init_containers if c.restart_policy == "Always")]
    for container in containers:
        for offered in container.ports:
            if offered.name == target and offered.protocol == port.protocol:
                return offered.container_port
    return None


def _fixed(service: Service) -> Ports:
    """The ports where no pod has a say in them."""
    return tuple(
        Port(port.name, port.protocol, int(port.target_port or port.port), port.app_protocol)
        for port in service.spec.ports
    )


def _addresses(pod: Pod, version: int) -> tuple[str, ...]:
    """The pod's addresses of a family, each in its one form; what is none is left out, lest the API refuse the rest."""
    sixth = version == socket.AF_INET6
    given = [item.ip for item in pod.status.pod_ips] or [pod.status.pod_ip]
    return tuple(ip for ip in (_canonical(ip, version) for ip in given if (":" in ip) is sixth) if ip)


def _canonical(ip: str, version: int) -> str:
    try:
        packed = socket.inet_pton(version, ip)
    except OSError:
        return ""
    return ip if version == socket.AF_INET else socket.inet_ntop(version, packed)
