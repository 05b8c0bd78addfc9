"""StatefulSets and their revisions as users work with them: kubectl, the scale and status subresources, collections."""

from __future__ import annotations

from typing import Any

from k8slite.kinds.resources import CONTROLLER_REVISIONS, ENDPOINT_SLICES, PODS, SERVICES, STATEFUL_SETS

from .test_kubectl import kubectl
from .test_statefulsets import LABELS, create, image_patch, patch, rolled_out

PATH = "/apis/apps/v1/namespaces/default/statefulsets"


async def test_rollouts_by_kubectl(cluster):
    await create(cluster)
    status = await kubectl(cluster, "rollout", "status", "statefulset/db", "--timeout=30s")
    assert "partitioned roll out complete: 3 new pods have been updated" in status
    await kubectl(cluster, "set", "image", "statefulset/db", "c=db:2")
    await kubectl(cluster, "rollout", "status", "statefulset/db", "--timeout=30s")
    await rolled_out(cluster, "db:2", "db:2", "db:2")
    history = await kubectl(cluster, "rollout", "history", "statefulset/db")
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["1", "2"]
    first = await kubectl(cluster, "rollout", "history", "statefulset/db", "--revision=1")
    assert "db:1" in first
    assert "rolled back" in await kubectl(cluster, "rollout", "undo", "statefulset/db")
    await kubectl(cluster, "rollout", "status", "statefulset/db", "--timeout=30s")
    await rolled_out(cluster, "db:1", "db:1", "db:1")
    history = await kubectl(cluster, "rollout", "history", "statefulset/db")
    assert [line.split()[0] for line in history.splitlines()[2:] if line] == ["2", "3"]
    assert "rolled back" in await kubectl(cluster, "rollout", "undo", "statefulset/db", "--to-revision=2")
    await rolled_out(cluster, "db:2", "db:2", "db:2")

    before = {item.uid for item in await pods(cluster)}
    await kubectl(cluster, "rollout", "restart", "statefulset/db")
    await kubectl(cluster, "rollout", "status", "statefulset/db", "--timeout=30s")
    assert not before & {item.uid for item in await pods(cluster)}

    await kubectl(cluster, "scale", "statefulset/db", "--replicas=1")
    await rolled_out(cluster, "db:2")
    assert (await kubectl(cluster, "get", "statefulset/db", "--no-headers")).split()[:2] == ["db", "1/1"]
    described = await kubectl(cluster, "describe", "statefulset/db")
    assert "1 Running / 0 Waiting / 0 Succeeded / 0 Failed" in described
    assert "create Pod db-0 in StatefulSet db successful" in described
    await kubectl(cluster, "delete", "statefulset/db", "--cascade=foreground", "--timeout=15s")
    assert "No resources found" in await kubectl(cluster, "get", "pods,controllerrevisions")


async def pods(cluster) -> list[Any]:
    return [pod for pod in await cluster.list(PODS, "app=db") if not pod.deleting]


async def test_a_partition_is_told_by_rollout_status(cluster):
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    await create(cluster, updateStrategy=rolling)
    await rolled_out(cluster, "db:1", "db:1", "db:1")
    await patch(cluster, image_patch("db:2"))
    await rolled_out(cluster, "db:1", "db:1", "db:2")
    told = await kubectl(cluster, "rollout", "status", "statefulset/db", "--timeout=30s")
    assert "partitioned roll out complete: 1 new pods have been updated" in told


async def test_the_scale_subresource(cluster):
    await create(cluster, replicas=1)
    await rolled_out(cluster, "db:1")
    scale = await cluster.client.request("GET", f"{PATH}/db/scale")
    assert (scale["kind"], scale["spec"]) == ("Scale", {"replicas": 1})
    assert scale["status"] == {"replicas": 1, "selector": "app=db"}
    scale["spec"]["replicas"] = 2
    await cluster.client.request("PUT", f"{PATH}/db/scale", body=scale)
    await rolled_out(cluster, "db:1", "db:1")
    merge = "application/merge-patch+json"
    await cluster.client.request("PATCH", f"{PATH}/db/scale", body={"spec": {"replicas": 3}}, content_type=merge)
    await rolled_out(cluster, "db:1", "db:1", "db:1")
    scale = await cluster.client.request("GET", f"{PATH}/db/scale")
    assert (scale["spec"], scale["status"]["replicas"]) == ({"replicas": 3}, 3)


async def test_sets_are_listed_patched_and_deleted_together(cluster):
    await create(cluster, replicas=1)
    await rolled_out(cluster, "db:1")
    labelled = {"metadata": {"labels": {"patched": "yes"}}, "spec": {"replicas": 2}}
    changed = await patch(cluster, {**labelled, "spec": image_patch("db:2")["spec"] | labelled["spec"]})
    assert changed.metadata.labels == LABELS | {"patched": "yes"}
    await rolled_out(cluster, "db:2", "db:2")
    everywhere = await cluster.client.list(STATEFUL_SETS, label_selector="patched=yes")
    assert [item.name for item in everywhere.items] == ["db"]
    await cluster.client.delete_collection(STATEFUL_SETS, namespace="default", label_selector="patched=yes")

    async def gone():
        return not await cluster.list(STATEFUL_SETS) and not await pods(cluster)

    await cluster.until(gone)


async def test_the_status_is_read_updated_and_patched(cluster):
    """The controller leaves conditions alone, which others write."""
    await create(cluster, replicas=1)
    await rolled_out(cluster, "db:1")
    found = await cluster.client.request("GET", f"{PATH}/db/status")
    assert found["status"]["readyReplicas"] == 1
    condition = {"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "Set from e2e test"}
    found["status"]["conditions"] = [condition]
    await cluster.client.request("PUT", f"{PATH}/db/status", body=found)
    body = {"status": {"conditions": [condition | {"type": "StatusPatched"}]}}
    merge = "application/merge-patch+json"
    await cluster.client.request("PATCH", f"{PATH}/db/status", body=body, content_type=merge)
    await patch(cluster, {"spec": {"replicas": 2}})
    await rolled_out(cluster, "db:1", "db:1")
    kept = await cluster.client.request("GET", f"{PATH}/db/status")
    assert [item["type"] for item in kept["status"]["conditions"]] == ["StatusPatched"]


async def test_the_life_of_a_controller_revision(cluster):
    await create(cluster, replicas=1)
    await rolled_out(cluster, "db:1")
    (first,) = await cluster.list(CONTROLLER_REVISIONS, "app=db")
    label = {"metadata": {"labels": {"patched": "yes"}}}
    await cluster.client.patch(CONTROLLER_REVISIONS, first.name, label, namespace="default")
    everywhere = await cluster.client.list(CONTROLLER_REVISIONS, label_selector="patched=yes")
    assert [one.name for one in everywhere.items] == [first.name]
    body = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": "db-by-hand", "labels": LABELS | {"patched": "no"}},
        "data": first.data,
        "revision": 5,
    }
    by_hand = await cluster.client.create(CONTROLLER_REVISIONS, body, namespace="default")
    path = f"{CONTROLLER_REVISIONS.path(namespace='default', name='db-by-hand')}"
    document = await cluster.client.request("GET", path)
    document["metadata"]["labels"]["patched"] = "updated"
    await cluster.client.request("PUT", path, body=document)
    await cluster.client.delete(CONTROLLER_REVISIONS, "db-by-hand", namespace="default")
    assert await cluster.get(CONTROLLER_REVISIONS, "db-by-hand") is None
    await patch(cluster, image_patch("db:2"))
    await rolled_out(cluster, "db:2")
    numbers = {one.name: one.revision for one in await cluster.list(CONTROLLER_REVISIONS)}
    assert numbers[first.name] == 1
    assert len(numbers) == 2
    assert by_hand.name not in numbers
    await cluster.client.delete_collection(CONTROLLER_REVISIONS, namespace="default", label_selector="patched=yes")
    left = await cluster.list(CONTROLLER_REVISIONS)
    assert [one.revision for one in left] == [2]


async def test_pods_are_found_by_name_behind_their_service(cluster):
    """The slice names each pod; the proxy's DNS answers `db-0.dbs.default.svc.cluster.local` from that."""
    spec = {"clusterIP": "None", "selector": LABELS, "ports": [{"name": "sql", "port": 5432}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "dbs"}, "spec": spec}
    await cluster.client.create(SERVICES, service, namespace="default")
    await create(cluster, replicas=2)

    async def named():
        slices = await cluster.list(ENDPOINT_SLICES, "kubernetes.io/service-name=dbs")
        found = {end.hostname: end.addresses for one in slices for end in one.endpoints if end.conditions.ready}
        return found if set(found) == {"db-0", "db-1"} else None

    addresses = await cluster.until(named)
    for name, address in addresses.items():
        (pod,) = [pod for pod in await pods(cluster) if pod.name == name]
        assert address == [pod.status.pod_ip]
