"""Admission webhooks through the real server: what they are asked, what they refuse, what they change."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from k8slite.testing import RunningServer

from .hooks import (
    CONFIGURATIONS,
    MUTATING,
    VALIDATING,
    Document,
    Hooks,
    add,
    allow,
    annotate,
    config_map,
    configure,
    deny,
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


async def test_a_webhook_is_told_all_of_a_request(
    server: RunningServer, http: httpx.AsyncClient, namespace: str, hooks: Hooks
) -> None:
    client = hooks.on("/look", allow)
    await configure(http, VALIDATING, "look", webhook("look", client, rule("configmaps"), namespace=namespace))
    made = await http.post(
        f"{maps(namespace)}?fieldManager=me&fieldValidation=Strict",
        json=config_map("a", metadata={"labels": {"a": "b"}}),
    )
    assert made.status_code == 201, made.text
    changed = await http.patch(f"{maps(namespace)}/a?dryRun=All", json={"data": {"more": "x"}}, headers=MERGE)
    assert changed.status_code == 200, changed.text
    gone = await http.request(
        "DELETE", f"{maps(namespace)}/a", json={"gracePeriodSeconds": 3, "propagationPolicy": "Orphan"}
    )
    assert gone.status_code == 200, gone.text

    create, update, delete = hooks.requests("/look")
    kind = {"group": "", "version": "v1", "kind": "ConfigMap"}
    resource = {"group": "", "version": "v1", "resource": "configmaps"}
    for asked in (create, update, delete):
        assert asked["kind"] == asked["requestKind"] == kind
        assert asked["resource"] == asked["requestResource"] == resource
        assert (asked["name"], asked["namespace"]) == ("a", namespace)
        assert "subResource" not in asked
        assert asked["userInfo"]["username"] == "kubernetes-admin"
        assert asked["userInfo"]["groups"] == ["system:masters", "system:authenticated"]
    assert len({asked["uid"] for asked in (create, update, delete)}) == 3
    assert {(review["kind"], review["apiVersion"]) for review in hooks.reviews} == {
        ("AdmissionReview", "admission.k8s.io/v1")
    }
    assert (create["operation"], create["oldObject"], create["dryRun"]) == ("CREATE", None, False)
    assert create["object"]["data"] == {"key": "value"}
    assert create["object"]["metadata"]["labels"] == {"a": "b"}
    assert create["object"]["metadata"]["managedFields"][0]["manager"] == "me"
    options = {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}
    assert create["options"] == {**options, "fieldManager": "me", "fieldValidation": "Strict"}
    assert (update["operation"], update["dryRun"]) == ("UPDATE", True)
    assert (update["object"]["data"], update["oldObject"]["data"]) == (
        {"key": "value", "more": "x"},
        {"key": "value"},
    )
    assert update["oldObject"]["metadata"]["resourceVersion"] == made.json()["metadata"]["resourceVersion"]
    assert update["options"] == {**options, "kind": "UpdateOptions", "dryRun": ["All"]}
    assert (delete["operation"], delete["object"]) == ("DELETE", None)
    assert delete["oldObject"]["metadata"]["uid"] == made.json()["metadata"]["uid"]
    assert delete["options"] == {
        **options,
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 3,
        "propagationPolicy": "Orphan",
    }


async def test_a_webhook_is_told_who_asks(
    server: RunningServer, http: httpx.AsyncClient, namespace: str, hooks: Hooks
) -> None:
    client = hooks.on("/who", deny())
    await configure(http, VALIDATING, "who", webhook("who", client, rule("configmaps"), namespace=namespace))
    headers = {
        "Impersonate-User": "jane",
        "Impersonate-Uid": "4711",
        "Impersonate-Group": "system:masters",
        "Impersonate-Extra-scopes": "view",
    }
    assert (await http.post(maps(namespace), json=config_map("a"), headers=headers)).status_code == 400
    assert hooks.requests("/who")[0]["userInfo"] == {
        "username": "jane",
        "uid": "4711",
        "groups": ["system:masters", "system:authenticated"],
        "extra": {"scopes": ["view"]},
    }


@pytest.mark.parametrize(
    ("status", "code", "reason", "said"),
    [
        ({"message": "not here"}, 400, None, ": not here"),
        ({"message": "not here", "code": 403, "reason": "Forbidden"}, 403, "Forbidden", ": not here"),
        ({"reason": "Because", "code": 200, "status": "Success"}, 400, "Because", ": Because"),
        ({}, 400, None, " without explanation"),
        ({"code": 429, "reason": "TooManyRequests", "details": {"retryAfterSeconds": 1}}, 429, "TooManyRequests",
         ": TooManyRequests"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("plural", [MUTATING, VALIDATING])
async def test_a_refusal_is_the_webhooks_own(
    http: httpx.AsyncClient,
    namespace: str,
    hooks: Hooks,
    plural: str,
    status: Document,
    code: int,
    reason: str | None,
    said: str,
) -> None:
    client = hooks.on("/no", lambda request: {"allowed": False, "status": status} if status else {"allowed": False})
    await configure(http, plural, "no", webhook("no", client, rule("configmaps"), namespace=namespace))
    answer = await http.post(maps(namespace), json=config_map("a"))
    assert answer.status_code == code
    body = answer.json()
    assert (body["kind"], body["status"], body["code"], body.get("reason")) == ("Status", "Failure", code, reason)
    assert body["message"] == f'admission webhook "no.example.com" denied the request{said}'
    assert body.get("details") == status.get("details")
    assert (await http.get(f"{maps(namespace)}/a")).status_code == 404


async def test_mutating_webhooks_change_one_after_the_other_by_name(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks
) -> None:
    about = rule("configmaps", operations=["CREATE"])
    last = webhook("last", hooks.on("/c", annotate("c")), about, namespace=namespace)
    await configure(http, MUTATING, "b-later", last)
    first = [webhook(name, hooks.on(f"/{name}", annotate(name)), about, namespace=namespace) for name in "ba"]
    await configure(http, MUTATING, "a-first", *first)
    made = await http.post(maps(namespace), json=config_map("a"))
    assert list(made.json()["metadata"]["annotations"]) == ["b", "a", "c"]
    assert [path for path, _ in hooks.asked] == ["/b", "/a", "/c"]
    assert [list(asked["object"]["metadata"].get("annotations") or {}) for _, asked in hooks.asked] == [
        [], ["b"], ["b", "a"],
    ]  # fmt: skip
    read = await http.get(f"{maps(namespace)}/a")
    assert read.json()["metadata"]["annotations"] == {"a": "seen", "b": "seen", "c": "seen"}


async def test_validating_webhooks_see_what_will_be_stored(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks
) -> None:
    about = rule("pods", operations=["CREATE"])
    change = patch(add("/spec/containers/-", {"name": "side", "image": "busybox"}))
    await configure(
        http, MUTATING, "change", webhook("change", hooks.on("/change", change), about, namespace=namespace)
    )
    looks = [webhook(name, hooks.on(f"/{name}", allow), about, namespace=namespace) for name in ("one", "two")]
    await configure(http, VALIDATING, "look", *looks)
    made = await http.post(f"/api/v1/namespaces/{namespace}/pods", json=POD)
    assert made.status_code == 201, made.text
    side = made.json()["spec"]["containers"][1]
    assert (side["name"], side["imagePullPolicy"], side["terminationMessagePath"]) == (
        "side",
        "Always",
        "/dev/termination-log",
    )
    for path in ("/one", "/two"):
        (asked,) = hooks.requests(path)
        assert asked["object"]["spec"]["containers"][1] == side
        assert asked["object"]["metadata"]["uid"] == made.json()["metadata"]["uid"]


async def test_all_validating_webhooks_are_asked_and_the_first_refusal_counts(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks
) -> None:
    said = [
        webhook(name, hooks.on(f"/{name}", deny(name)), rule("configmaps"), namespace=namespace) for name in ("a", "b")
    ]
    await configure(http, VALIDATING, "no", *said)
    answer = await http.post(maps(namespace), json=config_map("a"))
    assert message(answer) == 'admission webhook "a.example.com" denied the request: a'
    assert {path for path, _ in hooks.asked} == {"/a", "/b"}


async def test_a_collection_is_deleted_one_by_one(http: httpx.AsyncClient, namespace: str, hooks: Hooks) -> None:
    for name in ("a", "b", "kept"):
        assert (await http.post(maps(namespace), json=config_map(name))).status_code == 201

    def keep(request: Document) -> Document:
        return deny("keep it")(request) if request["oldObject"]["metadata"]["name"] == "kept" else allow(request)

    about = rule("configmaps", operations=["DELETE"])
    await configure(http, VALIDATING, "keep", webhook("keep", hooks.on("/keep", keep), about, namespace=namespace))
    answer = await http.delete(maps(namespace))
    assert answer.status_code == 400
    assert message(answer) == 'admission webhook "keep.example.com" denied the request: keep it'
    left = (await http.get(maps(namespace))).json()["items"]
    assert [each["metadata"]["name"] for each in left] == ["kept"]
    assert len(hooks.requests("/keep")) == 3


async def test_a_webhook_of_an_older_review(http: httpx.AsyncClient, namespace: str, hooks: Hooks) -> None:
    old = patch(add("/data/old", "yes"), patchType=None)
    hook = webhook("old", hooks.on("/old", old), rule("configmaps"), namespace=namespace)
    await configure(http, MUTATING, "old", {**hook, "admissionReviewVersions": ["v7", "v1beta1", "v1"]})
    made = await http.post(maps(namespace), json=config_map("a"))
    assert made.status_code == 201, made.text
    assert made.json()["data"] == {"key": "value", "old": "yes"}
    assert hooks.reviews[0]["apiVersion"] == "admission.k8s.io/v1beta1"


async def test_warnings_come_to_the_client_cut_to_size(http: httpx.AsyncClient, namespace: str, hooks: Hooks) -> None:
    client = hooks.on("/warn", lambda request: {"allowed": True, "warnings": ["mind this", "mind this", ""]})
    await configure(http, VALIDATING, "warn", webhook("warn", client, rule("configmaps"), namespace=namespace))
    made = await http.post(maps(namespace), json=config_map("a"))
    assert made.headers.get_list("warning") == ['299 - "mind this"']
    many = [f"{number:02} {'x' * 300}" for number in range(20)]
    hooks.on("/warn", lambda request: {"allowed": True, "warnings": many})
    made = await http.post(maps(namespace), json=config_map("b"))
    told = made.headers.get_list("warning")
    assert 10 <= len(told) < 20
    assert {len(text) for text in told} == {256 + len('299 - ""')}
    hooks.on("/warn", lambda request: {**deny("no")(request), "warnings": ["also with a refusal"]})
    refused = await http.post(maps(namespace), json=config_map("c"))
    assert refused.headers.get_list("warning") == ['299 - "also with a refusal"']


@pytest.mark.parametrize("plural", [MUTATING, VALIDATING])
async def test_dry_runs_ask_only_webhooks_that_bear_them(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks, plural: str
) -> None:
    hook = webhook("dry", hooks.on("/dry", allow), rule("configmaps"), namespace=namespace, sideEffects="NoneOnDryRun")
    await configure(http, plural, "dry", hook)
    answer = await http.post(f"{maps(namespace)}?dryRun=All", json=config_map("a"))
    assert answer.status_code == 201, answer.text
    assert [asked["dryRun"] for asked in hooks.requests("/dry")] == [True]
    assert (await http.get(f"{maps(namespace)}/a")).status_code == 404


@pytest.mark.parametrize("plural", [MUTATING, VALIDATING])
async def test_dry_runs_are_refused_for_webhooks_that_do_not_bear_them(
    server: RunningServer, http: httpx.AsyncClient, namespace: str, hooks: Hooks, plural: str
) -> None:
    about = rule("configmaps", operations=["CREATE"])
    hook = webhook("dry", hooks.on("/dry", allow), about, namespace=namespace, failurePolicy="Ignore")
    # Nothing of today's API has these side effects; configurations of old versions do.
    await configure(http, plural, "dry", hook)
    store = server.app.store
    key = f"/admissionregistration.k8s.io/{plural}/dry"
    record = await store.get(key)
    await store.update(
        key, record.value.replace(b'"sideEffects":"None"', b'"sideEffects":"Some"'), expected=record.revision
    )
    answer = await http.post(f"{maps(namespace)}?dryRun=All", json=config_map("a"))
    assert answer.status_code == 400
    assert message(answer) == 'admission webhook "dry.example.com" does not support dry run'
    assert (await http.post(maps(namespace), json=config_map("a"))).status_code == 201
    assert len(hooks.requests("/dry")) == 1


@pytest.mark.parametrize("plural", [MUTATING, VALIDATING])
async def test_changes_of_a_configuration_count_at_once(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks, plural: str
) -> None:
    path = f"{CONFIGURATIONS}/{plural}/no"
    about = rule("configmaps", operations=["UPDATE"])
    await configure(http, plural, "no", webhook("no", hooks.on("/no", deny()), about, namespace=namespace))
    assert (await http.post(maps(namespace), json=config_map("a"))).status_code == 201
    changed: list[dict[str, Any]] = [add("/webhooks/0/rules/0/operations/-", "CREATE")]
    headers = {"content-type": "application/json-patch+json"}
    patched = await http.patch(path, json=changed, headers=headers)
    assert patched.status_code == 200, patched.text
    assert (await http.post(maps(namespace), json=config_map("b"))).status_code == 400
    updated = patched.json()
    updated["webhooks"][0]["rules"][0]["operations"] = ["UPDATE"]
    assert (await http.put(path, json=updated)).status_code == 200
    assert (await http.post(maps(namespace), json=config_map("b"))).status_code == 201
    assert (await http.patch(path, json=changed, headers=headers)).status_code == 200
    assert (await http.post(maps(namespace), json=config_map("c"))).status_code == 400
    assert (await http.delete(path)).status_code == 200
    assert (await http.post(maps(namespace), json=config_map("c"))).status_code == 201


@pytest.mark.parametrize("plural", [MUTATING, VALIDATING])
async def test_configurations_are_listed_and_deleted_together(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks, plural: str
) -> None:
    about, client = rule("configmaps"), hooks.on("/some", allow)
    for name in ("one", "two", "three"):
        hook = webhook(name, client, about, namespace=namespace)
        body = {"metadata": {"name": name, "labels": {"of": namespace}}, "webhooks": [hook]}
        assert (await http.post(f"{CONFIGURATIONS}/{plural}", json=body)).status_code == 201
    selected = {"labelSelector": f"of={namespace}"}
    listed = (await http.get(f"{CONFIGURATIONS}/{plural}", params=selected)).json()
    assert {each["metadata"]["name"] for each in listed["items"]} == {"one", "two", "three"}
    assert (await http.post(maps(namespace), json=config_map("a"))).status_code == 201
    assert len(hooks.asked) == 3
    assert (await http.delete(f"{CONFIGURATIONS}/{plural}", params=selected)).status_code == 200
    assert (await http.post(maps(namespace), json=config_map("b"))).status_code == 201
    assert len(hooks.asked) == 3


async def test_a_slow_webhook_is_waited_for(http: httpx.AsyncClient, namespace: str, hooks: Hooks) -> None:
    hook = webhook("slow", hooks.on("/slow", allow), rule("configmaps"), namespace=namespace, timeoutSeconds=30)
    await configure(http, VALIDATING, "slow", hook)
    hooks.hold()
    making = asyncio.create_task(http.post(maps(namespace), json=config_map("a")))
    await hooks.arrived()
    assert (await http.get(f"{maps(namespace)}/a")).status_code == 404
    assert not making.done()
    hooks.release()
    assert (await making).status_code == 201
