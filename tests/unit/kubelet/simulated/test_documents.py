"""What simulated nodes write is what Kubernetes' published schemas allow: any API server takes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import kubernetes_validate
import pytest

from k8slite.clock import micro_timestamp, timestamp
from k8slite.config import SimulatorConfig
from k8slite.kubelet.simulated import node_objects
from k8slite.kubelet.simulated.decide import Outcome
from k8slite.kubelet.simulated.facts import Node, PodState
from k8slite.kubelet.simulated.main import described
from k8slite.kubelet.simulated.stages import NodeNext

from .builders import T0, after, document

NOW = timestamp(T0)


def valid(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, "1.37", strict=True)


def config(**settings: Any) -> SimulatorConfig:
    return SimulatorConfig(**{"name": "sim", "kubeconfig": "unused"} | settings)


@pytest.mark.parametrize(
    "next_",
    [
        NodeNext(state="Ready"),
        NodeNext(state="NotReady", reason="Off", conditions={"MemoryPressure": True, "A": False}),
    ],
)
def test_nodes(next_: NodeNext) -> None:
    settings = config(nodes=3, zones=["a", "b"], taints=[{"key": "k", "effect": "NoSchedule"}], pod_cidr="10.0.0.0/16")
    for description, _ in described(settings, port=10250):
        body = node_objects.registration(description, next_=next_, now=NOW)
        valid(body)
        seen = Node.model_validate(body)
        assert node_objects.is_said(seen, next_)
        assert node_objects.is_described(seen, description)
        assert not node_objects.is_described(seen, replace(description, port=10251))
        assert not node_objects.is_described(seen, replace(description, capacity={"cpu": "1"}))
        assert not node_objects.is_said(seen, NodeNext(state="Ready", reason="Other"))


def test_a_condition_of_a_node_keeps_the_time_at_which_it_changed() -> None:
    [(description, _)] = described(config(), port=1)
    seen = Node.model_validate(node_objects.registration(description, next_=node_objects.READY, now=NOW))
    later = node_objects.conditions(NodeNext(state="NotReady"), seen=seen, now="2026-01-02T00:00:00Z")
    times = {one["type"]: one["lastTransitionTime"] for one in later}
    assert times == {
        "MemoryPressure": NOW,
        "DiskPressure": NOW,
        "PIDPressure": NOW,
        "Ready": "2026-01-02T00:00:00Z",
    }


def test_leases() -> None:
    valid(node_objects.lease("sim-0", "uid", duration=40, now=micro_timestamp(T0)))


@pytest.mark.parametrize("state", get_args(PodState))
def test_pods(state: PodState) -> None:
    pod = document(initContainers=[{"name": "i", "image": "x"}, {"name": "s", "image": "x", "restartPolicy": "Always"}])
    running = after(pod, Outcome("Running"))
    valid(after(pod, Outcome(state, exit_code=3, reason="Because", message="of this")))
    valid(after(running, Outcome(state, exit_code=3)))
    valid(after(after(running, Outcome("CrashLoopBackOff", 1)), Outcome(state)))
