"""A StatefulSet with claims in a simulated cluster: volumes are made for it, outlive pods, and go by its policy."""

from __future__ import annotations

from pathlib import Path

from k8slite.kinds.resources import (
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    SERVICE_ACCOUNTS,
    STATEFUL_SETS,
)

from .simulated import simulated_cluster
from .test_statefulsets import image_patch, statefulset


async def test_pods_come_back_to_their_volumes_until_they_are_scaled_away(tmp_path: Path) -> None:
    policy = {"whenDeleted": "Retain", "whenScaled": "Delete"}
    body = statefulset(claims=True, replicas=2, persistentVolumeClaimRetentionPolicy=policy)
    async with simulated_cluster(tmp_path, nodes=3, server_settings={"local_storage_class": True}) as cluster:
        client = cluster.client
        await cluster.until(lambda: cluster.list(SERVICE_ACCOUNTS))
        await client.create(STATEFUL_SETS, body, namespace="default")

        async def settled(image: str, count: int) -> None:
            async def look() -> bool:
                found = await cluster.get(STATEFUL_SETS, "db")
                pods = await cluster.list(PODS, "app=db")
                images = [pod.spec.containers[0].image for pod in pods if pod.ready and not pod.deleting]
                return found is not None and found.status.available_replicas == count and images == [image] * count

            await cluster.until(look)

        async def volumes(count: int) -> dict[str, str]:
            async def look() -> dict[str, str] | None:
                claims = await cluster.list(PERSISTENT_VOLUME_CLAIMS)
                made = await cluster.list(PERSISTENT_VOLUMES)
                return {one.name: one.spec.volume_name for one in claims} if len(claims) == len(made) == count else None

            found: dict[str, str] = await cluster.until(look)
            return found

        await settled("db:1", 2)
        before = await volumes(2)
        assert set(before) == {"data-db-0", "data-db-1"}
        nodes = {pod.name: pod.spec.node_name for pod in await cluster.list(PODS, "app=db")}
        await client.patch(STATEFUL_SETS, "db", image_patch("db:2"), namespace="default")
        await settled("db:2", 2)
        assert await volumes(2) == before
        assert {pod.name: pod.spec.node_name for pod in await cluster.list(PODS, "app=db")} == nodes
        await client.patch(STATEFUL_SETS, "db", {"spec": {"replicas": 1}}, namespace="default")
        await settled("db:2", 1)
        assert await volumes(1) == {"data-db-0": before["data-db-0"]}
        await client.patch(STATEFUL_SETS, "db", {"spec": {"replicas": 2}}, namespace="default")
        await settled("db:2", 2)
        after = await volumes(2)
        assert after["data-db-0"] == before["data-db-0"]
        assert after["data-db-1"] != before["data-db-1"]
        await client.delete(STATEFUL_SETS, "db", namespace="default", propagation="Foreground")

        async def gone() -> bool:
            return not await cluster.list(STATEFUL_SETS) and not await cluster.list(PODS)

        await cluster.until(gone)
        assert await volumes(2) == after
