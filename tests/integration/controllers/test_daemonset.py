"""DaemonSets over a real server, scheduler and controllers with simulated nodes: where their pods are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from k8slite.kinds.apps import DaemonSetStatus
from k8slite.kinds.core import Pod
from k8slite.kinds.resources import CONTROLLER_REVISIONS, DAEMON_SETS, EVENTS, NODES, PODS

from .daemonsets import HASH, daemonset, make, on_nodes, pods, revisions, rolling, seen, shows, updated
from .simulated import SimulatedCluster, simulated_cluster

NAMES = ["sim-0", "sim-1", "sim-2"]


async def gone(cluster: SimulatedCluster, pod: Pod) -> None:
    async def look() -> bool:
        return pod.uid not in {one.uid for one in await cluster.list(PODS)}

    await cluster.until(look)


async def all_ready(cluster: SimulatedCluster) -> list[Pod]:
    """Wait until each node has its pod, whatever the set said a moment ago."""

    async def look() -> list[Pod]:
        there = await pods(cluster)
        return there if sorted(pod.spec.node_name for pod in there if pod.ready) == NAMES else []

    found: list[Pod] = await cluster.until(look)
    return found


async def reasons(cluster: SimulatedCluster, wanted: str) -> Any:
    async def look() -> list[tuple[str, str]]:
        return [
            (event.type, event.message)
            for event in await cluster.list(EVENTS)
            if event.reason == wanted and event.involved_object.name == "agent"
        ]

    return await cluster.until(look)


async def test_every_node_has_one_pod_that_comes_again(tmp_path: Path) -> None:
    async with simulated_cluster(tmp_path, nodes=3) as cluster, seen(cluster.client) as known:
        await make(cluster, daemonset())
        found = await updated(cluster, 3)
        assert found.status == DaemonSetStatus(
            current_number_scheduled=3,
            desired_number_scheduled=3,
            number_ready=3,
            observed_generation=1,
            updated_number_scheduled=3,
            number_available=3,
        )
        assert await on_nodes(cluster) == NAMES
        current = (await revisions(cluster))[0].metadata.labels[HASH]
        there = await pods(cluster)
        assert {pod.metadata.labels[HASH] for pod in there} == {current}
        assert all(pod.metadata.generate_name == "agent-" for pod in there)
        keys = {toleration.key for toleration in there[0].spec.tolerations}
        assert {"node.kubernetes.io/not-ready", "node.kubernetes.io/unschedulable"} <= keys
        assert ("Normal", f"Created pod: {there[0].name}") in await reasons(cluster, "SuccessfulCreate")

        await cluster.client.delete(PODS, there[0].name, namespace="default", uid=there[0].uid)
        await gone(cluster, there[0])
        failed = (await all_ready(cluster))[0]
        body = {"status": {"phase": "Failed"}}
        await cluster.client.patch(PODS, failed.name, body, namespace="default", subresource="status")
        await gone(cluster, failed)
        await all_ready(cluster)
        said = f"Found failed daemon pod default/{failed.name} on node {failed.spec.node_name}, will try to kill it"
        assert ("Warning", said) in await reasons(cluster, "FailedDaemonPod")
        assert known.most == 1


async def test_pods_follow_labels_and_taints_of_nodes(tmp_path: Path) -> None:
    async with simulated_cluster(tmp_path, nodes=2) as cluster:
        client = cluster.client
        await make(cluster, daemonset(spec={"nodeSelector": {"color": "blue"}}))
        await shows(cluster, desired_number_scheduled=0, current_number_scheduled=0)
        await client.patch(NODES, "sim-0", {"metadata": {"labels": {"color": "blue"}}})
        await updated(cluster, 1)
        assert await on_nodes(cluster) == ["sim-0"]
        await client.patch(NODES, "sim-0", {"metadata": {"labels": {"color": "green"}}})
        await shows(cluster, desired_number_scheduled=0, number_misscheduled=0, number_available=0)
        assert await on_nodes(cluster) == []
        body = {"spec": {"template": {"spec": {"nodeSelector": {"color": "green"}}}}}
        await client.patch(DAEMON_SETS, "agent", body, namespace="default")
        await updated(cluster, 1)

        none = {"spec": {"template": {"spec": {"nodeSelector": None}}}}
        await client.patch(DAEMON_SETS, "agent", none, namespace="default")
        await updated(cluster, 2)
        taint = {"key": "sick", "effect": "NoSchedule"}
        await client.patch(NODES, "sim-1", {"spec": {"taints": [taint]}})
        await shows(cluster, desired_number_scheduled=1, number_misscheduled=1)
        assert await on_nodes(cluster) == ["sim-0", "sim-1"], "who is there may stay"
        await client.patch(NODES, "sim-1", {"spec": {"taints": [taint | {"effect": "NoExecute"}]}})
        await shows(cluster, desired_number_scheduled=1, number_misscheduled=0)
        assert await on_nodes(cluster) == ["sim-0"]
        await client.patch(NODES, "sim-1", {"spec": {"taints": None, "unschedulable": True}})
        await updated(cluster, 2)


async def test_nodes_join_and_leave(tmp_path: Path) -> None:
    async with simulated_cluster(tmp_path, nodes=1) as cluster:
        await make(cluster, daemonset(spec={"tolerations": [{"operator": "Exists"}]}))
        await updated(cluster, 1)
        # A node without room: its pod is made for it, and waits.
        await cluster.client.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "late"}})
        await shows(cluster, desired_number_scheduled=2, current_number_scheduled=2, number_unavailable=1)
        waiting = next(pod for pod in await pods(cluster) if not pod.spec.node_name)
        await cluster.client.delete(NODES, "late")
        await gone(cluster, waiting)
        await updated(cluster, 1)


async def test_pods_and_revisions_are_left_and_taken_over(tmp_path: Path) -> None:
    async with simulated_cluster(tmp_path, nodes=2) as cluster:
        client = cluster.client
        first = await make(cluster, daemonset())
        await updated(cluster, 2)
        before = {pod.uid for pod in await pods(cluster)}
        await client.delete(DAEMON_SETS, "agent", namespace="default", propagation="Orphan")

        async def orphans() -> bool:
            left = [*await cluster.list(PODS, "app=agent"), *await cluster.list(CONTROLLER_REVISIONS)]
            return len(left) == 3 and not any(one.metadata.owner_references for one in left)

        await cluster.until(orphans)
        second = await make(cluster, daemonset())
        assert second.uid != first.uid
        await updated(cluster, 2)
        assert {pod.uid for pod in await pods(cluster)} == before, "the same template, so the same pods"
        owners = [*await pods(cluster), *await revisions(cluster)]
        assert {one.metadata.owner_references[0].uid for one in owners} == {second.uid}

        # A pod that is told apart is let go, and another takes its place.
        other = (await pods(cluster))[0]
        body = {"metadata": {"labels": {"app": "debug"}}}
        await client.patch(PODS, other.name, body, namespace="default")

        async def released() -> bool:
            found = await client.get(PODS, other.name, namespace="default")
            return not found.metadata.owner_references

        await cluster.until(released)

        async def replaced() -> bool:
            return await on_nodes(cluster) == NAMES[:2]

        await cluster.until(replaced)


async def test_sets_are_listed_and_deleted_by_collection_with_their_pods(tmp_path: Path) -> None:
    async with simulated_cluster(tmp_path, nodes=2) as cluster:
        body = daemonset(**rolling(maxUnavailable=1))
        body["metadata"]["labels"] = {"group": "a"}
        await make(cluster, body)
        await updated(cluster, 2)
        assert [one.name for one in await cluster.list(DAEMON_SETS, "group=a")] == ["agent"]
        patch = {"status": {"conditions": [{"type": "StatusUpdate", "status": "True", "reason": "E2E"}]}}
        raw = await cluster.client.request(
            "PATCH",
            DAEMON_SETS.path(namespace="default", name="agent", subresource="status"),
            body=patch,
            content_type="application/merge-patch+json",
        )
        assert raw["status"]["conditions"][0]["type"] == "StatusUpdate"
        await cluster.client.patch(DAEMON_SETS, "agent", {"spec": {"minReadySeconds": 1}}, namespace="default")
        await updated(cluster, 2)
        kept = await cluster.client.request("GET", DAEMON_SETS.path(namespace="default", name="agent"))
        assert kept["status"]["conditions"] == raw["status"]["conditions"], "the controller leaves others' words alone"
        await cluster.client.delete_collection(DAEMON_SETS, namespace="default", label_selector="group=a")
        assert await cluster.list(DAEMON_SETS) == []

        async def nothing() -> bool:
            return not await cluster.list(PODS) and not await cluster.list(CONTROLLER_REVISIONS)

        await cluster.until(nothing)
