"""Rollouts as users drive them: with kubectl."""

from __future__ import annotations

from k8slite.kinds.resources import DEPLOYMENTS
from k8slite.testing.kubectl import Kubectl

from .test_workloads import deployment, rolled_out


async def kubectl(cluster, *arguments: str) -> str:
    result = await Kubectl(cluster.server)(*arguments)
    assert result.code == 0, result.err
    return result.out or result.err


async def test_rollout_commands(cluster):
    await cluster.client.create(DEPLOYMENTS, deployment(), namespace="default")
    assert "successfully rolled out" in await kubectl(cluster, "rollout", "status", "deployment/web")
    await kubectl(cluster, "set", "image", "deployment/web", "c=bad:1")
    # Undo looks for the revision before the newest: the new one must be there, or there is nothing to go back from.
    second = r"--for=jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}=2"
    await kubectl(cluster, "wait", "deployment/web", second, "--timeout=15s")
    await kubectl(cluster, "rollout", "undo", "deployment/web")
    assert "successfully rolled out" in await kubectl(cluster, "rollout", "status", "deployment/web")
    await rolled_out(cluster, "web:1")
    history = await kubectl(cluster, "rollout", "history", "deployment/web")
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["2", "3"]

    await kubectl(cluster, "rollout", "pause", "deployment/web")
    await kubectl(cluster, "set", "image", "deployment/web", "c=web:2")
    await kubectl(cluster, "scale", "deployment/web", "--replicas=2")
    await kubectl(cluster, "rollout", "resume", "deployment/web")
    await kubectl(cluster, "rollout", "status", "deployment/web")
    await rolled_out(cluster, "web:2", replicas=2)

    await kubectl(cluster, "rollout", "restart", "deployment/web")
    await kubectl(cluster, "rollout", "status", "deployment/web")
    described = await kubectl(cluster, "describe", "deployment/web")
    assert "NewReplicaSetAvailable" in described
    assert "MinimumReplicasAvailable" in described
    assert "ScalingReplicaSet" in described
    assert "OldReplicaSets" in described
    await kubectl(cluster, "delete", "deployment/web", "--cascade=foreground", "--timeout=15s")
    assert "No resources found" in await kubectl(cluster, "get", "pods,replicasets")
