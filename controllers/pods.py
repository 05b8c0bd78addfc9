"""Pods as the controllers see them: the few fields that any of them reads, and what they ask of these.

Every pod of the cluster stands in this program's memory. So the model is lean, and its parts are dataclasses with
slots: a pod takes 5.6 kB where the whole model of `k8slite.kinds` takes 27.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass

from k8slite.kinds.base import Object, ResourceType
from k8slite.quantity import QuantityError, milli
from k8slite.remembering import Recent

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_COST = re.compile(r"0|-?[1-9][0-9]*")

_WIRE = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


Requests = tuple[tuple[str, int], ...]
"""What is asked of each resource, in thousandths, by name: `(("cpu", 250), ("memory", 67108864000))`."""

_REQUESTS: Recent[tuple[tuple[str, Any], ...], Requests] = Recent(4096)
"""Replicas ask for the same: they share one tuple."""


def _shared(written: dict[str, Any] | None) -> Requests:
    key = tuple((written or {}).items())
    if (known := _REQUESTS.get(key)) is None:
        try:
            known = tuple(sorted((name, milli(quantity)) for name, quantity in key))
        except QuantityError:
            known = ()
        _REQUESTS.keep(key, known)
    return known


def _requested(resources: dict[str, Any] | None) -> Requests:
    return _shared(resources.get("requests")) if resources else ()


@dataclass(config=_WIRE, frozen=True, slots=True)
class Port:
    """A port that a container offers."""

    container_port: int
    name: str = ""
    protocol: str = "TCP"


@dataclass(config=_WIRE, frozen=True, slots=True)
class Container:
    """What a container offers, and asks for."""

    name: Annotated[str, PlainValidator(sys.intern)] = ""
    ports: list[Port] = dataclasses.field(default_factory=list)
    restart_policy: str | None = None
    resources: Annotated[Requests, PlainValidator(_requested)] = ()


@dataclass(config=_WIRE, frozen=True, slots=True)
class Toleration:
    """A taint that the pod puts up with."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""
    toleration_seconds: int | None = None


@dataclass(config=_WIRE, frozen=True, slots=True)
class ClaimSource:
    """The claim that a volume stands for."""

    claim_name: str = ""


@dataclass(config=_WIRE, frozen=True, slots=True)
class Volume:
    """A volume that comes from a claim: one that is named, or (`ephemeral`) one made for this pod."""

    name: str = ""
    persistent_volume_claim: ClaimSource | None = None
    ephemeral: bool = False


def _from_claims(volumes: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Only those: most pods have none, and keep nothing of the others."""
    return [
        {**volume, "ephemeral": "ephemeral" in volume}
        for volume in volumes or ()
        if "persistentVolumeClaim" in volume or "ephemeral" in volume
    ]


def _pinned(affinity: dict[str, Any] | None) -> str:
    """The one node that an affinity names, as those of a DaemonSet's pods do."""
    required = ((affinity or {}).get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field["key"] == "metadata.name" and field["operator"] == "In":
                values = field.get("values") or []
                return str(values[0]) if len(values) == 1 else ""
    return ""


@dataclass(config=_WIRE, frozen=True, slots=True)
class Spec:
    """What of a pod's wishes matters here."""

    node_name: str = ""
    hostname: str = ""
    subdomain: str = ""
    tolerations: list[Toleration] = dataclasses.field(default_factory=list)
    containers: list[Container] = dataclasses.field(default_factory=list)
    init_containers: list[Container] = dataclasses.field(default_factory=list)
    volumes: Annotated[list[Volume], BeforeValidator(_from_claims)] = dataclasses.field(default_factory=list)
    resources: Annotated[Requests, PlainValidator(_requested)] = ()
    overhead: Annotated[Requests, PlainValidator(_shared)] = ()
    affinity: Annotated[str, BeforeValidator(_pinned)] = ""
    """The name of the node that the pod's required affinity names, empty if it names none; all else is not kept."""


@dataclass(config=_WIRE, frozen=True, slots=True)
class PodCondition:
    """One condition."""

    type: str
    status: str = "Unknown"
    reason: str = ""
    last_transition_time: datetime | None = None


@dataclass(config=_WIRE, frozen=True, slots=True)
class Terminated:
    """How a container ended."""

    exit_code: int = 0
    finished_at: datetime | None = None


@dataclass(config=_WIRE, frozen=True, slots=True)
class State:
    """What a container is doing."""

    terminated: Terminated | None = None


@dataclass(config=_WIRE, frozen=True, slots=True)
class ContainerStatus:
    """What became of a container."""

    name: str = ""
    restart_count: int = 0
    state: State | None = None


@dataclass(config=_WIRE, frozen=True, slots=True)
class PodIP:
    """One address."""

    ip: str = ""


@dataclass(config=_WIRE, frozen=True, slots=True)
class Status:
    """What became of a pod."""

    phase: str = ""
    reason: str = ""
    start_time: datetime | None = None
    pod_ip: str = Field(default="", alias="podIP")
    pod_ips: list[PodIP] = Field(default_factory=list, alias="podIPs")
    conditions: list[PodCondition] = dataclasses.field(default_factory=list)
    init_container_statuses: list[ContainerStatus] = dataclasses.field(default_factory=list)
    container_statuses: list[ContainerStatus] = dataclasses.field(default_factory=list)


class Pod(Object):
    """`v1.Pod`, as much of it as controllers read."""

    spec: Spec = Spec()
    status: Status = Status()

    @property
    def ready(self) -> bool:
        """Whether the Ready condition is True."""
        condition = ready_condition(self)
        return condition is not None and condition.status == "True"

    @property
    def finished(self) -> bool:
        """Whether the pod has ended and will not run again."""
        return self.status.phase in ("Succeeded", "Failed")

    @property
    def active(self) -> bool:
        """Whether the pod counts as a replica: not ended and not being deleted."""
        return not self.finished and not self.deleting


PODS = ResourceType("", "v1", "pods", "Pod", True, Pod)


def by_node(pod: Pod) -> Iterable[str]:
    """Index: the node that a pod is bound to."""
    return (pod.spec.node_name,) if pod.spec.node_name else ()


def claims(pod: Pod) -> list[str]:
    """The names of the claims whose volumes the pod uses."""
    return [
        volume.persistent_volume_claim.claim_name if volume.persistent_volume_claim else f"{pod.name}-{volume.name}"
        for volume in pod.spec.volumes
    ]


def by_claim(pod: Pod) -> Iterable[str]:
    """Index: the keys of the claims whose volumes a pod uses."""
    return [f"{pod.namespace}/{name}" for name in claims(pod)]


def ready_condition(pod: Pod) -> PodCondition | None:
    """The Ready condition, if there is one."""
    return next((condition for condition in pod.status.conditions if condition.type == "Ready"), None)


def ready_since(pod: Pod) -> datetime | None:
    """When the pod became ready; None if it is not, or nobody said when."""
    ready = ready_condition(pod)
    return ready.last_transition_time if ready is not None and ready.status == "True" else None


def available_at(pod: Pod, *, min_ready_seconds: int) -> datetime | None:
    """The moment from which the pod counts as available; None if it is not ready."""
    since = ready_since(pod)
    return since + timedelta(seconds=min_ready_seconds) if since is not None else None


def available(pod: Pod, *, min_ready_seconds: int, now: datetime) -> bool:
    """Whether the pod has been ready for long enough."""
    if not min_ready_seconds:
        return pod.ready
    moment = available_at(pod, min_ready_seconds=min_ready_seconds)
    return moment is not None and moment <= now


def deletion_cost(pod: Pod) -> int:
    """What it costs to delete the pod, by its annotation; 0 if it says nothing or nonsense."""
    text = pod.metadata.annotations.get(DELETION_COST, "0")
    cost = int(text) if _COST.fullmatch(text) else 0
    return cost if -(2**31) <= cost < 2**31 else 0


def restarts(pod: Pod) -> tuple[int, int]:
    """The highest restart count of its containers, and of those of its sidecars that are init containers."""
    statuses = pod.status
    regular = max((status.restart_count for status in statuses.container_statuses), default=0)
    if not statuses.init_container_statuses:
        return regular, 0
    sidecars = {container.name for container in pod.spec.init_containers if container.restart_policy == "Always"}
    counts = (status.restart_count for status in statuses.init_container_statuses if status.name in sidecars)
    return regular, max(counts, default=0)
