"""What the server offers besides resources: health, version, metrics, scale, other versions, identities."""

from __future__ import annotations

import httpx
import pytest

from k8slite.client import Client
from k8slite.kinds.resources import CONFIG_MAPS
from k8slite.testing import RunningServer, running_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

MERGE = {"content-type": "application/merge-patch+json"}
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


async def test_health(http: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/livez", "/readyz", "/readyz/ping"):
        answer = await http.get(path)
        assert (answer.status_code, answer.text) == (200, "ok")
    verbose = (await http.get("/livez?verbose")).text
    assert "[+]store ok" in verbose and verbose.endswith("livez check passed\n")
    assert (await http.get("/readyz/nothing")).status_code == 404


async def test_anonymous_may_ask_for_health_and_version_only(server: RunningServer) -> None:
    async with httpx.AsyncClient(base_url=server.url, verify=False) as nobody:
        assert (await nobody.get("/version")).json()["major"] == "1"
        assert (await nobody.get("/readyz")).status_code == 200
        refused = await nobody.get("/api/v1/pods")
        assert refused.status_code == 403
        assert refused.json()["message"].startswith(
            'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group ""'
        )
        wrong = await nobody.get("/api/v1/pods", headers={"authorization": "Bearer wrong"})
        assert wrong.status_code == 401


async def test_requests_are_counted(http: httpx.AsyncClient) -> None:
    await http.get("/api/v1/namespaces/default")
    text = (await http.get("/metrics")).text
    line = (
        'apiserver_request_total{code="200",group="",resource="namespaces",scope="resource",subresource="",verb="GET"'
    )
    assert line in text
    assert "apiserver_request_duration_seconds_bucket" in text


async def test_root_lists_the_paths(http: httpx.AsyncClient) -> None:
    paths = (await http.get("/")).json()["paths"]
    assert {"/api/v1", "/apis/apps", "/apis/apps/v1", "/readyz"} <= set(paths)


async def test_scale_is_replicas_and_a_selector(http: httpx.AsyncClient) -> None:
    labels = {"app": "scaled"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "b"}]}}
    body = {"metadata": {"name": "scaled"}, "spec": {"selector": {"matchLabels": labels}, "template": template}}
    await http.post(DEPLOYMENTS, json=body)
    url = f"{DEPLOYMENTS}/scaled/scale"
    scale = (await http.get(url)).json()
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert (scale["spec"], scale["status"]) == ({"replicas": 1}, {"replicas": 0, "selector": "app=scaled"})
    scale["spec"]["replicas"] = 4
    assert (await http.put(url, json=scale)).json()["spec"]["replicas"] == 4
    stale = await http.put(url, json=scale)
    assert stale.status_code == 409
    patched = await http.patch(url, headers=MERGE, json={"spec": {"replicas": 2}})
    assert patched.status_code == 200, patched.text
    deployment = (await http.get(f"{DEPLOYMENTS}/scaled")).json()
    assert (deployment["spec"]["replicas"], deployment["metadata"]["generation"]) == (2, 3)
    negative = await http.patch(url, headers=MERGE, json={"spec": {"replicas": -1}})
    assert negative.status_code == 422


async def test_autoscaler_is_served_in_both_versions(http: httpx.AsyncClient) -> None:
    base = "/apis/autoscaling/{}/namespaces/default/horizontalpodautoscalers"
    spec = {
        "maxReplicas": 5,
        "targetCPUUtilizationPercentage": 50,
        "scaleTargetRef": {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"},
    }
    made = (await http.post(base.format("v1"), json={"metadata": {"name": "both"}, "spec": spec})).json()
    assert made["apiVersion"] == "autoscaling/v1" and made["spec"]["targetCPUUtilizationPercentage"] == 50
    newer = (await http.get(base.format("v2") + "/both")).json()
    target = {"type": "Utilization", "averageUtilization": 50}
    assert newer["spec"]["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    assert newer["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_events_are_shared_by_two_groups(http: httpx.AsyncClient) -> None:
    body = {
        "metadata": {"name": "shared"},
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "a"},
        "reason": "Started",
        "message": "said",
    }
    assert (await http.post("/api/v1/namespaces/default/events", json=body)).status_code == 201
    other = (await http.get("/apis/events.k8s.io/v1/namespaces/default/events/shared")).json()
    assert (other["apiVersion"], other["note"], other["regarding"]["name"]) == ("events.k8s.io/v1", "said", "a")


async def test_events_of_nodes_lie_in_default(http: httpx.AsyncClient) -> None:
    body = {"metadata": {"generateName": "n-"}, "involvedObject": {"kind": "Node", "name": "n"}, "reason": "Ready"}
    assert (await http.post("/api/v1/namespaces/default/events", json=body)).status_code == 201


async def test_objects_survive_a_restart(tmp_path: object) -> None:
    from pathlib import Path

    directory = Path(str(tmp_path))
    async with running_server(store="sqlite", directory=directory) as server, Client(server.admin) as client:
        made = await client.create(CONFIG_MAPS, {"metadata": {"name": "kept"}, "data": {"a": "b"}}, namespace="default")
    async with running_server(store="sqlite", directory=directory) as server, Client(server.admin) as client:
        found = await client.get(CONFIG_MAPS, "kept", namespace="default")
    assert (found.uid, found.metadata.resource_version) == (made.uid, made.metadata.resource_version)
