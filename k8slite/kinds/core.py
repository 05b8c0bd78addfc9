"""`v1`: every core kind under one name; the larger ones stand in files of their own."""

from __future__ import annotations

from datetime import datetime

from .base import Condition, Model, Object
from .base import IntOrString as IntOrString
from .containers import Capabilities as Capabilities
from .containers import Container as Container
from .containers import ContainerPort as ContainerPort
from .containers import EnvFromReference as EnvFromReference
from .containers import EnvFromSource as EnvFromSource
from .containers import EnvVar as EnvVar
from .containers import EnvVarSource as EnvVarSource
from .containers import EphemeralContainer as EphemeralContainer
from .containers import ExecAction as ExecAction
from .containers import GRPCAction as GRPCAction
from .containers import Handler as Handler
from .containers import HTTPGetAction as HTTPGetAction
from .containers import HTTPHeader as HTTPHeader
from .containers import Lifecycle as Lifecycle
from .containers import Probe as Probe
from .containers import ResourceRequirements as ResourceRequirements
from .containers import SecurityContext as SecurityContext
from .containers import SleepAction as SleepAction
from .containers import TCPSocketAction as TCPSocketAction
from .containers import VolumeMount as VolumeMount
from .nodes import DaemonEndpoint as DaemonEndpoint
from .nodes import Node as Node
from .nodes import NodeAddress as NodeAddress
from .nodes import NodeDaemonEndpoints as NodeDaemonEndpoints
from .nodes import NodeSpec as NodeSpec
from .nodes import NodeStatus as NodeStatus
from .placement import Affinity as Affinity
from .placement import NodeAffinity as NodeAffinity
from .placement import NodeSelector as NodeSelector
from .placement import NodeSelectorRequirement as NodeSelectorRequirement
from .placement import NodeSelectorTerm as NodeSelectorTerm
from .placement import PreferredSchedulingTerm as PreferredSchedulingTerm
from .placement import Taint as Taint
from .placement import Toleration as Toleration
from .pods import ContainerState as ContainerState
from .pods import ContainerStateRunning as ContainerStateRunning
from .pods import ContainerStateTerminated as ContainerStateTerminated
from .pods import ContainerStateWaiting as ContainerStateWaiting
from .pods import ContainerStatus as ContainerStatus
from .pods import HostAlias as HostAlias
from .pods import Pod as Pod
from .pods import PodDNSConfig as PodDNSConfig
from .pods import PodDNSConfigOption as PodDNSConfigOption
from .pods import PodIP as PodIP
from .pods import PodReadinessGate as PodReadinessGate
from .pods import PodSecurityContext as PodSecurityContext
from .pods import PodSpec as PodSpec
from .pods import PodStatus as PodStatus
from .pods import ReplicationController as ReplicationController
from .pods import ReplicationControllerSpec as ReplicationControllerSpec
from .references import KeySelector as KeySelector
from .references import LocalObjectReference as LocalObjectReference
from .references import ObjectFieldSelector as ObjectFieldSelector
from .references import ObjectReference as ObjectReference
from .references import ResourceFieldSelector as ResourceFieldSelector
from .services import ClientIPConfig as ClientIPConfig
from .services import EndpointAddress as EndpointAddress
from .services import EndpointPort as EndpointPort
from .services import Endpoints as Endpoints
from .services import EndpointSubset as EndpointSubset
from .services import LoadBalancerIngress as LoadBalancerIngress
from .services import LoadBalancerStatus as LoadBalancerStatus
from .services import Service as Service
from .services import ServicePort as ServicePort
from .services import ServiceSpec as ServiceSpec
from .services import ServiceStatus as ServiceStatus
from .services import SessionAffinityConfig as SessionAffinityConfig
from .volumes import ConfigMapVolumeSource as ConfigMapVolumeSource
from .volumes import DownwardAPIVolumeFile as DownwardAPIVolumeFile
from .volumes import DownwardAPIVolumeSource as DownwardAPIVolumeSource
from .volumes import EmptyDirVolumeSource as EmptyDirVolumeSource
from .volumes import HostPathVolumeSource as HostPathVolumeSource
from .volumes import KeyToPath as KeyToPath
from .volumes import PersistentVolumeClaimVolumeSource as PersistentVolumeClaimVolumeSource
from .volumes import ProjectedVolumeSource as ProjectedVolumeSource
from .volumes import SecretProjection as SecretProjection
from .volumes import SecretVolumeSource as SecretVolumeSource
from .volumes import ServiceAccountTokenProjection as ServiceAccountTokenProjection
from .volumes import Volume as Volume
from .volumes import VolumeProjection as VolumeProjection


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


class PartialObject(Object):
    """Metadata of any object: what the garbage collector and the namespace controller read."""
