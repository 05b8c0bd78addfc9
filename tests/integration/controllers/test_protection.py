"""Claims, volumes and attribute classes stay while something uses them, and go when nothing does."""

from __future__ import annotations

from typing import Any

from k8slite.kinds.resources import PERSISTENT_VOLUME_CLAIMS as CLAIMS
from k8slite.kinds.resources import PERSISTENT_VOLUMES as VOLUMES
from k8slite.kinds.resources import PODS
from k8slite.kinds.resources import VOLUME_ATTRIBUTES_CLASSES as CLASSES


def claim(name: str, **spec: Any) -> dict[str, Any]:
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": asked}


async def account(cluster) -> None:
    async def there():
        path = "/api/v1/namespaces/default/serviceaccounts"
        return (await cluster.client.request("GET", path))["items"]

    await cluster.until(there)


async def test_a_claim_stays_while_a_pod_uses_it(cluster):
    client = cluster.client
    await account(cluster)
    await client.create(CLAIMS, claim("data"), namespace="default")
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    spec = {"containers": [{"name": "c", "image": "i"}], "volumes": volumes, "nodeName": "n1"}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "user"}, "spec": spec}
    await client.create(PODS, body, namespace="default")
    await client.delete(CLAIMS, "data", namespace="default")
    await client.create(CLAIMS, claim("free"), namespace="default")
    await client.delete(CLAIMS, "free", namespace="default")

    async def gone(name: str) -> bool:
        return await cluster.get(CLAIMS, name) is None

    await cluster.until(lambda: gone("free"))
    assert (await client.get(CLAIMS, "data", namespace="default")).deleting
    await client.delete(PODS, "user", namespace="default", grace_period=0)
    await cluster.until(lambda: gone("data"))


async def test_a_pod_that_waits_for_its_own_claim_does_not_hold_it(cluster):
    client = cluster.client
    await account(cluster)
    cluster.puppets.stopped.add("n1")  # its kubelet says nothing more
    template = {"spec": claim("")["spec"]}
    volumes = [{"name": "v", "ephemeral": {"volumeClaimTemplate": template}}]
    spec = {"containers": [{"name": "c", "image": "i"}], "volumes": volumes, "nodeName": "n1"}
    metadata = {"name": "user"}
    pod = await client.create(
        PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, namespace="default"
    )
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "user", "uid": pod.uid}
    body = claim("user-v")
    body["metadata"]["ownerReferences"] = [{**owner, "controller": True, "blockOwnerDeletion": True}]
    await client.create(CLAIMS, body, namespace="default")
    await client.delete(CLAIMS, "user-v", namespace="default")
    assert (await client.get(CLAIMS, "user-v", namespace="default")).deleting
    # The pod goes after its dependents, and of these the claim goes after the pod that uses it.
    await client.delete(PODS, "user", namespace="default", grace_period=0, propagation="Foreground")

    async def gone() -> bool:
        return await cluster.get(CLAIMS, "user-v") is None and await cluster.get(PODS, "user") is None

    await cluster.until(gone)


async def test_a_volume_stays_while_a_claim_has_it(cluster):
    client = cluster.client
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}}
    await client.create(
        VOLUMES, {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": spec}
    )
    await client.patch(VOLUMES, "v", {"status": {"phase": "Bound"}}, subresource="status")
    await client.delete(VOLUMES, "v")
    await cluster.until(lambda: cluster.get(VOLUMES, "v"))
    await client.patch(VOLUMES, "v", {"status": {"phase": "Released"}}, subresource="status")

    async def gone():
        return await cluster.get(VOLUMES, "v") is None

    await cluster.until(gone)


async def test_what_is_without_protection_gets_it(cluster):
    client = cluster.client
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}}
    made = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "bare"}, "spec": spec}
    await client.create(VOLUMES, made)
    await client.create(CLAIMS, claim("bare", storageClassName="none"), namespace="default")
    for resource, namespace, finalizer in (
        (VOLUMES, "", "kubernetes.io/pv-protection"),
        (CLAIMS, "default", "kubernetes.io/pvc-protection"),
    ):
        body = {"metadata": {"finalizers": ["example.com/other"]}}
        bare = await client.patch(resource, "bare", body, namespace=namespace)
        assert bare.metadata.finalizers == ["example.com/other"]

        async def protected(resource: Any = resource, namespace: str = namespace, finalizer: str = finalizer) -> bool:
            found = await client.get(resource, "bare", namespace=namespace)
            return found.metadata.finalizers == ["example.com/other", finalizer]

        await cluster.until(protected)


async def test_an_attributes_class_stays_while_a_claim_names_it(cluster):
    client = cluster.client
    await client.create(
        CLASSES,
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "VolumeAttributesClass",
            "metadata": {"name": "gold"},
            "driverName": "d.example.com",
            "parameters": {"iops": "1"},
        },
    )
    await client.create(CLAIMS, claim("data", volumeAttributesClassName="gold"), namespace="default")
    await client.delete(CLASSES, "gold")
    await client.delete(CLAIMS, "data", namespace="default")

    async def gone():
        return await cluster.get(CLASSES, "gold") is None and await cluster.get(CLAIMS, "data") is None

    await cluster.until(gone)
