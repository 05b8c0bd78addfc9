"""`v1.Container`: what one container of a pod runs, and how it is watched over."""

from __future__ import annotations

from pydantic import Field

from .base import IntOrString, Model, Quantities
from .references import KeySelector, ObjectFieldSelector, ResourceFieldSelector


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


class EphemeralContainer(Container):
    """A container that joins a running pod to look into it: never restarted, never waited for."""

    target_container_name: str = ""
