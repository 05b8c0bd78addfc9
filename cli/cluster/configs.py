"""From a cluster's decisions to its programs: which run, and with which configuration. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from k8slite.config import (
    ApiServerConfig,
    Config,
    ControllerManagerConfig,
    DnsConfig,
    KubeletConfig,
    LeaderElectionConfig,
    ProxyConfig,
    SchedulerConfig,
    SimulatorConfig,
    StoreConfig,
)

from . import audit, encryption, simulation
from .spec import ClusterSpec

SERVING = 1
"""The tier of the API server; the programs above it are its clients."""


@dataclass(frozen=True, slots=True)
class Service:
    """One supervised process: a program of ours with its configuration, or a foreign command."""

    name: str
    program: str = ""
    config: Config | None = None
    command: tuple[str, ...] = ()
    tier: int = SERVING + 1
    """Those of a higher tier lean on those of a lower one, and end before them."""


def services(spec: ClusterSpec) -> list[Service]:
    """Every process of the cluster, in starting order."""
    pki = spec.directory / "pki"
    election = LeaderElectionConfig(enabled=False)  # one of each per cluster: nobody to race with
    profiles = spec.directory / "config" / "kube-scheduler.yaml"  # the user's own, if there is one
    found = [etcd(spec)] if spec.runs_etcd else []
    found += [
        Service("apiserver", "apiserver", apiserver(spec), tier=SERVING),
        Service(
            "scheduler",
            "scheduler",
            SchedulerConfig(
                kubeconfig=pki / "scheduler.conf",
                leader_election=election,
                port=spec.scheduler_port,
                cert_file=pki / "scheduler-server.crt",
                key_file=pki / "scheduler-server.key",
                client_ca_file=pki / "ca.crt",
                configuration=profiles if profiles.exists() else None,
            ),
        ),
        Service(
            "controller-manager",
            "controller-manager",
            ControllerManagerConfig(
                kubeconfig=pki / "controller-manager.conf",
                leader_election=election,
                root_ca_file=pki / "ca.crt",
                cluster_signing_cert_file=pki / "ca.crt",
                cluster_signing_key_file=pki / "ca.key",
                service_account_private_key_file=pki / "service-account.key",
                cluster_cidr=spec.pod_cidr,
                load_balancer_pools=[spec.load_balancer_cidr] if spec.load_balancer_cidr else [],
            ),
        ),
    ]
    if spec.simulation.nodes:
        found.append(Service("simulator", "simulator", simulator(spec)))
    if not spec.nodes:
        return found
    found.append(Service("proxy", "proxy", proxy(spec)))
    for index, node in enumerate(spec.node_names):
        found.append(Service(f"kubelet-{index + 1}", "kubelet", kubelet(spec, index=index, node=node)))
    return found


def etcd(spec: ClusterSpec) -> Service:
    """A local etcd on loopback; only who has its authority's certificates (the API server) may use it."""
    pki = spec.directory / "pki"
    client, peer = f"https://127.0.0.1:{spec.etcd_port}", f"https://127.0.0.1:{spec.etcd_port + 1}"
    return Service(
        "etcd",
        command=(
            "etcd",
            "--name=k8slite",
            f"--data-dir={spec.directory / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=k8slite={peer}",
            f"--cert-file={pki / 'etcd.crt'}",
            f"--key-file={pki / 'etcd.key'}",
            f"--trusted-ca-file={pki / 'etcd-ca.crt'}",
            "--client-cert-auth",
            f"--peer-cert-file={pki / 'etcd.crt'}",
            f"--peer-key-file={pki / 'etcd.key'}",
            f"--peer-trusted-ca-file={pki / 'etcd-ca.crt'}",
            "--peer-client-cert-auth",
            "--enable-grpc-gateway=false",  # it would show the server's certificate, which is none for clients
            "--log-level=warn",
        ),
        tier=0,
    )


def store(spec: ClusterSpec) -> StoreConfig:
    """Where the API server keeps its objects."""
    if spec.store == "sqlite":
        return StoreConfig(engine="sqlite", path=spec.directory / "store.db")
    if not spec.runs_etcd:
        return StoreConfig(engine="etcd", endpoints=spec.etcd_endpoints)
    pki = spec.directory / "pki"
    return StoreConfig(
        engine="etcd",
        endpoints=[f"https://127.0.0.1:{spec.etcd_port}"],
        ca_file=pki / "etcd-ca.crt",
        cert_file=pki / "apiserver-etcd-client.crt",
        key_file=pki / "apiserver-etcd-client.key",
    )


def apiserver(spec: ClusterSpec) -> ApiServerConfig:
    """The API server answers on loopback and, for pods, on the bridge."""
    pki = spec.directory / "pki"
    return ApiServerConfig(
        bind_addresses=list(dict.fromkeys(["127.0.0.1", spec.bridge_ip])),
        port=spec.api_port,
        advertise_address=spec.bridge_ip,
        store=store(spec),
        cert_file=pki / "apiserver.crt",
        key_file=pki / "apiserver.key",
        client_ca_file=pki / "ca.crt",
        service_account_key_file=pki / "service-account.key",
        service_account_extend_token_expiration=False,  # all that runs here reads its token again
        enable_bootstrap_token_auth=True,
        local_storage_class=True,
        kubelet_ca_file=pki / "ca.crt",
        kubelet_client_cert_file=pki / "apiserver-kubelet-client.crt",
        kubelet_client_key_file=pki / "apiserver-kubelet-client.key",
        requestheader_client_ca_file=pki / "front-proxy-ca.crt",
        requestheader_allowed_names=["front-proxy-client"],
        proxy_client_cert_file=pki / "front-proxy-client.crt",
        proxy_client_key_file=pki / "front-proxy-client.key",
        service_cidr=spec.service_cidr,
        shutdown_grace=5.0,  # the supervisor kills after ten
        audit=audit.settings(spec),
        encryption_config_file=encryption.file(spec) if spec.encrypts else None,
    )


def kubelet(spec: ClusterSpec, *, index: int, node: str) -> KubeletConfig:
    """One node of this machine."""
    pki = spec.directory / "pki"
    return KubeletConfig(
        node_name=node,
        kubeconfig=pki / f"{node}.conf",
        state_dir=spec.directory / "kubelet" / node,
        docker_host=spec.docker_host,
        cluster_name=spec.name,
        bind_address=spec.bridge_ip,
        node_ip=spec.bridge_ip,
        port=spec.kubelet_port + index,
        cert_file=pki / "kubelet.crt",
        key_file=pki / "kubelet.key",
        client_ca_file=pki / "ca.crt",
        bridge=spec.bridge,
        bridge_address=spec.bridge_address,
        cluster_dns=[spec.dns_ip],
    )


def simulator(spec: ClusterSpec) -> SimulatorConfig:
    """One program that plays every simulated node. Beside real ones they are tainted, so that they draw no pods off."""
    pki, wanted = spec.directory / "pki", spec.simulation
    taints = wanted.taints if wanted.taints is not None else [simulation.TAINT] if spec.nodes else []
    return SimulatorConfig(
        name=spec.simulator,
        kubeconfig=pki / "simulator.conf",
        nodes=wanted.nodes,
        zones=wanted.zones,
        labels=wanted.labels,
        taints=taints,
        capacity=simulation.CAPACITY | wanted.capacity,
        pod_cidr=simulation.OWN_RANGE,
        stages_file=wanted.stages_file,
        port=spec.simulator_port,
        cert_file=pki / "kubelet.crt",
        key_file=pki / "kubelet.key",
    )


def proxy(spec: ClusterSpec) -> ProxyConfig:
    """Services and DNS of this machine."""
    return ProxyConfig(
        kubeconfig=spec.directory / "pki" / "proxy.conf",
        node_names=spec.node_names,
        table=spec.table,
        cluster_cidr=spec.pod_cidr,
        service_cidr=spec.service_cidr,
        bridge=spec.bridge,
        bridge_address=spec.bridge_address,
        load_balancer_cidrs=[spec.load_balancer_cidr] if spec.load_balancer_cidr else [],
        dns=DnsConfig(bind_addresses=[spec.bridge_ip], cluster_ip=spec.dns_ip),
    )


def config_file(spec: ClusterSpec, service: Service) -> Path:
    """Where a program's configuration stands."""
    return spec.directory / "config" / f"{service.name}.yaml"


def log_file(spec: ClusterSpec, name: str) -> Path:
    """Where a program's output goes."""
    return spec.directory / "logs" / f"{name}.log"
