"""`networking.k8s.io/v1`: the ranges of Services' addresses, and the addresses that are given out."""

from __future__ import annotations

from pydantic import Field

from .base import Condition, Model, Object

SERVICE_CIDR_FINALIZER = "networking.k8s.io/service-cidr-finalizer"
MANAGED_BY, IP_ALLOCATOR = "ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io"
"""The label, and its value, of addresses that API servers gave to Services."""


class ServiceCIDRSpec(Model):
    """The ranges: one, or one of each family."""

    cidrs: list[str] = []


class ServiceCIDRStatus(Model):
    """Whether addresses are given out."""

    conditions: list[Condition] = []


class ServiceCIDR(Object):
    """`networking.k8s.io/v1.ServiceCIDR`."""

    spec: ServiceCIDRSpec = ServiceCIDRSpec()
    status: ServiceCIDRStatus = ServiceCIDRStatus()


class ParentReference(Model):
    """Whose an address is."""

    group: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""


class IPAddressSpec(Model):
    """Whose the address is."""

    parent_ref: ParentReference | None = Field(default=None)


class IPAddress(Object):
    """`networking.k8s.io/v1.IPAddress`; its name is the address."""

    spec: IPAddressSpec = IPAddressSpec()
