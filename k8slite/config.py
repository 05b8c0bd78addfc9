"""Configuration of every program: one model each, read from a YAML or JSON file.

The models stand here, not in the components, because two sides must agree on them: `k8slite up` writes the files, the
programs read them. Times are seconds, addresses are `host` or `host:port` strings, paths are absolute.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel


class ConfigError(Exception):
    """The configuration file is missing, malformed or names an unknown setting."""


class Config(BaseModel):
    """The base: frozen, camelCase in the file, unknown settings refused."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="forbid")


class StoreConfig(Config):
    """Where the API server keeps its objects."""

    engine: Literal["memory", "sqlite", "etcd"] = "sqlite"
    path: Path | None = None
    """SQLite: the database file."""
    endpoints: list[str] = []
    """etcd: `https://host:2379` or `http://127.0.0.1:2379`."""
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    compaction_age: float = 300.0
    """History older than this many seconds may be dropped."""


class AuditLogConfig(Config):
    """The audit log as a file."""

    path: str = ""
    """The file, `-` for standard output; empty means none."""
    max_age: int = Field(default=366, ge=0)
    """Days that files put aside are kept; 0 is for ever, here and below."""
    max_backups: int = Field(default=100, ge=0)
    """How many files put aside are kept."""
    max_size: int = Field(default=100, ge=0)
    """MiB after which the file is put aside."""
    compress: bool = False
    """Whether files put aside are gzipped."""
    mode: Literal["batch", "blocking", "blocking-strict"] = "batch"
    """`blocking`: no answer before its event is written; `-strict`: what cannot be recorded is refused."""
    buffer_size: int = Field(default=10000, ge=1)
    """Events that may wait for the disk; what comes then is dropped and counted."""
    max_event_size: int = Field(default=0, ge=0)
    """Bytes; a larger event loses its objects, one that is still larger is dropped. 0 is no bound."""


class AuditWebhookConfig(Config):
    """The audit log sent to another server."""

    kubeconfig: Path | None = None
    """Where events are posted to; none means nowhere."""
    initial_backoff: float = Field(default=10.0, gt=0)
    """Seconds before the first of four more attempts."""
    buffer_size: int = Field(default=10000, ge=1)
    batch_max_size: int = Field(default=400, ge=1)
    """Events in one request."""
    batch_max_wait: float = Field(default=30.0, gt=0)
    """Seconds that an event waits for others."""
    throttle_qps: float = Field(default=10.0, gt=0)
    """Requests a second, on average."""
    throttle_burst: int = Field(default=15, ge=1)
    max_event_size: int = Field(default=0, ge=0)


class AuditConfig(Config):
    """What is recorded of requests, and where."""

    policy_file: Path | None = None
    """An `audit.k8s.io/v1` Policy; without one nothing is recorded."""
    log: AuditLogConfig = AuditLogConfig()
    webhook: AuditWebhookConfig = AuditWebhookConfig()


class ApiServerConfig(Config):
    """The API server."""

    bind_addresses: list[str] = ["127.0.0.1"]
    """Addresses to listen on; one that does not exist yet (the pod bridge) is bound all the same (IP_FREEBIND)."""
    port: int = 6443
    advertise_address: str = "127.0.0.1"
    """The address that pods reach: the endpoint of the Service `kubernetes.default`."""
    store: StoreConfig = StoreConfig()
    cert_file: Path
    key_file: Path
    client_ca_file: Path
    """Certificates signed by this CA authenticate: CN is the user, O the groups."""
    service_account_key_file: Path
    """The private key that signs ServiceAccount tokens (PEM)."""
    service_account_issuer: str = "https://kubernetes.default.svc.cluster.local"
    accepted_service_account_issuers: list[str] = []
    """Other issuers whose ServiceAccount tokens are accepted too, as when the issuer has changed."""
    service_account_key_files: list[Path] = []
    """More keys that verify ServiceAccount tokens beside the signing key, each file with any number of them (PEM)."""
    service_account_max_token_expiration: float = 0.0
    """ServiceAccount tokens live no longer than this many seconds, whatever is asked for; 0 is no limit."""
    service_account_extend_token_expiration: bool = True
    """Tokens that kubelets project outlive their stated end by a year, for clients that do not read them again."""
    service_account_jwks_uri: str = ""
    """Where the keys are published; empty means below the issuer."""
    api_audiences: list[str] = []
    """What tokens call this server; empty means the ServiceAccount issuers."""
    token_file: Path | None = None
    """Static bearer tokens: CSV lines `token,user,uid,"group1,group2"`."""
    anonymous_auth: bool | None = None
    """Whether requests without credentials are served as `system:anonymous`; unset means yes."""
    enable_bootstrap_token_auth: bool = False
    """Whether Secrets of type `bootstrap.kubernetes.io/token` in kube-system authenticate nodes that join."""
    local_storage_class: bool = False
    """Whether a new cluster starts with a default StorageClass, `local`; who deletes it is not contradicted."""
    authentication_config_file: Path | None = None
    """An AuthenticationConfiguration (apiserver.config.k8s.io): issuers (OIDC), anonymous users. Reread on change."""
    authentication_token_webhook_config_file: Path | None = None
    """A kubeconfig of the server that is asked about tokens that nothing else knows (TokenReview)."""
    authentication_token_webhook_version: Literal["v1", "v1beta1"] = "v1beta1"
    authentication_token_webhook_cache_ttl: float = 120.0
    """Its answers are remembered for this many seconds."""
    oidc_issuer_url: str = ""
    """An OIDC issuer (https); together with `oidcClientId`. A configuration file says more, and several."""
    oidc_client_id: str = ""
    """The audience that its tokens must have."""
    oidc_ca_file: Path | None = None
    """Signs the issuer's certificate; unset means the system's authorities."""
    oidc_username_claim: str = "sub"
    oidc_username_prefix: str = ""
    """Before user names; empty means the issuer's URL and `#` (nothing before the claim `email`), `-` means nothing."""
    oidc_groups_claim: str = ""
    oidc_groups_prefix: str = ""
    oidc_signing_algs: list[str] = ["RS256"]
    oidc_required_claims: dict[str, str] = {}
    """Claims that must be there with these values."""
    kubelet_ca_file: Path | None = None
    kubelet_client_cert_file: Path | None = None
    kubelet_client_key_file: Path | None = None
    authorization_mode: list[Literal["Node", "RBAC", "AlwaysAllow", "AlwaysDeny"]] = ["Node", "RBAC"]
    """Who is asked whether a request may be, in this order; the first opinion counts, and none at all refuses."""
    authorization_config_file: Path | None = None
    """An AuthorizationConfiguration, which may name webhooks; instead of the modes. Its changes are followed."""
    requestheader_client_ca_file: Path | None = None
    """Proxies with a certificate of this CA name their users in headers; without it nobody does."""
    requestheader_allowed_names: list[str] = []
    """Common names of the proxies that are believed; empty means every one that the CA signed."""
    requestheader_username_headers: list[str] = ["X-Remote-User"]
    requestheader_uid_headers: list[str] = ["X-Remote-Uid"]
    requestheader_group_headers: list[str] = ["X-Remote-Group"]
    requestheader_extra_headers_prefix: list[str] = ["X-Remote-Extra-"]
    proxy_client_cert_file: Path | None = None
    """What the API server shows to the aggregated API servers that it passes requests on to."""
    proxy_client_key_file: Path | None = None
    service_cidr: str = "10.96.0.0/16"
    node_port_range: tuple[int, int] = (30000, 32767)
    event_ttl: float = Field(default=3600.0, gt=0)
    """Seconds that an event is kept after it was last written."""
    shutdown_delay: float = 0.0
    """Seconds between the end's begin, when readyz fails, and the last new connection: a load balancer's to notice."""
    shutdown_grace: float = 60.0
    """Seconds that requests under way may then take; watches end at once, logs and other streams within five."""
    max_connections: int = Field(4096, gt=0)
    """Connections that are open at the same time; who has most loses some when there are more."""
    max_requests_inflight: int = Field(300, gt=0)
    """Requests that are served at the same time; priority levels share them (docs/flow-control.md)."""
    enable_admission_plugins: list[str] = []
    """Plugins to run beside those that run by default (docs/admission.md)."""
    disable_admission_plugins: list[str] = []
    audit: AuditConfig = AuditConfig()
    encryption_config_file: Path | None = None
    """An `apiserver.config.k8s.io/v1` EncryptionConfiguration; it is read again when it changes."""
    encryption_drop_unreadable: bool = False
    """At start, remove objects that no key can decrypt; otherwise the server does not start with them."""
    admission_control_config_file: Path | None = None
    """An AdmissionConfiguration: what the plugins are told."""


class LeaderElectionConfig(Config):
    """Timing of leader election."""

    enabled: bool = True
    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0
    """Seconds between two attempts, at most."""


class SchedulerConfig(Config):
    """The scheduler."""

    kubeconfig: Path
    leader_election: LeaderElectionConfig = LeaderElectionConfig()
    metrics_port: int = 0
    """Plain HTTP on loopback for /metrics and /healthz; 0 is off."""
    bind_address: str = "127.0.0.1"
    port: int = 0
    """HTTPS for /decisions, /metrics and /healthz, to certificates of `client_ca_file`; 0 is off."""
    cert_file: Path | None = None
    key_file: Path | None = None
    client_ca_file: Path | None = None
    scheduler_name: str = "default-scheduler"
    """The pods to schedule: those with this `spec.schedulerName`. What `configuration` says counts instead."""
    configuration: Path | None = None
    """A KubeSchedulerConfiguration: profiles, plugins, extenders, back-off."""


class ControllerManagerConfig(Config):
    """The controller manager."""

    kubeconfig: Path
    leader_election: LeaderElectionConfig = LeaderElectionConfig()
    metrics_port: int = 0
    controllers: list[str] = ["*"]
    """Upstream's names of controllers to run; `*` is all, `-name` leaves one out."""
    legacy_service_account_token_clean_up_period: float = 31_536_000.0
    """Seconds without use after which a token that was made by itself is marked as invalid, and as many more later
    removed with its Secret."""
    root_ca_file: Path | None = None
    """Published to every namespace as the ConfigMap `kube-root-ca.crt`, and in the Secrets of ServiceAccount tokens."""
    service_account_private_key_file: Path | None = None
    """Signs the tokens of Secrets of type `kubernetes.io/service-account-token`; without it they stay empty."""
    cluster_signing_cert_file: Path | None = None
    """The authority that signs certificate requests for Kubernetes' own signers; without it none are signed."""
    cluster_signing_key_file: Path | None = None
    cluster_signing_kubelet_serving_cert_file: Path | None = None
    """An authority for one signer alone, here and below; instead of the one for all."""
    cluster_signing_kubelet_serving_key_file: Path | None = None
    cluster_signing_kubelet_client_cert_file: Path | None = None
    cluster_signing_kubelet_client_key_file: Path | None = None
    cluster_signing_kube_apiserver_client_cert_file: Path | None = None
    cluster_signing_kube_apiserver_client_key_file: Path | None = None
    cluster_signing_legacy_unknown_cert_file: Path | None = None
    cluster_signing_legacy_unknown_key_file: Path | None = None
    cluster_signing_duration: float = 31_536_000.0
    """Seconds that a signed certificate lives at most."""
    enable_dynamic_provisioning: bool = True
    """Whether provisioners are asked for volumes that claims wait for."""
    allocate_node_cidrs: bool = True
    """Whether nodes are given pod networks."""
    cluster_cidr: str = "10.42.0.0/16"
    """Node pod CIDRs are cut from this: one network, or one of each family separated by a comma."""
    node_cidr_mask_size: int = 0
    """The prefix length of a node's part where there is one family; 0 means what the next two say."""
    node_cidr_mask_size_ipv4: int = 24
    node_cidr_mask_size_ipv6: int = 64
    service_cluster_ip_range: str = ""
    """The networks of Services (comma separated): no node is given a part of them."""
    node_monitor_grace_period: float = Field(default=50.0, gt=0)
    """Seconds that a node may be silent before its conditions are Unknown."""
    node_startup_grace_period: float = Field(default=60.0, gt=0)
    """The same for a node that has never said whether it is ready."""
    node_eviction_rate: float = Field(default=0.1, ge=0)
    """Nodes a second, in each zone, whose pods are told to leave."""
    secondary_node_eviction_rate: float = Field(default=0.01, ge=0)
    """The same in a large zone of which more than the threshold is not ready; a small one is left alone then."""
    unhealthy_zone_threshold: float = Field(default=0.55, ge=0, le=1)
    """The part of a zone that must be not ready, three nodes at least, for the zone to count as disrupted."""
    large_cluster_size_threshold: int = Field(default=50, ge=0)
    """A zone is large with more nodes than this."""
    terminated_pod_gc_threshold: int = 12500
    """Ended pods that are kept; 0 and less keeps all."""
    workers: int = 8
    max_endpoints_per_slice: int = Field(default=100, ge=1, le=1000)
    """Endpoints in an EndpointSlice at most."""
    endpointslice_updates_batch_period: float = Field(default=0.1, ge=0)
    """Seconds between two looks at the EndpointSlices of one Service: what changes meanwhile is written together."""
    endpoint_updates_batch_period: float = Field(default=0.5, ge=0)
    """The same for Endpoints, which few read."""
    mirroring_max_endpoints_per_subset: int = Field(default=1000, ge=1, le=1000)
    """Addresses of a subset of hand-made Endpoints that are mirrored to EndpointSlices at most."""
    mirroring_endpointslice_updates_batch_period: float = Field(default=0.1, ge=0)
    load_balancer_pools: list[str] = []
    """CIDRs that Services of type LoadBalancer get their addresses from; none leaves them to somebody else."""
    horizontal_pod_autoscaler_sync_period: float = Field(default=2.0, gt=0)
    """Seconds between two looks at an autoscaler."""
    horizontal_pod_autoscaler_downscale_stabilization: float = Field(default=300.0, ge=0)
    """Seconds that an autoscaler looks back before it goes down, unless it says how far itself."""
    horizontal_pod_autoscaler_tolerance: float = Field(default=0.1, ge=0)
    """How far the ratio of what is measured to what is wanted may be from 1 before anything is done."""
    horizontal_pod_autoscaler_cpu_initialization_period: float = Field(default=300.0, ge=0)
    """Seconds after a pod's start in which its processor time counts only while it is ready."""
    horizontal_pod_autoscaler_initial_readiness_delay: float = Field(default=30.0, ge=0)
    """Seconds after a pod's start in which a change of its readiness is taken for the first one."""
    concurrent_horizontal_pod_autoscaler_syncs: int = Field(default=16, ge=1)
    """Autoscalers that are looked at at once: metrics adapters may be slow."""


class KubeletConfig(Config):
    """A kubelet: one node."""

    node_name: str
    kubeconfig: Path
    state_dir: Path
    """Volumes, logs, the hosts files of pods."""
    docker_host: str = ""
    """Docker's socket; empty means the environment's."""
    cluster_name: str = "default"
    """Containers carry it as a label, so that several clusters can share one Docker engine."""
    bind_address: str = "127.0.0.1"
    node_ip: str = "127.0.0.1"
    """Published as the node's InternalIP; the API server dials it for logs and exec."""
    port: int = 10250
    cert_file: Path
    key_file: Path
    client_ca_file: Path
    """Certificates of this CA say who asks the kubelet's server; others need a token."""
    bridge: str = "k8slite0"
    bridge_address: str = "10.42.0.1/16"
    """The bridge's address with the prefix of the machine's pods: their gateway."""
    cluster_dns: list[str] = ["10.96.0.10"]
    cluster_domain: str = "cluster.local"
    resolv_conf: Path = Path("/etc/resolv.conf")
    max_pods: int = 110
    labels: dict[str, str] = {}
    taints: list[dict[str, str]] = []
    node_lease_duration: int = 40
    relist_period: float = 10.0
    """Seconds between listings of all containers; the engine's events tell of changes in between."""


class SimulatorConfig(Config):
    """Simulated nodes, all played by one program."""

    name: str
    """Nodes are `<name>-0`, `<name>-1` and so on, and carry it as the label `k8slite.io/simulator`."""
    kubeconfig: Path
    context: str = ""
    """The context in the kubeconfig; empty means its current one."""
    nodes: int = Field(default=1, ge=1)
    labels: dict[str, str] = {}
    taints: list[dict[str, str]] = []
    zones: list[str] = []
    """Nodes are spread over these in turn, by `topology.kubernetes.io/zone`."""
    capacity: dict[str, str] = {"cpu": "32", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "110"}
    pod_cidr: str = ""
    """A range that the nodes share out as their pod CIDRs; empty leaves those to the cluster's controllers."""
    stages_file: Path | None = None
    """What becomes of pods and nodes (docs/reference/stages.md); none means what is built in."""
    node_lease_duration: int = Field(default=40, ge=1)
    """Seconds that the nodes' Leases announce; they are renewed twice as often."""
    node_status_period: float = Field(default=300.0, gt=0)
    """Seconds between two reports of a node's status while nothing changes."""
    connections: int = Field(default=32, ge=1)
    """Writes at the same time."""
    remove_nodes: bool = False
    """Whether the nodes are removed when the program ends."""
    bind_address: str = "127.0.0.1"
    node_ip: str = "127.0.0.1"
    """Published as every node's InternalIP; the API server dials it for logs and exec, and hears that nothing runs."""
    port: int = 10250
    cert_file: Path | None = None
    key_file: Path | None = None
    """None means a certificate of the program's own making, which the API server must not check."""
    metrics_port: int = 0


class DnsConfig(Config):
    """Cluster DNS."""

    enabled: bool = True
    bind_addresses: list[str] = ["10.42.0.1"]
    port: int = 10053
    cluster_domain: str = "cluster.local"
    cluster_ip: str = "10.96.0.10"
    """The ClusterIP of the Service `kube-system/kube-dns`, which leads here."""
    upstream: list[str] = []
    """Name servers for other names; empty means those of resolv_conf."""
    resolv_conf: Path = Path("/etc/resolv.conf")


class ProxyConfig(Config):
    """The service proxy and DNS of one machine."""

    kubeconfig: Path
    metrics_port: int = 0
    node_names: list[str] = []
    """The nodes of this machine: endpoints on them are local."""
    table: str = "k8slite"
    """The nftables table (families ip and ip6) that holds every rule."""
    cluster_cidr: str = "10.42.0.0/16"
    service_cidr: str = "10.96.0.0/16"
    bridge: str = "k8slite0"
    bridge_address: str = "10.42.0.1/16"
    node_port_addresses: list[str] = []
    """CIDRs on which NodePorts answer; empty means every local address."""
    load_balancer_cidrs: list[str] = []
    """Ranges of load balancers' addresses (the controller manager's pools): this machine's programs reach them."""
    dns: DnsConfig = DnsConfig()


C = TypeVar("C", bound=Config)


def load(model: type[C], path: Path) -> C:
    """Read a configuration file. Raises ConfigError with file and setting."""
    try:
        data = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {error}") from error
    try:
        return model.model_validate(data or {})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"{path}: {problems}") from error


def dump(config: Config, path: Path) -> None:
    """Write a configuration file, readable by its owner only."""
    text = yaml.safe_dump(config.model_dump(mode="json", by_alias=True), sort_keys=False)
    path.touch(mode=0o600, exist_ok=True)
    path.write_text(text)
