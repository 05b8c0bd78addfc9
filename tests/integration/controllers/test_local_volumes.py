"""Local volumes in a whole cluster of simulated nodes: made where the pod goes, grown, removed; the manager killed."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

from k8slite.kinds.resources import (
    EVENTS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    SERVICE_ACCOUNTS,
    STORAGE_CLASSES,
)
from k8slite.kinds.storage import PersistentVolumeClaim

from .simulated import SimulatedCluster, simulated_cluster
from .test_volumes import claim, storage_class, volume

WITH_CLASS = {"local_storage_class": True}


def pod(name: str, *claims: str) -> dict[str, Any]:
    volumes = [{"name": each, "persistentVolumeClaim": {"claimName": each}} for each in claims]
    spec = {"containers": [{"name": "c", "image": "i"}], "volumes": volumes, "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


async def bound(cluster: SimulatedCluster, count: int) -> list[PersistentVolumeClaim]:
    async def all_bound() -> list[PersistentVolumeClaim] | None:
        found = await cluster.list(PERSISTENT_VOLUME_CLAIMS)
        return found if sum(each.status.phase == "Bound" for each in found) == count else None

    found: list[PersistentVolumeClaim] = await cluster.until(all_bound)
    return found


async def test_volumes_are_made_where_pods_go_and_grow_and_go_with_their_claims(tmp_path: Path) -> None:
    async with simulated_cluster(tmp_path, nodes=2, server_settings=WITH_CLASS) as cluster:
        client = cluster.client
        await cluster.until(lambda: cluster.list(SERVICE_ACCOUNTS))
        await client.create(PERSISTENT_VOLUME_CLAIMS, claim("data"), namespace="default")
        asked = await client.get(PERSISTENT_VOLUME_CLAIMS, "data", namespace="default")
        assert asked.spec.storage_class_name == "local"
        await client.create(PODS, pod("user", "data"), namespace="default")
        [found] = await bound(cluster, 1)

        async def running() -> str:
            seen = await cluster.get(PODS, "user")
            return seen.spec.node_name if seen is not None and seen.status.phase == "Running" else ""

        where = await cluster.until(running)
        [made] = await cluster.list(PERSISTENT_VOLUMES)
        assert made.name == f"pvc-{found.uid}"
        assert made.metadata.labels == {"k8slite.io/node": where}

        grow = {"spec": {"resources": {"requests": {"storage": "5Gi"}}}}
        await client.patch(PERSISTENT_VOLUME_CLAIMS, "data", grow, namespace="default")

        async def grown() -> bool:
            seen = await client.get(PERSISTENT_VOLUME_CLAIMS, "data", namespace="default")
            status = seen.status
            return status.capacity == {"storage": "5Gi"} and not (
                status.conditions or status.allocated_resource_statuses
            )

        await cluster.until(grown)
        assert (await client.get(PERSISTENT_VOLUMES, made.name)).spec.capacity == {"storage": "5Gi"}

        # A disk of one node that somebody else has made: the pod goes where it is.
        nobody = storage_class("disks", provisioner="kubernetes.io/no-provisioner")
        await client.create(STORAGE_CLASSES, nobody | {"volumeBindingMode": "WaitForFirstConsumer"})
        here = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["sim-1"]}
        affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}}
        disk = volume("disk", storageClassName="disks", nodeAffinity=affinity, local={"path": "/disk"})
        del disk["spec"]["hostPath"]
        await client.create(PERSISTENT_VOLUMES, disk)
        await client.create(PERSISTENT_VOLUME_CLAIMS, claim("own", storageClassName="disks"), namespace="default")
        await client.create(PODS, pod("other", "own"), namespace="default")
        await bound(cluster, 2)

        async def placed() -> str:
            seen = await cluster.get(PODS, "other")
            return seen.spec.node_name if seen is not None else ""

        assert await cluster.until(placed) == "sim-1"
        await client.delete_collection(PODS, namespace="default")
        await client.delete_collection(PERSISTENT_VOLUME_CLAIMS, namespace="default")

        async def gone() -> bool:
            left = {each.name: each.status.phase for each in await cluster.list(PERSISTENT_VOLUMES)}
            return left == {"disk": "Released"}

        await cluster.until(gone)


async def test_a_claim_whose_volume_was_deleted_before_it_was_bound_gets_another(tmp_path: Path) -> None:
    only = [
        "local-volume-provisioner-controller",
        "persistentvolume-protection-controller",
        "node-lifecycle-controller",
    ]
    async with simulated_cluster(tmp_path, nodes=1, server_settings=WITH_CLASS, controllers=only) as cluster:
        client = cluster.client
        wish = claim("data")
        wish["metadata"]["annotations"] = {
            "volume.kubernetes.io/storage-provisioner": "k8slite.io/local",
            "volume.kubernetes.io/selected-node": "sim-0",
        }
        await client.create(PERSISTENT_VOLUME_CLAIMS, wish, namespace="default")
        [first] = await cluster.until(lambda: cluster.list(PERSISTENT_VOLUMES))
        await client.delete(PERSISTENT_VOLUMES, first.name)

        async def another() -> bool:
            return any(each.uid != first.uid for each in await cluster.list(PERSISTENT_VOLUMES))

        await cluster.until(another)


async def test_a_class_that_was_deleted_stays_away_and_a_node_without_directory_is_told(tmp_path: Path) -> None:
    async with simulated_cluster(tmp_path, nodes=1, server_settings=WITH_CLASS) as cluster:
        client = cluster.client
        await cluster.until(lambda: cluster.list(SERVICE_ACCOUNTS))
        await client.delete(STORAGE_CLASSES, "local")
        at_once = {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "odd"},
            "provisioner": "k8slite.io/local",
            "parameters": {"fast": "yes"},
        }
        await client.create(STORAGE_CLASSES, at_once)
        await client.create(PERSISTENT_VOLUME_CLAIMS, claim("data", storageClassName="odd"), namespace="default")

        async def told() -> str:
            events = (await client.list(EVENTS)).items
            return next((event.message for event in events if event.reason == "ProvisioningFailed"), "")

        why = 'failed to provision volume with StorageClass "odd": unknown parameters fast'
        assert await cluster.until(told) == why
        assert [each.name for each in await cluster.list(STORAGE_CLASSES)] == ["odd"]
        del at_once["parameters"]
        await client.create(STORAGE_CLASSES, {**at_once, "metadata": {"name": "at-once"}})
        await client.create(PERSISTENT_VOLUME_CLAIMS, claim("now", storageClassName="at-once"), namespace="default")
        await bound(cluster, 1)


async def test_claims_are_bound_once_each_though_the_manager_is_killed_again_and_again(tmp_path: Path) -> None:
    chance = random.Random(7)
    count = 30
    async with simulated_cluster(tmp_path, nodes=3, server_settings=WITH_CLASS) as cluster:
        client = cluster.client
        await cluster.until(lambda: cluster.list(SERVICE_ACCOUNTS))
        for number in range(count):
            await client.create(PERSISTENT_VOLUME_CLAIMS, claim(f"c{number}"), namespace="default")
            await client.create(PODS, pod(f"p{number}", f"c{number}"), namespace="default")

        async def kill_often(times: int) -> None:
            for _ in range(times):
                await asyncio.sleep(chance.uniform(0.05, 0.6))
                await cluster.restart_manager()

        await kill_often(3)
        found = await bound(cluster, count)
        volumes = {volume.name: volume for volume in await cluster.list(PERSISTENT_VOLUMES)}
        assert len(volumes) == count
        for each in found:
            reference = volumes[each.spec.volume_name].spec.claim_ref
            assert reference is not None
            assert reference.uid == each.uid
        await client.delete_collection(PODS, namespace="default")
        await client.delete_collection(PERSISTENT_VOLUME_CLAIMS, namespace="default")
        await kill_often(3)

        async def gone() -> bool:
            return not await cluster.list(PERSISTENT_VOLUMES) and not await cluster.list(PERSISTENT_VOLUME_CLAIMS)

        await cluster.until(gone)
        assert len((await client.list(NODES)).items) == 3
