"""What DELETE promises: grace, finalizers, propagation, preconditions, collections, namespaces."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
MERGE = {"content-type": "application/merge-patch+json"}


async def delete(http: httpx.AsyncClient, url: str, **options: Any) -> httpx.Response:
    return await http.request("DELETE", url, json={"kind": "DeleteOptions", "apiVersion": "v1", **options})


async def pod(http: httpx.AsyncClient, name: str, *, node: str = "") -> dict[str, Any]:
    spec: dict[str, Any] = {"containers": [{"name": "a", "image": "b"}]}
    if node:
        spec["nodeName"] = node
    answer = await http.post(PODS, json={"metadata": {"name": name}, "spec": spec})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_object_without_finalizers_goes_at_once(http: httpx.AsyncClient) -> None:
    made = (await http.post(CONFIGMAPS, json={"metadata": {"name": "plain"}})).json()
    gone = (await http.delete(f"{CONFIGMAPS}/plain")).json()
    assert gone["kind"] == "Status" and gone["status"] == "Success"
    assert gone["details"] == {"name": "plain", "kind": "configmaps", "uid": made["metadata"]["uid"]}
    assert (await http.delete(f"{CONFIGMAPS}/plain")).status_code == 404


async def test_finalizers_hold_an_object_until_they_are_gone(http: httpx.AsyncClient) -> None:
    url = f"{CONFIGMAPS}/held"
    await http.post(CONFIGMAPS, json={"metadata": {"name": "held", "finalizers": ["example.com/a", "example.com/b"]}})
    marked = (await http.delete(url)).json()
    assert marked["kind"] == "ConfigMap" and marked["metadata"]["deletionTimestamp"]
    again = (await http.delete(url)).json()
    assert again["metadata"]["deletionTimestamp"] == marked["metadata"]["deletionTimestamp"]
    assert again["metadata"]["resourceVersion"] == marked["metadata"]["resourceVersion"]
    more = {"metadata": {"finalizers": ["example.com/a", "example.com/c"]}}
    refused = await http.patch(url, headers=MERGE, json=more)
    assert "no new finalizers can be added if the object is being deleted" in refused.json()["message"]
    fewer = await http.patch(url, headers=MERGE, json={"metadata": {"finalizers": ["example.com/a"]}})
    assert fewer.status_code == 200 and (await http.get(url)).status_code == 200
    last = await http.patch(url, headers=MERGE, json={"metadata": {"finalizers": None}})
    assert last.status_code == 200
    assert (await http.get(url)).status_code == 404


@pytest.mark.parametrize(("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")])
async def test_propagation_is_left_to_the_garbage_collector(
    http: httpx.AsyncClient, policy: str, finalizer: str
) -> None:
    url = f"{CONFIGMAPS}/{policy.lower()}"
    await http.post(CONFIGMAPS, json={"metadata": {"name": policy.lower()}})
    marked = (await delete(http, url, propagationPolicy=policy)).json()
    assert marked["metadata"]["finalizers"] == [finalizer]
    changed_mind = await delete(http, url, propagationPolicy="Background")
    assert changed_mind.status_code == 200
    assert (await http.get(url)).status_code == 404


async def test_a_page_of_a_collection_is_deleted(http: httpx.AsyncClient) -> None:
    for name in ("p1", "p2", "p3"):
        await http.post(CONFIGMAPS, json={"metadata": {"name": name, "labels": {"set": "paged"}}})
    query = {"labelSelector": "set=paged", "limit": "2"}
    first = (await http.delete(CONFIGMAPS, params=query)).json()
    assert [item["metadata"]["name"] for item in first["items"]] == ["p1", "p2"]
    rest = (await http.delete(CONFIGMAPS, params={**query, "continue": first["metadata"]["continue"]})).json()
    assert [item["metadata"]["name"] for item in rest["items"]] == ["p3"]
    assert (await http.get(CONFIGMAPS, params=query)).json()["items"] == []


async def test_a_deleted_collection_is_shown_in_the_form_that_was_asked_for(http: httpx.AsyncClient) -> None:
    await http.post(CONFIGMAPS, json={"metadata": {"name": "shown", "labels": {"set": "shown"}}, "data": {"a": "b"}})
    accept = {"accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
    gone = (await http.delete(CONFIGMAPS, params={"labelSelector": "set=shown"}, headers=accept)).json()
    assert gone["kind"] == "PartialObjectMetadataList" and "data" not in gone["items"][0]


async def test_dependents_of_old_kinds_are_orphaned_unless_the_client_says_otherwise(http: httpx.AsyncClient) -> None:
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    made = await http.post(jobs, json={"metadata": {"name": "parent"}, "spec": {"template": template}})
    assert made.status_code == 201
    marked = await http.delete(f"{jobs}/parent")
    assert marked.json()["metadata"]["finalizers"] == ["orphan"]
    assert "child pods are preserved by default when jobs are deleted" in marked.headers["warning"]
    settled = await delete(http, f"{jobs}/parent", propagationPolicy="Background")
    assert settled.status_code == 200 and "warning" not in settled.headers


async def test_a_negative_grace_period_is_a_second(http: httpx.AsyncClient) -> None:
    await pod(http, "hasty", node="n1")
    marked = (await delete(http, f"{PODS}/hasty", gracePeriodSeconds=-5)).json()
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 1


async def test_an_event_has_no_dependents_to_wait_for(http: httpx.AsyncClient) -> None:
    events = "/api/v1/namespaces/default/events"
    event = {"metadata": {"name": "e1"}, "involvedObject": {"namespace": "default"}}
    assert (await http.post(events, json=event)).status_code == 201
    assert (await delete(http, f"{events}/e1", propagationPolicy="Foreground")).status_code == 200
    assert (await http.get(f"{events}/e1")).status_code == 404


async def test_preconditions(http: httpx.AsyncClient) -> None:
    url = f"{CONFIGMAPS}/guarded"
    made = (await http.post(CONFIGMAPS, json={"metadata": {"name": "guarded"}})).json()
    refused = await delete(http, url, preconditions={"uid": "another"})
    assert (
        refused.status_code == 409
        and "the UID in the precondition (another) does not match the UID in record" in refused.json()["message"]
    )
    stale = await delete(http, url, preconditions={"resourceVersion": "1"})
    assert stale.status_code == 409
    assert (await delete(http, url, preconditions={"uid": made["metadata"]["uid"]})).status_code == 200


async def test_unscheduled_pod_goes_at_once(http: httpx.AsyncClient) -> None:
    await pod(http, "unscheduled")
    gone = (await http.delete(f"{PODS}/unscheduled")).json()
    assert gone["kind"] == "Pod"
    assert (await http.get(f"{PODS}/unscheduled")).status_code == 404


async def test_scheduled_pod_waits_for_its_kubelet(http: httpx.AsyncClient) -> None:
    url = f"{PODS}/scheduled"
    await pod(http, "scheduled", node="n1")
    marked = (await http.delete(url)).json()
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
    assert marked["metadata"]["generation"] == 2
    shorter = (await delete(http, url, gracePeriodSeconds=5)).json()
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 5
    assert shorter["metadata"]["deletionTimestamp"] < marked["metadata"]["deletionTimestamp"]
    longer = (await delete(http, url, gracePeriodSeconds=60)).json()
    assert longer["metadata"]["deletionGracePeriodSeconds"] == 5
    reported = await http.patch(f"{url}/status", headers=MERGE, json={"status": {"phase": "Failed"}})
    assert reported.status_code == 200 and (await http.get(url)).status_code == 200
    assert (await delete(http, url, gracePeriodSeconds=0)).status_code == 200
    assert (await http.get(url)).status_code == 404


async def test_collection_is_deleted_by_selector(http: httpx.AsyncClient) -> None:
    for name, label in (("c1", "x"), ("c2", "x"), ("c3", "y")):
        await http.post(CONFIGMAPS, json={"metadata": {"name": name, "labels": {"set": label}}})
    gone = (await http.delete(CONFIGMAPS, params={"labelSelector": "set=x"})).json()
    assert gone["kind"] == "ConfigMapList" and len(gone["items"]) == 2
    left = (await http.get(CONFIGMAPS, params={"labelSelector": "set"})).json()["items"]
    assert [item["metadata"]["name"] for item in left] == ["c3"]


async def test_namespace_ends_when_its_controller_says_so(http: httpx.AsyncClient) -> None:
    url = "/api/v1/namespaces/ending"
    made = (await http.post("/api/v1/namespaces", json={"metadata": {"name": "ending"}})).json()
    assert made["spec"]["finalizers"] == ["kubernetes"] and made["status"]["phase"] == "Active"
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "ending"}
    await http.post(f"{url}/configmaps", json={"metadata": {"name": "content"}})
    marked = (await http.delete(url)).json()
    assert marked["status"]["phase"] == "Terminating"
    refused = await http.post(f"{url}/configmaps", json={"metadata": {"name": "late"}})
    assert refused.status_code == 403
    assert refused.json()["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    await http.delete(f"{url}/configmaps")
    kept = await http.put(url, json={**marked, "spec": {"finalizers": []}})
    assert kept.json()["spec"]["finalizers"] == ["kubernetes"]
    current = (await http.get(url)).json()
    finalized = await http.put(f"{url}/finalize", json={**current, "spec": {"finalizers": []}})
    assert finalized.status_code == 200, finalized.text
    assert (await http.get(url)).status_code == 404


async def test_some_namespaces_never_end(http: httpx.AsyncClient) -> None:
    refused = await http.delete("/api/v1/namespaces/default")
    assert refused.status_code == 403
    assert refused.json()["message"] == 'namespaces "default" is forbidden: this namespace may not be deleted'
