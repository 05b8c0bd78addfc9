from __future__ import annotations

from typing import Any

import pytest

from k8slite.client import Patch
from k8slite.kinds.resources import (
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    EVENTS,
    JOBS,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    SERVICE_ACCOUNTS,
    SERVICES,
)

LABELS = {"app": "web"}


def deployment(image: str = "web:1", *, replicas: int = 3, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": image}]}},
            **spec,
        },
    }


def image_patch(image: str) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}}


async def rolled_out(cluster, image: str, *, replicas: int = 3):
    async def look():
        web = await cluster.get(DEPLOYMENTS, "web")
        status = web.status
        done = (
            status.observed_generation == web.metadata.generation
            and status.updated_replicas == status.replicas == status.available_replicas == replicas
        )
        pods = [pod for pod in await cluster.list(PODS, "app=web") if not pod.deleting]
        images = {pod.spec.containers[0].image for pod in pods}
        return web if done and images == {image} and len(pods) == replicas else None

    return await cluster.until(look)


async def test_a_deployment_rolls_out_updates_scales_and_goes(cluster):
    client = cluster.client
    await client.create(DEPLOYMENTS, deployment(), namespace="default")
    await rolled_out(cluster, "web:1")
    await client.patch(DEPLOYMENTS, "web", image_patch("web:2"), namespace="default", patch=Patch.STRATEGIC)
    web = await rolled_out(cluster, "web:2")
    assert web.metadata.annotations["deployment.kubernetes.io/revision"] == "2"
    sets = await cluster.list(REPLICA_SETS)
    assert sorted(rs.spec.replicas for rs in sets) == [0, 3]

    await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 5}}, namespace="default")
    await rolled_out(cluster, "web:2", replicas=5)

    await client.patch(DEPLOYMENTS, "web", image_patch("web:1"), namespace="default", patch=Patch.STRATEGIC)
    web = await rolled_out(cluster, "web:1", replicas=5)
    assert web.metadata.annotations["deployment.kubernetes.io/revision"] == "3"
    assert len(await cluster.list(REPLICA_SETS)) == 2

    await client.delete(DEPLOYMENTS, "web", namespace="default", propagation="Background")

    async def nothing_left():
        return not await cluster.list(REPLICA_SETS) and not await cluster.list(PODS)

    await cluster.until(nothing_left)
    messages = [event.message for event in await cluster.list(EVENTS) if event.reason == "ScalingReplicaSet"]
    assert any("Scaled up replica set" in message for message in messages)


async def test_a_bad_image_stalls_and_is_healed(cluster):
    client = cluster.client
    await client.create(DEPLOYMENTS, deployment(replicas=4), namespace="default")
    await rolled_out(cluster, "web:1", replicas=4)
    await client.patch(DEPLOYMENTS, "web", image_patch("bad:1"), namespace="default", patch=Patch.STRATEGIC)

    async def stalled():
        pods = await cluster.list(PODS, "app=web")
        bad = [pod for pod in pods if pod.spec.containers[0].image == "bad:1"]
        return len(bad) == 2 and len([pod for pod in pods if not pod.deleting]) == 5

    await cluster.until(stalled)
    assert len([pod for pod in await cluster.list(PODS, "app=web") if pod.ready and not pod.deleting]) == 3
    await client.patch(DEPLOYMENTS, "web", image_patch("web:1"), namespace="default", patch=Patch.STRATEGIC)
    await rolled_out(cluster, "web:1", replicas=4)


async def test_a_deleted_pod_is_replaced_and_never_by_two(cluster):
    client = cluster.client
    await client.create(DEPLOYMENTS, deployment(), namespace="default")
    await rolled_out(cluster, "web:1")
    victims = await cluster.list(PODS, "app=web")
    for victim in victims[:2]:
        await client.delete(PODS, victim.name, namespace="default")

    async def replaced():
        pods = await cluster.list(PODS, "app=web")
        return len(pods) == 3 and not {victim.uid for victim in victims[:2]} & {pod.uid for pod in pods}

    await cluster.until(replaced)
    await rolled_out(cluster, "web:1")
    made = [event for event in await cluster.list(EVENTS) if event.reason == "SuccessfulCreate"]
    assert len(made) == 5


async def test_replicasets_adopt_and_release(cluster):
    client = cluster.client
    loner = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "loner", "labels": LABELS},
        "spec": {"containers": [{"name": "c", "image": "web:1"}]},
    }
    await cluster.until(lambda: cluster.get(SERVICE_ACCOUNTS, "default"))
    await client.create(PODS, loner, namespace="default")
    body = deployment(replicas=2)
    body |= {"kind": "ReplicaSet"}
    await client.create(REPLICA_SETS, body, namespace="default")

    async def two():
        pods = [pod for pod in await cluster.list(PODS) if pod.metadata.controller]
        return len(pods) == 2 and any(pod.name == "loner" for pod in pods)

    await cluster.until(two)
    await client.patch(PODS, "loner", {"metadata": {"labels": {"app": "other"}}}, namespace="default")

    async def replaced():
        pods = await cluster.list(PODS)
        free = [pod.name for pod in pods if not pod.metadata.controller]
        return free == ["loner"] and len(pods) == 3

    await cluster.until(replaced)


async def test_replication_controllers(cluster):
    body = deployment(replicas=2)
    body |= {"apiVersion": "v1", "kind": "ReplicationController"}
    body["spec"]["selector"] = LABELS
    await cluster.client.create(REPLICATION_CONTROLLERS, body, namespace="default")

    async def ready():
        found = await cluster.get(REPLICATION_CONTROLLERS, "web")
        return found.status.ready_replicas == 2

    await cluster.until(ready)


async def test_services_follow_their_pods(cluster):
    client = cluster.client
    spec = {"selector": LABELS, "ports": [{"port": 80, "targetPort": 8080}]}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec}
    await client.create(SERVICES, body, namespace="default")
    await client.create(DEPLOYMENTS, deployment(), namespace="default")
    await rolled_out(cluster, "web:1")

    async def addresses(count: int):
        slices = [s for s in await cluster.list(ENDPOINT_SLICES) if s.service_name == "web"]
        endpoints = await cluster.get(ENDPOINTS, "web")
        ready = {a for s in slices for e in s.endpoints if e.conditions.ready for a in e.addresses}
        older = {a.ip for subset in endpoints.subsets for a in subset.addresses} if endpoints else set()
        return slices if len(ready) == count and ready == older else None

    (only,) = await cluster.until(lambda: addresses(3))
    assert only.ports[0].port == 8080
    await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 1}}, namespace="default")
    await cluster.until(lambda: addresses(1))
    await client.delete(SERVICES, "web", namespace="default")

    async def gone():
        slices = [s for s in await cluster.list(ENDPOINT_SLICES) if s.service_name == "web"]
        return not slices and await cluster.get(ENDPOINTS, "web") is None

    await cluster.until(gone)


async def test_a_service_without_pods_has_empty_endpoints_that_go_with_it(cluster):
    client = cluster.client
    spec = {"selector": {"does-not-match": "any-pod"}, "ports": [{"name": "example", "port": 80, "protocol": "TCP"}]}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "lonely"}, "spec": spec}
    await client.create(SERVICES, body, namespace="default")

    async def both():
        slices = [s for s in await cluster.list(ENDPOINT_SLICES) if s.service_name == "lonely"]
        endpoints = await cluster.get(ENDPOINTS, "lonely")
        return (slices, endpoints) if slices and endpoints else None

    [only], endpoints = await cluster.until(both)
    assert not only.endpoints and not endpoints.subsets
    [owner] = only.metadata.owner_references
    assert (owner.kind, owner.name) == ("Service", "lonely")
    await client.delete(SERVICES, "lonely", namespace="default")

    async def gone():
        slices = [s for s in await cluster.list(ENDPOINT_SLICES) if s.service_name == "lonely"]
        return not slices and await cluster.get(ENDPOINTS, "lonely") is None

    await cluster.until(gone)


async def test_a_namespace_takes_its_services_with_it(cluster):
    client = cluster.client
    await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}
    await client.create(SERVICES, body, namespace="team")
    await client.delete(NAMESPACES, "team")

    async def gone():
        return await cluster.get(NAMESPACES, "team") is None

    await cluster.until(gone)
    await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
    assert await cluster.list(SERVICES, namespace="team") == []


async def test_a_job_is_suspended_resumed_labelled_and_deleted(cluster):
    client = cluster.client
    template = {"spec": {"restartPolicy": "OnFailure", "containers": [{"name": "c", "image": "web:1"}]}}
    spec = {"template": template, "suspend": True, "parallelism": 2, "completions": 4, "backoffLimit": 6}
    metadata = {"name": "work", "labels": {"e2e": "work"}}
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
    await client.create(JOBS, body, namespace="default")

    async def suspended():
        job = await cluster.get(JOBS, "work")
        return any(c.type == "Suspended" and c.status == "True" for c in job.status.conditions)

    await cluster.until(suspended)
    assert not await cluster.list(PODS)
    patch = {"metadata": {"labels": {"work": "patched"}}, "spec": {"suspend": False}}
    patched = await client.patch(JOBS, "work", patch, namespace="default")
    assert patched.metadata.labels["work"] == "patched"

    async def active():
        job = await cluster.get(JOBS, "work")
        return job if job.status.active == 2 else None

    job = await cluster.until(active)
    assert job.status.start_time is not None
    updated = await client.patch(JOBS, "work", {"metadata": {"annotations": {"updated": "true"}}}, namespace="default")
    assert updated.metadata.annotations["updated"] == "true"
    assert [found.name for found in await cluster.list(JOBS, "work=patched", namespace="")] == ["work"]
    await client.delete(JOBS, "work", namespace="default", propagation="Foreground")

    async def gone():
        return not await cluster.list(JOBS) and not await cluster.list(PODS)

    await cluster.until(gone)


@pytest.mark.parametrize(
    ("image", "spec", "condition", "counts"),
    [
        ("once:1", {"completions": 4, "parallelism": 2}, "Complete", (4, 0)),
        ("fail:1", {"backoffLimit": 0}, "Failed", (0, 1)),
        ("once:1", {"completions": 3, "parallelism": 3, "completionMode": "Indexed"}, "Complete", (3, 0)),
    ],
)
async def test_jobs(cluster, image, spec, condition, counts):
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": image}]}}
    body = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "work"},
        "spec": {"template": template, **spec},
    }
    await cluster.client.create(JOBS, body, namespace="default")

    async def over():
        job = await cluster.get(JOBS, "work")
        return job if any(c.type == condition and c.status == "True" for c in job.status.conditions) else None

    job = await cluster.until(over)
    assert (job.status.succeeded, job.status.failed) == counts
    assert job.status.active == 0
    assert (job.status.completed_indexes == "0-2") == (spec.get("completionMode") == "Indexed")
    pods = await cluster.list(PODS)
    assert len(pods) == sum(counts)
    await cluster.client.delete(JOBS, "work", namespace="default", propagation="Foreground")

    async def gone():
        return not await cluster.list(JOBS) and not await cluster.list(PODS)

    await cluster.until(gone)
