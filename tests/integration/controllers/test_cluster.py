from __future__ import annotations

import pytest

from k8slite.clock import SystemClock, micro_timestamp, timestamp
from k8slite.kinds.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    REPLICA_SETS,
    SERVICE_ACCOUNTS,
)

from .test_workloads import deployment, rolled_out


@pytest.fixture
def grace() -> float:
    return 1.5


async def test_every_namespace_has_its_account_and_its_ca(cluster):
    await cluster.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})

    async def equipped():
        account = await cluster.get(SERVICE_ACCOUNTS, "default", "team")
        published = await cluster.get(CONFIG_MAPS, "kube-root-ca.crt", "team")
        return account and published and published.data == {"ca.crt": "the CA\n"}

    await cluster.until(equipped)
    await cluster.client.delete(SERVICE_ACCOUNTS, "default", namespace="team")
    await cluster.client.patch(
        CONFIG_MAPS, "kube-root-ca.crt", {"data": {"ca.crt": "forged", "more": "x"}}, namespace="team"
    )
    await cluster.until(equipped)


async def test_a_namespace_is_emptied_and_goes(cluster):
    client = cluster.client
    await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
    await cluster.until(lambda: cluster.get(SERVICE_ACCOUNTS, "default", "team"))
    await client.create(DEPLOYMENTS, deployment(), namespace="team")
    await cluster.until(lambda: cluster.list(PODS, namespace="team"))
    held = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["example.com/x"]}}
    await client.create(CONFIG_MAPS, held, namespace="team")
    await client.delete(NAMESPACES, "team")

    async def waits():
        team = await cluster.get(NAMESPACES, "team")
        return team and any(
            c.type == "NamespaceFinalizersRemaining" and c.status == "True" and "example.com/x" in c.message
            for c in team.status.conditions
        )

    await cluster.until(waits)
    assert not await cluster.list(PODS, namespace="team")
    await client.patch(CONFIG_MAPS, "held", {"metadata": {"finalizers": None}}, namespace="team")

    async def gone():
        return await cluster.get(NAMESPACES, "team") is None

    await cluster.until(gone)


async def test_nothing_goes_with_a_namespace_before_its_pods(cluster):
    client = cluster.client
    await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
    await cluster.until(lambda: cluster.get(SERVICE_ACCOUNTS, "default", "team"))
    policy = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "policy"}}
    await client.create(CONFIG_MAPS, policy, namespace="team")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "held", "finalizers": ["example.com/x"]},
        "spec": {"containers": [{"name": "c", "image": "web:1"}]},
    }
    await client.create(PODS, pod, namespace="team")
    await client.delete(NAMESPACES, "team")

    async def waits_for_the_pod():
        team = await cluster.get(NAMESPACES, "team")
        said = {c.type: c.message for c in team.status.conditions if c.status == "True"}
        return said == {
            "NamespaceContentRemaining": "Some resources are remaining: pods. has 1 resource instances",
            "NamespaceFinalizersRemaining": (
                "Some content in the namespace has finalizers remaining: example.com/x in 1 resource instances"
            ),
        }

    await cluster.until(waits_for_the_pod)
    left = await cluster.get(CONFIG_MAPS, "policy", "team")
    assert left is not None and not left.deleting
    await client.patch(PODS, "held", {"metadata": {"finalizers": None}}, namespace="team")

    async def gone():
        return await cluster.get(NAMESPACES, "team") is None

    await cluster.until(gone)


async def test_nodes_get_networks_of_their_own(cluster):
    async def networks():
        nodes = (await cluster.client.list(NODES)).items
        return {node.spec.pod_cidr for node in nodes} if all(node.spec.pod_cidr for node in nodes) else None

    given = await cluster.until(networks)
    assert len(given) == 2
    assert "10.42.0.0/24" not in given


async def heartbeat(cluster, name: str) -> None:
    now = SystemClock().now()
    spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": micro_timestamp(now)}
    body = {"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": {"name": name}, "spec": spec}
    if await cluster.get(LEASES, name, "kube-node-lease"):
        await cluster.client.patch(LEASES, name, {"spec": spec}, namespace="kube-node-lease")
        return
    await cluster.client.create(LEASES, body, namespace="kube-node-lease")


async def become_ready(cluster, name: str) -> None:
    now = timestamp(SystemClock().now())
    condition = {"type": "Ready", "status": "True", "lastHeartbeatTime": now, "lastTransitionTime": now}
    await cluster.client.patch(NODES, name, {"status": {"conditions": [condition]}}, subresource="status")


async def test_a_node_that_falls_silent_loses_its_pods(cluster):
    client = cluster.client
    for name in ("n1", "n2"):
        await become_ready(cluster, name)
    soon = [
        {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}
    ]
    body = deployment(replicas=2)
    body["spec"]["template"]["spec"]["tolerations"] = soon
    await client.create(DEPLOYMENTS, body, namespace="default")
    await rolled_out(cluster, "web:1", replicas=2)
    cluster.puppets.stopped.add("n1")
    cluster.puppets.node = "n2"

    async def moved():
        await heartbeat(cluster, "n2")
        pods = await cluster.list(PODS, "app=web")
        return len([p for p in pods if p.spec.node_name == "n2" and p.ready and not p.deleting]) == 2

    await cluster.until(moved)
    left = [pod for pod in await cluster.list(PODS, "app=web") if pod.spec.node_name == "n1"]
    assert left and all(pod.deleting and not pod.ready for pod in left)
    node = await cluster.get(NODES, "n1")
    ready = next(c for c in node.status.conditions if c.type == "Ready")
    assert (ready.status, ready.reason) == ("Unknown", "NodeStatusUnknown")
    assert {t.effect for t in node.spec.taints if t.key.endswith("/unreachable")} == {"NoSchedule", "NoExecute"}
    healthy = await cluster.get(NODES, "n2")
    assert not [t for t in healthy.spec.taints if t.key.startswith("node.kubernetes.io/")]

    await become_ready(cluster, "n1")

    async def back():
        await heartbeat(cluster, "n1")
        await heartbeat(cluster, "n2")
        return not (await cluster.get(NODES, "n1")).spec.taints

    await cluster.until(back)


@pytest.mark.parametrize("policy", ["Background", "Foreground", "Orphan"])
async def test_dependents_follow_their_owner_as_asked(cluster, policy):
    client = cluster.client
    await cluster.until(lambda: cluster.get(SERVICE_ACCOUNTS, "default"))
    await client.create(REPLICA_SETS, deployment() | {"kind": "ReplicaSet"}, namespace="default")

    async def running():
        pods = await cluster.list(PODS, "app=web")
        return len(pods) == 3 and all(pod.ready for pod in pods)

    await cluster.until(running)
    await client.delete(REPLICA_SETS, "web", namespace="default", propagation=policy)

    async def owner_gone():
        return await cluster.get(REPLICA_SETS, "web") is None

    if policy == "Foreground":
        owner = await cluster.get(REPLICA_SETS, "web")
        assert owner is None or "foregroundDeletion" in owner.metadata.finalizers
    await cluster.until(owner_gone)
    if policy == "Orphan":
        pods = await cluster.list(PODS, "app=web")
        assert len(pods) == 3
        assert not any(pod.metadata.owner_references or pod.deleting for pod in pods)
        return
    if policy == "Foreground":
        assert not await cluster.list(PODS, "app=web")

    async def empty():
        return not await cluster.list(PODS, "app=web")

    await cluster.until(empty)


async def test_an_owner_in_another_namespace_is_no_owner(cluster):
    client = cluster.client
    elsewhere = await client.create(
        CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "o"}}, namespace="kube-system"
    )
    here = await client.create(
        CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "h"}}, namespace="default"
    )

    def owned(name: str, uid: str, *more: str) -> dict[str, object]:
        references = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": uid}]
        references += [{"apiVersion": "v1", "kind": "ConfigMap", "name": "h", "uid": other} for other in more]
        metadata = {"name": name, "ownerReferences": references}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}

    await client.create(CONFIG_MAPS, owned("lost", elsewhere.uid), namespace="default")
    await client.create(CONFIG_MAPS, owned("kept", elsewhere.uid, here.uid), namespace="default")

    async def settled():
        lost, kept = await cluster.get(CONFIG_MAPS, "lost"), await cluster.get(CONFIG_MAPS, "kept")
        return lost is None and kept is not None and [r.uid for r in kept.metadata.owner_references] == [here.uid]

    await cluster.until(settled)

    async def told():
        events = await cluster.list(EVENTS)
        return {each.involved_object.name for each in events if each.reason == "OwnerRefInvalidNamespace"}

    async def both_told():
        return await told() == {"lost", "kept"}

    await cluster.until(both_told)


async def test_pods_of_a_node_that_is_gone_are_removed(cluster, monkeypatch):
    monkeypatch.setattr("k8slite.controllers.podgc.sync.QUARANTINE", 0.2)
    client = cluster.client
    await cluster.until(lambda: cluster.get(SERVICE_ACCOUNTS, "default"))
    spec = {"nodeName": "n2", "containers": [{"name": "c", "image": "web:1"}]}
    cluster.puppets.stopped.add("n2")
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "left"}, "spec": spec}
    await client.create(PODS, body, namespace="default")
    await client.delete(NODES, "n2")

    async def gone():
        return await cluster.get(PODS, "left") is None

    await cluster.until(gone)
