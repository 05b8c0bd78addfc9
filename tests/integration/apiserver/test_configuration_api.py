"""ConfigMaps, Secrets, PodTemplates, quotas and leases as objects: their lives, their keys, and what stays for ever."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from .watches import watching

pytestmark = pytest.mark.asyncio(loop_scope="module")

STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
MERGE = {"content-type": "application/merge-patch+json"}
TEMPLATE = {"spec": {"containers": [{"name": "nginx", "image": "nginx:1"}]}}


async def names(http: httpx.AsyncClient, url: str, **query: str) -> list[str]:
    answer = await http.get(url, params=query)
    assert answer.status_code == 200, answer.text
    return [item["metadata"]["name"] for item in answer.json()["items"]]


async def make(http: httpx.AsyncClient, url: str, body: dict[str, Any]) -> Any:
    made = await http.post(url, json=body)
    assert made.status_code == 201, made.text
    return made.json()


async def test_a_config_map_from_its_making_to_its_end(http: httpx.AsyncClient, namespace: str) -> None:
    url, chosen = f"/api/v1/namespaces/{namespace}/configmaps", "test-configmap-static=true"
    async with watching(http, url, labelSelector=chosen) as watch:
        labels = {"test-configmap-static": "true"}
        made = await make(http, url, {"metadata": {"name": "one", "labels": labels}, "data": {"valueName": "value"}})
        assert await watch.next() == ("ADDED", made)
        patch = {"metadata": {"labels": {"test-configmap": "patched"}}, "data": {"valueName": "value1"}}
        patched = await http.patch(f"{url}/one", headers=STRATEGIC, json=patch)
        assert patched.status_code == 200, patched.text
        kind, seen = await watch.next()
        assert (kind, seen) == ("MODIFIED", patched.json())
        assert seen["data"] == {"valueName": "value1"} and seen["metadata"]["labels"]["test-configmap"] == "patched"
        assert await names(http, "/api/v1/configmaps", labelSelector=chosen) == ["one"]
        assert (await http.delete(url, params={"labelSelector": chosen})).status_code == 200
        assert (await watch.next())[0] == "DELETED"
        assert await names(http, "/api/v1/configmaps", labelSelector=chosen) == []


async def test_an_update_replaces_what_a_config_map_holds(http: httpx.AsyncClient, namespace: str) -> None:
    url = f"/api/v1/namespaces/{namespace}/configmaps"
    made = await make(http, url, {"metadata": {"name": "one"}, "data": {"data": "value", "old": "gone"}})
    updated = await http.put(f"{url}/one", json={**made, "data": {"data": "value", "new": "there"}})
    assert updated.status_code == 200, updated.text
    assert (await http.get(f"{url}/one")).json()["data"] == {"data": "value", "new": "there"}


@pytest.mark.parametrize(("plural", "value"), [("configmaps", "value-1"), ("secrets", "dmFsdWUtMQ==")])
async def test_an_empty_key_is_refused(http: httpx.AsyncClient, plural: str, value: str) -> None:
    url = f"/api/v1/namespaces/default/{plural}"
    refused = await http.post(url, json={"metadata": {"name": "empty-key"}, "data": {"": value}})
    assert refused.status_code == 422
    [cause] = refused.json()["details"]["causes"]
    assert (cause["field"], cause["reason"]) == ("data[]", "FieldValueInvalid")
    assert "a valid config key must consist of alphanumeric characters" in cause["message"]


@pytest.mark.parametrize("plural", ["configmaps", "secrets"])
async def test_what_is_marked_immutable_stays_as_it_is(http: httpx.AsyncClient, namespace: str, plural: str) -> None:
    url = f"/api/v1/namespaces/{namespace}/{plural}"
    value, other = (base64.b64encode(text).decode() for text in (b"value-1", b"value-2"))
    made = await make(http, url, {"metadata": {"name": "one"}, "data": {"data-1": value}})
    changed = await http.put(f"{url}/one", json={**made, "data": {"data-1": other}})
    assert changed.status_code == 200, "what is not marked may change"
    marked = await http.put(f"{url}/one", json={**changed.json(), "immutable": True})
    assert marked.status_code == 200, marked.text
    refused = await http.put(f"{url}/one", json={**marked.json(), "data": {"data-1": value}})
    assert (refused.status_code, refused.json()["reason"]) == (422, "Invalid")
    assert [cause["field"] for cause in refused.json()["details"]["causes"]] == ["data"]
    for unmarked in (False, None):
        refused = await http.put(f"{url}/one", json={**marked.json(), "immutable": unmarked})
        assert refused.status_code == 422
        assert [cause["field"] for cause in refused.json()["details"]["causes"]] == ["immutable"]
    labelled = await http.patch(f"{url}/one", headers=MERGE, json={"metadata": {"labels": {"a": "b"}}})
    assert labelled.status_code == 200, "metadata may change"
    assert (await http.delete(f"{url}/one")).status_code == 200


async def test_a_secret_is_patched_and_deleted_by_its_label(http: httpx.AsyncClient, namespace: str) -> None:
    url = f"/api/v1/namespaces/{namespace}/secrets"
    labels = {"testsecret-constant": "true"}
    await make(http, url, {"metadata": {"name": "one", "labels": labels}, "data": {"key": "dmFsdWU="}})
    assert await names(http, "/api/v1/secrets", labelSelector="testsecret-constant=true") == ["one"]
    encoded = base64.b64encode(b"value1").decode()
    patch = {"metadata": {"labels": {"testsecret": "true"}}, "data": {"key": encoded}}
    patched = await http.patch(f"{url}/one", headers=STRATEGIC, json=patch)
    assert patched.status_code == 200, patched.text
    assert (await http.get(f"{url}/one")).json()["data"] == {"key": encoded}
    assert (await http.delete(url, params={"labelSelector": "testsecret=true"})).status_code == 200
    assert await names(http, "/api/v1/secrets", labelSelector="testsecret-constant=true") == []


async def test_a_pod_template_from_its_making_to_its_end(http: httpx.AsyncClient, namespace: str) -> None:
    url, chosen = f"/api/v1/namespaces/{namespace}/podtemplates", "podtemplate-static=true"
    labels = {"podtemplate-static": "true"}
    await make(http, url, {"metadata": {"name": "one", "labels": labels}, "template": TEMPLATE})
    assert await names(http, "/api/v1/podtemplates", labelSelector=chosen) == ["one"]
    patch = {"metadata": {"labels": {"podtemplate": "patched"}}}
    assert (await http.patch(f"{url}/one", headers=STRATEGIC, json=patch)).status_code == 200
    assert (await http.get(f"{url}/one")).json()["metadata"]["labels"] == {**labels, "podtemplate": "patched"}
    assert (await http.delete(f"{url}/one")).status_code == 200
    assert await names(http, "/api/v1/podtemplates", labelSelector=chosen) == []


async def test_a_pod_template_is_replaced(http: httpx.AsyncClient, namespace: str) -> None:
    url = f"/api/v1/namespaces/{namespace}/podtemplates"
    made = await make(http, url, {"metadata": {"name": "one"}, "template": TEMPLATE})
    made["template"]["spec"]["containers"][0]["image"] = "nginx:2"
    made["metadata"]["annotations"] = {"updated": "true"}
    replaced = await http.put(f"{url}/one", json=made)
    assert replaced.status_code == 200, replaced.text
    found = (await http.get(f"{url}/one")).json()
    assert found["template"]["spec"]["containers"][0]["image"] == "nginx:2"
    assert found["metadata"]["annotations"] == {"updated": "true"}


async def test_pod_templates_are_deleted_by_their_label(http: httpx.AsyncClient, namespace: str) -> None:
    url = f"/api/v1/namespaces/{namespace}/podtemplates"
    for name in ("one", "two", "three"):
        await make(http, url, {"metadata": {"name": name, "labels": {"set": "true"}}, "template": TEMPLATE})
    await make(http, url, {"metadata": {"name": "other"}, "template": TEMPLATE})
    assert await names(http, url, labelSelector="set=true") == ["one", "three", "two"]
    assert (await http.delete(url, params={"labelSelector": "set=true"})).status_code == 200
    assert await names(http, url) == ["other"]


async def test_a_quota_is_changed_and_deleted(http: httpx.AsyncClient, namespace: str) -> None:
    url = f"/api/v1/namespaces/{namespace}/resourcequotas"
    made = await make(http, url, {"metadata": {"name": "one"}, "spec": {"hard": {"cpu": "1", "memory": "500Mi"}}})
    assert (await http.get(f"{url}/one")).json()["spec"]["hard"] == {"cpu": "1", "memory": "500Mi"}
    made["spec"]["hard"] = {"cpu": "2", "memory": "1Gi"}
    assert (await http.put(f"{url}/one", json=made)).status_code == 200
    assert (await http.get(f"{url}/one")).json()["spec"]["hard"] == {"cpu": "2", "memory": "1Gi"}
    assert (await http.delete(f"{url}/one")).status_code == 200
    assert (await http.get(f"{url}/one")).status_code == 404


async def test_a_quota_is_found_patched_and_deleted_by_its_label(http: httpx.AsyncClient, namespace: str) -> None:
    url = f"/api/v1/namespaces/{namespace}/resourcequotas"
    body = {"metadata": {"name": "one", "labels": {"quota": "x"}}, "spec": {"hard": {"pods": "5"}}}
    await make(http, url, body)
    assert await names(http, "/api/v1/resourcequotas", labelSelector="quota=x") == ["one"]
    patch = {"metadata": {"labels": {"quota": "patched"}}, "spec": {"hard": {"memory": "750Mi"}}}
    patched = (await http.patch(f"{url}/one", headers=STRATEGIC, json=patch)).json()
    assert (patched["spec"]["hard"], patched["metadata"]["labels"]["quota"]) == (
        {"pods": "5", "memory": "750Mi"},
        "patched",
    )
    assert (await http.delete(url, params={"labelSelector": "quota=patched"})).status_code == 200
    assert await names(http, "/api/v1/resourcequotas", labelSelector="quota=patched") == []


async def test_limits_are_listed_patched_and_deleted_each_in_its_namespace(
    http: httpx.AsyncClient, namespace: str
) -> None:
    places = [f"/api/v1/namespaces/{each}/limitranges" for each in (namespace, "default")]
    limits = {"type": "Container", "max": {"cpu": "500m"}, "default": {"cpu": "500m"}, "min": {"cpu": "50m"}}
    for url in places:
        body = {"metadata": {"name": "both", "labels": {"e2e-test": namespace}}, "spec": {"limits": [limits]}}
        await make(http, url, body)
    everywhere = {"labelSelector": f"e2e-test={namespace}"}
    assert await names(http, "/api/v1/limitranges", **everywhere) == ["both", "both"]
    patch = {
        "metadata": {"labels": {"state": "patched"}},
        "spec": {"limits": [{**limits, "min": {"cpu": "9m"}}]},
    }
    patched = await http.patch(f"{places[0]}/both", headers=STRATEGIC, json=patch)
    assert patched.status_code == 200, patched.text
    assert patched.json()["spec"]["limits"][0]["min"] == {"cpu": "9m"}
    assert (await http.delete(places[0], params={"labelSelector": "state=patched"})).status_code == 200
    assert await names(http, places[0], **everywhere) == []
    assert await names(http, "/api/v1/limitranges", **everywhere) == ["both"]
    await http.delete(f"{places[1]}/both")


async def test_a_lease_is_taken_renewed_handed_over_and_given_up(http: httpx.AsyncClient, namespace: str) -> None:
    url = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    spec = {
        "holderIdentity": "holder",
        "leaseDurationSeconds": 30,
        "acquireTime": "2026-01-01T00:00:00.000000Z",
        "renewTime": "2026-01-01T00:00:05.000000Z",
        "leaseTransitions": 0,
    }
    made = await make(http, url, {"metadata": {"name": "lease"}, "spec": spec})
    assert made["spec"] == spec
    other = {**spec, "holderIdentity": "holder2", "renewTime": "2026-01-01T00:00:20.000000Z", "leaseTransitions": 1}
    updated = await http.put(f"{url}/lease", json={**made, "spec": other})
    assert updated.status_code == 200, updated.text
    assert (await http.get(f"{url}/lease")).json()["spec"] == other
    patched = await http.patch(f"{url}/lease", headers=STRATEGIC, json={"spec": {"leaseDurationSeconds": 60}})
    assert patched.json()["spec"] == {**other, "leaseDurationSeconds": 60}
    for number, label in enumerate(("deletecollection", "deletecollection", "keep")):
        body = {"metadata": {"name": f"lease-{number}", "labels": {"purpose": label}}, "spec": spec}
        await make(http, url, body)
    assert (await http.delete(url, params={"labelSelector": "purpose=deletecollection"})).status_code == 200
    assert await names(http, url) == ["lease", "lease-2"]
    assert (await http.delete(f"{url}/lease")).status_code == 200
    assert (await http.get(f"{url}/lease")).status_code == 404
