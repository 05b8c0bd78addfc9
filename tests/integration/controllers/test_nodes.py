"""Nodes that fall silent, go and come back, with simulated kubelets: what becomes of them and of their pods."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from k8slite import conditions
from k8slite.kinds.core import Node, Pod
from k8slite.kinds.resources import DEPLOYMENTS, EVENTS, LEASES, NODES, PODS
from k8slite.testing.kubectl import Kubectl

from .simulated import SimulatedCluster, simulated_cluster

OFF = "example.com/off"
STAGES = {
    "nodes": [
        {"name": "off", "match": {"state": "Ready", "annotations": OFF}, "next": {"state": "Silent"}},
        {"name": "on", "match": {"state": "Silent", "annotations": f"!{OFF}"}, "next": {"state": "Ready"}},
    ]
}
GRACE = 4.0
"""Heartbeats come twice a second: eight may be late on a machine that is busy."""
PREFIX = "node.kubernetes.io/"


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[SimulatedCluster]:
    """Two zones of two nodes, where nodes are emptied as soon as they are lost."""
    simulator = {"node_lease_duration": 1, "zones": ["a", "b"]}
    settings: dict[str, Any] = {"node_monitor_grace_period": GRACE, "node_eviction_rate": 1000.0}
    async with simulated_cluster(tmp_path, nodes=4, stages=STAGES, simulator_settings=simulator, **settings) as made:
        yield made


async def switch(cluster: SimulatedCluster, *names: str, off: bool) -> None:
    for name in names:
        await cluster.client.patch(NODES, name, {"metadata": {"annotations": {OFF: "yes" if off else None}}})


def taints(node: Node, effect: str = "NoExecute") -> set[str]:
    return {taint.key.removeprefix(PREFIX) for taint in node.spec.taints if taint.effect == effect}


async def nodes(cluster: SimulatedCluster) -> dict[str, Node]:
    return {node.name: node for node in await cluster.list(NODES)}


async def told(cluster: SimulatedCluster, reason: str, name: str, namespace: str = "default") -> list[str]:
    selector = f"involvedObject.name={name},reason={reason}"
    found = await cluster.client.list(EVENTS, namespace=namespace, field_selector=selector)
    return [event.message for event in found.items]


def workload(replicas: int, *tolerations: dict[str, Any]) -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": "web:1"}], "tolerations": list(tolerations)}
    return {
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": spec},
        },
    }


async def run(cluster: SimulatedCluster, replicas: int, *tolerations: dict[str, Any]) -> list[Pod]:
    await cluster.client.create(DEPLOYMENTS, workload(replicas, *tolerations), namespace="default")
    return await cluster.until(lambda: ready_pods(cluster, replicas))


async def ready_pods(cluster: SimulatedCluster, replicas: int, *, apart_from: str = "") -> list[Pod] | None:
    pods = [pod for pod in await cluster.list(PODS, "app=web") if pod.spec.node_name != apart_from]
    good = [pod for pod in pods if not pod.deleting and _ready(pod)]
    return good if len(good) == replicas else None


def _ready(pod: Pod) -> bool:
    return any(condition.type == "Ready" and condition.status == "True" for condition in pod.status.conditions)


def tolerating(seconds: int | None, key: str = PREFIX + "unreachable") -> dict[str, Any]:
    limit = {} if seconds is None else {"tolerationSeconds": seconds}
    return {"key": key, "operator": "Exists", "effect": "NoExecute", **limit}


async def test_a_silent_node_loses_its_pods_while_the_manager_is_started_anew_and_comes_back(
    cluster: SimulatedCluster,
) -> None:
    await run(cluster, 12, tolerating(2))
    await switch(cluster, "sim-0", off=True)

    async def lost() -> Node | None:
        node = (await nodes(cluster))["sim-0"]
        return node if taints(node) else None

    node = await cluster.until(lost)
    await cluster.restart_manager()
    assert taints(node) == taints(node, "NoSchedule") == {"unreachable"}
    ready = conditions.find(node.status.conditions, "Ready")
    assert ready is not None
    assert (ready.status, ready.reason) == ("Unknown", "NodeStatusUnknown")
    assert ready.message == "Kubelet stopped posting node status."
    await cluster.until(lambda: ready_pods(cluster, 12, apart_from="sim-0"))
    left = [pod for pod in await cluster.list(PODS, "app=web") if pod.spec.node_name == "sim-0"]
    assert left
    for pod in left:
        assert pod.deleting
        assert not _ready(pod)
        why = conditions.find(pod.status.conditions, "DisruptionTarget")
        assert why is not None
        assert (why.status, why.reason) == ("True", "DeletionByTaintManager")
        assert await told(cluster, "TaintManagerEviction", pod.name) == [f"Marking for deletion Pod default/{pod.name}"]
    assert await told(cluster, "NodeNotReady", "sim-0") == ["Node sim-0 status is now: NodeNotReady"]

    await switch(cluster, "sim-0", off=False)

    async def back() -> bool:
        node = (await nodes(cluster))["sim-0"]
        gone = not [pod for pod in await cluster.list(PODS, "app=web") if pod.spec.node_name == "sim-0"]
        return node.ready and not node.spec.taints and gone

    await cluster.until(back)


async def test_a_zone_may_be_lost_but_when_all_are_nobody_leaves(cluster: SimulatedCluster) -> None:
    before = {pod.name for pod in await run(cluster, 8)}
    zone_a = [name for name, node in (await nodes(cluster)).items() if "a" in node.metadata.labels.values()]
    zone_b = sorted({"sim-0", "sim-1", "sim-2", "sim-3"} - set(zone_a))
    assert len(zone_a) == len(zone_b) == 2
    await switch(cluster, *zone_a, off=True)

    async def zone_is_lost() -> bool:
        found = await nodes(cluster)
        return all(taints(found[name]) == {"unreachable"} for name in zone_a)

    await cluster.until(zone_is_lost)
    found = await nodes(cluster)
    assert not any(taints(found[name]) for name in zone_b)

    await switch(cluster, *zone_b, off=True)

    async def all_are_lost() -> bool:
        found = (await nodes(cluster)).values()
        return all(taints(node, "NoSchedule") == {"unreachable"} and not taints(node) for node in found)

    await cluster.until(all_are_lost)
    await cluster.restart_manager()
    await cluster.until(all_are_lost)

    await switch(cluster, *zone_a, *zone_b, off=False)

    async def all_are_back() -> bool:
        return all(node.ready and not node.spec.taints for node in (await nodes(cluster)).values())

    await cluster.until(all_are_back)
    after = await cluster.until(lambda: ready_pods(cluster, 8))
    assert {pod.name for pod in after} == before


async def bare_pod(cluster: SimulatedCluster, name: str, *tolerations: dict[str, Any]) -> Pod:
    spec = {"containers": [{"name": "c", "image": "web:1"}], "nodeName": "sim-0", "tolerations": list(tolerations)}
    await cluster.client.create(PODS, {"metadata": {"name": name}, "spec": spec}, namespace="default")

    async def runs() -> Pod | None:
        found = await cluster.get(PODS, name)
        return found if found is not None and _ready(found) else None

    return await cluster.until(runs)


async def is_gone(cluster: SimulatedCluster, name: str) -> bool:
    return await cluster.get(PODS, name) is None


EVICT = {"key": "kubernetes.io/e2e-evict-taint-key", "value": "evictTaintVal", "effect": "NoExecute"}


async def test_pods_leave_a_tainted_node_when_their_time_is_up(cluster: SimulatedCluster) -> None:
    await bare_pod(cluster, "none")
    await bare_pod(cluster, "short", tolerating(2, EVICT["key"]), tolerating(600, EVICT["key"]))
    await bare_pod(cluster, "long", tolerating(600, EVICT["key"]))
    await bare_pod(cluster, "ever", tolerating(None, EVICT["key"]))
    await cluster.client.patch(NODES, "sim-0", {"spec": {"taints": [EVICT]}})
    await cluster.until(lambda: is_gone(cluster, "none"))
    await cluster.until(lambda: is_gone(cluster, "short"))
    for name in ("long", "ever"):
        found = await cluster.get(PODS, name)
        assert found is not None
        assert not found.deleting


async def test_an_eviction_is_cancelled_when_the_taint_goes(cluster: SimulatedCluster) -> None:
    await bare_pod(cluster, "stays", tolerating(20, EVICT["key"]))
    await bare_pod(cluster, "leaves")
    await cluster.client.patch(NODES, "sim-0", {"spec": {"taints": [EVICT]}})
    await cluster.until(lambda: is_gone(cluster, "leaves"))
    await cluster.client.patch(NODES, "sim-0", {"spec": {"taints": None}})

    async def cancelled() -> bool:
        said = await told(cluster, "TaintManagerEviction", "stays")
        return said == ["Cancelling deletion of Pod default/stays"]

    await cluster.until(cancelled)
    found = await cluster.get(PODS, "stays")
    assert found is not None
    assert not found.deleting


async def test_pods_put_up_with_a_lost_node_for_five_minutes_unless_they_say_otherwise(
    cluster: SimulatedCluster,
) -> None:
    pod = await bare_pod(cluster, "usual")
    assert {(t.key, t.operator, t.effect, t.toleration_seconds) for t in pod.spec.tolerations} == {
        (PREFIX + "not-ready", "Exists", "NoExecute", 300),
        (PREFIX + "unreachable", "Exists", "NoExecute", 300),
    }


async def test_a_node_that_is_out_of_service_gives_its_pods_free(cluster: SimulatedCluster) -> None:
    await bare_pod(cluster, "held")
    await switch(cluster, "sim-0", off=True)

    async def lost() -> bool:
        return bool(taints((await nodes(cluster))["sim-0"]))

    await cluster.until(lost)
    kubectl = Kubectl(cluster.server)
    await kubectl("taint", "node", "sim-0", "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute")
    await cluster.until(lambda: is_gone(cluster, "held"))


@pytest.mark.parametrize("alive", [True, False])
async def test_what_a_node_leaves_when_it_is_deleted(
    cluster: SimulatedCluster, monkeypatch: pytest.MonkeyPatch, alive: bool
) -> None:
    monkeypatch.setattr("k8slite.controllers.podgc.sync.QUARANTINE", 0.5)
    await run(cluster, 8)
    if not alive:
        await switch(cluster, "sim-0", off=True)

        async def lost() -> bool:
            return not (await nodes(cluster))["sim-0"].ready

        await cluster.until(lost)
    deleted = await Kubectl(cluster.server)("delete", "node", "sim-0")
    assert 'node "sim-0" deleted' in deleted.out
    pods = await cluster.until(lambda: ready_pods(cluster, 8, apart_from="sim-0"))
    assert all(pod.spec.node_name != "sim-0" for pod in pods)

    async def nothing_is_left() -> bool:
        lease = await cluster.get(LEASES, "sim-0", "kube-node-lease")
        bound = [pod for pod in await cluster.list(PODS) if pod.spec.node_name == "sim-0"]
        return lease is None and not bound and "sim-0" not in await nodes(cluster)

    await cluster.until(nothing_is_left)

    async def said() -> bool:
        return "Node sim-0 event: Removing Node sim-0 from Controller" in await told(cluster, "RemovingNode", "sim-0")

    await cluster.until(said)


async def test_networks_of_both_families_run_out_and_are_given_again(tmp_path: Path) -> None:
    """Three blocks of each family and four nodes: the fourth has one as soon as another node is gone."""
    async with simulated_cluster(tmp_path, nodes=3, cluster_cidr="10.42.0.0/22,fd00:42::/62") as cluster:

        async def given() -> dict[str, list[str]] | None:
            found = {name: node.spec.pod_cidrs for name, node in (await nodes(cluster)).items()}
            return found if all(found.get(f"sim-{number}") for number in range(3)) else None

        first = await cluster.until(given)
        assert all(len(cidrs) == 2 and "." in cidrs[0] and ":" in cidrs[1] for cidrs in first.values())
        assert len({cidr for cidrs in first.values() for cidr in cidrs}) == 6
        await cluster.restart_manager()
        await cluster.client.create(NODES, {"metadata": {"name": "late"}})

        async def none_left() -> bool:
            said = await told(cluster, "CIDRNotAvailable", "late")
            return said == ["Node late status is now: CIDRNotAvailable"]

        await cluster.until(none_left)
        await cluster.client.delete(NODES, "sim-1")

        async def has_one() -> Node | None:
            node = (await nodes(cluster))["late"]
            return node if node.spec.pod_cidrs else None

        late = await cluster.until(has_one)
        assert late.spec.pod_cidrs == first["sim-1"]
        assert late.spec.pod_cidr == first["sim-1"][0]


async def test_nodes_have_their_annotation_and_old_labels(cluster: SimulatedCluster) -> None:
    async def marked() -> bool:
        return all(
            node.metadata.annotations.get("node.alpha.kubernetes.io/ttl") == "0"
            and node.metadata.labels.get("beta.kubernetes.io/os") == node.metadata.labels.get("kubernetes.io/os")
            and node.metadata.labels.get("beta.kubernetes.io/arch") == node.metadata.labels.get("kubernetes.io/arch")
            for node in await cluster.list(NODES)
        )

    await cluster.until(marked)
