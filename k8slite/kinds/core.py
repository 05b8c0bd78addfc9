"""`v1`: pods, nodes, services and what hangs on them."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from .base import Condition, Model, Object, ObjectMeta, Quantities

IntOrString = int | str


class ObjectReference(Model):
    """`v1.ObjectReference`."""

    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    resource_version: str = ""
    field_path: str = ""


class KeySelector(Model):
    """A key of a ConfigMap or a Secret."""

    name: str = ""
    key: str
    optional: bool = False


class ObjectFieldSelector(Model):
    """A field of the pod itself."""

    field_path: str
    api_version: str = "v1"


class ResourceFieldSelector(Model):
    """A resource request or limit of a container."""

    resource: str
    container_name: str = ""
    divisor: str | int = "1"


class EnvVarSource(Model):
    """Where an environment variable's value comes from."""

    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    config_map_key_ref: KeySelector | None = None
    secret_key_ref: KeySelector | None = None


class EnvVar(Model):
    """An environment variable."""

    name: str
    value: str = ""
    value_from: EnvVarSource | None = None


class EnvFromReference(Model):
    """A whole ConfigMap or Secret as environment."""

    name: str = ""
    optional: bool = False


class EnvFromSource(Model):
    """Environment variables from every key of an object."""

    prefix: str = ""
    config_map_ref: EnvFromReference | None = None
    secret_ref: EnvFromReference | None = None


class ContainerPort(Model):
    """A port that a container listens on."""

    container_port: int
    name: str = ""
    protocol: str = "TCP"
    host_port: int = 0
    host_ip: str = Field(default="", alias="hostIP")


class VolumeMount(Model):
    """A volume seen inside a container."""

    name: str
    mount_path: str
    sub_path: str = ""
    sub_path_expr: str = ""
    read_only: bool = False
    mount_propagation: str = ""


class ExecAction(Model):
    """A command run in the container; exit code 0 is success."""

    command: list[str] = []


class HTTPHeader(Model):
    """One header of a probe's request."""

    name: str
    value: str


class HTTPGetAction(Model):
    """An HTTP GET; 200–399 is success."""

    port: IntOrString
    path: str = "/"
    host: str = ""
    scheme: str = "HTTP"
    http_headers: list[HTTPHeader] = []


class TCPSocketAction(Model):
    """A TCP connection; being accepted is success."""

    port: IntOrString
    host: str = ""


class GRPCAction(Model):
    """A gRPC health check."""

    port: int
    service: str = ""


class SleepAction(Model):
    """A pause, as a lifecycle handler."""

    seconds: int


class Handler(Model):
    """What a probe or a lifecycle hook does: one of these is set."""

    exec: ExecAction | None = None
    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    grpc: GRPCAction | None = None
    sleep: SleepAction | None = None


class Probe(Handler):
    """A periodic check; times in seconds."""

    initial_delay_seconds: int = 0
    timeout_seconds: int = 1
    period_seconds: int = 10
    success_threshold: int = 1
    failure_threshold: int = 3
    termination_grace_period_seconds: int | None = None


class Lifecycle(Model):
    """Hooks around a container's life."""

    post_start: Handler | None = None
    pre_stop: Handler | None = None


class ResourceRequirements(Model):
    """Requests and limits by resource name."""

    requests: Quantities = {}
    limits: Quantities = {}


class Capabilities(Model):
    """Linux capabilities added to and dropped from the default set."""

    add: list[str] = []
    drop: list[str] = []


class SecurityContext(Model):
    """What a container may do."""

    privileged: bool | None = None
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    read_only_root_filesystem: bool | None = None
    allow_privilege_escalation: bool | None = None
    capabilities: Capabilities | None = None


class Container(Model):
    """One container of a pod."""

    name: str
    image: str = ""
    command: list[str] = []
    args: list[str] = []
    working_dir: str = ""
    ports: list[ContainerPort] = []
    env: list[EnvVar] = []
    env_from: list[EnvFromSource] = []
    resources: ResourceRequirements = ResourceRequirements()
    volume_mounts: list[VolumeMount] = []
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    termination_message_path: str = "/dev/termination-log"
    termination_message_policy: str = "File"
    image_pull_policy: str = "IfNotPresent"
    security_context: SecurityContext | None = None
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    restart_policy: str | None = None


class KeyToPath(Model):
    """A key projected to a file."""

    key: str
    path: str
    mode: int | None = None


class ConfigMapVolumeSource(Model):
    """A ConfigMap as files."""

    name: str = ""
    items: list[KeyToPath] = []
    default_mode: int | None = None
    optional: bool = False


class SecretVolumeSource(Model):
    """A Secret as files."""

    secret_name: str = ""
    items: list[KeyToPath] = []
    default_mode: int | None = None
    optional: bool = False


class SecretProjection(Model):
    """A Secret inside a projected volume."""

    name: str = ""
    items: list[KeyToPath] = []
    optional: bool = False


class DownwardAPIVolumeFile(Model):
    """One file with a field of the pod."""

    path: str
    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    mode: int | None = None


class DownwardAPIVolumeSource(Model):
    """Fields of the pod as files."""

    items: list[DownwardAPIVolumeFile] = []
    default_mode: int | None = None


class ServiceAccountTokenProjection(Model):
    """A bound ServiceAccount token as a file, renewed before it expires."""

    path: str
    audience: str = ""
    expiration_seconds: int = 3600


class VolumeProjection(Model):
    """One source of a projected volume."""

    secret: SecretProjection | None = None
    config_map: ConfigMapVolumeSource | None = None
    downward_api: DownwardAPIVolumeSource | None = Field(default=None, alias="downwardAPI")
    service_account_token: ServiceAccountTokenProjection | None = None


class ProjectedVolumeSource(Model):
    """Several sources in one directory."""

    sources: list[VolumeProjection] = []
    default_mode: int | None = None


class EmptyDirVolumeSource(Model):
    """A directory that lives as long as the pod; `medium: Memory` is a tmpfs."""

    medium: str = ""
    size_limit: str | int | None = None


class HostPathVolumeSource(Model):
    """A path of the node."""

    path: str
    type: str = ""


class PersistentVolumeClaimVolumeSource(Model):
    """A claim by name."""

    claim_name: str
    read_only: bool = False


class Volume(Model):
    """A named volume: one source is set."""

    name: str
    empty_dir: EmptyDirVolumeSource | None = None
    host_path: HostPathVolumeSource | None = None
    config_map: ConfigMapVolumeSource | None = None
    secret: SecretVolumeSource | None = None
    projected: ProjectedVolumeSource | None = None
    downward_api: DownwardAPIVolumeSource | None = Field(default=None, alias="downwardAPI")
    persistent_volume_claim: PersistentVolumeClaimVolumeSource | None = None


class Toleration(Model):
    """A taint that the pod puts up with."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""
    toleration_seconds: int | None = None


class NodeSelectorRequirement(Model):
    """A condition on a node's label or field."""

    key: str
    operator: str
    values: list[str] = []


class NodeSelectorTerm(Model):
    """Conditions that must all hold."""

    match_expressions: list[NodeSelectorRequirement] = []
    match_fields: list[NodeSelectorRequirement] = []


class NodeSelector(Model):
    """Terms of which one must hold."""

    node_selector_terms: list[NodeSelectorTerm] = []


class PreferredSchedulingTerm(Model):
    """A weighted wish."""

    weight: int
    preference: NodeSelectorTerm


class NodeAffinity(Model):
    """Which nodes a pod needs and likes."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    preferred_during_scheduling_ignored_during_execution: list[PreferredSchedulingTerm] = []


class Affinity(Model):
    """Affinities that k8slite reads."""

    node_affinity: NodeAffinity | None = None


class PodDNSConfigOption(Model):
    """One resolver option."""

    name: str
    value: str | None = None


class PodDNSConfig(Model):
    """Additions to the pod's resolv.conf."""

    nameservers: list[str] = []
    searches: list[str] = []
    options: list[PodDNSConfigOption] = []


class HostAlias(Model):
    """An extra line of the pod's hosts file."""

    ip: str
    hostnames: list[str] = []


class PodSecurityContext(Model):
    """What all containers of a pod may do."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    fs_group: int | None = None
    supplemental_groups: list[int] = []


class LocalObjectReference(Model):
    """A name in the same namespace."""

    name: str = ""


class PodSpec(Model):
    """What should run."""

    containers: list[Container] = []
    init_containers: list[Container] = []
    volumes: list[Volume] = []
    restart_policy: str = "Always"
    termination_grace_period_seconds: int = 30
    active_deadline_seconds: int | None = None
    dns_policy: str = "ClusterFirst"
    dns_config: PodDNSConfig | None = None
    node_selector: dict[str, str] = {}
    service_account_name: str = "default"
    automount_service_account_token: bool | None = None
    node_name: str = ""
    host_network: bool = False
    host_pid: bool = Field(default=False, alias="hostPID")
    host_ipc: bool = Field(default=False, alias="hostIPC")
    share_process_namespace: bool = False
    security_context: PodSecurityContext | None = None
    image_pull_secrets: list[LocalObjectReference] = []
    hostname: str = ""
    subdomain: str = ""
    affinity: Affinity | None = None
    scheduler_name: str = "default-scheduler"
    tolerations: list[Toleration] = []
    host_aliases: list[HostAlias] = []
    priority_class_name: str = ""
    priority: int = 0
    enable_service_links: bool = True
    overhead: Quantities = {}


class ContainerStateWaiting(Model):
    """Not yet, or not any more, running."""

    reason: str = ""
    message: str = ""


class ContainerStateRunning(Model):
    """Running since."""

    started_at: datetime | None = None


class ContainerStateTerminated(Model):
    """How it ended."""

    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    container_id: str = Field(default="", alias="containerID")


class ContainerState(Model):
    """One of the three is set."""

    waiting: ContainerStateWaiting | None = None
    running: ContainerStateRunning | None = None
    terminated: ContainerStateTerminated | None = None


class ContainerStatus(Model):
    """What became of a container."""

    name: str
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()
    ready: bool = False
    restart_count: int = 0
    image: str = ""
    image_id: str = Field(default="", alias="imageID")
    container_id: str = Field(default="", alias="containerID")
    started: bool | None = None


class PodIP(Model):
    """One address of a pod."""

    ip: str = ""


class PodStatus(Model):
    """What became of a pod."""

    phase: str = ""
    conditions: list[Condition] = []
    message: str = ""
    reason: str = ""
    host_ip: str = Field(default="", alias="hostIP")
    pod_ip: str = Field(default="", alias="podIP")
    pod_ips: list[PodIP] = Field(default=[], alias="podIPs")
    start_time: datetime | None = None
    init_container_statuses: list[ContainerStatus] = []
    container_statuses: list[ContainerStatus] = []
    nominated_node_name: str = ""
    observed_generation: int = 0


class Pod(Object):
    """`v1.Pod`."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def ready(self) -> bool:
        """Whether the Ready condition is True."""
        return any(c.type == "Ready" and c.status == "True" for c in self.status.conditions)

    @property
    def finished(self) -> bool:
        """Whether the pod has ended and will not run again."""
        return self.status.phase in ("Succeeded", "Failed")


class PodTemplateSpec(Model):
    """The pod that a workload makes."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec = PodSpec()


class Taint(Model):
    """What keeps pods off a node."""

    key: str
    value: str = ""
    effect: str
    time_added: datetime | None = None


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


class LoadBalancerIngress(Model):
    """An address that a load balancer gave."""

    ip: str = ""
    hostname: str = ""


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


class EndpointSubset(Model):
    """Addresses that share ports."""

    addresses: list[EndpointAddress] = []
    not_ready_addresses: list[EndpointAddress] = []
    ports: list[EndpointPort] = []


class Endpoints(Object):
    """`v1.Endpoints`."""

    subsets: list[EndpointSubset] = []


class NamespaceSpec(Model):
    """Finalizers that hold a namespace."""

    finalizers: list[str] = []


class NamespaceStatus(Model):
    """Active or Terminating."""

    phase: str = ""
    conditions: list[Condition] = []


class Namespace(Object):
    """`v1.Namespace`."""

    spec: NamespaceSpec = NamespaceSpec()
    status: NamespaceStatus = NamespaceStatus()


class ConfigMap(Object):
    """`v1.ConfigMap`; `binary_data` is base64."""

    data: dict[str, str] = {}
    binary_data: dict[str, str] = {}


class Secret(Object):
    """`v1.Secret`; `data` is base64."""

    data: dict[str, str] = {}
    type: str = "Opaque"

    def __repr__(self) -> str:
        """Never the data: a secret must not reach a log."""
        return f"Secret({self.key})"

    __str__ = __repr__


class ServiceAccount(Object):
    """`v1.ServiceAccount`."""

    secrets: list[ObjectReference] = []
    image_pull_secrets: list[LocalObjectReference] = []
    automount_service_account_token: bool | None = None


class EventSource(Model):
    """Who reports."""

    component: str = ""
    host: str = ""


class Event(Object):
    """`v1.Event`."""

    involved_object: ObjectReference = ObjectReference()
    reason: str = ""
    message: str = ""
    source: EventSource = EventSource()
    count: int = 0
    type: str = ""
    first_timestamp: datetime | None = None
    last_timestamp: datetime | None = None


class ReplicationControllerSpec(Model):
    """What a ReplicationController keeps alive."""

    replicas: int = 1
    selector: dict[str, str] = {}
    template: PodTemplateSpec = PodTemplateSpec()
    min_ready_seconds: int = 0


class ReplicationController(Object):
    """`v1.ReplicationController`."""

    spec: ReplicationControllerSpec = ReplicationControllerSpec()


class PartialObject(Object):
    """Metadata of any object: what the garbage collector and the namespace controller read."""
