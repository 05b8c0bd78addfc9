"""From a Service and its pods to the endpoints that it should have, by address family and by ports: pure.

Source: Kubernetes documentation, "EndpointSlices" and "Traffic distribution"; k8s.io/endpointslice/utils.go.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from k8slite.kinds.core import Service, ServicePort

from ..pods import Pod
from .model import Conditions, Endpoint, Port, Ports, Target, hints

NodeZone = Callable[[str], str | None]
"""The zone of a node: empty if it has none, None if there is no such node."""

PREFER_SAME_NODE = "PreferSameNode"
_CLOSE = ("PreferClose", "PreferSameZone", PREFER_SAME_NODE)

Groups = dict[frozenset[Port], tuple[Ports, dict[str, Endpoint]]]
"""By the ports that they share: those in the Service's order, and the endpoints by their pods' UIDs."""

_Known = tuple[Pod, str | None, Ports, Endpoint | None]
"""A pod as it was, the zone of its node, and what came of them."""

_CONDITIONS = {
    (ready, serving, leaving): Conditions(ready, serving, leaving)
    for ready in (False, True)
    for serving in (False, True)
    for leaving in (False, True)
}


@dataclass(slots=True)
class Memory:
    """What came of each pod in the last turn of one Service: the same pod on the same node gives the same endpoint.

    A turn over thousands of pods is then as long as what changed takes, and a microsecond for each that did not.
    """

    service: Service | None = None
    families: dict[str, dict[str, _Known]] = field(default_factory=dict)

    def of(self, service: Service, family: str) -> dict[str, _Known]:
        """What is known by the UIDs of pods; nothing if the Service is not what it was."""
        if self.service is not service:
            self.service, self.families = service, {}
        return self.families.get(family, {})


def desired(
    service: Service, pods: Iterable[Pod], *, family: str, zone: NodeZone, hinted: bool, memory: Memory
) -> Groups:
    """The endpoints of one family; `hinted` if `trafficDistribution` says who gets what traffic.

    A pod whose node is gone is left out, but where everything is published, ready or not.
    """
    maker = _Maker(service, family=family, hinted=hinted)
    before, now = memory.of(service, family), {}
    groups: Groups = {}
    last: Ports | None = None
    members: dict[str, Endpoint] = {}
    for pod in pods:
        uid, where = pod.metadata.uid, zone(pod.spec.node_name)
        known = before.get(uid)
        if known is None or known[0] is not pod or known[1] != where:
            known = (pod, where, *maker.endpoint(pod, where))
        now[uid] = known
        _, _, ports, endpoint = known
        if endpoint is None:
            continue
        if ports is not last:
            last = ports
            members = groups.setdefault(frozenset(ports), (ports, {}))[1]
        members[uid] = endpoint
    memory.families[family] = now
    return groups


class _Maker:
    """Makes the endpoints of one Service in one family."""

    def __init__(self, service: Service, *, family: str, hinted: bool) -> None:
        self._service = service
        self._hinted = hinted
        self._anyway = service.spec.publish_not_ready_addresses
        self._same_node = service.spec.traffic_distribution == PREFER_SAME_NODE
        self._version = socket.AF_INET6 if family == "IPv6" else socket.AF_INET
        named = any(isinstance(port.target_port, str) for port in service.spec.ports)
        self._fixed = None if named else _fixed(service)

    def endpoint(self, pod: Pod, zone: str | None) -> tuple[Ports, Endpoint | None]:
        """The endpoint of a pod and its ports; None if it is not to have one."""
        if not belongs(pod) or (zone is None and not self._anyway):
            return (), None
        addresses = _addresses(pod, self._version)
        if not addresses:
            return (), None
        where, node = zone or None, pod.spec.node_name or None
        serving, leaving = pod.ready, pod.deleting
        ready = self._anyway or (serving and not leaving)
        made = Endpoint(
            addresses,
            _CONDITIONS[ready, serving, leaving],
            pod.spec.hostname if pod.spec.hostname and pod.spec.subdomain == self._service.name else None,
            Target("Pod", pod.namespace, pod.name, pod.uid),
            node,
            where,
            hints(where, node if self._same_node else None) if self._hinted and ready else None,
        )
        return self._fixed if self._fixed is not None else resolve(self._service.spec.ports, pod), made


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
