"""The cases: which nodes there are, which pods are there before, which are measured, and what goes on meanwhile.

Source: kubernetes/kubernetes, test/integration/scheduler_perf, for what the cases are and mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..kube import LABEL
from ..load import NUMBER

ZONE, HOSTNAME = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
ZONES = 10
RESERVED = f"{LABEL}-reserved"
#: Nodes that nobody runs are called unreachable after a while; pods stay all the same.
TOLERATED = (LABEL, "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


@dataclass(frozen=True, slots=True)
class Batch:
    """So many pods of one body; their names are `prefix` and a number."""

    count: int
    prefix: str
    labels: dict[str, str]
    spec: dict[str, Any]
    waits: bool = True
    """Whether they are all bound before what comes next."""

    def body(self, namespace: str) -> dict[str, Any]:
        """The pod, with `NUMBER` in its name."""
        container = {
            "name": "main",
            "image": "registry.k8s.io/pause:3.10",
            "resources": {"requests": {"cpu": "100m", "memory": "500Mi"}},
        }
        spec = {
            "containers": [container],
            "schedulerName": "default-scheduler",
            "nodeSelector": {LABEL: namespace},
            "tolerations": [{"key": key, "operator": "Exists"} for key in TOLERATED],
            "terminationGracePeriodSeconds": 0,
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{self.prefix}-{NUMBER}",
                "namespace": namespace,
                "labels": {LABEL: namespace} | self.labels,
            },
            "spec": spec | self.spec,
        }


@dataclass(frozen=True, slots=True)
class Case:
    """One case at one size. `churn` names what is made and removed meanwhile, each every so many seconds."""

    measured: tuple[Batch, ...]
    before: tuple[Batch, ...] = ()
    reserves: bool = False
    """Whether every second zone's nodes have a taint that no pod tolerates."""
    churn: tuple[tuple[str, float], ...] = ()


def nodes(count: int, label: str, *, reserves: bool) -> Iterator[tuple[int, dict[str, Any]]]:
    """Nodes zone by zone, as how many and a body: 32 cores, 128 GiB, 110 pods each."""
    amounts = {"cpu": "32", "memory": "128Gi", "pods": "110", "ephemeral-storage": "100Gi"}
    for zone in range(ZONES):
        name = f"{label}-{zone}-{NUMBER}"
        taints = [{"key": LABEL, "value": "true", "effect": "NoSchedule"}]
        if reserves and zone % 2:
            taints.append({"key": RESERVED, "value": "true", "effect": "NoSchedule"})
        body = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {LABEL: label, HOSTNAME: name, ZONE: f"zone-{zone}"}},
            "spec": {"taints": taints},
            "status": {
                "capacity": amounts,
                "allocatable": amounts,
                "conditions": [{"type": "Ready", "status": "True", "reason": "Bench", "message": "nobody runs it"}],
            },
        }
        if share := count // ZONES + (zone < count % ZONES):
            yield share, body


def _requests(cpu: str) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": "registry.k8s.io/pause:3.10",
        "resources": {"requests": {"cpu": cpu, "memory": "500Mi"}},
    }
    return {"containers": [container]}


def _terms(key: str, kind: str, labels: dict[str, str], *, required: bool) -> dict[str, Any]:
    term = {"topologyKey": key, "labelSelector": {"matchLabels": labels}}
    if required:
        return {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}
    wish = {"weight": 1, "podAffinityTerm": term}
    return {"affinity": {kind: {"preferredDuringSchedulingIgnoredDuringExecution": [wish]}}}


def _all(count: int, spec: dict[str, Any], **labels: str) -> Batch:
    return Batch(count, "p", labels, spec)


def _spread(pods: int, when: str) -> Case:
    constraint = {
        "maxSkew": 5,
        "topologyKey": ZONE,
        "whenUnsatisfiable": when,
        "labelSelector": {"matchLabels": {"color": "blue"}},
    }
    return Case((_all(pods, {"topologySpreadConstraints": [constraint]}, color="blue"),))


def _anti_affinity(nodes: int, pods: int) -> Case:
    """Groups small enough that each fits once over, as pods of one group never share a node."""
    size = max(min(pods, nodes // 2), 1)
    batches = []
    for group in range(-(-pods // size)):
        labels = {"group": f"g{group}"}
        spec = _terms(HOSTNAME, "podAntiAffinity", labels, required=True)
        batches.append(Batch(min(size, pods - group * size), f"p{group}", labels, spec))
    return Case(tuple(batches))


def _preemption(nodes: int, pods: int) -> Case:
    """Four pods fill a node; each of those that come takes the place of one."""
    low = Batch(4 * nodes, "low", {}, _requests("7900m"))
    high = _requests("7900m") | {"priorityClassName": f"{LABEL}-high"}
    return Case((Batch(min(pods, nodes), "p", {}, high),), before=(low,))


def _node_affinity(pods: int) -> Case:
    zones = {"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["zone-0", "zone-1"]}]}
    rule = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [zones]}}
    return Case((_all(pods, {"affinity": {"nodeAffinity": rule}}),))


def _gated(pods: int) -> Case:
    gated = Batch(pods, "gated", {}, {"schedulingGates": [{"name": "k8slite.io/bench"}]}, waits=False)
    return Case((_all(pods, {}),), before=(gated,))


def _affinity(pods: int, *, required: bool) -> Case:
    key = ZONE if required else HOSTNAME
    return Case((_all(pods, _terms(key, "podAffinity", {"color": "blue"}, required=required), color="blue"),))


CASES: dict[str, Callable[[int, int], Case]] = {
    "basic": lambda nodes, pods: Case((_all(pods, {}),)),
    "node-affinity": lambda nodes, pods: _node_affinity(pods),
    "taints": lambda nodes, pods: Case((_all(pods, {}),), reserves=True),
    "spread": lambda nodes, pods: _spread(pods, "DoNotSchedule"),
    "spread-preferred": lambda nodes, pods: _spread(pods, "ScheduleAnyway"),
    "affinity": lambda nodes, pods: _affinity(pods, required=True),
    "affinity-preferred": lambda nodes, pods: _affinity(pods, required=False),
    "anti-affinity": _anti_affinity,
    "anti-affinity-preferred": lambda nodes, pods: Case(
        (_all(pods, _terms(HOSTNAME, "podAntiAffinity", {"color": "green"}, required=False), color="green"),)
    ),
    "preemption": _preemption,
    "unschedulable": lambda nodes, pods: Case(
        (_all(pods, {}),),
        before=(Batch(200, "huge", {}, _requests("100"), waits=False),),
        churn=(("unschedulable", 0.2),),
    ),
    "churn": lambda nodes, pods: Case(
        (_all(pods, {}),), churn=(("node", 0.5), ("unschedulable", 0.5), ("service", 0.5))
    ),
    "gated": lambda nodes, pods: _gated(pods),
}
"""Name -> the case at so many nodes and pods."""
