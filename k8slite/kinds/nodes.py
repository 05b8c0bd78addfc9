"""`v1.Node`."""

from __future__ import annotations

from pydantic import Field

from .base import Condition, Model, Object, Quantities
from .placement import Taint


class NodeSpec(Model):
    """What an administrator says of a node."""

    unschedulable: bool = False
    taints: list[Taint] = []
    pod_cidr: str = Field(default="", alias="podCIDR")
    pod_cidrs: list[str] = Field(default=[], alias="podCIDRs")
    provider_id: str = Field(default="", alias="providerID")


class NodeAddress(Model):
    """One address of a node."""

    type: str
    address: str


class DaemonEndpoint(Model):
    """A port; the API spells the field with a capital."""

    port: int = Field(default=0, alias="Port")


class NodeDaemonEndpoints(Model):
    """Where a node's programs listen."""

    kubelet_endpoint: DaemonEndpoint = DaemonEndpoint()


class NodeStatus(Model):
    """What a kubelet says of its node."""

    capacity: Quantities = {}
    allocatable: Quantities = {}
    conditions: list[Condition] = []
    addresses: list[NodeAddress] = []
    daemon_endpoints: NodeDaemonEndpoints = NodeDaemonEndpoints()


class Node(Object):
    """`v1.Node`."""

    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()

    @property
    def ready(self) -> bool:
        """Whether the Ready condition is True."""
        return any(c.type == "Ready" and c.status == "True" for c in self.status.conditions)

    @property
    def internal_ip(self) -> str:
        """The first InternalIP, empty if there is none."""
        return next((a.address for a in self.status.addresses if a.type == "InternalIP"), "")
