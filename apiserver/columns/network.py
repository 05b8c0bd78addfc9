"""Columns of services, endpoints, ingress and network policy."""

from __future__ import annotations

from collections.abc import Iterable

from .base import AGE, NAME, NONE, UNKNOWN, UNSET, Document, at, computed, labels, selector, some, text


def _host_port(host: str, port: object) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _ports(service: Document) -> str:
    def one(port: Document) -> str:
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        return f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}"

    return ",".join(one(port) for port in at(service, "spec.ports", ())) or NONE


def _cluster_ip(service: Document) -> str:
    addresses = at(service, "spec.clusterIPs", ())
    return (addresses[0] if addresses else at(service, "spec.clusterIP")) or NONE


def _balancers(document: Document) -> list[str]:
    entries = at(document, "status.loadBalancer.ingress", ())
    return sorted({each.get("ip") or each.get("hostname") or "" for each in entries} - {""})


def _external(service: Document) -> str:
    given = list(at(service, "spec.externalIPs", ()))
    match at(service, "spec.type", "ClusterIP"):
        case "ClusterIP" | "NodePort":
            return ",".join(given) or NONE
        case "LoadBalancer":
            return ",".join([*_balancers(service), *given]) or "<pending>"
        case "ExternalName":
            return str(at(service, "spec.externalName", ""))
    return UNKNOWN


def _hosts(ingress: Document) -> str:
    return some((rule["host"] for rule in at(ingress, "spec.rules", ()) if rule.get("host")), empty="*")


def _endpoints(endpoints: Document) -> str:
    def every() -> Iterable[str]:
        for subset in at(endpoints, "subsets", ()):
            addresses = [each.get("ip", "") for each in subset.get("addresses") or ()]
            ports = subset.get("ports") or ()
            if not ports:
                yield from addresses
            for port in ports:
                yield from (_host_port(address, port.get("port")) for address in addresses)

    return some(every()) if at(endpoints, "subsets") else NONE


def _slice_ports(document: Document) -> str:
    ports = at(document, "ports", ())
    return some((str(port.get("port") or port.get("name") or "*") for port in ports), empty=UNSET)


def _slice_addresses(document: Document) -> str:
    entries = at(document, "endpoints", ())
    return some((address for entry in entries for address in entry.get("addresses") or ()), empty=UNSET)


def _parameters(ingress_class: Document) -> str:
    found = at(ingress_class, "spec.parameters")
    if not found:
        return NONE
    group = f".{found['apiGroup']}" if found.get("apiGroup") else ""
    return f"{found.get('kind', '')}{group}/{found.get('name', '')}"


def _parent(address: Document) -> str:
    parent = at(address, "spec.parentRef")
    if not parent:
        return NONE
    group = f".{parent['group']}" if parent.get("group") else ""
    parts = (f"{parent.get('resource', '')}{group}", parent.get("namespace"), parent.get("name"))
    return "/".join(part for part in parts if part)


SERVICE = (
    NAME,
    text("Type", "spec.type"),
    computed("Cluster-IP", _cluster_ip),
    computed("External-IP", _external),
    computed("Port(s)", _ports),
    AGE,
    computed("Selector", lambda document: labels(at(document, "spec.selector")), wide=True),
)
ENDPOINTS = (NAME, computed("Endpoints", _endpoints), AGE)
ENDPOINT_SLICE = (
    NAME,
    text("AddressType", "addressType"),
    computed("Ports", _slice_ports),
    computed("Endpoints", _slice_addresses),
    AGE,
)
INGRESS = (
    NAME,
    text("Class", "spec.ingressClassName", default=NONE),
    computed("Hosts", _hosts),
    computed("Address", lambda document: ",".join(_balancers(document))),
    computed("Ports", lambda document: "80, 443" if at(document, "spec.tls") else "80"),
    AGE,
)
INGRESS_CLASS = (NAME, text("Controller", "spec.controller"), computed("Parameters", _parameters), AGE)
NETWORK_POLICY = (
    NAME,
    computed("Pod-Selector", lambda document: selector(at(document, "spec.podSelector", {}))),
    AGE,
)
IP_ADDRESS = (NAME, computed("ParentRef", _parent))
SERVICE_CIDR = (NAME, computed("CIDRs", lambda document: ",".join(at(document, "spec.cidrs", ()))), AGE)
