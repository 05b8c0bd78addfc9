"""What webhooks make of objects: checked, defaulted, and never another object than the one that was written."""

from __future__ import annotations

import base64
import json

import httpx
import pytest

from .hooks import (
    MUTATING,
    Hooks,
    add,
    annotate,
    config_map,
    configure,
    patch,
    rule,
    webhook,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
MERGE = {"content-type": "application/merge-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}
POD = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "main", "image": "busybox"}]}}


def maps(namespace: str) -> str:
    """The path of the config maps of a namespace."""
    return f"/api/v1/namespaces/{namespace}/configmaps"


def message(answer: httpx.Response) -> str:
    """What a client is told of a refusal."""
    said: str = answer.json()["message"]
    return said


async def test_what_a_webhook_makes_is_checked(http: httpx.AsyncClient, namespace: str, hooks: Hooks) -> None:
    client = hooks.on("/bad", patch(add("/data/key", 5)))
    bad = webhook("bad", client, rule("configmaps"), namespace=namespace, failurePolicy="Ignore")
    await configure(http, MUTATING, "bad", bad)
    answer = await http.post(maps(namespace), json=config_map("a"))
    assert answer.status_code == 500
    assert "cannot unmarshal number" in message(answer), message(answer)

    hooks.on("/bad", patch({"op": "remove", "path": "/data/none"}))
    answer = await http.post(maps(namespace), json=config_map("a"))
    assert (answer.status_code, answer.json()["reason"]) == (500, "InternalError")

    hooks.on("/bad", patch(add("/data/not a key", "x")))
    answer = await http.post(maps(namespace), json=config_map("a"))
    assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid")

    hooks.on("/bad", patch(add("/metadata/namespace", "default")))
    answer = await http.post(maps(namespace), json=config_map("a"))
    assert answer.status_code == 400
    assert "does not match the namespace" in message(answer)

    hooks.on("/bad", patch(add("/nonsense", True), add("/metadata/uid", "mine"), add("/metadata/generation", 9)))
    made = await http.post(maps(namespace), json=config_map("a"))
    assert made.status_code == 201, made.text
    assert "nonsense" not in made.json()
    assert made.json()["metadata"]["uid"] != "mine"


def nested(depth: int) -> object:
    """An object in an object, so many times."""
    value: object = "x"
    for _ in range(depth):
        value = {"a": value}
    return value


async def test_patches_that_are_nested_too_deep(http: httpx.AsyncClient, namespace: str, hooks: Hooks) -> None:
    client = hooks.on("/deep", patch(add("/more", nested(900))))
    await configure(http, MUTATING, "deep", webhook("deep", client, rule("configmaps"), namespace=namespace))
    answer = await http.post(maps(namespace), json=config_map("a"))
    assert (answer.status_code, message(answer)) == (500, "Internal error occurred: exceeded max depth")

    steps = [add("/more" + "/a" * depth, {}) for depth in range(400)]
    hooks.on("/deep", patch(*steps))
    made = await http.post(maps(namespace), json=config_map("a"))
    assert made.status_code == 201 and "more" not in made.json(), made.text  # a config map has no such field

    hooks.on("/deep", patch(add("/data", {}), *(add("/data" + "/a" * depth, {}) for depth in range(1, 400))))
    answer = await http.post(maps(namespace), json=config_map("b"))
    assert (answer.status_code, answer.json()["reason"]) == (500, "InternalError")
    assert "cannot unmarshal object" in message(answer)


async def test_a_patch_may_be_broken_into_lines(http: httpx.AsyncClient, namespace: str, hooks: Hooks) -> None:
    operations = json.dumps([add("/data/long", "x" * 200)]).encode()
    broken = base64.encodebytes(operations).decode()
    assert broken.count("\n") > 2
    client = hooks.on("/lines", lambda _: {"allowed": True, "patchType": "JSONPatch", "patch": broken})
    await configure(http, MUTATING, "lines", webhook("lines", client, rule("configmaps"), namespace=namespace))
    made = await http.post(maps(namespace), json=config_map("a"))
    assert made.status_code == 201, made.text
    assert made.json()["data"]["long"] == "x" * 200


async def test_a_webhook_cannot_make_an_object_another(http: httpx.AsyncClient, namespace: str, hooks: Hooks) -> None:
    assert (await http.post(maps(namespace), json=config_map("a"))).status_code == 201
    client = hooks.on("/other", patch(add("/metadata/name", "b")))
    about = rule("configmaps", operations=["UPDATE"])
    await configure(http, MUTATING, "other", webhook("other", client, about, namespace=namespace))
    change = {"data": {"x": "y"}}
    answer = await http.patch(f"{maps(namespace)}/a", json=change, headers=MERGE)
    assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid"), answer.text
    assert "metadata.name" in message(answer)
    for path, value in (("/kind", "Secret"), ("/apiVersion", "v2"), ("/metadata", "x"), ("", [])):
        hooks.on("/other", patch({"op": "replace", "path": path, "value": value}))
        answer = await http.patch(f"{maps(namespace)}/a", json=change, headers=MERGE)
        assert (answer.status_code, answer.json()["reason"]) == (500, "InternalError"), answer.text
    for path in ("uid", "resourceVersion", "creationTimestamp", "namespace"):
        hooks.on("/other", patch({"op": "remove", "path": f"/metadata/{path}"}))
        answer = await http.patch(f"{maps(namespace)}/a", json=change, headers=MERGE)
        assert answer.status_code == 200, answer.text
        assert answer.json()["metadata"][path]


async def test_a_webhook_completes_what_is_required(http: httpx.AsyncClient, namespace: str, hooks: Hooks) -> None:
    about = rule("pods", operations=["CREATE"])
    client = hooks.on("/image", patch(add("/spec/containers/0/image", "busybox")))
    await configure(http, MUTATING, "image", webhook("image", client, about, namespace=namespace))
    pods = f"/api/v1/namespaces/{namespace}/pods"
    made = await http.post(pods, json={"metadata": {"name": "a"}, "spec": {"containers": [{"name": "main"}]}})
    assert made.status_code == 201, made.text
    hooks.on("/image", patch({"op": "remove", "path": "/spec/containers/0/name"}))
    refused = await http.post(pods, json={**POD, "metadata": {"name": "b"}})
    assert refused.status_code == 422
    assert "spec.containers[0].name" in message(refused)


async def test_deletions_cannot_be_changed(http: httpx.AsyncClient, namespace: str, hooks: Hooks) -> None:
    assert (await http.post(maps(namespace), json=config_map("a"))).status_code == 201
    client = hooks.on("/edit", patch(add("/data/x", "y")))
    about = rule("configmaps", operations=["DELETE"])
    await configure(http, MUTATING, "edit", webhook("edit", client, about, namespace=namespace))
    answer = await http.delete(f"{maps(namespace)}/a")
    assert answer.status_code == 500
    assert message(answer) == (
        'Internal error occurred: admission webhook "edit.example.com" attempted to modify the object, which is not '
        "supported for this operation"
    )


async def test_apply_is_seen_as_a_creation_and_then_as_an_update(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks
) -> None:
    client = hooks.on("/mark", annotate("mark"))
    await configure(http, MUTATING, "mark", webhook("mark", client, rule("configmaps"), namespace=namespace))
    url = f"{maps(namespace)}/a?fieldManager=me"
    body = json.dumps({**config_map("a"), "data": {"key": "value"}}).encode()
    made = await http.patch(url, content=body, headers=APPLY)
    assert made.status_code == 201, made.text
    again = await http.patch(url, content=body.replace(b"value", b"other"), headers=APPLY)
    assert again.status_code == 200, again.text
    assert [asked["operation"] for asked in hooks.requests("/mark")] == ["CREATE", "UPDATE"]
    assert [asked["options"]["kind"] for asked in hooks.requests("/mark")] == ["CreateOptions", "UpdateOptions"]
    assert again.json()["metadata"]["annotations"] == {"mark": "seen"}
    (entry,) = again.json()["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("me", "Apply")
    assert entry["fieldsV1"] == {"f:data": {"f:key": {}}}  # what a webhook adds belongs to nobody


async def test_entries_that_a_webhook_breaks_are_as_before(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks
) -> None:
    client = hooks.on("/break", patch(add("/metadata/managedFields", [{"manager": "x", "operation": "Nonsense"}])))
    await configure(http, MUTATING, "break", webhook("break", client, rule("configmaps"), namespace=namespace))
    made = await http.post(f"{maps(namespace)}?fieldManager=me", json=config_map("a"))
    assert made.status_code == 201, made.text
    assert [each["manager"] for each in made.json()["metadata"]["managedFields"]] == ["me"]
    assert "managedFields was in an invalid state after admission" in made.headers["warning"]
