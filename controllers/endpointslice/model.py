"""EndpointSlices as this program keeps them: every endpoint of the cluster stands in its memory, so they are lean.

Dataclasses with slots, which pydantic-core fills by itself, take a third of what models take; and comparing two, which
is what the controllers do most, costs half a microsecond.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from k8slite.kinds.base import Object, ResourceType

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
HEADLESS = "service.kubernetes.io/headless"
TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"

_WIRE = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


@dataclasses.dataclass(frozen=True, slots=True)
class Conditions:
    """Whether an endpoint may get traffic; None where nobody says."""

    __pydantic_config__: ClassVar[ConfigDict] = _WIRE

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """What an endpoint stands for."""

    __pydantic_config__: ClassVar[ConfigDict] = _WIRE

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Named:
    """A zone or a node."""

    __pydantic_config__: ClassVar[ConfigDict] = _WIRE

    name: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Hints:
    """Whose traffic an endpoint should get."""

    __pydantic_config__: ClassVar[ConfigDict] = _WIRE

    for_zones: tuple[Named, ...] = ()
    for_nodes: tuple[Named, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """One backend; its addresses are interchangeable."""

    __pydantic_config__: ClassVar[ConfigDict] = _WIRE

    addresses: tuple[str, ...] = ()
    conditions: Conditions = Conditions()
    hostname: str | None = None
    target_ref: Target | None = None
    node_name: str | None = None
    zone: str | None = None
    hints: Hints | None = None

    @property
    def ready(self) -> bool:
        """Whether it says that it is ready; who says nothing is not counted."""
        return self.conditions.ready is True

    @property
    def identity(self) -> str:
        """What stays while the rest changes: the target, or the address of an endpoint that has none."""
        return self.target_ref.uid if self.target_ref is not None and self.target_ref.uid else ",".join(self.addresses)


@dataclasses.dataclass(frozen=True, slots=True)
class Port:
    """One port of every endpoint in a slice."""

    __pydantic_config__: ClassVar[ConfigDict] = _WIRE

    name: str = ""
    protocol: str = "TCP"
    port: int | None = None
    app_protocol: str | None = None


Ports = tuple[Port, ...]


class EndpointSlice(Object):
    """`discovery.k8s.io/v1.EndpointSlice`."""

    address_type: str = "IPv4"
    endpoints: list[Endpoint] = []
    ports: Ports = ()

    @property
    def service_key(self) -> str:
        """The key of the Service that it belongs to, empty if it names none."""
        name = self.metadata.labels.get(SERVICE_NAME, "")
        return f"{self.namespace}/{name}" if name else ""

    def managed_by(self, manager: str) -> bool:
        """Whether its label names that controller."""
        return self.metadata.labels.get(MANAGED_BY) == manager


ENDPOINT_SLICES = ResourceType("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", True, EndpointSlice)
ENDPOINT_SLICE_HEADS = ResourceType("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", True, Object)
"""For answers to writes, of which nobody reads more: what was written is known."""


def by_service(item: EndpointSlice) -> Sequence[str]:
    """Index: the key of the Service that a slice belongs to."""
    key = item.service_key
    return (key,) if key else ()


@lru_cache(maxsize=4096)
def hints(zone: str | None, node: str | None = None) -> Hints | None:
    """The hint for one zone, one node or both; shared, for most endpoints have the same."""
    if zone is None and node is None:
        return None
    return Hints((Named(zone),) if zone is not None else (), (Named(node),) if node is not None else ())


def endpoints_to_wire(endpoints: Sequence[Endpoint]) -> list[dict[str, Any]]:
    """The field `endpoints`."""
    return [_endpoint(item) for item in endpoints]


def ports_to_wire(ports: Ports) -> list[dict[str, Any]]:
    """The field `ports`."""
    return [
        {"name": port.name, "protocol": port.protocol, "port": port.port}
        | ({"appProtocol": port.app_protocol} if port.app_protocol is not None else {})
        for port in ports
    ]


def _endpoint(item: Endpoint) -> dict[str, Any]:
    said = item.conditions
    conditions = {"ready": said.ready, "serving": said.serving, "terminating": said.terminating}
    wire: dict[str, Any] = {
        "addresses": list(item.addresses),
        "conditions": {name: value for name, value in conditions.items() if value is not None},
    }
    if item.hostname is not None:
        wire["hostname"] = item.hostname
    if (target := item.target_ref) is not None:
        fields = {"kind": target.kind, "namespace": target.namespace, "name": target.name, "uid": target.uid}
        wire["targetRef"] = {name: value for name, value in fields.items() if value}
    if item.node_name is not None:
        wire["nodeName"] = item.node_name
    if item.zone is not None:
        wire["zone"] = item.zone
    if item.hints is not None:
        given = (("forZones", item.hints.for_zones), ("forNodes", item.hints.for_nodes))
        wire["hints"] = {name: [{"name": each.name} for each in those] for name, those in given if those}
    return wire
