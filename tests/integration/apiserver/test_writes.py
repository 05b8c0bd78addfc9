"""What create, update and patch promise: names, conflicts, generations, dry runs, errors with their causes."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import httpx
import pytest

from k8slite.testing import RunningServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
MERGE = {"content-type": "application/merge-patch+json"}
JSON_PATCH = {"content-type": "application/json-patch+json"}
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}


def deployment(name: str, **spec: Any) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "web:1"}]}}
    return {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": labels}, "template": template, **spec}}


async def test_generate_name_adds_five_characters(http: httpx.AsyncClient) -> None:
    made = (await http.post(CONFIGMAPS, json={"metadata": {"generateName": "gen-"}})).json()
    name = made["metadata"]["name"]
    assert name.startswith("gen-") and len(name) == 9 and made["metadata"]["generateName"] == "gen-"
    relabelled = await http.patch(f"{CONFIGMAPS}/{name}", headers=MERGE, json={"data": {"a": "b"}})
    assert relabelled.status_code == 200


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({}, 422, "metadata.name: Required value: name or generateName is required"),
        ({"metadata": {"name": "A"}}, 422, 'metadata.name: Invalid value: "A": a lowercase RFC 1123 subdomain must'),
        ({"metadata": {"name": "x", "namespace": "other"}}, 400, "the namespace of the provided object does not match"),
        ({"metadata": {"name": "x", "labels": {"a b": "c"}}}, 422, 'metadata.labels: Invalid value: "a b": name part'),
        ({"metadata": {"name": "x", "resourceVersion": "5"}}, 400, "resourceVersion should not be set"),
        ({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "x"}}, 400, "cannot be handled as a ConfigMap"),
        ({"metadata": {"name": "x"}, "data": {"a/b": "c"}}, 422, 'data[a/b]: Invalid value: "a/b"'),
    ],
)
async def test_create_refuses_in_kubernetes_words(
    http: httpx.AsyncClient, body: dict[str, Any], code: int, words: str
) -> None:
    answer = await http.post(CONFIGMAPS, json=body)
    status = answer.json()
    assert (answer.status_code, status["code"], status["kind"]) == (code, code, "Status")
    assert words in status["message"]


async def test_every_cause_is_named(http: httpx.AsyncClient) -> None:
    body = {"metadata": {"name": "bad"}, "spec": {"containers": [{"name": "Main"}], "restartPolicy": "Sometimes"}}
    status = (await http.post(PODS, json=body)).json()
    causes = {cause["field"]: cause["reason"] for cause in status["details"]["causes"]}
    assert causes == {
        "spec.containers[0].name": "FieldValueInvalid",
        "spec.containers[0].image": "FieldValueRequired",
        "spec.restartPolicy": "FieldValueNotSupported",
    }
    assert "spec.containers[0].image: Required value" in status["message"]


async def test_unknown_fields_warn_or_are_refused(http: httpx.AsyncClient) -> None:
    body = {"metadata": {"name": "unknown"}, "dta": {}}
    warned = await http.post(CONFIGMAPS, json=body, params={"dryRun": "All"})
    assert warned.status_code == 201 and "dta" not in warned.json()
    assert warned.headers["warning"] == '299 - "unknown field \\"dta\\""'
    refused = await http.post(CONFIGMAPS, json=body, params={"fieldValidation": "Strict"})
    assert refused.status_code == 400 and 'unknown field "dta"' in refused.json()["message"]


async def test_dry_run_stores_nothing(http: httpx.AsyncClient) -> None:
    url = f"{CONFIGMAPS}/dry"
    made = await http.post(CONFIGMAPS, json={"metadata": {"name": "dry"}}, params={"dryRun": "All"})
    assert made.status_code == 201 and made.json()["metadata"]["uid"]
    assert (await http.get(url)).status_code == 404
    await http.post(CONFIGMAPS, json={"metadata": {"name": "dry"}})
    patched = await http.patch(url, headers=MERGE, json={"data": {"a": "b"}}, params={"dryRun": "All"})
    assert patched.json()["data"] == {"a": "b"}
    assert "data" not in (await http.get(url)).json()
    assert (await http.delete(url, params={"dryRun": "All"})).status_code == 200
    assert (await http.get(url)).status_code == 200


async def test_generation_counts_changes_of_the_spec_only(http: httpx.AsyncClient) -> None:
    url = f"{DEPLOYMENTS}/generations"
    made = (await http.post(DEPLOYMENTS, json=deployment("generations"))).json()
    assert made["metadata"]["generation"] == 1 and made["status"] == {}
    labelled = await http.patch(url, headers=MERGE, json={"metadata": {"labels": {"a": "b"}}})
    assert labelled.json()["metadata"]["generation"] == 1
    scaled = await http.patch(url, headers=MERGE, json={"spec": {"replicas": 3}})
    assert scaled.json()["metadata"]["generation"] == 2
    reported = await http.patch(
        f"{url}/status", headers=MERGE, json={"status": {"replicas": 3}, "spec": {"replicas": 9}}
    )
    assert reported.json()["status"] == {"replicas": 3}
    assert (reported.json()["metadata"]["generation"], reported.json()["spec"]["replicas"]) == (2, 3)
    ignored = await http.patch(url, headers=MERGE, json={"status": {"replicas": 7}})
    assert ignored.json()["status"] == {"replicas": 3}


async def test_immutable_fields_are_held(http: httpx.AsyncClient) -> None:
    url = f"{DEPLOYMENTS}/immutable"
    await http.post(DEPLOYMENTS, json=deployment("immutable"))
    other = {"spec": {"selector": {"matchLabels": {"app": "immutable", "b": "c"}}}}
    other["spec"]["template"] = {"metadata": {"labels": {"b": "c"}}}
    refused = await http.patch(url, headers=MERGE, json=other)
    assert refused.status_code == 422
    assert [cause["field"] for cause in refused.json()["details"]["causes"]] == ["spec.selector"]
    assert refused.json()["message"].endswith("field is immutable")
    moved = await http.patch(url, headers=MERGE, json={"metadata": {"uid": "another"}})
    assert moved.status_code == 409


async def test_selector_must_match_the_template(http: httpx.AsyncClient) -> None:
    body = deployment("mismatch")
    body["spec"]["selector"] = {"matchLabels": {"app": "other"}}
    refused = (await http.post(DEPLOYMENTS, json=body)).json()
    assert refused["message"].endswith("`selector` does not match template `labels`")


async def test_patches_of_all_kinds(http: httpx.AsyncClient) -> None:
    url = f"{DEPLOYMENTS}/patched"
    await http.post(DEPLOYMENTS, json=deployment("patched"))
    operations = [
        {"op": "test", "path": "/spec/replicas", "value": 1},
        {"op": "replace", "path": "/spec/replicas", "value": 2},
    ]
    assert (await http.patch(url, headers=JSON_PATCH, json=operations)).json()["spec"]["replicas"] == 2
    failed = await http.patch(url, headers=JSON_PATCH, json=operations)
    assert failed.status_code == 422
    sidecar = {"spec": {"template": {"spec": {"containers": [{"name": "sidecar", "image": "log:1"}]}}}}
    merged = (await http.patch(url, headers=STRATEGIC, json=sidecar)).json()
    assert [c["name"] for c in merged["spec"]["template"]["spec"]["containers"]] == ["sidecar", "main"]
    replaced = (await http.patch(url, headers=MERGE, json=sidecar)).json()
    assert [c["name"] for c in replaced["spec"]["template"]["spec"]["containers"]] == ["sidecar"]
    unknown = await http.patch(url, headers={"content-type": "application/json"}, json={})
    assert unknown.status_code == 415


async def test_patch_without_a_revision_wins_every_race(http: httpx.AsyncClient) -> None:
    url = f"{CONFIGMAPS}/raced"
    await http.post(CONFIGMAPS, json={"metadata": {"name": "raced"}})
    answers = await asyncio.gather(
        *(http.patch(url, headers=MERGE, json={"data": {f"key-{n}": "x"}}) for n in range(20))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len((await http.get(url)).json()["data"]) == 20


async def test_patch_with_a_stale_revision_conflicts(http: httpx.AsyncClient) -> None:
    url = f"{CONFIGMAPS}/stale"
    made = (await http.post(CONFIGMAPS, json={"metadata": {"name": "stale"}})).json()
    await http.patch(url, headers=MERGE, json={"data": {"a": "b"}})
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"a": "c"}}
    refused = await http.patch(url, headers=MERGE, json=stale)
    assert refused.status_code == 409 and "please apply your changes to the latest version" in refused.json()["message"]


async def test_yaml_goes_in_and_out(http: httpx.AsyncClient) -> None:
    body = "metadata:\n  name: yaml\ndata:\n  a: b\n"
    made = await http.post(
        CONFIGMAPS, content=body, headers={"content-type": "application/yaml", "accept": "application/yaml"}
    )
    assert made.status_code == 201 and made.headers["content-type"] == "application/yaml"
    assert "data:\n  a: b\n" in made.text
    broken = await http.post(CONFIGMAPS, content="a: [b\nc: d", headers={"content-type": "application/yaml"})
    assert broken.status_code == 400 and "line 2" in broken.json()["message"]


async def test_bodies_that_are_refused(http: httpx.AsyncClient) -> None:
    odd = await http.post(CONFIGMAPS, content="<x/>", headers={"content-type": "application/xml"})
    assert odd.status_code == 415
    broken = await http.post(CONFIGMAPS, content="{", headers={"content-type": "application/json"})
    assert broken.status_code == 400
    huge = await http.post(CONFIGMAPS, json={"metadata": {"name": "huge"}, "data": {"a": "x" * (4 << 20)}})
    assert huge.status_code == 413
    unacceptable = await http.get(CONFIGMAPS, headers={"accept": "text/html"})
    assert unacceptable.status_code == 406


async def test_update_needs_the_right_name(http: httpx.AsyncClient) -> None:
    await http.post(CONFIGMAPS, json={"metadata": {"name": "named"}})
    wrong = await http.put(f"{CONFIGMAPS}/named", json={"metadata": {"name": "other"}})
    assert wrong.status_code == 400 and "does not match the name on the URL" in wrong.json()["message"]
    missing = await http.put(f"{CONFIGMAPS}/absent", json={"metadata": {"name": "absent"}})
    assert missing.status_code == 404
    unconditional = await http.put(f"{CONFIGMAPS}/named", json={"metadata": {"name": "named"}, "data": {"a": "b"}})
    assert unconditional.status_code == 200 and unconditional.json()["data"] == {"a": "b"}
    assert unconditional.json()["metadata"]["uid"]


async def test_revision_zero_means_any(http: httpx.AsyncClient) -> None:
    body = {"metadata": {"name": "zero", "resourceVersion": "0"}}
    assert (await http.post(CONFIGMAPS, json=body)).status_code == 201
    changed = await http.put(f"{CONFIGMAPS}/zero", json={**body, "data": {"a": "b"}})
    assert changed.status_code == 200 and changed.json()["data"] == {"a": "b"}
    patched = await http.patch(f"{CONFIGMAPS}/zero", headers=MERGE, json={**body, "data": {"a": "c"}})
    assert patched.status_code == 200 and patched.json()["data"] == {"a": "c"}


async def test_what_the_system_says_is_not_taken_from_a_put(http: httpx.AsyncClient) -> None:
    made = (await http.post(CONFIGMAPS, json={"metadata": {"name": "system"}})).json()["metadata"]
    wanted = {"name": "system", "uid": "", "creationTimestamp": "2001-01-01T00:00:00Z", "generation": 7}
    kept = (await http.put(f"{CONFIGMAPS}/system", json={"metadata": wanted})).json()["metadata"]
    assert {name: kept.get(name) for name in ("uid", "creationTimestamp", "generation")} == {
        "uid": made["uid"],
        "creationTimestamp": made["creationTimestamp"],
        "generation": None,
    }
    for name, value in (("deletionTimestamp", "2001-01-01T00:00:00Z"), ("deletionGracePeriodSeconds", 5)):
        refused = await http.put(f"{CONFIGMAPS}/system", json={"metadata": {"name": "system", name: value}})
        assert refused.status_code == 422
        assert f"metadata.{name}: Invalid value" in refused.json()["message"]


async def test_an_object_of_the_cluster_has_no_namespace(http: httpx.AsyncClient) -> None:
    made = await http.post("/api/v1/nodes", json={"metadata": {"name": "placeless", "namespace": "foo"}})
    assert made.status_code == 201 and "namespace" not in made.json()["metadata"]


async def test_leases_are_made_by_put(http: httpx.AsyncClient) -> None:
    url = "/apis/coordination.k8s.io/v1/namespaces/default/leases/put"
    made = await http.put(url, json={"metadata": {"name": "put"}, "spec": {"holderIdentity": "a"}})
    assert made.status_code == 201


@pytest.mark.parametrize(
    ("method", "url", "code"),
    [
        ("GET", "/api/v1/widgets", 404),
        ("GET", "/apis/none.example.com/v1/widgets", 404),
        ("POST", "/api/v1/pods", 405),
        ("DELETE", "/api/v1/namespaces", 405),
        ("GET", "/api/v1/namespaces/default/pods/a/nothing", 404),
        ("PUT", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews/x", 405),
        ("POST", "/api/v1/namespaces/absent/configmaps", 404),
    ],
)
async def test_paths_that_do_not_exist(http: httpx.AsyncClient, method: str, url: str, code: int) -> None:
    answer = await http.request(method, url, json={"metadata": {"name": "x"}} if method != "GET" else None)
    assert answer.status_code == code, answer.text
    assert answer.json()["kind"] == "Status"


async def test_secret_strings_become_data(http: httpx.AsyncClient) -> None:
    url = "/api/v1/namespaces/default/secrets"
    made = (await http.post(url, json={"metadata": {"name": "texts"}, "stringData": {"a": "b"}})).json()
    assert made["data"] == {"a": "Yg=="} and "stringData" not in made and made["type"] == "Opaque"
    retyped = await http.patch(f"{url}/texts", headers=MERGE, json={"type": "kubernetes.io/tls"})
    assert retyped.status_code == 422
    await http.patch(f"{url}/texts", headers=MERGE, json={"immutable": True})
    changed = await http.patch(f"{url}/texts", headers=MERGE, json={"stringData": {"a": "c"}})
    assert "field is immutable when `immutable` is set" in changed.json()["message"]


async def test_job_finds_its_pods_by_its_uid(http: httpx.AsyncClient) -> None:
    url = "/apis/batch/v1/namespaces/default/jobs"
    spec = {"template": {"spec": {"containers": [{"name": "a", "image": "b"}], "restartPolicy": "Never"}}}
    made = (await http.post(url, json={"metadata": {"name": "once"}, "spec": spec})).json()
    uid = made["metadata"]["uid"]
    assert made["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    assert made["spec"]["template"]["metadata"]["labels"]["job-name"] == "once"
    assert (made["spec"]["completions"], made["spec"]["backoffLimit"]) == (1, 6)
    spec["template"]["spec"].pop("restartPolicy")
    refused = (await http.post(url, json={"metadata": {"name": "never"}, "spec": spec})).json()
    assert 'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"' in refused["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{CONFIGMAPS}/name"),
        ("PUT", CONFIGMAPS),
        ("PATCH", CONFIGMAPS),
        ("POST", "/api/v1/namespaces/default"),
    ],
)
async def test_writes_go_to_the_path_that_is_theirs(http: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await http.request(method, path, headers=MERGE if method == "PATCH" else {}, json={})
    assert (answer.status_code, answer.json()["reason"]) == (405, "MethodNotAllowed")
    assert answer.json()["message"] == "the server does not allow this method on the requested resource"


async def test_a_workload_without_selector_or_with_another_says_so_beside_its_other_faults(
    http: httpx.AsyncClient,
) -> None:
    words = "`selector` does not match template `labels`"
    for spec in ({"selector": None}, {"selector": {"matchLabels": {"app": "other"}}}):
        status = (await http.post(DEPLOYMENTS, json=deployment("odd", replicas=-1, **spec))).json()
        assert "spec.replicas: Invalid value: -1" in status["message"] and words in status["message"]


async def test_a_name_that_is_taken_is_told_from_one_that_becomes_free(http: httpx.AsyncClient) -> None:
    body = {"metadata": {"name": "taken", "finalizers": ["example.com/hold"]}}
    await http.post(CONFIGMAPS, json=body)
    again = (await http.post(CONFIGMAPS, json=body)).json()
    assert (again["reason"], again["message"]) == ("AlreadyExists", 'configmaps "taken" already exists')
    await http.delete(f"{CONFIGMAPS}/taken")
    again = (await http.post(CONFIGMAPS, json=body)).json()
    assert again["message"] == 'object is being deleted: configmaps "taken" already exists'
    await http.patch(f"{CONFIGMAPS}/taken", headers=MERGE, json={"metadata": {"finalizers": None}})


async def test_generated_names_are_tried_again_and_not_forever(server: RunningServer, http: httpx.AsyncClient) -> None:
    registry = server.app.registry
    source = registry.source
    try:
        registry.source = random.Random(1)
        first = (await http.post(CONFIGMAPS, json={"metadata": {"generateName": "again-"}})).json()["metadata"]["name"]
        registry.source = random.Random(1)
        second = await http.post(CONFIGMAPS, json={"metadata": {"generateName": "again-"}})
        assert second.status_code == 201 and second.json()["metadata"]["name"] != first
        registry.source = Fixed()
        assert (await http.post(CONFIGMAPS, json={"metadata": {"generateName": "again-"}})).status_code == 201
        for params in ({}, {"dryRun": "All"}):
            refused = await http.post(CONFIGMAPS, json={"metadata": {"generateName": "again-"}}, params=params)
            assert (refused.status_code, refused.json()["details"]["retryAfterSeconds"]) == (409, 1)
            assert refused.json()["message"].endswith(
                "already exists, the server was not able to generate a unique name for the object"
            )
    finally:
        registry.source = source


class Fixed(random.Random):
    """Chooses the same letters forever."""

    def choices(self, population: Any, weights: Any = None, *, cum_weights: Any = None, k: int = 1) -> Any:
        return [population[0]] * k


async def test_owners_named_twice_are_named_once(http: httpx.AsyncClient) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u"}
    other = {**owner, "blockOwnerDeletion": True}
    body = {"metadata": {"name": "owned", "ownerReferences": [owner, other, owner]}}
    made = await http.post(CONFIGMAPS, json=body)
    assert made.json()["metadata"]["ownerReferences"] == [owner, other]
    assert "contains duplicate entries; API server dedups" in made.headers["warning"]
    put = await http.put(f"{CONFIGMAPS}/owned", json=body)
    assert put.json()["metadata"]["resourceVersion"] == made.json()["metadata"]["resourceVersion"]
    assert put.headers["warning"] == made.headers["warning"]
    patched = await http.patch(f"{CONFIGMAPS}/owned", headers=MERGE, json={"metadata": body["metadata"]})
    assert patched.json()["metadata"]["ownerReferences"] == [owner, other]
    assert "duplicate entries after mutating admission happens" in patched.headers["warning"]


async def test_warnings_fit_into_what_clients_take(http: httpx.AsyncClient) -> None:
    body = {"metadata": {"name": "warned"}, **{f"field{n}{'x' * 300}": 1 for n in range(40)}}
    warned = await http.post(CONFIGMAPS, json=body)
    headers = warned.headers.get_list("warning")
    assert warned.status_code == 201 and len(headers) == 16
    assert all(len(header) < 300 for header in headers)


async def test_a_warning_repeats_no_control_characters(http: httpx.AsyncClient) -> None:
    made = await http.post(CONFIGMAPS, json={"metadata": {"name": "odd"}, "a\0b\rc\nd\x85e": 1})
    assert made.status_code == 201
    assert made.headers["warning"] == '299 - "unknown field \\"a b c d e\\""'


async def test_an_object_has_the_size_that_etcd_allows(http: httpx.AsyncClient) -> None:
    def images(count: int) -> dict[str, Any]:
        return {
            "metadata": {"name": "large", "labels": {"a": "b"}},
            "status": {"images": [{"names": ["x" * 1000]}] * count},
        }

    made = await http.post("/api/v1/nodes", json=images(1500))
    assert made.status_code == 201 and "managedFields" in made.json()["metadata"]
    for refused in (
        await http.post("/api/v1/nodes", json=images(1600)),
        await http.patch("/api/v1/nodes/large/status", headers=MERGE, json=images(1600)),
    ):
        status = refused.json()
        assert (status["code"], status["message"]) == (500, "etcdserver: request is too large")
        assert "reason" not in status


async def test_entries_of_managers_give_way_in_an_object_that_is_too_large(http: httpx.AsyncClient) -> None:
    fields = {"f:data": {f"f:{'k' * 200}{n}": {} for n in range(3000)}}
    entry = {"manager": "m", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields}
    body = {"metadata": {"name": "crowded", "managedFields": [entry]}, "data": {"a": "x" * 1_000_000}}
    made = await http.post(CONFIGMAPS, json=body)
    assert made.status_code == 201 and "managedFields" not in made.json()["metadata"]
