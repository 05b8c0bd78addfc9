"""What the scheduler reads of pods and nodes.

Narrower models than the shared ones: a scheduler holds every pod of the cluster, and this view of a pod costs half the
time to read and half the memory (19 µs and 8 kB against 37 µs and 18 kB for a usual pod).
"""

from __future__ import annotations

from k8slite.kinds.base import Condition, LabelSelectorModel, Model, Object, Quantities, ResourceType
from k8slite.kinds.core import ContainerPort, NodeAffinity, ResourceRequirements, Taint, Toleration

from .affinity import PodAffinity, PodRulesField, affinity_from
from .node_images import NodeImages
from .storage.sources import Volumes


class Container(Model):
    """What a container asks of a node; `restart_policy` Always marks a sidecar among the init containers."""

    name: str = ""
    image: str = ""
    resources: ResourceRequirements = ResourceRequirements()
    ports: list[ContainerPort] = []
    restart_policy: str | None = None


class SchedulingGate(Model):
    """Something that must be removed before the pod may be scheduled."""

    name: str


class TopologySpreadConstraint(Model):
    """How evenly pods are to be spread over the values of a node label."""

    max_skew: int
    topology_key: str
    when_unsatisfiable: str
    label_selector: LabelSelectorModel | None = None
    min_domains: int | None = None
    node_affinity_policy: str = "Honor"
    node_taints_policy: str = "Ignore"
    match_label_keys: list[str] = []


class Affinity(Model):
    """Which nodes a pod needs and likes, and beside which other pods."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodRulesField | None = None
    pod_anti_affinity: PodRulesField | None = None


class PodSpec(Model):
    """What bears on where a pod may run."""

    containers: list[Container] = []
    init_containers: list[Container] = []
    node_selector: dict[str, str] = {}
    node_name: str = ""
    host_network: bool = False
    affinity: Affinity | None = None
    tolerations: list[Toleration] = []
    topology_spread_constraints: list[TopologySpreadConstraint] = []
    scheduler_name: str = "default-scheduler"
    scheduling_gates: list[SchedulingGate] = []
    priority: int = 0
    preemption_policy: str = ""
    overhead: Quantities = {}
    resources: ResourceRequirements | None = None
    volumes: Volumes = ()
    """Those that bear on scheduling."""


class ContainerStatus(Model):
    """What a container was granted of its node, and what it has."""

    name: str
    allocated_resources: Quantities = {}
    resources: ResourceRequirements | None = None


class PodStatus(Model):
    """Whether the pod has ended, what was said of it last, and what it has of its node."""

    phase: str = ""
    conditions: list[Condition] = []
    nominated_node_name: str = ""
    start_time: str = ""
    container_statuses: list[ContainerStatus] = []
    init_container_statuses: list[ContainerStatus] = []
    allocated_resources: Quantities = {}
    resources: ResourceRequirements | None = None


class Pod(Object):
    """`v1.Pod` as the scheduler sees it."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def finished(self) -> bool:
        """Whether the pod has ended and holds nothing of its node any more."""
        return self.status.phase in ("Succeeded", "Failed")


class NodeSpec(Model):
    """What keeps pods off."""

    unschedulable: bool = False
    taints: list[Taint] = []


class NodeStatus(Model):
    """What a node has to give."""

    allocatable: Quantities = {}
    images: NodeImages = ()


class Node(Object):
    """`v1.Node` as the scheduler sees it."""

    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class ServiceSpec(Model):
    """Which pods belong together."""

    selector: dict[str, str] = {}


class Service(Object):
    """`v1.Service` as the scheduler sees it."""

    spec: ServiceSpec = ServiceSpec()


class Namespace(Object):
    """`v1.Namespace` as the scheduler sees it: its labels."""


def affinity_of(pod: Pod) -> PodAffinity | None:
    """What a pod says of other pods; None if it says nothing."""
    affinity = pod.spec.affinity
    if affinity is None or (affinity.pod_affinity is None and affinity.pod_anti_affinity is None):
        return None
    return affinity_from(affinity.pod_affinity, affinity.pod_anti_affinity, namespace=pod.metadata.namespace)


PODS = ResourceType("", "v1", "pods", "Pod", True, Pod)
NODES = ResourceType("", "v1", "nodes", "Node", False, Node)
SERVICES = ResourceType("", "v1", "services", "Service", True, Service)
NAMESPACES = ResourceType("", "v1", "namespaces", "Namespace", False, Namespace)
