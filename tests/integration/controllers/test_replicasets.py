"""ReplicaSets and ReplicationControllers over a real server: what Kubernetes' conformance tests ask of both."""

from __future__ import annotations

from typing import Any

import pytest

from k8slite.client import Patch
from k8slite.kinds.base import ResourceType
from k8slite.kinds.resources import EVENTS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, SERVICE_ACCOUNTS

from .test_workloads import LABELS

BOTH = pytest.mark.parametrize("resource", [REPLICA_SETS, REPLICATION_CONTROLLERS], ids=lambda resource: resource.kind)


def document(resource: ResourceType[Any], *, replicas: int = 2, image: str = "web:1", **spec: Any) -> dict[str, Any]:
    metadata = {"labels": LABELS, "annotations": {"copied": "yes"}}
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": "web", "labels": {"kept": "yes"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": LABELS} if resource is REPLICA_SETS else LABELS,
            "template": {"metadata": metadata, "spec": {"containers": [{"name": "c", "image": image}]}},
            **spec,
        },
    }


async def create(cluster, resource: ResourceType[Any], **spec: Any) -> None:
    await cluster.client.create(resource, document(resource, **spec), namespace="default")


async def serves(cluster, resource: ResourceType[Any], count: int) -> Any:
    async def look():
        found = await cluster.get(resource, "web")
        status = found.status
        pods = [pod for pod in await cluster.list(PODS) if pod.metadata.controller and not pod.deleting]
        seen = status.observed_generation == found.metadata.generation and status.replicas == count
        return found if seen and status.ready_replicas == status.available_replicas == len(pods) == count else None

    return await cluster.until(look)


async def loner(cluster, **labels: str) -> None:
    await cluster.until(lambda: cluster.get(SERVICE_ACCOUNTS, "default"))
    spec = {"containers": [{"name": "c", "image": "web:1"}]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "loner", "labels": labels}, "spec": spec}
    await cluster.client.create(PODS, body, namespace="default")


@BOTH
async def test_each_replica_serves_and_is_made_of_the_template(cluster, resource):
    await create(cluster, resource, replicas=3)
    found = await serves(cluster, resource, 3)
    assert found.status.fully_labeled_replicas == 3
    pods = await cluster.list(PODS)
    for pod in pods:
        assert pod.metadata.labels == LABELS
        assert pod.metadata.annotations == {"copied": "yes"}
        assert pod.name.startswith("web-")
        assert (pod.metadata.controller.kind, pod.metadata.controller.uid) == (resource.kind, found.uid)

    async def told():
        listed = await cluster.client.list(EVENTS, namespace="default", field_selector="involvedObject.name=web")
        return {event.message for event in listed.items} == {f"Created pod: {pod.name}" for pod in pods}

    await cluster.until(told)


@BOTH
async def test_matching_pods_are_adopted_on_creation(cluster, resource):
    await loner(cluster, **LABELS)
    await create(cluster, resource, replicas=1)
    found = await serves(cluster, resource, 1)
    [pod] = await cluster.list(PODS)
    assert (pod.name, pod.metadata.controller.uid) == ("loner", found.uid)


@BOTH
async def test_pods_that_match_no_longer_are_released_and_replaced(cluster, resource):
    await create(cluster, resource, replicas=1)
    await serves(cluster, resource, 1)
    [pod] = await cluster.list(PODS)
    await cluster.client.patch(PODS, pod.name, {"metadata": {"labels": {"app": "other"}}}, namespace="default")

    async def replaced():
        pods = await cluster.list(PODS)
        free = [one.name for one in pods if one.metadata.controller is None]
        return free == [pod.name] and len(pods) == 2

    await cluster.until(replaced)
    await serves(cluster, resource, 1)


@BOTH
async def test_the_scale_subresource(cluster, resource):
    path = resource.path(namespace="default", name="web", subresource="scale")
    await create(cluster, resource, replicas=1)
    await serves(cluster, resource, 1)
    scale = await cluster.client.request("GET", path)
    assert (scale["kind"], scale["spec"]) == ("Scale", {"replicas": 1})
    assert scale["status"] == {"replicas": 1, "selector": "app=web"}
    scale["spec"]["replicas"] = 2
    await cluster.client.request("PUT", path, body=scale)
    await serves(cluster, resource, 2)
    merge = "application/merge-patch+json"
    await cluster.client.request("PATCH", path, body={"spec": {"replicas": 4}}, content_type=merge)
    await serves(cluster, resource, 4)


@BOTH
async def test_sets_are_replaced_patched_and_scaled(cluster, resource):
    path = resource.path(namespace="default", name="web")
    await create(cluster, resource, replicas=1)
    await serves(cluster, resource, 1)
    await cluster.client.patch(resource, "web", {"spec": {"replicas": 3}}, namespace="default")
    await serves(cluster, resource, 3)
    body = await cluster.client.request("GET", path)
    body["metadata"]["labels"]["step"] = "replaced"
    body["spec"]["replicas"] = 2
    body["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2"
    await cluster.client.request("PUT", path, body=body)
    found = await serves(cluster, resource, 2)
    assert found.metadata.labels == {"kept": "yes", "step": "replaced"}
    # A new template makes no new pods of those that are there.
    assert {pod.spec.containers[0].image for pod in await cluster.list(PODS) if not pod.deleting} == {"web:1"}


@BOTH
async def test_sets_are_listed_and_deleted_together(cluster, resource):
    await create(cluster, resource)
    await serves(cluster, resource, 2)
    everywhere = await cluster.client.list(resource, label_selector="kept=yes")
    assert [item.name for item in everywhere.items] == ["web"]
    await cluster.client.delete_collection(resource, namespace="default", label_selector="kept=yes")

    # Who deletes ReplicationControllers without saying more leaves their pods, since the first version.
    left = 2 if resource is REPLICATION_CONTROLLERS else 0

    async def gone():
        pods = await cluster.list(PODS)
        free = [pod for pod in pods if pod.metadata.controller is None]
        return not await cluster.list(resource) and len(free) == len(pods) == left

    await cluster.until(gone)


@BOTH
async def test_a_status_that_somebody_else_wrote_is_put_right(cluster, resource):
    await create(cluster, resource)
    await serves(cluster, resource, 2)
    mine = {"type": "StatusPatched", "status": "True", "reason": "ByHand", "message": "of mine"}
    body = {"status": {"readyReplicas": 1, "availableReplicas": 0, "conditions": [mine]}}
    patched = await cluster.client.patch(
        resource, "web", body, namespace="default", subresource="status", patch=Patch.STRATEGIC
    )
    assert patched.status.conditions[0].type == "StatusPatched"
    found = await serves(cluster, resource, 2)
    assert [(one.type, one.reason) for one in found.status.conditions] == [("StatusPatched", "ByHand")]


async def test_pods_on_their_way_out_are_counted(cluster):
    await create(cluster, REPLICA_SETS)
    await serves(cluster, REPLICA_SETS, 2)
    cluster.puppets.stopped.add("n1")
    await cluster.client.patch(REPLICA_SETS, "web", {"spec": {"replicas": 0}}, namespace="default")

    async def terminating(count: int):
        status = (await cluster.get(REPLICA_SETS, "web")).status
        return status.replicas == 0 and status.terminating_replicas == count

    await cluster.until(lambda: terminating(2))
    cluster.puppets.stopped.clear()
    for pod in await cluster.list(PODS):
        cluster.puppets.controller.queue.add(pod.key)
    await cluster.until(lambda: terminating(0))


async def test_pods_are_available_when_they_have_been_ready_for_long_enough(cluster):
    await create(cluster, REPLICA_SETS, minReadySeconds=2)

    async def ready_only():
        status = (await cluster.get(REPLICA_SETS, "web")).status
        return status.ready_replicas == 2 and status.available_replicas == 0

    await cluster.until(ready_only)
    await serves(cluster, REPLICA_SETS, 2)


async def test_the_cheapest_pod_goes_first(cluster):
    await create(cluster, REPLICA_SETS, replicas=3)
    await serves(cluster, REPLICA_SETS, 3)
    pods = await cluster.list(PODS)
    for cost, pod in zip(["10", "-10", "0"], pods, strict=True):
        body = {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": cost}}}
        await cluster.client.patch(PODS, pod.name, body, namespace="default")
    await cluster.client.patch(REPLICA_SETS, "web", {"spec": {"replicas": 2}}, namespace="default")
    await serves(cluster, REPLICA_SETS, 2)
    assert {pod.name for pod in await cluster.list(PODS) if not pod.deleting} == {pods[0].name, pods[2].name}
