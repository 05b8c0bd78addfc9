"""Strict writers are told of fields that are unknown or repeated, in built-in kinds and in custom ones."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from .definitions import definition, establish, path, remove, version

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
STRICT = {"fieldManager": "field_validation_mgr", "fieldValidation": "Strict"}
APPLY = {"content-type": "application/apply-patch+yaml"}
JSON = {"content-type": "application/json"}
PORT = {
    "type": "object",
    "required": ["containerPort", "protocol"],
    "properties": {
        "containerPort": {"type": "integer", "format": "int32"},
        "hostIP": {"type": "string"},
        "hostPort": {"type": "integer", "format": "int32"},
        "name": {"type": "string"},
        "protocol": {"type": "string"},
    },
}
PROPERTIES: dict[str, Any] = {
    "foo": {"type": "string"},
    "cronSpec": {"type": "string", "pattern": r"^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$"},
    "ports": {
        "type": "array",
        "x-kubernetes-list-map-keys": ["containerPort", "protocol"],
        "x-kubernetes-list-type": "map",
        "items": PORT,
    },
}
SPEC = {"foo": "foo1", "cronSpec": "* * * * */5", "ports": [{"name": "x", "containerPort": 80, "protocol": "TCP"}]}


def schema(**spec: Any) -> dict[str, Any]:
    """A schema whose spec has the properties above, and what is said of it besides."""
    properties = {**PROPERTIES, **spec.pop("properties", {})}
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": properties, **spec}}}


async def apply(http: httpx.AsyncClient, made: dict[str, Any], **members: Any) -> httpx.Response:
    """Apply an object of a definition, strictly."""
    body = {"apiVersion": f"{made['spec']['group']}/v1", "kind": made["spec"]["names"]["kind"], **members}
    body["metadata"] = {"name": "mytest", "finalizers": ["example.com/finalizer"], **body.get("metadata", {})}
    return await http.patch(f"{path(made)}/mytest", headers=APPLY, content=json.dumps(body), params=STRICT)


async def forget(http: httpx.AsyncClient, made: dict[str, Any]) -> None:
    """Free the object and end the definition."""
    finalizers = [{"op": "remove", "path": "/metadata/finalizers"}]
    headers = {"content-type": "application/json-patch+json"}
    await http.patch(f"{path(made)}/mytest", headers=headers, content=json.dumps(finalizers))
    await remove(http, made["metadata"]["name"])


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (
            '"spec": {"unknownField": "foo", "replicas": 2, "replicas": 3,',
            'strict decoding error: unknown field "spec.unknownField", duplicate field "spec.replicas"',
        ),
        (
            '"metadata": {"name": "my-dep", "unknownMeta": "foo", "labels": {"app": "nginx"}}, "spec": {',
            'strict decoding error: unknown field "metadata.unknownMeta"',
        ),
    ],
    ids=["spec", "metadata"],
)
async def test_a_built_in_kind_is_read_strictly(http: httpx.AsyncClient, where: str, words: str) -> None:
    labels = '{"app": "nginx"}'
    containers = '[{"name": "nginx", "image": "nginx:latest"}]'
    template = f'"template": {{"metadata": {{"labels": {labels}}}, "spec": {{"containers": {containers}}}}}'
    metadata = "" if '"metadata"' in where else f'"metadata": {{"name": "my-dep", "labels": {labels}}}, '
    start = '{"apiVersion": "apps/v1", "kind": "Deployment", '
    body = f'{start}{metadata}{where} "selector": {{"matchLabels": {labels}}}, {template}}}}}'
    refused = await http.post(DEPLOYMENTS, content=body, headers=JSON, params=STRICT)
    assert (refused.status_code, refused.json()["reason"]) == (400, "BadRequest")
    assert refused.json()["message"].endswith(words)


async def test_what_a_schema_admits_is_applied(http: httpx.AsyncClient) -> None:
    made = definition("noxus", "valid.example.com", version(schema=schema()))
    await establish(http, made)
    answer = await apply(http, made, spec=SPEC)
    assert answer.status_code == 201, answer.text
    assert answer.json()["spec"] == SPEC
    await forget(http, made)


async def test_without_a_schema_anything_is_applied(http: httpx.AsyncClient) -> None:
    made = definition("noxus", "anything.example.com")
    await establish(http, made)
    answer = await apply(http, made, spec={**SPEC, "unknown": "uk1"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["spec"] == {**SPEC, "unknown": "uk1"}
    await forget(http, made)


async def test_a_field_that_the_schema_lacks_is_not_applied(http: httpx.AsyncClient) -> None:
    made = definition("noxus", "extra.example.com", version(schema=schema()))
    await establish(http, made)
    answer = await apply(http, made, spec=SPEC, unknownField="unknown")
    assert answer.status_code == 400 and ".unknownField: field not declared in schema" in answer.text
    await forget(http, made)


async def test_unknown_metadata_is_found_in_the_object_and_in_those_that_it_embeds(http: httpx.AsyncClient) -> None:
    inner = {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "properties": {
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": {"type": "object"},
        },
    }
    whole = schema(properties={"template": inner}, **{"x-kubernetes-preserve-unknown-fields": True})
    made = definition("noxus", "metadata.example.com", version(schema=whole))
    await establish(http, made)
    embedded = {
        "apiVersion": "foo/v1",
        "kind": "Sub",
        "metadata": {"name": "subobject", "namespace": "default", "unknownSubMeta": "unknown"},
    }
    body = {
        "apiVersion": "metadata.example.com/v1",
        "kind": "Noxu",
        "metadata": {"name": "mytest", "unknownMeta": "unknown"},
        "spec": {**SPEC, "template": embedded},
    }
    refused = await http.post(path(made), json=body, params=STRICT)
    assert refused.status_code == 400
    assert 'unknown field "metadata.unknownMeta"' in refused.json()["message"]
    assert 'unknown field "spec.template.metadata.unknownSubMeta"' in refused.json()["message"]
    applied = await apply(http, made, metadata={"unknownMeta": "unknown"}, spec={**SPEC, "template": embedded})
    assert applied.status_code == 400, applied.text
    assert ".metadata.unknownMeta: field not declared in schema" in applied.text
    assert ".spec.template.metadata.unknownSubMeta: field not declared in schema" in applied.text
    await forget(http, made)


async def test_repeated_fields_are_found_where_unknown_ones_are_kept(http: httpx.AsyncClient) -> None:
    whole = schema(**{"x-kubernetes-preserve-unknown-fields": True})
    made = definition("noxus", "repeated.example.com", version(schema=whole))
    await establish(http, made)
    body = (
        "apiVersion: repeated.example.com/v1\nkind: Noxu\nmetadata:\n  name: mytest\n"
        'spec:\n  unknown: uk1\n  unknown: uk2\n  foo: foo1\n  cronSpec: "* * * * */5"\n'
    )
    headers = {"content-type": "application/yaml"}
    refused = await http.post(path(made), content=body, headers=headers, params=STRICT)
    assert refused.status_code == 400
    assert 'line 7: key "unknown" already set in map' in refused.json()["message"]
    applied = await http.patch(f"{path(made)}/mytest", content=body, headers=APPLY, params=STRICT)
    assert applied.status_code == 400, applied.text
    assert 'line 7: key "unknown" already set in map' in applied.json()["message"]
    await forget(http, made)
