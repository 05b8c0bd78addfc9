"""`v1.Pod`: specification and status."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from .base import Condition, Model, Object, Quantities
from .containers import Container, EphemeralContainer
from .placement import Affinity, Toleration
from .references import LocalObjectReference
from .template import RawTemplate
from .volumes import Volume


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
    fs_group_change_policy: str = "Always"
    supplemental_groups: list[int] = []


class PodReadinessGate(Model):
    """A condition that somebody else must set before the pod is ready."""

    condition_type: str


class PodSpec(Model):
    """What should run."""

    containers: list[Container] = []
    init_containers: list[Container] = []
    ephemeral_containers: list[EphemeralContainer] = []
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
    readiness_gates: list[PodReadinessGate] = []

    @property
    def every_container(self) -> tuple[Container, ...]:
        """Init containers, containers proper, and those added for debugging."""
        return (*self.init_containers, *self.containers, *self.ephemeral_containers)

    def field_path(self, container: str) -> str:
        """Where a container stands in the pod, as events name it: `spec.containers{web}`."""
        member = "containers"
        if any(one.name == container for one in self.init_containers):
            member = "initContainers"
        elif any(one.name == container for one in self.ephemeral_containers):
            member = "ephemeralContainers"
        return f"spec.{member}{{{container}}}"


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
    ephemeral_container_statuses: list[ContainerStatus] = []
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


class ReplicationControllerSpec(Model):
    """What a ReplicationController keeps alive."""

    replicas: int = 1
    selector: dict[str, str] = {}
    template: RawTemplate = RawTemplate()
    min_ready_seconds: int = 0


class ReplicationControllerStatus(Model):
    """How many there are."""

    replicas: int = 0
    fully_labeled_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    observed_generation: int = 0
    conditions: list[Condition] = []


class ReplicationController(Object):
    """`v1.ReplicationController`."""

    spec: ReplicationControllerSpec = ReplicationControllerSpec()
    status: ReplicationControllerStatus = ReplicationControllerStatus()
