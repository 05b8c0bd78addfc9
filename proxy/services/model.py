"""From Services and EndpointSlices to what the kernel is to do: pure, and independent of nftables.

A *frontend* is something a client may dial: a virtual address and port, or a port on every local address (NodePort). A
*target* is what happens then: one of several endpoints, or a refusal. Each Service is worked out for itself, so that a
change costs what the change is worth, not what the cluster is worth.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from k8slite.kinds.core import Service, ServicePort
from k8slite.kinds.discovery import Endpoint as SliceEndpoint
from k8slite.kinds.discovery import EndpointSlice

_NAME = re.compile(r"[a-z0-9-]+/[a-z0-9.-]+")
"""What becomes part of a script is checked once more here, like every address, whoever let it into the store."""
_SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_PROTOCOLS = {"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}


@dataclass(frozen=True, slots=True, order=True)
class Frontend:
    """What a client dials; an empty address is every local address."""

    address: str
    protocol: str
    port: int
    inside: bool = False
    """For pods and programs of this machine only, where the rest of the world gets something else."""


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """Where a connection ends up."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Target:
    """What becomes of a connection. `refusal` holds when there are no endpoints."""

    name: str
    """Unique among the targets of a cluster: `namespace/service/protocol/port`, and `/local` if it is so limited."""
    endpoints: tuple[Endpoint, ...]
    affinity: int = 0
    """Seconds for which a client stays with its endpoint; 0 is no affinity."""
    refusal: Literal["reject", "drop"] = "reject"
    sources: tuple[str, ...] = ()
    """Networks whose clients may connect; none means everybody's."""


def frontends(
    service: Service, slices: Iterable[EndpointSlice], *, nodes: Collection[str]
) -> Mapping[Frontend, Target]:
    """Every frontend of a Service. `nodes` are the nodes of this machine, whose endpoints count as local."""
    spec = service.spec
    if spec.type == "ExternalName" or service.headless or not _NAME.fullmatch(f"{service.namespace}/{service.name}"):
        return {}
    usable = [piece for piece in slices if piece.address_type == "IPv4"]
    internal = {address for address in (spec.cluster_ip, *spec.cluster_ips) if _is_ipv4(address)}
    external = {address for address in spec.external_ips if _is_ipv4(address)}
    balanced = _balanced(service)
    sources = _sources(service) if balanced else ()
    result: dict[Frontend, Target] = {}
    for port in spec.ports:
        protocol = _PROTOCOLS.get(port.protocol)
        if protocol is None:
            continue
        inside = _target(service, port, usable, nodes=nodes, local=spec.internal_traffic_policy == "Local")
        outside = _target(service, port, usable, nodes=nodes, local=spec.external_traffic_policy == "Local")
        for address in external:
            result[Frontend(address, protocol, port.port)] = outside
        for address in balanced:
            result[Frontend(address, protocol, port.port)] = replace(outside, sources=sources)
        if spec.external_traffic_policy == "Local":
            # Who dials an outside address from within gets endpoints wherever they are, as the API promises.
            everywhere = _target(service, port, usable, nodes=nodes, local=False)
            if everywhere.endpoints != outside.endpoints:
                for address in external | balanced:
                    result[Frontend(address, protocol, port.port, inside=True)] = everywhere
        for address in internal:
            result[Frontend(address, protocol, port.port)] = inside
        if port.node_port and spec.type in ("NodePort", "LoadBalancer"):
            result[Frontend("", protocol, port.node_port)] = outside
    return result


def _balanced(service: Service) -> set[str]:
    """The addresses of a load balancer whose packets come here as they are; another kind sends them to the nodes'."""
    if service.spec.type != "LoadBalancer":
        return set()
    entries = service.status.load_balancer.ingress
    return {entry.ip for entry in entries if _is_ipv4(entry.ip) and entry.ip_mode in (None, "VIP")}


def _sources(service: Service) -> tuple[str, ...]:
    """The IPv4 networks that may dial the load balancer's addresses, apart from each other; empty for everybody."""
    listed = service.spec.load_balancer_source_ranges
    listed = listed or service.metadata.annotations.get(_SOURCE_RANGES, "").split(",")
    networks = []
    for text in listed:
        try:
            networks.append(ipaddress.IPv4Network(text.strip(), strict=False))  # other servers let host bits stand
        except ValueError:
            continue  # of the other family, or none at all
    found = tuple(str(network) for network in ipaddress.collapse_addresses(networks))
    return () if found == ("0.0.0.0/0",) else found


def _target(
    service: Service, port: ServicePort, slices: Iterable[EndpointSlice], *, nodes: Collection[str], local: bool
) -> Target:
    everywhere = _endpoints(port, slices, nodes=None)
    chosen = _endpoints(port, slices, nodes=nodes) if local else everywhere
    name = f"{service.namespace}/{service.name}/{_PROTOCOLS[port.protocol]}/{port.port}"
    affinity = 0
    if service.spec.session_affinity == "ClientIP":
        settings = service.spec.session_affinity_config
        affinity = settings.client_ip.timeout_seconds if settings and settings.client_ip else 10800
    return Target(
        name=f"{name}/local" if local else name,
        endpoints=chosen,
        affinity=affinity,
        # Endpoints elsewhere, none here: silence, so that whoever balances the load tries another machine.
        refusal="drop" if local and everywhere else "reject",
    )


def _endpoints(
    port: ServicePort, slices: Iterable[EndpointSlice], *, nodes: Collection[str] | None
) -> tuple[Endpoint, ...]:
    """The ready endpoints of a port, or else those that still serve while they terminate; on `nodes` only, if given."""
    ready: set[Endpoint] = set()
    leaving: set[Endpoint] = set()
    for piece in slices:
        number = next(
            (each.port for each in piece.ports if each.name == port.name and each.protocol == port.protocol), None
        )
        if number is None:
            continue
        for endpoint in piece.endpoints:
            if not endpoint.addresses or not _is_ipv4(endpoint.addresses[0]):
                continue
            if nodes is not None and endpoint.node_name not in nodes:
                continue
            # All addresses of an endpoint are the same backend; the API asks consumers to use the first.
            if is_ready(endpoint):
                ready.add(Endpoint(endpoint.addresses[0], number))
            elif endpoint.conditions.serving is not False and endpoint.conditions.terminating:
                leaving.add(Endpoint(endpoint.addresses[0], number))
    return tuple(sorted(ready or leaving))


def is_ready(endpoint: SliceEndpoint) -> bool:
    """Whether an endpoint may get new connections; unknown counts as yes."""
    return endpoint.conditions.ready is not False


def _is_ipv4(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).version == 4
    except ValueError:
        return False
