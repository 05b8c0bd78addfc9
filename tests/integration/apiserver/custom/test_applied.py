"""Server-side apply of custom objects, and field validation on its way."""

from __future__ import annotations

import httpx
import pytest

from .definitions import definition, establish, path, remove, version

pytestmark = pytest.mark.asyncio(loop_scope="module")
_APPLY = {"content-type": "application/apply-patch+yaml"}
_PORTS = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["port", "protocol"],
    "items": {
        "type": "object",
        "required": ["port"],
        "properties": {
            "port": {"type": "integer"},
            "protocol": {"type": "string", "default": "TCP"},
            "name": {"type": "string"},
        },
    },
}
_SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
            "properties": {"foo": {"type": "string"}, "ports": _PORTS},
        }
    },
}


async def apply(
    http: httpx.AsyncClient, url: str, text: str, *, manager: str = "me", validation: str = "Strict"
) -> httpx.Response:
    params = {"fieldManager": manager, "fieldValidation": validation}
    return await http.patch(url, content=text, params=params, headers=_APPLY)


async def test_appliers_share_a_list_by_its_keys(http: httpx.AsyncClient) -> None:
    made = definition("apps", "applied.example.com", version(schema=_SCHEMA))
    await establish(http, made)
    url = f"{path(made)}/one"
    head = "apiVersion: applied.example.com/v1\nkind: App\nmetadata: {name: one}\n"
    first = await apply(http, url, head + "spec: {foo: a, ports: [{port: 1, name: x}]}\n")
    assert first.status_code == 201, first.text
    assert first.json()["spec"]["ports"] == [{"port": 1, "name": "x", "protocol": "TCP"}]
    second = await apply(http, url, head + "spec: {ports: [{port: 2, name: z}]}\n", manager="you")
    assert [each["port"] for each in second.json()["spec"]["ports"]] == [1, 2]
    conflict = await apply(http, url, head + "spec: {foo: b}\n", manager="you")
    assert conflict.status_code == 409
    assert conflict.json()["details"]["causes"][0]["field"] == ".spec.foo"
    less = await apply(http, url, head + "spec: {foo: a}\n")
    assert [each["port"] for each in less.json()["spec"]["ports"]] == [2]
    await remove(http, "apps.applied.example.com")


async def test_what_the_schema_does_not_know_cannot_be_applied(http: httpx.AsyncClient) -> None:
    made = definition("stricts", "strict.example.com", version(schema=_SCHEMA))
    await establish(http, made)
    url = f"{path(made)}/one"
    head = "apiVersion: strict.example.com/v1\nkind: Strict\nmetadata:\n  name: one\n"
    unknown = await apply(http, url, head + "unknownField: 1\nspec: {foo: a}\n")
    assert unknown.status_code >= 400
    assert ".unknownField: field not declared in schema" in unknown.json()["message"]
    meta = await apply(http, url, head + "  unknownMeta: 1\n")
    assert ".metadata.unknownMeta: field not declared in schema" in meta.json()["message"]
    twice = await apply(http, url, head + "spec:\n  unknown: a\n  foo: foo1\n  foo: foo2\n")
    assert twice.status_code == 400
    assert 'line 8: key "foo" already set in map' in twice.json()["message"]
    kept = await apply(http, url, head + "spec: {foo: a, unknown: {deep: 1}}\n")
    assert kept.status_code == 201
    assert kept.json()["spec"] == {"foo": "a", "unknown": {"deep": 1}}
    await remove(http, "stricts.strict.example.com")
