"""What playing pods and nodes needs to know of them: models that read little, and the state that an object is in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from typing_extensions import TypedDict

from k8slite.kinds.base import Model, Object, Quantities, ResourceType
from k8slite.kinds.resources import NODES, PODS

from . import commands

Json = dict[str, Any]

PodState = Literal[
    "Pending", "ImagePullBackOff", "Initializing", "Running", "Unready", "CrashLoopBackOff", "Succeeded", "Failed"
]
"""Where a pod can be once it is bound: its phase, told apart where users would see a difference."""

NodeState = Literal["Ready", "NotReady", "Silent"]
"""A node that is Silent sends no heartbeats and does nothing for its pods, as one whose machine is off."""

_OVER: Mapping[str, PodState] = {"Succeeded": "Succeeded", "Failed": "Failed"}
_HELD: Mapping[str, PodState] = {"CrashLoopBackOff": "CrashLoopBackOff", "ImagePullBackOff": "ImagePullBackOff"}


class ConditionFacts(TypedDict, total=False):
    """A condition, as it stands in the object; a dictionary, as there are five in each of many pods."""

    type: str
    status: str
    reason: str
    message: str
    lastTransitionTime: str | None


class ResourcesFacts(Model):
    """What a container asks for."""

    requests: Quantities = {}


class ContainerFacts(Model):
    """A container of a pod's spec."""

    name: str
    image: str = ""
    command: list[str] = []
    args: list[str] = []
    restart_policy: str = ""
    resources: ResourcesFacts = ResourcesFacts()

    @property
    def sidecar(self) -> bool:
        """Whether an init container runs beside the others to the end."""
        return self.restart_policy == "Always"


class SpecFacts(Model):
    """A pod's spec."""

    node_name: str = ""
    restart_policy: str = "Always"
    host_network: bool = False
    active_deadline_seconds: int | None = None
    containers: list[ContainerFacts] = []
    init_containers: list[ContainerFacts] = []
    ephemeral_containers: list[ContainerFacts] = []
    readiness_gates: list[dict[str, str]] = []


class StatusFacts(TypedDict, total=False):
    """A pod's status."""

    phase: str
    conditions: list[ConditionFacts]
    podIP: str
    startTime: str | None
    observedGeneration: int
    containerStatuses: list[Json]
    initContainerStatuses: list[Json]
    ephemeralContainerStatuses: list[Json]


class Pod(Object):
    """A pod as its simulated node sees it."""

    spec: SpecFacts = SpecFacts()
    status: StatusFacts = {}

    def condition(self, kind: str) -> ConditionFacts | None:
        """The condition of a type, if it is there."""
        return next((one for one in self.status.get("conditions") or () if one.get("type") == kind), None)

    def holds(self, kind: str) -> bool:
        """Whether a condition is True."""
        found = self.condition(kind)
        return found is not None and found.get("status") == "True"

    @property
    def shut_gate(self) -> str:
        """The first condition that its readiness waits for and that is not True; empty if there is none."""
        gates = (gate.get("conditionType", "") for gate in self.spec.readiness_gates)
        return next((gate for gate in gates if not self.holds(gate)), "")

    @property
    def restarts(self) -> int:
        """How often its containers were started again, the most of any."""
        return max((one.get("restartCount") or 0 for one in self.status.get("containerStatuses") or ()), default=0)

    @property
    def state(self) -> PodState:
        """Where the pod is, by what its status says."""
        phase = self.status.get("phase") or "Pending"
        if ended := _OVER.get(phase):
            return ended
        for one in self.status.get("containerStatuses") or ():
            reason = ((one.get("state") or {}).get("waiting") or {}).get("reason")
            if held := _HELD.get(reason or ""):
                return held
        if phase == "Running":
            return "Running" if self.holds("ContainersReady") else "Unready"
        started = (one.get("state") or {} for one in self.status.get("initContainerStatuses") or ())
        return "Initializing" if any("running" in state for state in started) else "Pending"

    @property
    def finished(self) -> bool:
        """Whether it has ended for good."""
        return self.status.get("phase") in ("Succeeded", "Failed")


class NodeSpecFacts(Model):
    """A node's spec."""

    pod_cidr: str = ""


class NodeStatusFacts(Model):
    """A node's status."""

    conditions: list[ConditionFacts] = []
    capacity: dict[str, str] = {}
    addresses: list[dict[str, str]] = []
    daemon_endpoints: dict[str, dict[str, int]] = {}


class Node(Object):
    """A node as the program that plays it sees it."""

    spec: NodeSpecFacts = NodeSpecFacts()
    status: NodeStatusFacts = NodeStatusFacts()

    def condition(self, kind: str) -> ConditionFacts | None:
        """The condition of a type, if it is there."""
        return next((one for one in self.status.conditions if one.get("type") == kind), None)


PLAYED_PODS = ResourceType(PODS.group, PODS.version, PODS.plural, PODS.kind, PODS.namespaced, Pod)
PLAYED_NODES = ResourceType(NODES.group, NODES.version, NODES.plural, NODES.kind, NODES.namespaced, Node)


def ends(pod: Pod) -> tuple[float, int] | None:
    """After how many seconds, and with which exit code, a pod's commands end, if they say so; None if one runs on."""
    longest, code = 0.0, 0
    for container in pod.spec.containers:
        found = commands.ends((*container.command, *container.args))
        if found is None:
            return None
        longest, code = max(longest, found[0]), code or found[1]
    return longest, code
