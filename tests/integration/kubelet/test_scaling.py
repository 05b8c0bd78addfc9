"""From a container that begins to burn to more of them: kubelet, metrics API, autoscaler, Deployment."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from k8slite.client import Client
from k8slite.clock import SystemClock
from k8slite.config import ControllerManagerConfig
from k8slite.controllers.manager import manage
from k8slite.kinds.resources import DEPLOYMENTS, PODS

from .conftest import NODE, Cluster, until

WAITS = "while [ ! -e /go ]; do sleep 0.1; done; while :; do :; done"
CONTROLLERS = ["deployment-controller", "replicaset-controller", "horizontal-pod-autoscaler-controller"]
LABELS = {"app": "burner"}


def deployment(image: str) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": image,
        "command": ["sh", "-c", WAITS],
        "resources": {"requests": {"cpu": "50m"}, "limits": {"cpu": "300m"}},
    }
    pod = {"nodeName": NODE, "terminationGracePeriodSeconds": 0, "containers": [container]}
    template = {"metadata": {"labels": LABELS}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": LABELS}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "burner"}, "spec": spec}


async def test_a_rise_of_cpu_brings_more_replicas(cluster: Cluster, tmp_path: Path) -> None:
    client = cluster.client
    config = ControllerManagerConfig(kubeconfig=tmp_path / "unused", controllers=CONTROLLERS)
    manager = cluster.server.client_config("system:kube-controller-manager")
    async with Client(manager) as acting:
        managing = asyncio.create_task(manage(acting, config, clock=SystemClock()))
        try:
            await client.create(DEPLOYMENTS, deployment(cluster.image), namespace="default")
            target = {"type": "Utilization", "averageUtilization": 100}
            scaler = {
                "metadata": {"name": "burner"},
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "burner"},
                    "maxReplicas": 3,
                    "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
                },
            }
            path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
            await client.request("POST", path, body=scaler)

            async def measured() -> bool:
                status = (await client.request("GET", f"{path}/burner")).get("status") or {}
                return bool(status.get("currentMetrics"))

            async def replicas() -> int:
                return (await client.get(DEPLOYMENTS, "burner", namespace="default")).spec.replicas or 0

            async def scaled() -> bool:
                return await replicas() > 1

            async def ready() -> bool:
                return sum(pod.ready for pod in (await client.list(PODS)).items) > 1

            await until(measured)
            assert await replicas() == 1, "nobody burns yet"
            [first] = (await client.list(PODS)).items
            code, _, err = await cluster.kubectl("exec", first.name, "--", "touch", "/go")
            assert code == 0, err
            await until(scaled)
            await until(ready)
        finally:
            managing.cancel()
            await asyncio.gather(managing, return_exceptions=True)
