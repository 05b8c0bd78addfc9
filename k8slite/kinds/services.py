"""`v1.Service` and `v1.Endpoints`."""

from __future__ import annotations

from pydantic import Field

from .base import IntOrString, Model, Object
from .references import ObjectReference


class ServicePort(Model):
    """One port of a Service."""

    name: str = ""
    protocol: str = "TCP"
    port: int
    target_port: IntOrString | None = None
    node_port: int = 0
    app_protocol: str | None = None


class ClientIPConfig(Model):
    """How long a client sticks to an endpoint."""

    timeout_seconds: int = 10800


class SessionAffinityConfig(Model):
    """Settings of session affinity."""

    client_ip: ClientIPConfig | None = Field(default=None, alias="clientIP")


class ServiceSpec(Model):
    """What a Service promises."""

    type: str = "ClusterIP"
    selector: dict[str, str] | None = None
    ports: list[ServicePort] = []
    cluster_ip: str = Field(default="", alias="clusterIP")
    cluster_ips: list[str] = Field(default=[], alias="clusterIPs")
    external_ips: list[str] = Field(default=[], alias="externalIPs")
    external_name: str = ""
    session_affinity: str = "None"
    session_affinity_config: SessionAffinityConfig | None = None
    external_traffic_policy: str = ""
    internal_traffic_policy: str = "Cluster"
    publish_not_ready_addresses: bool = False
    ip_families: list[str] = []
    ip_family_policy: str = ""
    traffic_distribution: str | None = None
    load_balancer_ip: str = Field(default="", alias="loadBalancerIP")
    load_balancer_class: str | None = None
    load_balancer_source_ranges: list[str] = []
    allocate_load_balancer_node_ports: bool | None = None
    health_check_node_port: int = 0


class LoadBalancerIngress(Model):
    """An address that a load balancer gave."""

    ip: str = ""
    hostname: str = ""
    ip_mode: str | None = None
    """`VIP`: packets for the address reach a node as they are; `Proxy`: a balancer sends them to the nodes' own."""


class LoadBalancerStatus(Model):
    """The addresses of a load balancer."""

    ingress: list[LoadBalancerIngress] = []


class ServiceStatus(Model):
    """What became of a Service."""

    load_balancer: LoadBalancerStatus = LoadBalancerStatus()


class Service(Object):
    """`v1.Service`."""

    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()

    @property
    def headless(self) -> bool:
        """Whether the Service has no virtual address by choice."""
        return self.spec.cluster_ip == "None"


class EndpointAddress(Model):
    """One address of an Endpoints object."""

    ip: str
    hostname: str = ""
    node_name: str | None = None
    target_ref: ObjectReference | None = None


class EndpointPort(Model):
    """One port of an Endpoints object."""

    name: str = ""
    port: int = 0
    protocol: str = "TCP"
    app_protocol: str | None = None


class EndpointSubset(Model):
    """Addresses that share ports."""

    addresses: list[EndpointAddress] = []
    not_ready_addresses: list[EndpointAddress] = []
    ports: list[EndpointPort] = []


class Endpoints(Object):
    """`v1.Endpoints`."""

    subsets: list[EndpointSubset] = []
