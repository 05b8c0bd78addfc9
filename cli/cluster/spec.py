"""What a cluster on this machine is: its name, size, addresses and files. Decided once, kept in `cluster.yaml`.

A cluster's identity does not hang on the machine's addresses: nodes answer on the pod bridge's own address, so a
cluster survives a reboot or a change of network.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from k8slite.config import Config

DEFAULT_NAME = "k8slite"
ROOTS_HOME = Path("/var/lib/k8slite")


def clusters_dir() -> Path:
    """Where clusters live: `K8SLITE_HOME`, else /var/lib/k8slite for root, else the user's data directory."""
    if home := os.environ.get("K8SLITE_HOME"):
        return Path(home).expanduser().absolute()
    if os.geteuid() == 0:
        return ROOTS_HOME
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local/share")) / "k8slite"


class Simulation(Config):
    """The simulated nodes of a cluster."""

    nodes: int = Field(default=0, ge=0)
    zones: list[str] = []
    labels: dict[str, str] = {}
    taints: list[dict[str, str]] | None = None
    """None leaves it to the cluster: real nodes beside them call for a taint."""
    capacity: dict[str, str] = {}
    """What is not named is as it is anyway."""
    stages_file: Path | None = None


class ClusterSpec(Config):
    """The decisions about one cluster; changing one means `down` and `up`."""

    name: str = DEFAULT_NAME
    nodes: int = Field(default=1, ge=0)
    """Real nodes."""
    simulation: Simulation = Simulation()
    store: Literal["sqlite", "etcd"] = "sqlite"
    etcd_endpoints: list[str] = []
    """An etcd that runs already; empty with `store: etcd` means one that this cluster starts."""
    api_port: int = 6443
    etcd_port: int = 2379
    kubelet_port: int = 10250
    """The first node's; the others follow."""
    scheduler_port: int = 0
    """Where the scheduler tells of its decisions; clusters that were made before this could be said have none."""
    pod_cidr: str = "10.42.0.0/16"
    service_cidr: str = "10.96.0.0/16"
    load_balancer_cidr: str = ""
    """Services of type LoadBalancer get their addresses here; clusters made before this could be said give none."""
    bridge: str = "k8slite0"
    docker_host: str = ""
    encrypts: bool = False
    """Whether Secrets are encrypted in the store; clusters that were made before this could be said do not."""

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_version(cls, data: Any) -> Any:
        """A cluster's nodes were all real or all simulated once."""
        if isinstance(data, dict) and "simulated" in data:
            data = dict(data)
            if data.pop("simulated"):
                data |= {"nodes": 0, "simulation": {"nodes": data.get("nodes", 1)}}
        return data

    @property
    def directory(self) -> Path:
        """Where the cluster's files are."""
        return clusters_dir() / self.name

    @property
    def bridge_ip(self) -> str:
        """The bridge's own address: the pods' gateway, where the API server and kubelets answer pods."""
        return str(next(ipaddress.ip_network(self.pod_cidr).hosts())) if self.nodes else "127.0.0.1"

    @property
    def bridge_address(self) -> str:
        """The bridge's address with its prefix length."""
        return f"{self.bridge_ip}/{ipaddress.ip_network(self.pod_cidr).prefixlen}"

    @property
    def dns_ip(self) -> str:
        """The ClusterIP of cluster DNS: the tenth address of the service range."""
        return str(ipaddress.ip_network(self.service_cidr)[10])

    @property
    def kubernetes_ip(self) -> str:
        """The ClusterIP of `default/kubernetes`: the first address of the service range."""
        return str(ipaddress.ip_network(self.service_cidr)[1])

    @property
    def node_names(self) -> list[str]:
        """The names of the real nodes."""
        return [f"{self.name}-{index}" for index in range(1, self.nodes + 1)]

    @property
    def simulator(self) -> str:
        """What the names of simulated nodes begin with, before a dash and a number from 0."""
        return f"{self.name}-simulated"

    @property
    def simulator_port(self) -> int:
        """Where the simulated nodes answer: after the kubelets."""
        return self.kubelet_port + self.nodes

    @property
    def ports(self) -> set[int]:
        """The TCP ports that are the cluster's, whether it runs or not."""
        kubelets = range(self.kubelet_port, self.kubelet_port + self.nodes + bool(self.simulation.nodes))
        return {self.api_port, self.etcd_port, self.etcd_port + 1, self.scheduler_port, *kubelets} - {0}

    @property
    def table(self) -> str:
        """Its nftables table; never one that others have (`nat` and `filter` are Docker's)."""
        return DEFAULT_NAME if self.name == DEFAULT_NAME else f"{DEFAULT_NAME}_{self.name.replace('-', '_')}"

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://127.0.0.1:{self.api_port}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.directory / "kubeconfig"

    @property
    def file(self) -> Path:
        """Where this object is kept."""
        return self.directory / "cluster.yaml"

    @property
    def runs_etcd(self) -> bool:
        """Whether this cluster starts an etcd of its own."""
        return self.store == "etcd" and not self.etcd_endpoints
