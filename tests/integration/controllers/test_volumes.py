"""Claims and volumes find each other through a real server, and tell what becomes of them."""

from __future__ import annotations

from typing import Any

from k8slite.kinds.resources import (
    EVENTS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    SERVICE_ACCOUNTS,
    STORAGE_CLASSES,
)
from k8slite.kinds.storage import BIND_COMPLETED, BOUND_BY_CONTROLLER, PersistentVolume, PersistentVolumeClaim


def volume(name: str, size: str = "1Gi", **spec: Any) -> dict[str, Any]:
    wanted = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": wanted}


def claim(name: str, size: str = "1Gi", **spec: Any) -> dict[str, Any]:
    wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": wanted}


def storage_class(name: str, *, default: bool = False, **more: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name}
    if default:
        metadata["annotations"] = {"storageclass.kubernetes.io/is-default-class": "true"}
    found = {"provisioner": "example.com/disks", **more}
    return {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": metadata, **found}


async def claim_in(cluster: Any, name: str, phase: str) -> PersistentVolumeClaim:
    async def there() -> PersistentVolumeClaim | None:
        found = await cluster.get(PERSISTENT_VOLUME_CLAIMS, name)
        return found if found is not None and found.status.phase == phase else None

    found: PersistentVolumeClaim = await cluster.until(there)
    return found


async def volume_in(cluster: Any, name: str, phase: str) -> PersistentVolume:
    async def there() -> PersistentVolume | None:
        found = await cluster.get(PERSISTENT_VOLUMES, name)
        return found if found is not None and found.status.phase == phase else None

    found: PersistentVolume = await cluster.until(there)
    return found


async def told(cluster: Any, name: str, reason: str) -> str:
    """The message of an event about an object."""

    async def there() -> str:
        events = (await cluster.client.list(EVENTS)).items
        found = [event for event in events if event.involved_object.name == name and event.reason == reason]
        return found[0].message if found else ""

    message: str = await cluster.until(there)
    return message


async def test_a_claim_gets_the_smallest_volume_that_fits_and_releases_it(cluster) -> None:
    client = cluster.client
    for name, size in (("large", "10Gi"), ("right", "2Gi"), ("small", "1Gi")):
        await client.create(PERSISTENT_VOLUMES, volume(name, size))
    for name in ("large", "right", "small"):
        await volume_in(cluster, name, "Available")
    await client.create(PERSISTENT_VOLUME_CLAIMS, claim("data", "1500Mi"), namespace="default")
    bound = await claim_in(cluster, "data", "Bound")
    assert bound.spec.volume_name == "right"
    assert bound.status.capacity == {"storage": "2Gi"}
    assert bound.status.access_modes == ["ReadWriteOnce"]
    assert {BIND_COMPLETED, BOUND_BY_CONTROLLER} <= set(bound.metadata.annotations)
    found = await volume_in(cluster, "right", "Bound")
    assert found.spec.claim_ref is not None
    assert found.spec.claim_ref.uid == bound.uid
    await client.delete(PERSISTENT_VOLUME_CLAIMS, "data", namespace="default")
    await volume_in(cluster, "right", "Released")
    await client.create(PERSISTENT_VOLUME_CLAIMS, claim("data", "1500Mi"), namespace="default")
    assert (await claim_in(cluster, "data", "Bound")).spec.volume_name == "large"  # what was released is not given away


async def test_volumes_are_kept_for_those_whom_they_or_who_name_them(cluster) -> None:
    client = cluster.client
    kept = {"claimRef": {"namespace": "default", "name": "wanted"}}
    await client.create(PERSISTENT_VOLUMES, volume("kept", "5Gi", **kept))
    await volume_in(cluster, "kept", "Available")
    await client.create(PERSISTENT_VOLUME_CLAIMS, claim("other"), namespace="default")
    nothing = "no persistent volumes available for this claim and no storage class is set"
    assert await told(cluster, "other", "FailedBinding") == nothing
    await client.create(PERSISTENT_VOLUME_CLAIMS, claim("wanted"), namespace="default")
    assert (await claim_in(cluster, "wanted", "Bound")).spec.volume_name == "kept"
    assert BOUND_BY_CONTROLLER not in (await volume_in(cluster, "kept", "Bound")).metadata.annotations
    await client.create(PERSISTENT_VOLUME_CLAIMS, claim("by-name", "3Gi", volumeName="own"), namespace="default")
    await client.create(PERSISTENT_VOLUMES, volume("own", "2Gi"))
    small = 'Cannot bind to requested volume "own": requested PV is too small'
    assert await told(cluster, "by-name", "VolumeMismatch") == small
    await client.create(PERSISTENT_VOLUME_CLAIMS, claim("late", volumeName="kept"), namespace="default")
    taken = 'volume "kept" already bound to a different claim.'
    assert await told(cluster, "late", "FailedBinding") == taken
    bound = await claim_in(cluster, "other", "Bound")
    assert bound.spec.volume_name == "own"


async def test_a_default_class_reaches_claims_that_were_there_before(cluster) -> None:
    client = cluster.client
    await client.create(PERSISTENT_VOLUME_CLAIMS, claim("early"), namespace="default")
    await client.create(PERSISTENT_VOLUME_CLAIMS, claim("none", storageClassName=""), namespace="default")
    await told(cluster, "early", "FailedBinding")
    await client.create(STORAGE_CLASSES, storage_class("standard", default=True))

    async def provisioning() -> PersistentVolumeClaim | None:
        found = await client.get(PERSISTENT_VOLUME_CLAIMS, "early", namespace="default")
        asked = found.metadata.annotations.get("volume.kubernetes.io/storage-provisioner")
        return found if asked == "example.com/disks" else None

    found = await cluster.until(provisioning)
    assert found.spec.storage_class_name == "standard"
    assert (await told(cluster, "early", "ExternalProvisioning")).startswith(
        "Waiting for a volume to be created either by the external provisioner 'example.com/disks'"
    )
    none = await client.get(PERSISTENT_VOLUME_CLAIMS, "none", namespace="default")
    assert none.spec.storage_class_name == ""
    # The provisioner has made the volume, bound to its claim.
    reference = {"kind": "PersistentVolumeClaim", "namespace": "default", "name": "early", "uid": found.uid}
    made = volume(f"pvc-{found.uid}", storageClassName="standard", claimRef=reference)
    await client.create(PERSISTENT_VOLUMES, made)
    await claim_in(cluster, "early", "Bound")


async def test_claims_of_a_delayed_class_say_whom_they_wait_for(cluster) -> None:
    client = cluster.client
    delayed = storage_class(
        "local", provisioner="kubernetes.io/no-provisioner", volumeBindingMode="WaitForFirstConsumer"
    )
    await client.create(STORAGE_CLASSES, delayed)
    await client.create(PERSISTENT_VOLUMES, volume("disk", storageClassName="local"))
    await volume_in(cluster, "disk", "Available")
    await client.create(PERSISTENT_VOLUME_CLAIMS, claim("data", storageClassName="local"), namespace="default")
    waits = "waiting for first consumer to be created before binding"
    assert await told(cluster, "data", "WaitForFirstConsumer") == waits
    # The scheduler has chosen.
    found = await client.get(PERSISTENT_VOLUME_CLAIMS, "data", namespace="default")
    reference = {"kind": "PersistentVolumeClaim", "namespace": "default", "name": "data", "uid": found.uid}
    annotations = {BOUND_BY_CONTROLLER: "yes"}
    body = {"metadata": {"annotations": annotations}, "spec": {"claimRef": reference}}
    await client.patch(PERSISTENT_VOLUMES, "disk", body)
    assert (await claim_in(cluster, "data", "Bound")).spec.volume_name == "disk"


async def test_what_is_lost_or_cannot_be_reclaimed_is_said(cluster) -> None:
    client = cluster.client
    await client.create(PERSISTENT_VOLUMES, volume("gone"))
    await client.create(PERSISTENT_VOLUMES, volume("scrub", "2Gi", persistentVolumeReclaimPolicy="Recycle"))
    await client.create(PERSISTENT_VOLUMES, volume("delete", "3Gi", persistentVolumeReclaimPolicy="Delete"))
    for name, size in (("a", "1Gi"), ("b", "2Gi"), ("c", "3Gi")):
        await client.create(PERSISTENT_VOLUME_CLAIMS, claim(name, size), namespace="default")
    for name in ("a", "b", "c"):
        await claim_in(cluster, name, "Bound")
    await client.delete(PERSISTENT_VOLUMES, "gone")
    await client.patch(PERSISTENT_VOLUMES, "gone", {"metadata": {"finalizers": None}})
    lost = await claim_in(cluster, "a", "Lost")
    assert not lost.status.capacity
    assert (
        await told(cluster, "a", "ClaimLost")
        == "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
    )
    for name in ("b", "c"):
        await client.delete(PERSISTENT_VOLUME_CLAIMS, name, namespace="default")
    assert (await volume_in(cluster, "scrub", "Failed")).status.message == "No recycler plugin found for the volume!"
    why = 'error getting deleter volume plugin for volume "delete": no deletable volume plugin matched'
    assert (await volume_in(cluster, "delete", "Failed")).status.message == why
    assert await told(cluster, "delete", "VolumeFailedDelete") == why


async def test_the_claim_of_an_ephemeral_volume_comes_and_goes_with_its_pod(cluster) -> None:
    client = cluster.client
    await cluster.until(lambda: cluster.list(SERVICE_ACCOUNTS))
    await client.create(PERSISTENT_VOLUME_CLAIMS, claim("second-v"), namespace="default")
    template = {"metadata": {"labels": {"of": "pod"}}, "spec": claim("")["spec"]}
    for name in ("first", "second"):
        volumes = [{"name": "v", "ephemeral": {"volumeClaimTemplate": template}}]
        spec = {"containers": [{"name": "c", "image": "i"}], "volumes": volumes, "nodeName": "n1"}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        await client.create(PODS, body, namespace="default")
    found = await cluster.until(lambda: cluster.get(PERSISTENT_VOLUME_CLAIMS, "first-v"))
    assert found.metadata.labels == {"of": "pod"}
    foreign = "ephemeral volume v: PVC default/second-v was not created for pod default/second (pod is not owner)"
    assert await told(cluster, "second", "FailedBinding") == foreign

    async def gone() -> bool:
        return await cluster.get(PERSISTENT_VOLUME_CLAIMS, "first-v") is None

    await client.delete(PODS, "first", namespace="default", grace_period=0)
    await cluster.until(gone)
    await client.delete(PERSISTENT_VOLUME_CLAIMS, "second-v", namespace="default")

    async def own() -> bool:
        found = await cluster.get(PERSISTENT_VOLUME_CLAIMS, "second-v")
        return found is not None and found.metadata.controller is not None

    await cluster.until(own)


async def test_a_status_that_somebody_patches_stays(cluster) -> None:
    client = cluster.client
    await client.create(PERSISTENT_VOLUMES, volume("patched"))
    await client.create(PERSISTENT_VOLUME_CLAIMS, claim("patched"), namespace="default")
    await claim_in(cluster, "patched", "Bound")
    condition = {"type": "StatusPatched", "status": "True", "reason": "E2E"}
    body = {"status": {"conditions": [condition]}}
    await client.patch(PERSISTENT_VOLUME_CLAIMS, "patched", body, namespace="default", subresource="status")
    said = {"status": {"message": "patched", "reason": "E2E"}}
    await client.patch(PERSISTENT_VOLUMES, "patched", said, subresource="status")
    # Both are looked at once more.
    for resource, namespace in ((PERSISTENT_VOLUME_CLAIMS, "default"), (PERSISTENT_VOLUMES, "")):
        await client.patch(resource, "patched", {"metadata": {"labels": {"a": "b"}}}, namespace=namespace)
    await client.create(PERSISTENT_VOLUMES, volume("next"))
    await volume_in(cluster, "next", "Available")
    found = await claim_in(cluster, "patched", "Bound")
    assert [each.reason for each in found.status.conditions] == ["E2E"]
    assert (await volume_in(cluster, "patched", "Bound")).status.message == "patched"
