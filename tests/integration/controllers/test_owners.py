"""What becomes of dependents when their owner goes, as each propagation policy has it."""

from __future__ import annotations

from typing import Any

import pytest

from k8slite.kinds.resources import DEPLOYMENTS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, SERVICE_ACCOUNTS

from .test_workloads import LABELS, deployment, rolled_out


def controller(name: str, *, replicas: int = 3) -> dict[str, Any]:
    """A ReplicationController with labels of its own."""
    labels = {"rc": name}
    spec = {"containers": [{"name": "c", "image": "web:1"}]}
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": labels, "template": template},
    }


async def running(cluster, name: str, *, replicas: int = 3) -> list[Any]:
    """The pods of a ReplicationController, once it has as many as it wants."""

    async def complete():
        pods = await cluster.list(PODS, f"rc={name}")
        return pods if len(pods) == replicas and all(pod.ready for pod in pods) else None

    return await cluster.until(complete)


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
async def test_pods_go_with_their_replication_controller(cluster, policy):
    await cluster.client.create(REPLICATION_CONTROLLERS, controller("one"), namespace="default")
    pods = await running(cluster, "one")
    held = [pod for pod in pods if pod.name == pods[0].name]
    if policy == "Foreground":
        patch = {"metadata": {"finalizers": ["example.com/hold"]}}
        await cluster.client.patch(PODS, held[0].name, patch, namespace="default")
    await cluster.client.delete(REPLICATION_CONTROLLERS, "one", namespace="default", propagation=policy)
    if policy == "Foreground":

        async def only_the_held():
            return [pod.name for pod in await cluster.list(PODS, "rc=one")] == [held[0].name]

        await cluster.until(only_the_held)
        owner = await cluster.get(REPLICATION_CONTROLLERS, "one")
        assert owner.deleting and "foregroundDeletion" in owner.metadata.finalizers
        await cluster.client.patch(PODS, held[0].name, {"metadata": {"finalizers": None}}, namespace="default")

    async def gone():
        return not await cluster.list(PODS, "rc=one") and await cluster.get(REPLICATION_CONTROLLERS, "one") is None

    await cluster.until(gone)


async def test_pods_outlive_a_replication_controller_that_orphans_them(cluster):
    await cluster.client.create(REPLICATION_CONTROLLERS, controller("one"), namespace="default")
    before = {pod.uid for pod in await running(cluster, "one")}
    await cluster.client.delete(REPLICATION_CONTROLLERS, "one", namespace="default", propagation="Orphan")

    async def gone():
        return await cluster.get(REPLICATION_CONTROLLERS, "one") is None

    await cluster.until(gone)
    pods = await cluster.list(PODS, "rc=one")
    assert {pod.uid for pod in pods} == before
    assert not any(pod.deleting or pod.metadata.owner_references for pod in pods)


@pytest.mark.parametrize("policy", ["Background", "Orphan"])
async def test_replica_sets_follow_their_deployment_as_asked(cluster, policy):
    await cluster.client.create(DEPLOYMENTS, deployment(replicas=2), namespace="default")
    await rolled_out(cluster, "web:1", replicas=2)
    [before] = await cluster.list(REPLICA_SETS)
    assert before.metadata.labels["app"] == LABELS["app"]
    await cluster.client.delete(DEPLOYMENTS, "web", namespace="default", propagation=policy)

    async def gone():
        return await cluster.get(DEPLOYMENTS, "web") is None

    await cluster.until(gone)
    if policy == "Background":

        async def nothing_left():
            return not await cluster.list(REPLICA_SETS) and not await cluster.list(PODS)

        await cluster.until(nothing_left)
        return
    [after] = await cluster.list(REPLICA_SETS)
    assert (after.uid, after.deleting, after.metadata.owner_references) == (before.uid, False, [])


async def test_dependents_of_two_owners_stay_when_one_waits_for_its_own(cluster):
    client = cluster.client
    await cluster.until(lambda: cluster.get(SERVICE_ACCOUNTS, "default"))
    await client.create(REPLICATION_CONTROLLERS, controller("going", replicas=4), namespace="default")
    staying = await client.create(REPLICATION_CONTROLLERS, controller("staying", replicas=0), namespace="default")
    pods = await running(cluster, "going", replicas=4)
    shared, alone = pods[:2], pods[2:]
    also = {"apiVersion": "v1", "kind": "ReplicationController", "name": "staying", "uid": staying.uid}
    for pod in shared:
        document = await client.get(PODS, pod.name, namespace="default")
        [own] = document.metadata.owner_references
        reference = {"apiVersion": "v1", "kind": own.kind, "name": own.name, "uid": own.uid, "controller": True}
        patch = {"metadata": {"ownerReferences": [{**reference, "blockOwnerDeletion": True}, also]}}
        await client.patch(PODS, pod.name, patch, namespace="default")
    await client.delete(REPLICATION_CONTROLLERS, "going", namespace="default", propagation="Foreground")

    async def gone():
        return await cluster.get(REPLICATION_CONTROLLERS, "going") is None

    await cluster.until(gone)
    left = await cluster.list(PODS, "rc=going")
    assert {pod.uid for pod in left} == {pod.uid for pod in shared} and alone
    assert not any(pod.deleting for pod in left)
    assert {reference.uid for pod in left for reference in pod.metadata.owner_references} == {staying.uid}
