"""`discovery.k8s.io/v1`: endpoint slices."""

from __future__ import annotations

from .base import Model, Object
from .core import ObjectReference


class EndpointConditions(Model):
    """Whether an endpoint may get traffic; None means yes for `ready` and `serving`."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Endpoint(Model):
    """One backend; its addresses are interchangeable."""

    addresses: list[str] = []
    conditions: EndpointConditions = EndpointConditions()
    hostname: str | None = None
    target_ref: ObjectReference | None = None
    node_name: str | None = None
    zone: str | None = None


class EndpointSlicePort(Model):
    """One port of every endpoint in the slice."""

    name: str = ""
    protocol: str = "TCP"
    port: int | None = None
    app_protocol: str | None = None


class EndpointSlice(Object):
    """`discovery.k8s.io/v1.EndpointSlice`; the label `kubernetes.io/service-name` names its Service."""

    address_type: str = "IPv4"
    endpoints: list[Endpoint] = []
    ports: list[EndpointSlicePort] = []

    @property
    def service_name(self) -> str:
        """The Service that this slice belongs to."""
        return self.metadata.labels.get("kubernetes.io/service-name", "")
