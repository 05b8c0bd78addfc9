"""Ownership of custom resources across their versions, their endpoints and changes of their schemas."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from .definitions import Document, custom, definition, establish, until, version

pytestmark = pytest.mark.asyncio(loop_scope="module")

APPLY = {"content-type": "application/apply-patch+yaml"}
MERGE = {"content-type": "application/merge-patch+json"}
GROUP = "owners.example.com"


def schema(**labels: Any) -> Document:
    spec = {
        "type": "object",
        "properties": {
            "size": {"type": "integer"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}, **labels},
        },
    }
    status = {"type": "object", "properties": {"ready": {"type": "integer"}, "size": {"type": "integer"}}}
    return {"type": "object", "properties": {"spec": spec, "status": status}}


async def apply(http: httpx.AsyncClient, url: str, body: Document, manager: str, **query: str) -> httpx.Response:
    params = {"fieldManager": manager, **query}
    return await http.patch(url, content=orjson.dumps(body), headers=APPLY, params=params)


def owned(answer: httpx.Response) -> dict[tuple[str, str, str], Any]:
    entries = answer.json()["metadata"].get("managedFields", [])
    return {(each["manager"], each["apiVersion"], each.get("subresource", "")): each["fieldsV1"] for each in entries}


async def test_owners_are_told_of_in_each_version(http: httpx.AsyncClient) -> None:
    both = version("v1", schema=schema()), version("v2", schema=schema(), storage=False)
    await establish(http, definition("gadgets", GROUP, *both))
    one, two = (f"/apis/{GROUP}/{name}/namespaces/default/gadgets/a" for name in ("v1", "v2"))
    first = custom(f"{GROUP}/v1", "Gadget", "a", spec={"size": 1, "labels": {"x": "1"}})
    assert (await apply(http, one, first, "one")).status_code == 201
    wanted = custom(f"{GROUP}/v2", "Gadget", "a", spec={"size": 2})
    refused = await apply(http, two, wanted, "two")
    assert refused.json()["message"] == 'Apply failed with 1 conflict: conflict with "one": .spec.size'
    forced = await apply(http, two, wanted, "two", force="true")
    assert owned(forced) == {
        ("one", f"{GROUP}/v1", ""): {"f:spec": {"f:labels": {"f:x": {}}}},
        ("two", f"{GROUP}/v2", ""): {"f:spec": {"f:size": {}}},
    }
    moved = await apply(http, two, custom(f"{GROUP}/v2", "Gadget", "a", spec={"labels": {"y": "2"}}), "one")
    assert moved.json()["spec"] == {"size": 2, "labels": {"y": "2"}}
    assert ("one", f"{GROUP}/v2", "") in owned(moved) and ("one", f"{GROUP}/v1", "") not in owned(moved)


async def test_endpoints_of_custom_resources_are_owned_apart(http: httpx.AsyncClient) -> None:
    scale = {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}
    await establish(
        http,
        definition("scalers", GROUP, version(schema=schema(), subresources={"status": {}, "scale": scale})),
    )
    url = f"/apis/{GROUP}/v1/namespaces/default/scalers/a"
    body = custom(f"{GROUP}/v1", "Scaler", "a", spec={"size": 1}, status={"ready": 9})
    made = await apply(http, url, body, "me")
    assert owned(made) == {("me", f"{GROUP}/v1", ""): {"f:spec": {"f:size": {}}}}
    state = custom(f"{GROUP}/v1", "Scaler", "a", spec={"size": 5}, status={"ready": 1})
    state["metadata"]["labels"] = {"not": "mine"}
    reported = await apply(http, f"{url}/status", state, "reporter", force="true")
    assert owned(reported)["reporter", f"{GROUP}/v1", "status"] == {"f:status": {"f:ready": {}}}
    assert reported.json()["spec"] == {"size": 1} and "labels" not in reported.json()["metadata"]
    await http.patch(f"{url}/scale", json={"spec": {"replicas": 3}}, headers=MERGE, params={"fieldManager": "hpa"})
    found = owned(await http.get(url))
    assert found["hpa", f"{GROUP}/v1", "scale"] == {"f:spec": {"f:size": {}}}
    assert ("me", f"{GROUP}/v1", "") not in found
    refused = await apply(http, url, body, "me")
    assert 'conflict with "hpa" with subresource "scale"' in refused.json()["message"]


async def test_owners_follow_a_schema_that_becomes_atomic(http: httpx.AsyncClient) -> None:
    name = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/closers.{GROUP}"
    await establish(http, definition("closers", GROUP, version(schema=schema())))
    url = f"/apis/{GROUP}/v1/namespaces/default/closers/a"
    body = custom(f"{GROUP}/v1", "Closer", "a", spec={"labels": {"x": "1"}})
    await apply(http, url, body, "one")
    closed = (await http.get(name)).json()
    closed["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = schema(**{"x-kubernetes-map-type": "atomic"})
    assert (await http.put(name, json=closed)).status_code == 200

    async def whole() -> bool:
        answer = await http.patch(url, json={"spec": {"size": 1}}, headers=MERGE, params={"dryRun": "All"})
        return owned(answer).get(("one", f"{GROUP}/v1", "")) == {"f:spec": {"f:labels": {}}}

    assert await until(whole, "the entry is not brought up to the schema")
    other = custom(f"{GROUP}/v1", "Closer", "a", spec={"labels": {"y": "2"}})
    refused = await apply(http, url, other, "two")
    assert refused.json()["message"] == 'Apply failed with 1 conflict: conflict with "one": .spec.labels'
