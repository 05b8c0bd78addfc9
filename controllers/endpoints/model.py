"""Endpoints as this program keeps them: lean, as EndpointSlices are, for every address is in its memory once more."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from k8slite.kinds.base import Object, ResourceType

from ..endpointslice.model import Port, Ports, Target

_WIRE = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """One address."""

    __pydantic_config__: ClassVar[ConfigDict] = _WIRE

    ip: str
    hostname: str = ""
    node_name: str | None = None
    target_ref: Target | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Subset:
    """Addresses that share ports."""

    __pydantic_config__: ClassVar[ConfigDict] = _WIRE

    addresses: tuple[Address, ...] = ()
    not_ready_addresses: tuple[Address, ...] = ()
    ports: Ports = ()


class Endpoints(Object):
    """`v1.Endpoints`."""

    subsets: list[Subset] = []


ENDPOINTS = ResourceType("", "v1", "endpoints", "Endpoints", True, Endpoints)
ENDPOINTS_HEADS = ResourceType("", "v1", "endpoints", "Endpoints", True, Object)
"""For answers to writes, of which nobody reads more: what was written is known."""


def subsets_to_wire(subsets: Iterable[Subset]) -> list[dict[str, Any]]:
    """The field `subsets`."""
    return [_subset(subset) for subset in subsets]


def _subset(subset: Subset) -> dict[str, Any]:
    wire = {
        "addresses": [_address(address) for address in subset.addresses],
        "notReadyAddresses": [_address(address) for address in subset.not_ready_addresses],
        "ports": [_port(port) for port in subset.ports],
    }
    return {name: value for name, value in wire.items() if value}


def _address(address: Address) -> dict[str, Any]:
    wire: dict[str, Any] = {"ip": address.ip}
    if address.hostname:
        wire["hostname"] = address.hostname
    if address.node_name is not None:
        wire["nodeName"] = address.node_name
    if (target := address.target_ref) is not None:
        fields = {"kind": target.kind, "namespace": target.namespace, "name": target.name, "uid": target.uid}
        wire["targetRef"] = {name: value for name, value in fields.items() if value}
    return wire


def _port(port: Port) -> dict[str, Any]:
    fields = {"name": port.name or None, "port": port.port, "protocol": port.protocol, "appProtocol": port.app_protocol}
    return {name: value for name, value in fields.items() if value is not None}
