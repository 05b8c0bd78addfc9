"""Rules of `discovery.k8s.io`: endpoint slices.

Source: Kubernetes' discovery validation (ValidateEndpointSlice).
"""

from __future__ import annotations

import ipaddress
from typing import Any

from k8slite.errors import Cause, duplicate, invalid_value, not_supported, required, too_many

from . import names
from .values import choice, each, spelled, unchanged

Document = dict[str, Any]

_TYPES = ("FQDN", "IPv4", "IPv6")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_MOST_ENDPOINTS, _MOST_ADDRESSES, _MOST_PORTS, _MOST_HINTS, _MOST_TOPOLOGY = 1000, 100, 20_000, 8, 16
_SPECIAL = (
    ("is_unspecified", "may not be unspecified ({})"),
    ("is_loopback", "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
    ("is_link_local", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
    ("is_multicast", "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
)


def endpoint_slice(obj: Document) -> list[Cause]:
    """What is wrong with an EndpointSlice."""
    kind, endpoints, ports = obj.get("addressType"), obj.get("endpoints") or [], obj.get("ports") or []
    causes = choice(kind, "addressType", _TYPES) if kind else [required("addressType")]
    if len(endpoints) > _MOST_ENDPOINTS:
        causes.append(too_many("endpoints", len(endpoints), _MOST_ENDPOINTS))
    else:
        causes += each(endpoints, "endpoints", lambda endpoint, field: _endpoint(endpoint, kind or "", field))
    if len(ports) > _MOST_PORTS:
        return [*causes, too_many("ports", len(ports), _MOST_PORTS)]
    seen: set[str] = set()
    for index, port in enumerate(ports):
        field, name = f"ports[{index}]", port.get("name") or ""
        causes += spelled(name or None, f"{field}.name", names.dns_label)
        if name in seen:
            causes.append(duplicate(f"{field}.name", name))
        seen.add(name)
        protocol = port.get("protocol")
        if protocol not in _PROTOCOLS:
            here = f"{field}.protocol"
            causes.append(not_supported(here, protocol, _PROTOCOLS) if protocol else required(here))
        causes += spelled(port.get("appProtocol"), f"{field}.appProtocol", names.qualified_name)
    return causes


def endpoint_slice_update(new: Document, old: Document) -> list[Cause]:
    """A slice is for ever of one type of address."""
    return unchanged(new, old, "addressType")


def _endpoint(endpoint: Document, kind: str, field: str) -> list[Cause]:
    addresses, here = endpoint.get("addresses") or [], f"{field}.addresses"
    causes: list[Cause] = []
    if not addresses:
        causes.append(required(here, "must contain at least 1 address"))
    elif len(addresses) > _MOST_ADDRESSES:
        causes.append(too_many(here, len(addresses), _MOST_ADDRESSES))
    causes += each(addresses, here, lambda address, place: _address(address, kind, place))
    causes += spelled(endpoint.get("nodeName"), f"{field}.nodeName", names.dns_subdomain)
    topology = endpoint.get("deprecatedTopology") or {}
    if len(topology) > _MOST_TOPOLOGY:
        causes.append(too_many(f"{field}.deprecatedTopology", len(topology), _MOST_TOPOLOGY))
    causes += spelled(endpoint.get("hostname"), f"{field}.hostname", names.dns_label)
    hints = endpoint.get("hints") or {}
    for name in ("forZones", "forNodes"):
        causes += _hints(hints.get(name) or [], f"{field}.hints.{name}")
    return causes


def _hints(hints: list[Document], field: str) -> list[Cause]:
    if len(hints) > _MOST_HINTS:
        return [too_many(field, len(hints), _MOST_HINTS)]
    causes, seen = [], set()
    for index, hint in enumerate(hints):
        name = hint.get("name") or ""
        causes += spelled(name, f"{field}[{index}].name", names.label_value) if name else []
        if name in seen:
            causes.append(duplicate(f"{field}[{index}].name", name))
        seen.add(name)
    return causes


def _address(address: str, kind: str, field: str) -> list[Cause]:
    if kind == "FQDN":
        if problem := names.dns_subdomain(address.removesuffix(".")):
            return [invalid_value(field, address, problem)]
        if "." not in address.removesuffix("."):
            detail = "should be a domain with at least two segments separated by dots"
            return [invalid_value(field, address, detail)]
        return []
    if kind not in ("IPv4", "IPv6"):
        return []
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        return [invalid_value(field, address, detail)]
    if parsed.version != int(kind[-1]):
        return [invalid_value(field, address, f"must be an {kind} address")]
    return [invalid_value(field, address, words.format(address)) for trait, words in _SPECIAL if getattr(parsed, trait)]
