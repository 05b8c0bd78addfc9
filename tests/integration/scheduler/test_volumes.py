"""Pods with claims, through a real API server and with the rights that the scheduler has; the controller of volumes is
played by the test."""

from __future__ import annotations

from typing import Any

from k8slite.client import Client
from k8slite.kinds.storage import BIND_COMPLETED, SELECTED_NODE
from k8slite.scheduler.storage.objects import (
    CLAIMS,
    CLASSES,
    CSI_CAPACITIES,
    CSI_DRIVERS,
    VOLUMES,
    Claim,
    PersistentVolume,
)
from k8slite.testing.server import RunningServer

from .test_scheduling import add_node, add_pod, bound_to, client, get_pod, scheduler, server, until

__all__ = ["client", "server"]


async def add_class(client: Client, name: str, provisioner: str = "kubernetes.io/no-provisioner") -> None:
    body = {"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": "WaitForFirstConsumer"}
    await client.create(CLASSES, {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass"} | body)


async def add_volume(client: Client, name: str, *, on: str, storage_class: str = "local") -> None:
    """A volume of a host, which the controller has found to be free."""
    rule = {"key": "kubernetes.io/hostname", "operator": "In", "values": [on]}
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "local": {"path": "/data"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}},
    }
    body = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
    await client.create(VOLUMES, body)
    await client.patch(VOLUMES, name, {"status": {"phase": "Available"}}, subresource="status")


async def add_claim(client: Client, name: str, *, storage_class: str = "local", size: str = "1Gi") -> None:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "resources": {"requests": {"storage": size}},
    }
    metadata = {"name": name, "namespace": "default"}
    body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
    await client.create(CLAIMS, body, namespace="default")


def using(*claims: str) -> list[dict[str, Any]]:
    return [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims]


async def given_to(client: Client, claim: str) -> PersistentVolume:
    """The volume that the scheduler has given to a claim."""

    async def find() -> PersistentVolume | None:
        volumes = (await client.list(VOLUMES)).items
        return next((each for each in volumes if (r := each.spec.claim_ref) is not None and r.name == claim), None)

    found: PersistentVolume = await until(find)
    return found


async def bind(client: Client, claim: str, volume: str) -> None:
    """What the controller of volumes does."""
    found = await client.get(CLAIMS, claim, namespace="default")
    reference = {"kind": "PersistentVolumeClaim", "namespace": "default", "name": claim, "uid": found.uid}
    await client.patch(VOLUMES, volume, {"spec": {"claimRef": reference}})
    await client.patch(VOLUMES, volume, {"status": {"phase": "Bound"}}, subresource="status")
    patch = {"metadata": {"annotations": {BIND_COMPLETED: "yes"}}, "spec": {"volumeName": volume}}
    await client.patch(CLAIMS, claim, patch, namespace="default")
    await client.patch(CLAIMS, claim, {"status": {"phase": "Bound"}}, namespace="default", subresource="status")


async def waits_with(client: Client, name: str, message: str) -> None:
    async def says() -> bool:
        return any(c.message.startswith(message) for c in (await get_pod(client, name)).status.conditions)

    await until(says)


async def test_pods_get_volumes_of_their_nodes_and_each_its_own(server: RunningServer, client: Client) -> None:
    await add_node(client, "a")
    await add_node(client, "b")
    await add_class(client, "local")
    async with scheduler(server):
        await add_volume(client, "disk", on="b")
        for name in ("one", "two"):
            await add_claim(client, name)
        await add_pod(client, "first", volumes=using("one"))
        found = await given_to(client, "one")
        assert found.name == "disk"
        assert found.metadata.annotations["pv.kubernetes.io/bound-by-controller"] == "yes"
        await add_pod(client, "second", volumes=using("two"))
        nothing = "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind."
        await waits_with(client, "second", nothing)
        await bind(client, "one", "disk")
        assert await bound_to(client, "first") == "b"
        await add_volume(client, "another", on="a")
        assert (await given_to(client, "two")).name == "another"
        await bind(client, "two", "another")
        assert await bound_to(client, "second") == "a"


async def test_a_volume_is_made_where_its_driver_has_room(server: RunningServer, client: Client) -> None:
    await add_node(client, "a")
    await add_node(client, "b")
    await add_class(client, "made", "csi.example.com")
    group = "storage.k8s.io/v1"
    driver = {"metadata": {"name": "csi.example.com"}, "spec": {"storageCapacity": True}}
    await client.create(CSI_DRIVERS, {"apiVersion": group, "kind": "CSIDriver"} | driver)
    for name, size in (("a", "1Gi"), ("b", "100Gi")):
        room = {
            "metadata": {"name": f"room-{name}", "namespace": "kube-system"},
            "storageClassName": "made",
            "capacity": size,
            "nodeTopology": {"matchLabels": {"kubernetes.io/hostname": name}},
        }
        body = {"apiVersion": group, "kind": "CSIStorageCapacity"} | room
        await client.create(CSI_CAPACITIES, body, namespace="kube-system")
    async with scheduler(server):
        await add_claim(client, "large", storage_class="made", size="1Ti")
        await add_pod(client, "hungry", volumes=using("large"))
        full = "0/2 nodes are available: 2 node(s) did not have enough free storage."
        await waits_with(client, "hungry", full)
        await add_claim(client, "data", storage_class="made", size="10Gi")
        await add_pod(client, "db", volumes=using("data"))

        async def selected() -> Claim | None:
            found = await client.get(CLAIMS, "data", namespace="default")
            return found if SELECTED_NODE in found.metadata.annotations else None

        found: Claim = await until(selected)
        assert found.metadata.annotations[SELECTED_NODE] == "b"
        await add_volume(client, "pvc-data", on="b", storage_class="made")
        await bind(client, "data", "pvc-data")
        assert await bound_to(client, "db") == "b"


async def test_a_claim_that_comes_later_lets_its_pod_run(server: RunningServer, client: Client) -> None:
    await add_node(client, "a")
    await add_class(client, "local")
    async with scheduler(server):
        await add_pod(client, "db", volumes=using("data"))
        missing = '0/1 nodes are available: persistentvolumeclaim "data" not found.'
        await waits_with(client, "db", missing)
        await add_volume(client, "disk", on="a")
        await add_claim(client, "data")
        assert (await given_to(client, "data")).name == "disk"
        await bind(client, "data", "disk")
        assert await bound_to(client, "db") == "a"
