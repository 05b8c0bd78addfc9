"""DaemonSets over a real server, scheduler and controllers with simulated nodes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from k8slite.kinds.apps import DaemonSet, DaemonSetStatus
from k8slite.kinds.resources import DAEMON_SETS, NODES, PODS

from .simulated import SimulatedCluster, simulated_cluster


def daemonset(image: str = "agent:1", *, spec: dict[str, Any] | None = None, **of_set: Any) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": "agent"}},
        "spec": {"containers": [{"name": "c", "image": image}], **(spec or {})},
    }
    wanted = {"selector": {"matchLabels": {"app": "agent"}}, "template": template, **of_set}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"}, "spec": wanted}


async def shows(cluster: SimulatedCluster, **wanted: Any) -> DaemonSet:
    async def look() -> DaemonSet | None:
        found = await cluster.get(DAEMON_SETS, "agent")
        assert found is not None
        done = found.status.observed_generation == found.metadata.generation
        return found if done and all(getattr(found.status, name) == value for name, value in wanted.items()) else None

    found: DaemonSet = await cluster.until(look)
    return found


async def nodes_of_pods(cluster: SimulatedCluster) -> Counter[str]:
    return Counter(pod.spec.node_name for pod in await cluster.list(PODS, "app=agent") if not pod.deleting)


async def test_every_node_gets_a_pod(tmp_path: Path) -> None:
    async with simulated_cluster(tmp_path, nodes=3) as cluster:
        await cluster.client.create(DAEMON_SETS, daemonset(), namespace="default")
        found = await shows(cluster, number_available=3)
        assert found.status == DaemonSetStatus(
            current_number_scheduled=3,
            desired_number_scheduled=3,
            number_ready=3,
            observed_generation=1,
            updated_number_scheduled=3,
            number_available=3,
        )
        names = {node.name for node in (await cluster.client.list(NODES)).items}
        assert await nodes_of_pods(cluster) == Counter(names)
