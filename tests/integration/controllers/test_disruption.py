"""Disruption budgets over the real server and controllers: what kubectl drain may take, and what it waits for."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from k8slite.client import Patch
from k8slite.clock import SystemClock, timestamp
from k8slite.controllers.disruption.budget import BUDGETS
from k8slite.errors import ApiError
from k8slite.kinds.base import ResourceType
from k8slite.kinds.core import PartialObject
from k8slite.kinds.resources import DEPLOYMENTS, EVENTS, NODES, PODS, REPLICATION_CONTROLLERS, STATEFUL_SETS
from k8slite.testing.kubectl import Kubectl

LABELS = {"app": "web"}
TEMPLATE = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "web:1"}]}}


def budget(name: str = "web", **spec: Any) -> dict[str, Any]:
    body = {"selector": {"matchLabels": LABELS}, **spec}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": body}


def deployment(replicas: int) -> dict[str, Any]:
    spec = {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": TEMPLATE}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


async def shows(cluster, name: str = "web", **fields: Any) -> None:
    """Wait until the budget's status has these values."""

    async def look() -> bool:
        found = await cluster.get(BUDGETS, name)
        return found is not None and all(getattr(found.status, key) == value for key, value in fields.items())

    try:
        await cluster.until(look)
    except TimeoutError:
        raise AssertionError(f"{(await cluster.get(BUDGETS, name)).status} is not {fields}") from None


async def ready_pods(cluster, number: int) -> None:
    async def look() -> bool:
        return len([pod for pod in await cluster.list(PODS, "app=web") if pod.ready and not pod.deleting]) == number

    await cluster.until(look)


async def evict(cluster, name: str) -> None:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    await cluster.client.request("POST", f"/api/v1/namespaces/default/pods/{name}/eviction", body=body)


async def test_a_budget_follows_its_pods(cluster):
    client = cluster.client
    await client.create(BUDGETS, budget(minAvailable=2), namespace="default")
    await shows(cluster, observed_generation=1, disruptions_allowed=0, expected_pods=0)
    await client.create(DEPLOYMENTS, deployment(3), namespace="default")
    await shows(cluster, disruptions_allowed=1, current_healthy=3, desired_healthy=2, expected_pods=3)
    await client.patch(BUDGETS, "web", {"spec": {"minAvailable": "100%"}}, namespace="default")
    await shows(cluster, observed_generation=2, disruptions_allowed=0, desired_healthy=3)
    await client.patch(BUDGETS, "web", {"spec": {"minAvailable": None, "maxUnavailable": "50%"}}, namespace="default")
    await shows(cluster, disruptions_allowed=2, desired_healthy=1)
    await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 1}}, namespace="default")
    await shows(cluster, disruptions_allowed=1, desired_healthy=0, expected_pods=1, current_healthy=1)
    found = await cluster.get(BUDGETS, "web")
    assert [(one.type, one.status, one.reason) for one in found.status.conditions] == [
        ("DisruptionAllowed", "True", "SufficientPods")
    ]


async def test_budgets_of_all_namespaces_are_listed_and_deleted_by_collection(cluster):
    client = cluster.client
    await client.request("POST", "/api/v1/namespaces", body={"metadata": {"name": "other"}})
    for namespace, name in (("default", "one"), ("default", "two"), ("other", "three")):
        body = budget(name, minAvailable="1%")
        body["metadata"]["labels"] = {"set": "a"}
        await client.create(BUDGETS, body, namespace=namespace)
    listed = (await client.list(BUDGETS, label_selector="set=a")).items
    assert sorted(item.name for item in listed) == ["one", "three", "two"]
    await client.delete_collection(BUDGETS, namespace="default", label_selector="set=a")
    assert [item.name for item in (await client.list(BUDGETS, label_selector="set=a")).items] == ["three"]


async def test_an_eviction_spends_what_the_budget_allows(cluster):
    client = cluster.client
    await client.create(DEPLOYMENTS, deployment(2), namespace="default")
    await ready_pods(cluster, 2)
    await client.create(BUDGETS, budget(maxUnavailable=1), namespace="default")
    await shows(cluster, disruptions_allowed=1)
    cluster.puppets.node = "n2"
    cluster.puppets.stopped.add("n2")  # replacements are not ready
    first, second = await cluster.list(PODS, "app=web")
    await evict(cluster, first.name)
    with pytest.raises(ApiError) as caught:
        await evict(cluster, second.name)
    assert caught.value.code == 429
    await shows(cluster, disruptions_allowed=0, current_healthy=1, disrupted_pods={})
    assert not (await cluster.get(PODS, second.name)).deleting


async def test_an_evicted_pod_that_came_back_under_its_name_may_be_evicted_again(cluster):
    client = cluster.client
    spec = {"replicas": 2, "serviceName": "web", "selector": {"matchLabels": LABELS}, "template": TEMPLATE}
    body = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web"}, "spec": spec}
    await client.create(STATEFUL_SETS, body, namespace="default")
    await ready_pods(cluster, 2)
    await client.create(BUDGETS, budget(maxUnavailable=1), namespace="default")
    for _ in range(4):
        await shows(cluster, disruptions_allowed=1, current_healthy=2, disrupted_pods={})
        before = (await client.get(PODS, "web-0", namespace="default")).uid
        await evict(cluster, "web-0")

        async def back(before: str = before) -> bool:
            found = await cluster.get(PODS, "web-0")
            return found is not None and found.uid != before and found.ready

        await cluster.until(back)


async def test_an_eviction_waits_until_the_budget_is_changed(cluster):
    client = cluster.client
    await client.create(DEPLOYMENTS, deployment(3), namespace="default")
    await ready_pods(cluster, 3)
    await client.create(BUDGETS, budget(minAvailable=3), namespace="default")
    await shows(cluster, observed_generation=1, current_healthy=3, disruptions_allowed=0)
    cluster.puppets.node = "n2"
    cluster.puppets.stopped.add("n2")  # replacements are not ready
    pods = await cluster.list(PODS, "app=web")
    with pytest.raises(ApiError) as caught:
        await evict(cluster, pods[0].name)
    assert caught.value.code == 429
    await client.patch(BUDGETS, "web", {"spec": {"minAvailable": 2}}, namespace="default")
    await shows(cluster, observed_generation=2, disruptions_allowed=1)
    await evict(cluster, pods[0].name)
    await shows(cluster, disruptions_allowed=0, current_healthy=2)
    with pytest.raises(ApiError) as caught:
        await evict(cluster, pods[1].name)
    assert caught.value.code == 429
    await client.delete(BUDGETS, "web", namespace="default")
    await evict(cluster, pods[1].name)


async def test_a_status_that_others_write_is_heeded_and_put_right(cluster):
    client = cluster.client
    await client.create(DEPLOYMENTS, deployment(3), namespace="default")
    await ready_pods(cluster, 3)
    await client.create(BUDGETS, budget(minAvailable=1), namespace="default")
    await shows(cluster, disruptions_allowed=2)
    pod = (await cluster.list(PODS, "app=web"))[0]
    path = BUDGETS.path(namespace="default", name="web", subresource="status")
    whole = await client.request("GET", path)
    now = timestamp(SystemClock().now())
    whole["status"]["disruptedPods"] = {pod.name: now}
    assert (await client.request("PUT", path, body=whole))["status"]["disruptedPods"] == {pod.name: now}
    await shows(cluster, current_healthy=2, disruptions_allowed=1)
    assert set((await cluster.get(BUDGETS, "web")).status.disrupted_pods) == {pod.name}
    await client.patch(BUDGETS, "web", {"status": {"disruptedPods": None}}, namespace="default", subresource="status")
    await shows(cluster, current_healthy=3, disruptions_allowed=2, disrupted_pods={})


async def test_a_pod_that_was_to_be_disrupted_long_ago_says_so_no_longer(cluster):
    client = cluster.client
    await client.create(DEPLOYMENTS, deployment(1), namespace="default")
    await ready_pods(cluster, 1)
    pod = (await cluster.list(PODS, "app=web"))[0]
    said = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "PreemptionByScheduler",
        "message": "make room",
        "lastTransitionTime": timestamp(SystemClock().now() - timedelta(seconds=119)),
    }
    body = {"status": {"conditions": [said]}}
    await client.patch(PODS, pod.name, body, namespace="default", subresource="status", patch=Patch.STRATEGIC)

    async def taken_back() -> bool:
        raw = await client.request("GET", PODS.path(namespace="default", name=pod.name))
        found = next(one for one in raw["status"]["conditions"] if one["type"] == "DisruptionTarget")
        return found["status"] == "False" and not found.get("reason") and not found.get("message")

    await cluster.until(taken_back)


async def test_budgets_of_other_owners_and_of_none(cluster):
    client = cluster.client
    spec = {"replicas": 2, "selector": LABELS, "template": TEMPLATE}
    body = {"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "rc"}, "spec": spec}
    await client.create(REPLICATION_CONTROLLERS, body, namespace="default")
    await client.create(BUDGETS, budget(maxUnavailable=1), namespace="default")
    await shows(cluster, expected_pods=2, disruptions_allowed=1)
    # A pod that nobody owns is not expected, so the rest is all there is to go by.
    lone = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lone", "labels": {"lone": "yes"}}}
    await client.create(PODS, lone | {"spec": TEMPLATE["spec"]}, namespace="default")
    alone = budget("alone", maxUnavailable=1, selector={"matchLabels": {"lone": "yes"}})
    await client.create(BUDGETS, alone, namespace="default")
    await shows(cluster, "alone", expected_pods=0, disruptions_allowed=0, current_healthy=1)

    async def told() -> bool:
        words = "(selector: &LabelSelector{MatchLabels:map[string]string{lone: yes,},"
        words += "MatchExpressions:[]LabelSelectorRequirement{},}) were found to be unmanaged."
        return any(event.reason == "UnmanagedPods" and words in event.message for event in await cluster.list(EVENTS))

    await cluster.until(told)
    counted = budget("counted", minAvailable=1, selector={"matchLabels": {"lone": "yes"}})
    await client.create(BUDGETS, counted, namespace="default")
    await shows(cluster, "counted", expected_pods=1, disruptions_allowed=0, current_healthy=1)


async def test_owners_of_other_kinds_are_asked_for_their_scale(cluster):
    client = cluster.client
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    scale = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"scale": scale},
    }
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for plural, kind in (("herds", "Herd"), ("loners", "Loner")):
        own = version if kind == "Herd" else {k: v for k, v in version.items() if k != "subresources"}
        names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
        body = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [own]}
        await client.request("POST", definitions, body={"metadata": {"name": f"{plural}.example.com"}, "spec": body})
        resource = ResourceType("example.com", "v1", plural, kind, True, PartialObject)

        async def made(resource: Any = resource, kind: str = kind) -> Any:
            body = {"apiVersion": "example.com/v1", "kind": kind, "metadata": {"name": "o"}, "spec": {"replicas": 4}}
            try:
                return await client.create(resource, body, namespace="default")
            except ApiError as error:
                if error.code != 404:
                    raise
                return None

        owner = await cluster.until(made)
        reference = {"apiVersion": "example.com/v1", "kind": kind, "name": "o", "uid": owner.uid, "controller": True}
        metadata = {"name": plural, "labels": {"kind": kind}, "ownerReferences": [reference]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": TEMPLATE["spec"]}
        await client.create(PODS, pod, namespace="default")
        selector = {"matchLabels": {"kind": kind}}
        await client.create(BUDGETS, budget(plural, maxUnavailable="25%", selector=selector), namespace="default")
    await shows(cluster, "herds", expected_pods=4, desired_healthy=3, current_healthy=1, disruptions_allowed=0)

    async def said() -> bool:
        conditions = (await cluster.get(BUDGETS, "loners")).status.conditions
        return [(one.reason, one.message) for one in conditions] == [
            ("SyncFailed", "loners.example.com does not implement the scale subresource")
        ]

    await cluster.until(said)


async def test_drain_waits_for_replacements(cluster):
    client = cluster.client
    await client.create(DEPLOYMENTS, deployment(2), namespace="default")
    await ready_pods(cluster, 2)
    await client.create(BUDGETS, budget(minAvailable=1), namespace="default")
    await shows(cluster, disruptions_allowed=1)
    cluster.puppets.node = "n2"
    cluster.puppets.stopped.add("n2")  # what comes there is not ready yet
    kubectl = Kubectl(cluster.server)
    drain = asyncio.create_task(kubectl("drain", "n1", "--ignore-daemonsets", "--timeout=25s"))
    try:
        await shows(cluster, disruptions_allowed=0, current_healthy=1)

        async def one_waits() -> bool:
            pods = await cluster.list(PODS, "app=web")
            return len(pods) == 2 and sorted(pod.spec.node_name for pod in pods) == ["n1", "n2"]

        await cluster.until(one_waits)
        assert (await client.get(NODES, "n1")).spec.unschedulable
        assert not drain.done()
        cluster.puppets.stopped.clear()
        for pod in await cluster.list(PODS, "app=web"):
            cluster.puppets.controller.queue.add(pod.key)
        result = await drain
    finally:
        drain.cancel()
    assert result.code == 0, result.err
    assert "Cannot evict pod as it would violate the pod's disruption budget." in result.err
    assert "node/n1 drained" in result.out
    await ready_pods(cluster, 2)
    assert {pod.spec.node_name for pod in await cluster.list(PODS, "app=web")} == {"n2"}
