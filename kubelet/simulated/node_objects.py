"""The documents of simulated nodes: Node, its conditions, Lease. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from k8slite import KUBERNETES_VERSION
from k8slite.config import SimulatorConfig

from .facts import Json, Node
from .stages import NodeNext

SIMULATOR_LABEL = "k8slite.io/simulator"
ANNOTATION = "k8slite.io/simulated"
METRICS_PATH = "metrics.k8s.io/resource-metrics-path"
"""The annotation by which metrics servers learn where a node's page is, if not at `/metrics/resource`."""
METRICS_BASE = "/metrics/nodes/{}"
_SAID = "true: pods of this node are played, no container runs"
LEASE_NAMESPACE = "kube-node-lease"
READY = NodeNext(state="Ready")
_HEALTHY = {
    "MemoryPressure": ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    "DiskPressure": ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    "PIDPressure": ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
}


@dataclass(frozen=True, slots=True)
class Description:
    """What does not change about a node."""

    name: str
    labels: Mapping[str, str]
    taints: Sequence[Mapping[str, str]]
    capacity: Mapping[str, str]
    pod_cidr: str
    address: str
    port: int


def describe(config: SimulatorConfig, index: int, *, pod_cidr: str, port: int) -> Description:
    """The node of that number."""
    name = f"{config.name}-{index}"
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "type": "k8slite-simulated",
        SIMULATOR_LABEL: config.name,
    }
    if config.zones:
        labels |= {
            "topology.kubernetes.io/region": "simulated",
            "topology.kubernetes.io/zone": config.zones[index % len(config.zones)],
        }
    return Description(
        name=name,
        labels=labels | config.labels,
        taints=config.taints,
        capacity=config.capacity,
        pod_cidr=pod_cidr,
        address=config.node_ip,
        port=port,
    )


def resource_path(name: str) -> str:
    """Where the page of a node's usage is."""
    return f"{METRICS_BASE.format(name)}/metrics/resource"


def registration(description: Description, *, next_: NodeNext, now: str) -> Json:
    """The Node to create, status and all."""
    spec: Json = {"taints": [dict(taint) for taint in description.taints]} if description.taints else {}
    if description.pod_cidr:
        spec |= {"podCIDR": description.pod_cidr, "podCIDRs": [description.pod_cidr]}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": description.name,
            "labels": dict(description.labels),
            "annotations": {ANNOTATION: _SAID, METRICS_PATH: resource_path(description.name)},
        },
        "spec": spec,
        "status": status(description, next_=next_, seen=None, now=now),
    }


def status(description: Description, *, next_: NodeNext, seen: Node | None, now: str) -> Json:
    """The whole status; `seen` is the Node as it is, for the times of its conditions."""
    capacity = dict(description.capacity)
    return {
        "capacity": capacity,
        "allocatable": capacity,
        "conditions": conditions(next_, seen=seen, now=now),
        "addresses": [
            {"type": "InternalIP", "address": description.address},
            {"type": "Hostname", "address": description.name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": description.port}},
        "nodeInfo": {
            "machineID": description.name,
            "systemUUID": description.name,
            "bootID": description.name,
            "kernelVersion": "simulated",
            "osImage": "Simulated",
            "containerRuntimeVersion": "simulated://1",
            "kubeletVersion": KUBERNETES_VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": "amd64",
        },
    }


def conditions(next_: NodeNext, *, seen: Node | None, now: str) -> list[Json]:
    """The conditions of a node that is Ready or NotReady."""
    found = {kind: (str(holds), "Simulated", next_.message) for kind, holds in next_.conditions.items()}
    found = {kind: ("False", *why) for kind, why in _HEALTHY.items()} | found
    if next_.state == "Ready":
        found["Ready"] = ("True", next_.reason or "KubeletReady", next_.message or "kubelet is posting ready status")
    else:
        found["Ready"] = (
            "False",
            next_.reason or "KubeletNotReady",
            next_.message or "simulated: the node is not ready",
        )
    return [_condition(kind, *said, seen=seen, now=now) for kind, said in found.items()]


def _condition(kind: str, value: str, reason: str, message: str, *, seen: Node | None, now: str) -> Json:
    old = (seen.condition(kind) if seen is not None else None) or {}
    since = old.get("lastTransitionTime") if old.get("status") == value else None
    return {
        "type": kind,
        "status": value,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": now,
        "lastTransitionTime": since or now,
    }


def is_said(seen: Node, next_: NodeNext) -> bool:
    """Whether the Node's conditions are those that it should have."""
    return all(
        (old := seen.condition(one["type"])) is not None
        and (old.get("status"), old.get("reason")) == (one["status"], one["reason"])
        for one in conditions(next_, seen=None, now="")
    )


def is_described(seen: Node, description: Description) -> bool:
    """Whether the Node's status tells what does not change, as it should."""
    status = seen.status
    port = status.daemon_endpoints.get("kubeletEndpoint", {}).get("Port")
    return (
        port == description.port
        and {"type": "InternalIP", "address": description.address} in status.addresses
        and status.capacity == description.capacity
    )


def lease(name: str, uid: str, *, duration: int, now: str) -> Json:
    """The node's heartbeat, which goes when the Node goes. `now` is a MicroTime."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": name,
            "namespace": LEASE_NAMESPACE,
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}],
        },
        "spec": {"holderIdentity": name, "leaseDurationSeconds": duration, "renewTime": now},
    }
