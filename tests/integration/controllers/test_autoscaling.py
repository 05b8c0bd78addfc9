"""From what simulated pods use to new replicas, with everything as it is shipped."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8slite.kinds.resources import DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS, PODS
from k8slite.pki import Authority
from k8slite.testing.kubectl import Kubectl

from ..resource_metrics.conftest import kubelet_settings
from .simulated import SimulatedCluster, simulated_cluster

HPAS = HORIZONTAL_POD_AUTOSCALERS
LABELS = {"app": "web"}
HOW_TO = Path(__file__).parents[3] / "docs" / "how-to" / "autoscale.md"


@pytest.fixture
async def cluster(tmp_path) -> AsyncIterator[SimulatedCluster]:
    directory = tmp_path / "server"
    directory.mkdir()
    authority = Authority.ensure(directory)
    serving = authority.issue_server("simulator", common_name="simulator", hosts=["127.0.0.1"])
    async with simulated_cluster(
        tmp_path,
        server_settings={"directory": directory, **kubelet_settings(authority)},
        simulator_settings={"cert_file": serving.cert_file, "key_file": serving.key_file},
    ) as made:
        yield made


def deployment(replicas: int) -> dict[str, Any]:
    container = {"name": "c", "image": "web:1", "resources": {"requests": {"cpu": "100m"}}}
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


async def use(cluster: SimulatedCluster, cpu: str) -> None:
    """All pods use so much from now on."""
    body = {"metadata": {"annotations": {"k8slite.io/cpu-usage": cpu}}}
    for pod in await cluster.list(PODS, "app=web"):
        await cluster.client.patch(PODS, pod.name, body, namespace="default")


async def ready(cluster: SimulatedCluster, number: int) -> None:
    async def look() -> bool:
        return sum(pod.ready and not pod.deleting for pod in await cluster.list(PODS, "app=web")) == number

    await cluster.until(look)


async def test_new_replicas_come_when_pods_use_more(cluster: SimulatedCluster) -> None:
    client = cluster.client
    await client.create(DEPLOYMENTS, deployment(2), namespace="default")
    await ready(cluster, 2)
    target = {"type": "Utilization", "averageUtilization": 50}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "maxReplicas": 4,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
    }
    await client.create(HPAS, {"metadata": {"name": "web"}, "spec": spec}, namespace="default")

    async def settled() -> bool:
        found = await client.get(HPAS, "web", namespace="default")
        current = found.status.current_metrics
        used = current[0].get("resource", {}).get("current", {}).get("averageUtilization", 0) if current else 0
        return bool(45 <= used <= 55)

    await cluster.until(settled)
    await use(cluster, "200m")

    async def more() -> bool:
        return (await client.get(DEPLOYMENTS, "web", namespace="default")).spec.replicas == 4

    await cluster.until(more)
    await ready(cluster, 4)
    await use(cluster, "0")

    async def least() -> bool:
        return (await client.get(DEPLOYMENTS, "web", namespace="default")).spec.replicas == 1

    await cluster.until(least)


async def test_the_how_to_works(cluster: SimulatedCluster, tmp_path: Path) -> None:
    """The commands as they stand there, one block after another, in a shell."""
    kubectl = Kubectl(cluster.server)
    blocks = re.findall(r"^```sh\n(.*?)^```", HOW_TO.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    outputs = []
    for block in blocks:
        process = await asyncio.create_subprocess_exec(
            "sh",
            "-ec",
            block,
            env={"PATH": path, "KUBECONFIG": str(kubectl.kubeconfig), "HOME": str(tmp_path)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(90):
                out, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, out.decode()
        outputs.append(out.decode())
    assert re.search(r"web +Deployment/web +cpu: \d+%/50% +1 +4 ", outputs[1]), outputs[1]
    assert "New size: 4; reason: cpu resource utilization (percentage of request) above target" in outputs[2]


async def test_the_how_tos_manifest_is_taken(cluster: SimulatedCluster) -> None:
    (manifest,) = re.findall(r"^```yaml\n(.*?)^```", HOW_TO.read_text(), flags=re.MULTILINE | re.DOTALL)
    made = await cluster.client.create(HPAS, yaml.safe_load(manifest), namespace="default")
    assert made.spec.min_replicas == 0
