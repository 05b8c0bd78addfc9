"""Autoscalers over the real server and controllers, with metrics that the test says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from k8slite.client import Client
from k8slite.clock import SystemClock, timestamp
from k8slite.config import ControllerManagerConfig
from k8slite.controllers.manager import manage
from k8slite.kinds.autoscaling import HorizontalPodAutoscaler
from k8slite.kinds.base import ResourceType
from k8slite.kinds.core import Pod
from k8slite.kinds.resources import (
    DEPLOYMENTS,
    EVENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    STATEFUL_SETS,
)
from k8slite.metrics import render
from k8slite.testing import RunningServer
from k8slite.testing.kubectl import Kubectl

from .fake_metrics import EXTERNAL, FakeMetrics, metrics_server
from .puppets import Puppets

HPAS = HORIZONTAL_POD_AUTOSCALERS
LABELS = {"app": "web"}
FAST_DOWN = {"scaleDown": {"stabilizationWindowSeconds": 0}}
NAMES = ("horizontal-pod-autoscaler", "deployment", "replicaset", "serviceaccount")


class Seasoned(Puppets):
    """Pods that have been ready for long: what they use counts at once."""

    async def start(self, pod: Pod) -> None:
        long_ago = timestamp(self.clock.now() - timedelta(hours=1))
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": long_ago}
        status = {"phase": "Running", "startTime": long_ago, "conditions": [ready]}
        await self.client.patch(PODS, pod.name, {"status": status}, namespace=pod.namespace, subresource="status")


@dataclass
class Cluster:
    server: RunningServer
    client: Client
    metrics: FakeMetrics

    async def until(self, look: Callable[[], Awaitable[Any]]) -> Any:
        async with asyncio.timeout(30):
            while not (seen := await look()):  # noqa: ASYNC110 - the state is the server's, which signals nothing
                await asyncio.sleep(0.02)
        return seen

    async def replicas(self, number: int, name: str = "web") -> None:
        """Wait until a Deployment is scaled to so many."""
        seen = None

        async def look() -> bool:
            nonlocal seen
            seen = (await self.client.get(DEPLOYMENTS, name, namespace="default")).spec.replicas
            return seen == number

        try:
            await self.until(look)
        except TimeoutError:
            found = await self.client.get(HPAS, "web", namespace="default")
            raise AssertionError(f"{seen} replicas, not {number}: {found.status}") from None

    async def shows(self, name: str = "web", **conditions: str) -> HorizontalPodAutoscaler:
        """Wait until an autoscaler's conditions have these reasons."""
        found: HorizontalPodAutoscaler | None = None

        async def look() -> bool:
            nonlocal found
            found = await self.client.get(HPAS, name, namespace="default")
            reasons = {one.type: one.reason for one in found.status.conditions}
            return conditions.items() <= reasons.items()

        try:
            await self.until(look)
        except TimeoutError:
            raise AssertionError(f"{found.status if found else None} does not show {conditions}") from None
        assert found is not None
        return found

    async def says(self, reason: str, message: str) -> None:
        """Wait for an event with these words."""
        seen: list[str] = []

        async def look() -> bool:
            nonlocal seen
            events = (await self.client.list(EVENTS, namespace="default", field_selector=f"reason={reason}")).items
            seen = [event.message for event in events]
            return message in seen

        try:
            await self.until(look)
        except TimeoutError:
            raise AssertionError(f"{seen}, and not {message}") from None


@pytest.fixture
async def cluster(tmp_path) -> AsyncIterator[Cluster]:
    async with metrics_server(tmp_path) as (server, metrics), contextlib.AsyncExitStack() as stack:
        acting = await stack.enter_async_context(Client(server.client_config("system:kube-controller-manager")))
        admin = await stack.enter_async_context(Client(server.admin))
        config = ControllerManagerConfig(
            kubeconfig=tmp_path / "unused",
            controllers=[f"{name}-controller" for name in NAMES],
            horizontal_pod_autoscaler_sync_period=0.2,
        )
        tasks = [
            asyncio.create_task(manage(acting, config, clock=SystemClock())),
            asyncio.create_task(Seasoned(admin).run()),
        ]
        try:
            await admin.request("POST", "/api/v1/nodes", body={"metadata": {"name": "n1"}})
            yield Cluster(server, admin, metrics)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def deployment(replicas: int, name: str = "web", labels: dict[str, str] = LABELS) -> dict[str, Any]:
    container = {"name": "c", "image": "web:1", "resources": {"requests": {"cpu": "100m"}}}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def autoscaler(*metrics: dict[str, Any], name: str = "web", target: Any = None, **spec: Any) -> dict[str, Any]:
    reference = target or {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    body = {"scaleTargetRef": reference, "maxReplicas": 10, "metrics": list(metrics), "behavior": FAST_DOWN} | spec
    return {"apiVersion": "autoscaling/v2", "kind": HPAS.kind, "metadata": {"name": name}, "spec": body}


def cpu(percent: int) -> dict[str, Any]:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def queue(**target: Any) -> dict[str, Any]:
    return {"type": "External", "external": {"metric": {"name": "queue"}, "target": target}}


async def test_a_deployment_follows_what_its_pods_use(cluster: Cluster) -> None:
    client, metrics = cluster.client, cluster.metrics
    metrics.usage = {"cpu": "50m"}
    await client.create(DEPLOYMENTS, deployment(2), namespace="default")
    await client.create(HPAS, autoscaler(cpu(50), maxReplicas=4), namespace="default")
    found = await cluster.shows(AbleToScale="ReadyForNewScale", ScalingActive="ValidMetricFound")
    assert (found.status.current_replicas, found.status.desired_replicas) == (2, 2)
    current = {"averageUtilization": 50, "averageValue": "50m"}
    assert found.status.current_metrics == [{"type": "Resource", "resource": {"name": "cpu", "current": current}}]
    metrics.usage = {"cpu": "100m"}
    await cluster.replicas(4)
    await cluster.says(
        "SuccessfulRescale", "New size: 4; reason: cpu resource utilization (percentage of request) above target"
    )
    metrics.usage = {"cpu": "0"}
    await cluster.replicas(1)
    found = await cluster.shows(ScalingLimited="TooFewReplicas")
    assert found.status.last_scale_time is not None
    assert found.status.observed_generation == found.metadata.generation == 1
    page = render()[0].decode()
    prefix = "horizontal_pod_autoscaler_controller"
    assert re.search(f'^{prefix}_reconciliations_total{{action="scale_up",error="none"}} [1-9]', page, re.MULTILINE)
    assert f'{prefix}_desired_replicas{{hpa_name="web",namespace="default"}} 1.0' in page
    assert f"{prefix}_num_horizontal_pod_autoscalers 1.0" in page


async def test_without_metrics_nothing_moves_and_the_reason_is_told(cluster: Cluster) -> None:
    client, metrics = cluster.client, cluster.metrics
    metrics.broken = {EXTERNAL}
    metrics.usage = {"cpu": "10m"}
    await client.create(DEPLOYMENTS, deployment(3), namespace="default")
    await client.create(HPAS, autoscaler(cpu(50), queue(type="Value", value="1"), maxReplicas=6), namespace="default")
    found = await cluster.shows(ScalingActive="FailedGetExternalMetric")
    assert found.status.current_replicas == 3
    why = "unable to get external metric default/queue/nil: unable to fetch metrics from external metrics API: no luck"
    message = {one.type: one.message for one in found.status.conditions}["ScalingActive"]
    assert message == f"the HPA was unable to compute the replica count: {why}"
    await cluster.says(
        "FailedComputeMetricsReplicas",
        "invalid metrics (1 invalid out of 2), first error is: failed to get queue external metric value:"
        f" failed to get external metric queue: {why}",
    )
    metrics.usage = {"cpu": "100m"}  # one metric is enough to go up
    await cluster.replicas(6)


async def test_the_largest_of_several_proposals_counts(cluster: Cluster) -> None:
    client, metrics = cluster.client, cluster.metrics
    metrics.usage, metrics.external = {"cpu": "50m"}, {"queue": ["3", "2"]}
    metrics.custom = {"pods/*/requests": "10", "services/front/hits": "10"}
    pods = {"metric": {"name": "requests"}, "target": {"type": "AverageValue", "averageValue": "10"}}
    described = {"kind": "Service", "name": "front", "apiVersion": "v1"}
    target = {"type": "Value", "value": "10"}
    front = {"metric": {"name": "hits"}, "describedObject": described, "target": target}
    await client.create(DEPLOYMENTS, deployment(2), namespace="default")
    body = autoscaler(
        cpu(50),
        {"type": "Pods", "pods": pods},
        {"type": "Object", "object": front},
        queue(type="AverageValue", averageValue="1"),
    )
    await client.create(HPAS, body, namespace="default")
    await cluster.replicas(5)

    async def all_are_shown() -> list[dict[str, Any]]:
        found = await client.get(HPAS, "web", namespace="default")
        shown = found.status.current_metrics
        return shown if [metric["type"] for metric in shown] == ["Resource", "Pods", "Object", "External"] else []

    shown = await cluster.until(all_are_shown)
    assert shown[2]["object"]["current"] == {"value": "10"}


async def test_a_workload_that_its_autoscaler_took_to_zero_comes_back(cluster: Cluster) -> None:
    client, metrics = cluster.client, cluster.metrics
    metrics.external = {"queue": ["0"]}
    await client.create(DEPLOYMENTS, deployment(2), namespace="default")
    body = autoscaler(queue(type="AverageValue", averageValue="1"), minReplicas=0)
    await client.create(HPAS, body, namespace="default")
    await cluster.replicas(0)
    await cluster.shows(ScaledToZero="ScaledToZero")
    metrics.external = {"queue": ["2", "1"]}
    await cluster.replicas(3)
    await cluster.shows(ScaledToZero="NotScaledToZero")
    await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 0}}, namespace="default")
    found = await cluster.shows(ScalingActive="ScalingDisabled")
    assert found.status.desired_replicas == 0


async def test_custom_resources_are_scaled(cluster: Cluster) -> None:
    client = cluster.client
    await client.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body=DEFINITION)
    path = "/apis/example.com/v1/namespaces/default/crews"
    made = {"apiVersion": "example.com/v1", "kind": "Crew", "metadata": {"name": "blue"}, "spec": {"size": 2}}

    async def create() -> bool:
        with contextlib.suppress(Exception):
            await client.request("POST", path, body=made)
            return True
        return False

    await cluster.until(create)
    status = {"status": {"size": 2, "selector": "crew=blue"}}
    patch = {"content_type": "application/merge-patch+json"}
    await client.request("PATCH", f"{path}/blue/status", body=status, **patch)
    pod = {"metadata": {"name": "p", "labels": {"crew": "blue"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    await client.create(PODS, {"apiVersion": "v1", "kind": "Pod", **pod}, namespace="default")
    cluster.metrics.external = {"queue": ["5"]}
    target = {"apiVersion": "example.com/v1", "kind": "Crew", "name": "blue"}
    body = autoscaler(queue(type="AverageValue", averageValue="1"), target=target)
    await client.create(HPAS, body, namespace="default")

    async def grown() -> bool:
        return (await client.request("GET", f"{path}/blue"))["spec"]["size"] == 5

    await cluster.until(grown)


DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "crews.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "crews", "kind": "Crew", "singular": "crew", "listKind": "CrewList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            part: {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                            for part in ("spec", "status")
                        },
                    }
                },
                "subresources": {
                    "status": {},
                    "scale": {
                        "specReplicasPath": ".spec.size",
                        "statusReplicasPath": ".status.size",
                        "labelSelectorPath": ".status.selector",
                    },
                },
            }
        ],
    },
}


async def test_what_cannot_be_scaled_is_told(cluster: Cluster) -> None:
    client = cluster.client
    for name, target in {
        "gone": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "gone"},
        "what": {"apiVersion": "example.org/v1", "kind": "What", "name": "what"},
    }.items():
        await client.create(HPAS, autoscaler(cpu(50), name=name, target=target), namespace="default")
    found = await cluster.shows("gone", AbleToScale="FailedGetScale")
    prefix = "the HPA controller was unable to get the target's current scale: "
    assert found.status.conditions[0].message == prefix + 'deployments.apps "gone" not found'
    found = await cluster.shows("what", AbleToScale="FailedGetScale")
    assert found.status.conditions[0].message == prefix + 'no matches for kind "What" in group "example.org"'


async def test_two_autoscalers_of_the_same_pods_stand_still(cluster: Cluster) -> None:
    client = cluster.client
    cluster.metrics.usage = {"cpu": "50m"}
    await client.create(DEPLOYMENTS, deployment(2), namespace="default")
    for name in ("one", "two"):
        await client.create(HPAS, autoscaler(cpu(50), name=name, maxReplicas=4), namespace="default")
    for name in ("one", "two"):
        found = await cluster.shows(name, ScalingActive="AmbiguousSelector")
        message = next(one.message for one in found.status.conditions if one.type == "ScalingActive")
        assert message == "pods by selector app=web are controlled by multiple HPAs: [default/one default/two]"
    cluster.metrics.usage = {"cpu": "100m"}
    await client.delete(HPAS, "two", namespace="default")
    await cluster.shows("one", ScalingActive="ValidMetricFound")
    await cluster.replicas(4)


async def test_bounds_are_kept_without_metrics(cluster: Cluster) -> None:
    client = cluster.client
    await client.create(DEPLOYMENTS, deployment(1), namespace="default")
    await client.create(HPAS, autoscaler(cpu(50), minReplicas=3, maxReplicas=4), namespace="default")
    await cluster.replicas(3)
    await cluster.says("SuccessfulRescale", "New size: 3; reason: Current number of replicas below Spec.MinReplicas")
    await client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 9}}, namespace="default")
    await cluster.replicas(4)


@pytest.mark.parametrize("resource", [REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS], ids=lambda one: one.kind)
async def test_every_scalable_kind_is_scaled(cluster: Cluster, resource: ResourceType[Any]) -> None:
    client = cluster.client
    body = deployment(1) | {"apiVersion": resource.api_version, "kind": resource.kind}
    if resource is REPLICATION_CONTROLLERS:
        body["spec"]["selector"] = LABELS
    await client.create(resource, body, namespace="default")
    target = {"apiVersion": resource.api_version, "kind": resource.kind, "name": "web"}
    await client.create(HPAS, autoscaler(cpu(50), minReplicas=2, target=target), namespace="default")

    async def scaled() -> bool:
        return bool((await client.get(resource, "web", namespace="default")).spec.replicas == 2)

    await cluster.until(scaled)


async def test_autoscalers_of_a_namespace_share_what_they_ask(cluster: Cluster) -> None:
    client, metrics = cluster.client, cluster.metrics
    metrics.usage = {"cpu": "50m", "memory": "1Mi"}
    for name in ("a", "b", "c"):
        await client.create(DEPLOYMENTS, deployment(1, name, {"app": name}), namespace="default")
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
        await client.create(HPAS, autoscaler(cpu(50), name=name, target=target), namespace="default")
    for name in ("a", "b", "c"):
        await cluster.shows(name, ScalingActive="ValidMetricFound")
    metrics.asked.clear()

    async def whole() -> bool:
        return len(metrics.asked) >= 3

    await cluster.until(whole)
    assert all(not query for _, query in metrics.asked)


async def test_kubectl_makes_and_shows_autoscalers(cluster: Cluster) -> None:
    cluster.metrics.usage = {"cpu": "60m"}
    kubectl = Kubectl(cluster.server)
    await cluster.client.create(DEPLOYMENTS, deployment(2), namespace="default")
    made = await kubectl("autoscale", "deployment", "web", "--min=1", "--max=5", "--cpu=80%")
    assert made.code == 0, made.err
    await cluster.shows(ScalingActive="ValidMetricFound")
    row = (await kubectl("get", "hpa", "web", "--no-headers")).out.split()
    assert row[:7] == ["web", "Deployment/web", "cpu:", "60%/80%", "1", "5", "2"]
    described = (await kubectl("describe", "hpa", "web")).out
    assert "resource cpu on pods  (as a percentage of request):  60% (60m) / 80%" in described
    old = await kubectl("get", "--raw", "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers/web")
    assert json.loads(old.out)["status"]["currentCPUUtilizationPercentage"] == 60
