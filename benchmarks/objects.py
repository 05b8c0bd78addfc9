"""The pods and nodes that benchmarks make."""

from __future__ import annotations

from typing import Any

from .kube import LABEL

ANY_TAINT = [{"operator": "Exists"}]


def pod(name: str, namespace: str, *, scheduler: str = "k8slite-bench-none", selector: str = "") -> dict[str, Any]:
    """A usual small pod. By default no scheduler knows it, so that it stays where it is: in the API."""
    container = {
        "name": "main",
        "image": "registry.k8s.io/pause:3.10",
        "resources": {"requests": {"cpu": "100m", "memory": "500Mi"}},
        "ports": [{"containerPort": 80}],
        "env": [{"name": "ROLE", "value": "bench"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {LABEL: namespace, "app": "bench"}},
        "spec": {
            "containers": [container],
            "schedulerName": scheduler,
            "tolerations": ANY_TAINT,
            "terminationGracePeriodSeconds": 0,
        }
        | ({"nodeSelector": {LABEL: selector}} if selector else {}),
    }


def node(name: str, label: str) -> dict[str, Any]:
    """A node that nobody runs: 32 cores, 128 GiB, 110 pods. Its taint keeps everybody's pods off."""
    amounts = {"cpu": "32", "memory": "128Gi", "pods": "110", "ephemeral-storage": "100Gi"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {LABEL: label, "kubernetes.io/hostname": name}},
        "spec": {"taints": [{"key": LABEL, "value": "true", "effect": "NoSchedule"}]},
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Bench", "message": "simulated"}],
        },
    }
