"""The controllers with a scheduler and simulated nodes: a Deployment from nothing to Running, and the manager anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from k8slite.kinds.resources import DEPLOYMENTS, PODS

from .simulated import simulated_cluster


def deployment(replicas: int, image: str = "web:1") -> dict[str, Any]:
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": image}]},
        },
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


async def test_a_manager_that_is_started_anew_goes_on_with_a_deployment(tmp_path: Path) -> None:
    async with simulated_cluster(tmp_path, nodes=3) as cluster:
        await cluster.client.create(DEPLOYMENTS, deployment(30), namespace="default")

        async def some() -> bool:
            return len(await cluster.list(PODS, "app=web")) > 3

        await cluster.until(some)
        await cluster.restart_manager()

        async def available() -> bool:
            found = await cluster.get(DEPLOYMENTS, "web")
            return found is not None and found.status.available_replicas == 30

        await cluster.until(available)
        assert len(await cluster.list(PODS, "app=web")) == 30
