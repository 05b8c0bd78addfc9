"""Which records a Service stands for: pure.

Source: "Kubernetes DNS-Based Service Discovery", version 1.1.0. Beyond it, an endpoint without a hostname is named
after its address, as CoreDNS does.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from k8slite.kinds.core import Service
from k8slite.kinds.discovery import Endpoint, EndpointSlice

from .zone import Record, reverse_name

SCHEMA_VERSION = "1.1.0"


def service_records(service: Service, slices: Iterable[EndpointSlice], *, domain: str) -> frozenset[Record]:
    """The records of one Service."""
    name = f"{service.name}.{service.namespace}.svc.{domain}".lower()
    if service.spec.type == "ExternalName":
        return frozenset(_external(name, service.spec.external_name))
    if service.headless:
        return frozenset(_headless(name, slices))
    return frozenset(_virtual(name, service))


def domain_records(domain: str, *, server: str) -> frozenset[Record]:
    """The records of the domain itself; `server` is the address of cluster DNS."""
    host = f"ns.dns.{domain}"
    return frozenset(
        {
            Record(domain, "NS", f"{host}."),
            Record(host, _kind(server), server),
            Record(f"dns-version.{domain}", "TXT", f'"{SCHEMA_VERSION}"'),
        }
    )


def pod_record(name: str, *, domain: str) -> Record | None:
    """The record of `10-42-0-5.namespace.pod.domain`, which is in the name itself; None if it is no such name."""
    labels = name.removesuffix(f".pod.{domain}").split(".")
    if not name.endswith(f".pod.{domain}") or len(labels) != 2:
        return None
    for text in (labels[0].replace("-", "."), labels[0].replace("-", ":")):
        try:
            address = str(ipaddress.ip_address(text))
        except ValueError:
            continue
        return Record(name, _kind(address), address)
    return None


def _external(name: str, target: str) -> Iterator[Record]:
    if target:
        yield Record(name, "CNAME", f"{target.lower().rstrip('.')}.")


def _virtual(name: str, service: Service) -> Iterator[Record]:
    addresses = {address for address in (service.spec.cluster_ip, *service.spec.cluster_ips) if address}
    for address in addresses:
        yield Record(name, _kind(address), address)
        yield Record(reverse_name(address), "PTR", f"{name}.")
    for port in service.spec.ports if addresses else ():
        if port.name:
            yield Record(f"_{port.name}._{port.protocol}.{name}".lower(), "SRV", f"0 100 {port.port} {name}.")


def _headless(name: str, slices: Iterable[EndpointSlice]) -> Iterator[Record]:
    # The name exists even while nothing is ready: an empty answer, not "no such name".
    yield Record(name, "", "")
    for piece in slices:
        if piece.address_type not in ("IPv4", "IPv6"):
            continue
        for endpoint in piece.endpoints:
            if endpoint.conditions.ready is False:
                continue
            for address in endpoint.addresses:
                host = f"{_hostname(endpoint, address)}.{name}"
                yield Record(name, _kind(address), address)
                yield Record(host, _kind(address), address)
                yield Record(reverse_name(address), "PTR", f"{host}.")
                for port in piece.ports:
                    if port.name and port.port is not None:
                        service = f"_{port.name}._{port.protocol}.{name}".lower()
                        yield Record(service, "SRV", f"0 100 {port.port} {host}.")


def _hostname(endpoint: Endpoint, address: str) -> str:
    return (endpoint.hostname or address.replace(".", "-").replace(":", "-")).lower()


def _kind(address: str) -> str:
    return "AAAA" if ":" in address else "A"
