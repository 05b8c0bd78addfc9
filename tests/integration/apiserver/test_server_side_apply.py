"""Server-side apply and the ownership of fields, as clients see them, over memory and SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio
import yaml

from k8slite.testing import RunningServer, running_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
SERVICES = "/api/v1/namespaces/default/services"
MERGE = {"content-type": "application/merge-patch+json"}
JSON_PATCH = {"content-type": "application/json-patch+json"}
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["memory", "sqlite"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[RunningServer]:
    async with running_server(store=request.param) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with server.http() as client:
        client.headers["user-agent"] = "Mozilla/5.0 (test)"
        yield client


def configmap(name: str, data: dict[str, str] | None = None, **metadata: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}
    return body if data is None else {**body, "data": data}


def deployment(name: str, **spec: Any) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "web:1"}]}}
    spec = {"selector": {"matchLabels": labels}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


async def apply(http: httpx.AsyncClient, url: str, body: Any, manager: str = "me", **query: Any) -> httpx.Response:
    content = body if isinstance(body, (str, bytes)) else orjson.dumps(body)
    return await http.patch(url, content=content, headers=APPLY, params={"fieldManager": manager, **query})


def owned(body: dict[str, Any]) -> dict[tuple[str, str, str], Any]:
    """(manager, operation, subresource) → its set of fields."""
    return {
        (entry["manager"], entry["operation"], entry.get("subresource", "")): entry["fieldsV1"]
        for entry in body["metadata"].get("managedFields", [])
    }


async def test_every_writer_is_named(http: httpx.AsyncClient) -> None:
    url = f"{CONFIGMAPS}/writers"
    made = (await http.post(CONFIGMAPS, json=configmap("writers", {"a": "1"}))).json()
    (entry,) = made["metadata"]["managedFields"]
    assert entry.pop("time") == made["metadata"]["creationTimestamp"]
    assert entry == {
        "manager": "Mozilla",
        "operation": "Update",
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {".": {}, "f:a": {}}},
    }
    for number, (kind, body) in enumerate(
        [
            (MERGE, {"data": {"m": "1"}}),
            (STRATEGIC, {"data": {"s": "1"}}),
            (JSON_PATCH, [{"op": "add", "path": "/data/j", "value": "1"}]),
        ]
    ):
        await http.patch(url, content=orjson.dumps(body), headers=kind, params={"fieldManager": f"p{number}"})
    current = (await http.get(url)).json()
    current["data"]["a"] = "2"
    put = await http.put(url, json=current, params={"fieldManager": "putter"})
    assert owned(put.json()) == {
        ("Mozilla", "Update", ""): {"f:data": {}},
        ("p0", "Update", ""): {"f:data": {"f:m": {}}},
        ("p1", "Update", ""): {"f:data": {"f:s": {}}},
        ("p2", "Update", ""): {"f:data": {"f:j": {}}},
        ("putter", "Update", ""): {"f:data": {"f:a": {}}},
    }


async def test_apply_makes_what_is_not_there(http: httpx.AsyncClient) -> None:
    url = f"{CONFIGMAPS}/made"
    dry = await apply(http, url, configmap("made", {"a": "1"}), dryRun="All")
    assert dry.status_code == 201 and (await http.get(url)).status_code == 404
    made = await apply(http, url, yaml.safe_dump(configmap("made", {"a": "1"}, labels={"l": "1"})))
    assert made.status_code == 201
    assert owned(made.json()) == {("me", "Apply", ""): {"f:data": {"f:a": {}}, "f:metadata": {"f:labels": {"f:l": {}}}}}
    again = await apply(http, url, configmap("made", {"a": "1"}, labels={"l": "1"}))
    assert again.status_code == 200
    assert again.json() == made.json(), "an apply that changes nothing is no write"


async def test_conflicts_name_manager_and_field(http: httpx.AsyncClient) -> None:
    url = f"{DEPLOYMENTS}/conflicts"
    body = deployment("conflicts", replicas=1)
    await http.post(DEPLOYMENTS, json=body, params={"fieldManager": "maker"})
    wanted = deployment("conflicts", replicas=2)
    wanted["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2"
    refused = await apply(http, url, wanted)
    status = refused.json()
    assert (refused.status_code, status["reason"]) == (409, "Conflict")
    assert status["message"] == (
        'Apply failed with 2 conflicts: conflicts with "maker" using apps/v1:\n- .spec.replicas\n'
        '- .spec.template.spec.containers[name="main"].image'
    )
    assert status["details"] == {
        "causes": [
            {"reason": "FieldManagerConflict", "message": 'conflict with "maker" using apps/v1', "field": field}
            for field in (".spec.replicas", '.spec.template.spec.containers[name="main"].image')
        ]
    }
    assert (await http.get(url)).json()["spec"]["replicas"] == 1
    one = deployment("conflicts", replicas=2)
    assert (await apply(http, url, one)).json()["message"] == (
        'Apply failed with 1 conflict: conflict with "maker" using apps/v1: .spec.replicas'
    )
    forced = await apply(http, url, wanted, force="true")
    assert forced.status_code == 200 and forced.json()["spec"]["replicas"] == 2
    found = owned(forced.json())
    assert "f:replicas" in found["me", "Apply", ""]["f:spec"]
    assert "f:replicas" not in found["maker", "Update", ""]["f:spec"]
    assert "f:strategy" in found["maker", "Update", ""]["f:spec"], "what was not contested stays"


async def test_what_is_no_longer_applied_is_removed_unless_shared(http: httpx.AsyncClient) -> None:
    url = f"{CONFIGMAPS}/removal"
    await apply(http, url, configmap("removal", {"a": "1", "b": "1"}, labels={"l": "1"}), "one")
    await apply(http, url, configmap("removal", {"b": "1", "c": "1"}), "two")
    left = (await apply(http, url, configmap("removal", {}), "one")).json()
    assert left["data"] == {"b": "1", "c": "1"} and "labels" not in left["metadata"]
    gone = (await apply(http, url, configmap("removal"), "two")).json()
    assert "data" not in gone or gone["data"] == {}


async def test_elements_of_lists_are_told_apart_by_their_keys(http: httpx.AsyncClient) -> None:
    def service(*ports: dict[str, Any], **spec: Any) -> dict[str, Any]:
        meta = {"name": "keyed"}
        return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": list(ports), **spec}}

    url = f"{SERVICES}/keyed"
    web, dns = {"name": "web", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}
    await apply(http, url, service(web, selector={"app": "x"}), "one")
    both = (await apply(http, url, service(dns), "two")).json()
    assert [(port["port"], port["protocol"]) for port in both["spec"]["ports"]] == [(80, "TCP"), (53, "UDP")]
    renamed = service({"name": "other", "port": 80, "protocol": "TCP", "targetPort": 8080})
    assert (await apply(http, url, renamed, "three")).json()["message"] == (
        'Apply failed with 1 conflict: conflict with "one": .spec.ports[port=80,protocol="TCP"].name'
    )
    after = (await apply(http, url, service(web, selector={"b": "y"}), "one")).json()
    assert after["spec"]["selector"] == {"b": "y"}, "a selector is one thing"
    twice = await apply(http, url, service(web, {**web, "protocol": "TCP"}), "one")
    assert twice.status_code == 400
    assert '.spec.ports: duplicate entries for key [port=80,protocol="TCP"]' in twice.json()["message"]


async def test_sets_and_finalizers_merge(http: httpx.AsyncClient) -> None:
    url = f"{CONFIGMAPS}/sets"
    await apply(http, url, configmap("sets", finalizers=["example.com/a"]), "one")
    both = (await apply(http, url, configmap("sets", finalizers=["example.com/b"]), "two")).json()
    assert both["metadata"]["finalizers"] == ["example.com/a", "example.com/b"]
    left = (await apply(http, url, configmap("sets"), "one")).json()
    assert left["metadata"]["finalizers"] == ["example.com/b"]
    await apply(http, url, configmap("sets"), "two")


async def test_subresources_are_owned_apart(http: httpx.AsyncClient) -> None:
    url = f"{DEPLOYMENTS}/apart"
    await apply(http, url, deployment("apart", replicas=1), "spec")
    state = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "apart"}}
    reported = await apply(http, f"{url}/status", {**state, "status": {"replicas": 1}}, "spec")
    assert owned(reported.json())["spec", "Apply", "status"] == {"f:status": {"f:replicas": {}}}
    patched = await http.patch(
        f"{url}/status", json={"status": {"readyReplicas": 1}, "spec": {"replicas": 9}}, headers=MERGE
    )
    assert owned(patched.json())["Mozilla", "Update", "status"] == {"f:status": {"f:readyReplicas": {}}}
    again = (await apply(http, url, {**deployment("apart", replicas=1), "status": {"replicas": 7}}, "spec")).json()
    assert again["status"] == {"replicas": 1, "readyReplicas": 1}
    assert "f:status" not in owned(again)["spec", "Apply", ""]
    nothing = await apply(http, f"{DEPLOYMENTS}/nothing/status", {**state, "metadata": {"name": "nothing"}}, "spec")
    assert nothing.status_code == 404


async def test_scaling_takes_the_replicas(http: httpx.AsyncClient) -> None:
    url = f"{DEPLOYMENTS}/scaled"
    await apply(http, url, deployment("scaled", replicas=1), "one")
    body = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "scaled"}, "spec": {"replicas": 3}}
    refused = await apply(http, f"{url}/scale", body, "hpa")
    assert refused.status_code == 409
    assert refused.json()["message"] == 'Apply failed with 1 conflict: conflict with "one": .spec.replicas'
    scaled = await http.patch(
        f"{url}/scale", json={"spec": {"replicas": 3}}, headers=MERGE, params={"fieldManager": "hpa"}
    )
    assert scaled.json()["spec"] == {"replicas": 3} and "managedFields" not in scaled.json()["metadata"]
    found = owned((await http.get(url)).json())
    assert found["hpa", "Update", "scale"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in found["one", "Apply", ""]["f:spec"]
    assert (await apply(http, url, deployment("scaled", replicas=1), "one")).json()["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "hpa" with subresource "scale" using apps/v1',
            "field": ".spec.replicas",
        }
    ]
    forced = await apply(http, f"{url}/scale", body | {"spec": {"replicas": 5}}, "autoscaler", force="true")
    assert forced.json()["spec"] == {"replicas": 5}
    assert owned((await http.get(url)).json())["autoscaler", "Apply", "scale"] == {"f:spec": {"f:replicas": {}}}


@pytest.mark.parametrize(
    ("body", "query", "code", "words"),
    [
        (configmap("wrong"), {"fieldManager": ""}, 422, "fieldManager: Required value: is required for apply patch"),
        (
            configmap("wrong"),
            {"fieldManager": "x" * 129},
            422,
            "fieldManager: Too long: may not be more than 128",
        ),
        (configmap("wrong"), {"fieldManager": "a\nb"}, 422, "invalid character U+000A (at position 1)"),
        (configmap("wrong", managedFields=[]), {}, 400, "metadata.managedFields must be nil"),
        ({"metadata": {"name": "wrong"}}, {}, 400, "invalid object type: /, Kind="),
        ({**configmap("wrong"), "kind": "Secret"}, {}, 400, "invalid object type: /v1, Kind=Secret"),
        ({**configmap("wrong"), "dta": {}}, {}, 400, "ConfigMap): .dta: field not declared in schema"),
        (configmap("other"), {}, 400, "the name of the object (other) does not match the name on the URL (wrong)"),
        ({"apiVersion": "v1", "kind": "ConfigMap"}, {}, 400, "was undeterminable: name must be provided"),
        (configmap("wrong", uid="u"), {}, 409, "uid mismatch: the provided object specified uid u, and no existing"),
        (configmap("wrong", namespace="other"), {}, 400, "the namespace of the provided object does not match"),
        ("a: [", {}, 400, "error decoding YAML: error converting YAML to JSON: yaml: line"),
        ("- a", {}, 400, "cannot unmarshal array into Go value of type map[string]interface {}"),
        ({**configmap("wrong"), "data": "x"}, {}, 400, ".data: expected map, got"),
    ],
)
async def test_apply_refuses_in_kubernetes_words(
    http: httpx.AsyncClient, body: Any, query: dict[str, str], code: int, words: str
) -> None:
    content = body if isinstance(body, str) else orjson.dumps(body)
    params = {"fieldManager": "me", **query}
    refused = await http.patch(f"{CONFIGMAPS}/wrong", content=content, headers=APPLY, params=params)
    assert (refused.status_code, words in refused.json()["message"]) == (code, True), refused.text
    assert (await http.get(f"{CONFIGMAPS}/wrong")).status_code == 404


async def test_repeated_keys_warn_or_are_refused(http: httpx.AsyncClient) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: twice\ndata:\n  a: x\n  a: z\n"
    words = 'line 7: key "a" already set in map'
    warned = await apply(http, f"{CONFIGMAPS}/twice", text, dryRun="All")
    assert warned.status_code == 201 and words.replace('"', '\\"') in warned.headers["warning"]
    refused = await apply(http, f"{CONFIGMAPS}/twice", text, fieldValidation="Strict")
    assert refused.status_code == 400 and words in refused.json()["message"]
    ignored = await apply(http, f"{CONFIGMAPS}/twice", text, fieldValidation="Ignore", dryRun="All")
    assert ignored.status_code == 201 and "warning" not in ignored.headers


async def test_force_means_nothing_to_other_patches(http: httpx.AsyncClient) -> None:
    await http.post(CONFIGMAPS, json=configmap("force"))
    refused = await http.patch(f"{CONFIGMAPS}/force", json={}, headers=MERGE, params={"force": "true"})
    assert refused.status_code == 422
    assert "force: Forbidden: may not be specified for non-apply patch" in refused.json()["message"]


async def test_preconditions_hold(http: httpx.AsyncClient) -> None:
    url = f"{CONFIGMAPS}/preconditions"
    made = (await apply(http, url, configmap("preconditions", {"a": "1"}))).json()["metadata"]
    stale = await apply(http, url, configmap("preconditions", {"a": "2"}, resourceVersion="1"))
    assert stale.status_code == 409 and "the object has been modified" in stale.json()["message"]
    other = await apply(http, url, configmap("preconditions", {"a": "2"}, uid="other"))
    assert other.status_code == 409 and "Precondition failed: UID in precondition: other" in other.json()["message"]
    right = configmap("preconditions", {"a": "2"}, uid=made["uid"], resourceVersion=made["resourceVersion"])
    assert (await apply(http, url, right)).status_code == 200


async def test_entries_can_be_written_and_reset(http: httpx.AsyncClient) -> None:
    url = f"{CONFIGMAPS}/entries"
    made = (await http.post(CONFIGMAPS, json=configmap("entries", {"a": "1"}))).json()
    (entry,) = made["metadata"]["managedFields"]
    renamed = [{"op": "replace", "path": "/metadata/managedFields/0/manager", "value": "other"}]
    patched = await http.patch(url, content=orjson.dumps(renamed), headers=JSON_PATCH)
    assert list(owned(patched.json())) == [("other", "Update", "")]
    broken = {"metadata": {"managedFields": [{**entry, "fieldsV1": {"nonsense": {}}}]}}
    kept = await http.patch(url, json=broken, headers=MERGE)
    assert list(owned(kept.json())) == [("other", "Update", "")]
    reset = await http.patch(url, json={"metadata": {"managedFields": [{}]}}, headers=MERGE)
    assert "managedFields" not in reset.json()["metadata"]
    untracked = await http.patch(url, json={"data": {"b": "1"}}, headers=MERGE)
    assert "managedFields" not in untracked.json()["metadata"]
    refused = await apply(http, url, configmap("entries", {"a": "9"}))
    assert 'conflict with "before-first-apply" using v1: .data.a' in refused.json()["message"]


async def test_times_move_only_with_what_is_written(http: httpx.AsyncClient) -> None:
    url = f"{CONFIGMAPS}/times"
    made = (await http.post(CONFIGMAPS, json=configmap("times", {"a": "1"}))).json()
    same = await http.put(url, json=configmap("times", {"a": "1"}), params={"fieldManager": "other"})
    assert same.json() == made
    await http.patch(url, json={"data": {"b": "1"}}, headers=MERGE, params={"fieldManager": "other"})
    after = (await http.get(url)).json()["metadata"]["managedFields"]
    assert after[0] == made["metadata"]["managedFields"][0]


async def test_pods_do_not_own_what_the_system_adds(http: httpx.AsyncClient) -> None:
    pod = {"metadata": {"name": "plain"}, "spec": {"containers": [{"name": "main", "image": "web:1"}]}}
    made = (await http.post(PODS, json=pod)).json()
    (fields,) = owned(made).values()
    assert fields == {
        "f:spec": {
            "f:containers": {
                'k:{"name":"main"}': {
                    ".": {},
                    "f:image": {},
                    "f:imagePullPolicy": {},
                    "f:name": {},
                    "f:resources": {},
                    "f:terminationMessagePath": {},
                    "f:terminationMessagePolicy": {},
                }
            },
            "f:dnsPolicy": {},
            "f:enableServiceLinks": {},
            "f:restartPolicy": {},
            "f:schedulerName": {},
            "f:securityContext": {},
            "f:terminationGracePeriodSeconds": {},
        }
    }
    assert made["spec"]["tolerations"] and made["status"]["phase"] == "Pending"


async def test_other_versions_of_a_kind_keep_their_owners(http: httpx.AsyncClient) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}
    body = {
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "versions"},
        "spec": {"scaleTargetRef": target, "maxReplicas": 3, "targetCPUUtilizationPercentage": 80},
    }
    one, two = (f"/apis/autoscaling/{v}/namespaces/default/horizontalpodautoscalers/versions" for v in ("v1", "v2"))
    made = await apply(http, one, body, "v1")
    assert made.status_code == 201, made.text
    assert "f:targetCPUUtilizationPercentage" in owned(made.json())["v1", "Apply", ""]["f:spec"]
    wanted = {**body, "apiVersion": "autoscaling/v2", "spec": {"scaleTargetRef": target, "maxReplicas": 5}}
    refused = await apply(http, two, wanted, "v2")
    assert refused.status_code == 409 and ".spec.maxReplicas" in refused.json()["message"]
    forced = await apply(http, two, wanted, "v2", force="true")
    assert "f:maxReplicas" not in owned(forced.json())["v1", "Apply", ""]["f:spec"]
    assert (await http.get(one)).json()["spec"]["targetCPUUtilizationPercentage"] == 80


async def test_making_by_apply_or_put_needs_leave_to_create(server: RunningServer, http: httpx.AsyncClient) -> None:
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch", "get"]}]
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    await http.post(f"{rbac}/clusterroles", json={"metadata": {"name": "patcher"}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "patcher"}
    subjects = [{"kind": "User", "name": "patty", "apiGroup": "rbac.authorization.k8s.io"}]
    binding = {"metadata": {"name": "patty"}, "roleRef": reference, "subjects": subjects}
    await http.post(f"{rbac}/clusterrolebindings", json=binding)
    await http.post(CONFIGMAPS, json=configmap("there"))
    async with server.http(server.client_config("patty")) as patty:
        assert (await apply(patty, f"{CONFIGMAPS}/there", configmap("there", {"a": "b"}))).status_code == 200
        refused = await apply(patty, f"{CONFIGMAPS}/absent", configmap("absent"))
        assert refused.status_code == 403
        assert 'User "patty" cannot create resource "configmaps"' in refused.json()["message"]


async def test_appliers_at_once_all_get_their_fields(http: httpx.AsyncClient) -> None:
    url = f"{CONFIGMAPS}/at-once"
    answers = await asyncio.gather(
        *(apply(http, url, configmap("at-once", {f"k{n}": "v"}), f"m{n}") for n in range(12))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 11 + [201]
    found = (await http.get(url)).json()
    assert found["data"] == {f"k{n}": "v" for n in range(12)} and len(found["metadata"]["managedFields"]) == 12
