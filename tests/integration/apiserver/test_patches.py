"""Patches whose fields nobody knows, that come twice, that lead elsewhere: who is warned, who is refused, how."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


async def patched(http: httpx.AsyncClient, name: str, form: str, body: str, **params: str) -> httpx.Response:
    await http.post(CONFIGMAPS, json={"metadata": {"name": name}, "data": {"a": "1"}})
    return await http.patch(f"{CONFIGMAPS}/{name}", content=body, headers={"content-type": form}, params=params)


ODD = [
    (MERGE, '{"foo":{"a":"1"},"data":{"b":"1","b":"2"}}', ['duplicate field "data.b"', 'unknown field "foo"']),
    (STRATEGIC, '{"foo":{"a":"1"},"data":{"b":"1","b":"2"}}', ['duplicate field "data.b"', 'unknown field "foo"']),
    (
        JSON_PATCH,
        '[{"op":"add","path":"/foo","value":1},{"op":"add","path":"/data/b","value":"1","value":"2","x":""}]',
        ['json patch duplicate field "[1].value"', 'json patch unknown field "[1].x"', 'unknown field "foo"'],
    ),
]


@pytest.mark.parametrize(("form", "body", "findings"), ODD, ids=["merge", "strategic", "json"])
async def test_what_is_odd_is_ignored_warned_of_or_refused(
    http: httpx.AsyncClient, form: str, body: str, findings: list[str]
) -> None:
    refused = await patched(http, "odd", form, body, fieldValidation="Strict", dryRun="All")
    assert refused.status_code == 422 and refused.json()["reason"] == "Invalid"
    (cause,) = refused.json()["details"]["causes"]
    assert cause["field"] == "patch" and cause["message"].endswith("strict decoding error: " + ", ".join(findings))
    warned = await patched(http, "odd", form, body, dryRun="All")
    assert warned.json()["data"] == {"a": "1", "b": "2"}
    headers = [header.replace('\\"', '"') for header in warned.headers.get_list("warning")]
    assert headers == [f'299 - "{finding}"' for finding in findings]
    ignored = await patched(http, "odd", form, body, fieldValidation="Ignore", dryRun="All")
    assert ignored.status_code == 200 and "warning" not in ignored.headers


async def test_a_scale_is_patched_under_the_same_rules(http: httpx.AsyncClient) -> None:
    labels = {"app": "scaled"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "web:1"}]}}
    body = {"metadata": {"name": "scaled"}, "spec": {"selector": {"matchLabels": labels}, "template": template}}
    place = "/apis/apps/v1/namespaces/default/deployments"
    await http.post(place, json=body)
    patch, headers = '{"spec":{"replicas":3,"foo":1}}', {"content-type": MERGE}
    warned = await http.patch(f"{place}/scaled/scale", content=patch, headers=headers)
    assert warned.json()["spec"]["replicas"] == 3 and 'unknown field \\"spec.foo\\"' in warned.headers["warning"]
    strict = {"fieldValidation": "Strict"}
    refused = await http.patch(f"{place}/scaled/scale", content=patch, headers=headers, params=strict)
    assert refused.status_code == 422 and 'unknown field "spec.foo"' in refused.json()["message"]


async def test_an_outcome_of_the_wrong_type_is_shown(http: httpx.AsyncClient) -> None:
    refused = (await patched(http, "typed", MERGE, '{"data":3}')).json()
    assert refused["code"] == 422 and '\\"data\\":3' in refused["message"]
    assert "cannot unmarshal number into Go struct field ConfigMap.data" in refused["message"]
    refused = (await patched(http, "typed", STRATEGIC, '{"data":3}')).json()
    assert refused["message"].startswith(' "" is invalid: patch: Invalid value: "map[data:3]": ')


async def test_a_json_patch_has_its_limits(http: httpx.AsyncClient) -> None:
    operations = json.dumps([{"op": "test", "path": "/kind", "value": "ConfigMap"}] * 10_001)
    refused = (await patched(http, "limited", JSON_PATCH, operations)).json()
    assert (refused["code"], refused["reason"]) == (413, "RequestEntityTooLarge")
    assert refused["message"] == (
        "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"metadata": {"name": "b"}}, "the name of the object (b) does not match the name on the URL (placed)"),
        ({"metadata": None}, "the name of the object (placed based on URL) was undeterminable: name must be provided"),
        ({"metadata": {"name": "b", "namespace": "x"}}, "the namespace of the provided object does not match"),
    ],
)
async def test_an_object_stays_where_it_is(http: httpx.AsyncClient, body: dict[str, Any], words: str) -> None:
    await http.post(CONFIGMAPS, json={"metadata": {"name": "placed"}})
    moved = await patched(http, "placed", MERGE, json.dumps(body))
    put = await http.put(f"{CONFIGMAPS}/placed", json={"metadata": body["metadata"] or {}})
    for refused in (moved, put):
        assert refused.status_code == 400 and words in refused.json()["message"]


async def test_a_patch_that_changes_nothing_is_no_write(http: httpx.AsyncClient) -> None:
    before = (await patched(http, "idle", MERGE, "{}")).json()["metadata"]["resourceVersion"]
    for form, body in (
        (MERGE, '{"data":{"a":"1","b":null}}'),
        (STRATEGIC, '{"data":{"a":"1"}}'),
        (STRATEGIC, "null"),
        (JSON_PATCH, '[{"op":"replace","path":"/data/a","value":"1"}]'),
        (JSON_PATCH, "[]"),
        (MERGE, '{"metadata":{"labels":{},"finalizers":[]},"binaryData":{}}'),
    ):
        assert (await patched(http, "idle", form, body)).json()["metadata"]["resourceVersion"] == before
