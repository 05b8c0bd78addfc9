"""What keeps a StatefulSet from its pods, and how it says so."""

from __future__ import annotations

from typing import Any

from k8slite.kinds.base import Object, ResourceType
from k8slite.kinds.resources import EVENTS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS

from .test_statefulsets import CLAIM, LABELS, create, patch, rolled_out

QUOTAS = ResourceType("", "v1", "resourcequotas", "ResourceQuota", True, Object)


async def told(cluster, reason: str, beginning: str) -> Any:
    async def look():
        events = await cluster.list(EVENTS)
        return next((one for one in events if one.reason == reason and one.message.startswith(beginning)), None)

    return await cluster.until(look)


async def quota(cluster, **hard: str) -> None:
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight"}, "spec": {"hard": hard}}
    await cluster.client.create(QUOTAS, body, namespace="default")

    async def counted():
        found = await cluster.client.request("GET", QUOTAS.path(namespace="default", name="tight"))
        return found.get("status", {}).get("used")

    await cluster.until(counted)


async def test_a_quota_of_pods_is_told_and_when_it_is_lifted_the_pods_come(cluster):
    await quota(cluster, pods="1")
    await create(cluster, replicas=2)
    failure = 'create Pod db-1 in StatefulSet db failed error: pods "db-1" is forbidden: exceeded quota: tight'
    await told(cluster, "FailedCreate", failure)
    found = await cluster.get(STATEFUL_SETS, "db")
    assert found.status.replicas == 1
    await cluster.client.delete(QUOTAS, "tight", namespace="default")
    await rolled_out(cluster, "db:1", "db:1")


async def test_a_quota_of_claims_is_told_of_the_claim_and_of_the_pod(cluster):
    await quota(cluster, persistentvolumeclaims="0")
    await create(cluster, replicas=1, claims=True)
    await told(
        cluster, "FailedCreate", "create Claim data-db-0 for Pod db-0 in StatefulSet db failed error: persistent"
    )
    about = "create Pod db-0 in StatefulSet db failed error: failed to create PVC data-db-0: persistentvolumeclaims"
    await told(cluster, "FailedCreate", about)
    assert await cluster.list(PODS) == []
    await cluster.client.delete(QUOTAS, "tight", namespace="default")
    await rolled_out(cluster, "db:1")
    await told(cluster, "SuccessfulCreate", "create Claim data-db-0 Pod db-0 in StatefulSet db success")


async def test_a_name_that_a_strangers_pod_has_is_told_and_taken_when_it_is_free(cluster):
    stranger = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "db-0"},
        "spec": {"containers": [{"name": "c", "image": "x"}]},
    }
    await cluster.client.create(PODS, stranger, namespace="default")
    await create(cluster, replicas=1)
    failure = 'create Pod db-0 in StatefulSet db failed error: pods "db-0" already exists'
    await told(cluster, "FailedCreate", failure)
    await cluster.client.delete(PODS, "db-0", namespace="default")
    await rolled_out(cluster, "db:1")


async def test_a_pod_that_was_taken_over_without_its_volume_cannot_be_mended(cluster):
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "db-0", "labels": LABELS},
        "spec": {"containers": [{"name": "c", "image": "db:1"}]},
    }
    made = await cluster.client.create(PODS, pod, namespace="default")
    await create(cluster, replicas=2, claims=True, updateStrategy={"type": "OnDelete"})
    about = "update Pod db-0 in StatefulSet db failed error: "
    refused = f'{about}Pod "db-0" is invalid: spec: Forbidden: pod updates may not change fields other than'
    await told(cluster, "FailedUpdate", refused)
    assert [pod.uid for pod in await cluster.list(PODS)] == [made.uid]
    await cluster.client.delete(PODS, "db-0", namespace="default")
    await rolled_out(cluster, "db:1", "db:1")


async def test_claims_that_another_manages_are_left_to_it(cluster):
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "backup", "uid": "", "controller": True}
    path = "/api/v1/namespaces/default/configmaps"
    manager = await cluster.client.request("POST", path, body={"metadata": {"name": "backup"}})
    owner["uid"] = manager["metadata"]["uid"]
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **CLAIM}
    claim["metadata"] = {"name": "data-db-0", "labels": LABELS, "ownerReferences": [owner]}
    await cluster.client.create(PERSISTENT_VOLUME_CLAIMS, claim, namespace="default")
    both = {"whenDeleted": "Delete", "whenScaled": "Delete"}
    await create(cluster, replicas=1, claims=True, persistentVolumeClaimRetentionPolicy=both)
    await rolled_out(cluster, "db:1")
    await told(cluster, "ConflictingController", "PersistentVolumeClaim data-db-0 has a conflicting OwnerReference")
    await patch(cluster, {"spec": {"replicas": 0}})
    await rolled_out(cluster)
    left = await cluster.get(PERSISTENT_VOLUME_CLAIMS, "data-db-0")
    assert [one.uid for one in left.metadata.owner_references] == [owner["uid"]]
    assert not left.deleting
