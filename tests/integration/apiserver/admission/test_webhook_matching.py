"""Which requests webhooks are asked about, and in which version they see the object."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from aiohttp import web

from k8slite.testing.extension import extension

from ..custom.definitions import custom, definition, establish, version
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
GROUP = "hooked.example.com"
HPA = {
    "metadata": {"name": "web"},
    "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
}
DEPLOYMENT: Document = {
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "busybox"}]},
        },
    },
}


async def created(http: httpx.AsyncClient, url: str, body: Document) -> Document:
    """Create an object."""
    answer = await http.post(url, json=body)
    assert answer.status_code == 201, answer.text
    made: Document = answer.json()
    return made


async def test_an_equivalent_version_is_shown_in_the_version_of_the_rule(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks
) -> None:
    about = rule("horizontalpodautoscalers", groups=["autoscaling"], versions=["v1"], operations=["CREATE"])
    change = patch(add("/spec/targetCPUUtilizationPercentage", 70))
    await configure(http, MUTATING, "hpa", webhook("hpa", hooks.on("/hpa", change), about, namespace=namespace))
    exact = webhook("exact", hooks.on("/exact", deny()), about, namespace=namespace, matchPolicy="Exact")
    await configure(http, VALIDATING, "exact", exact)
    place = f"namespaces/{namespace}/horizontalpodautoscalers"
    made = await created(http, f"/apis/autoscaling/v2/{place}", HPA)
    target = {"type": "Utilization", "averageUtilization": 70}
    assert {"type": "Resource", "resource": {"name": "cpu", "target": target}} in made["spec"]["metrics"]
    (asked,) = hooks.requests("/hpa")
    assert (asked["kind"]["version"], asked["resource"]["version"], asked["object"]["apiVersion"]) == (
        "v1",
        "v1",
        "autoscaling/v1",
    )
    assert (asked["requestKind"]["version"], asked["requestResource"]["version"]) == ("v2", "v2")
    assert hooks.requests("/exact") == []
    refused = await http.post(f"/apis/autoscaling/v1/{place}", json={**HPA, "metadata": {"name": "other"}})
    assert refused.status_code == 400
    (asked,) = hooks.requests("/exact")
    assert (asked["requestKind"]["version"], asked["object"]["spec"]["targetCPUUtilizationPercentage"]) == ("v1", 70)


async def test_namespaces_are_selected_by_their_labels(http: httpx.AsyncClient, namespace: str, hooks: Hooks) -> None:
    hook = webhook("no", hooks.on("/no", deny()), rule("configmaps", "namespaces"))
    selector = {"matchExpressions": [{"key": "guarded", "operator": "Exists"}]}
    await configure(http, VALIDATING, "no", {**hook, "namespaceSelector": selector})
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    await created(http, maps, config_map("before"))
    # Of a Namespace its own new labels count.
    label: dict[str, Any] = {"metadata": {"labels": {"guarded": "yes"}}}
    assert (await http.patch(f"/api/v1/namespaces/{namespace}", json=label, headers=MERGE)).status_code == 400
    await http.delete(f"{CONFIGURATIONS}/{VALIDATING}/no")
    assert (await http.patch(f"/api/v1/namespaces/{namespace}", json=label, headers=MERGE)).status_code == 200
    await configure(http, VALIDATING, "no", {**hook, "namespaceSelector": selector})
    assert (await http.post(maps, json=config_map("after"))).status_code == 400
    assert (await http.delete(f"{maps}/before")).status_code == 400
    assert (await http.delete(f"/api/v1/namespaces/{namespace}")).status_code == 400
    without: dict[str, Any] = {"metadata": {"labels": {"guarded": None}}}
    assert (await http.patch(f"/api/v1/namespaces/{namespace}", json=without, headers=MERGE)).status_code == 200
    await created(http, maps, config_map("after"))
    assert {(each["namespace"], each["resource"]["resource"]) for each in hooks.requests("/no")} == {
        (namespace, "configmaps"),
        (namespace, "namespaces"),
    }


async def test_objects_are_selected_by_what_they_were_or_become(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks
) -> None:
    hook = webhook("marked", hooks.on("/marked", annotate("by-hook")), rule("configmaps"), namespace=namespace)
    await configure(http, MUTATING, "marked", {**hook, "objectSelector": {"matchLabels": {"marked": "yes"}}})
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    made = await created(http, maps, config_map("a"))
    assert "annotations" not in made["metadata"]
    for value, seen in (("no", 0), ("yes", 1), ("yes", 2), ("no", 3), ("no", 3)):
        change = {"metadata": {"labels": {"marked": value}}, "data": {"count": str(seen)}}
        assert (await http.patch(f"{maps}/a", json=change, headers=MERGE)).status_code == 200
        assert len(hooks.requests("/marked")) == seen


async def test_a_later_webhook_is_selected_by_what_an_earlier_one_changed(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks
) -> None:
    about = rule("configmaps", operations=["CREATE"])
    label = webhook("label", hooks.on("/label", patch(add("/metadata/labels", {"x": "y"}))), about, namespace=namespace)
    later = webhook("later", hooks.on("/later", annotate("later")), about, namespace=namespace)
    await configure(http, MUTATING, "both", label, {**later, "objectSelector": {"matchLabels": {"x": "y"}}})
    made = await created(http, f"/api/v1/namespaces/{namespace}/configmaps", config_map("a"))
    assert made["metadata"]["annotations"] == {"later": "seen"}


async def test_configurations_of_admission_are_exempt(http: httpx.AsyncClient, hooks: Hooks) -> None:
    everything = rule("*/*", groups=["admissionregistration.k8s.io"], versions=["*"])
    reviews = rule("*/*", groups=["authorization.k8s.io", "authentication.k8s.io"], versions=["*"])
    await configure(http, VALIDATING, "no", webhook("no", hooks.on("/no", deny()), everything, reviews))
    await configure(http, MUTATING, "edit", webhook("edit", hooks.on("/edit", annotate("edited")), everything, reviews))
    for plural in (MUTATING, VALIDATING):
        made = await configure(http, plural, "free", webhook("free", hooks.on("/free", allow), rule("pods")))
        assert "annotations" not in made["metadata"]
        assert (await http.delete(f"{CONFIGURATIONS}/{plural}/free")).status_code == 200
    review = {"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}}
    answer = await http.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json=review)
    assert answer.status_code == 201
    assert (await http.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json={})).status_code == 201
    assert hooks.asked == []


async def test_the_scale_is_what_is_seen_of_a_scaling(http: httpx.AsyncClient, namespace: str, hooks: Hooks) -> None:
    url = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    await created(http, url, DEPLOYMENT)
    about = rule("deployments/scale", groups=["apps"])
    await configure(http, VALIDATING, "look", webhook("look", hooks.on("/look", allow), about, namespace=namespace))
    double = patch({"op": "replace", "path": "/spec/replicas", "value": 6})
    await configure(http, MUTATING, "six", webhook("six", hooks.on("/six", double), about, namespace=namespace))
    scaled = await http.patch(f"{url}/web/scale", json={"spec": {"replicas": 3}}, headers=MERGE)
    assert (scaled.status_code, scaled.json()["spec"]["replicas"]) == (200, 6), scaled.text
    assert (await http.get(f"{url}/web")).json()["spec"]["replicas"] == 6
    (first,), (last,) = hooks.requests("/six"), hooks.requests("/look")
    for asked, replicas in ((first, 3), (last, 6)):
        assert asked["kind"] == asked["requestKind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
        assert asked["resource"] == {"group": "apps", "version": "v1", "resource": "deployments"}
        assert asked["subResource"] == asked["requestSubResource"] == "scale"
        assert (asked["object"]["kind"], asked["object"]["spec"]["replicas"]) == ("Scale", replicas)
        assert (asked["oldObject"]["kind"], asked["oldObject"]["spec"]["replicas"]) == ("Scale", 1)
        assert asked["object"]["status"]["selector"] == "app=web"
    # Rules of the whole object are not about its scale.
    whole = rule("deployments", groups=["apps"])
    await configure(http, VALIDATING, "no", webhook("no", hooks.on("/no", deny()), whole, namespace=namespace))
    scaled = await http.patch(f"{url}/web/scale", json={"spec": {"replicas": 2}}, headers=MERGE)
    assert scaled.status_code == 200, scaled.text


async def test_an_eviction_is_one_and_no_deletion(http: httpx.AsyncClient, namespace: str, hooks: Hooks) -> None:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    pod = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "main", "image": "busybox"}]}}
    await created(http, pods, pod)
    about = rule("pods", operations=["DELETE"])
    await configure(http, VALIDATING, "no", webhook("no", hooks.on("/no", deny()), about, namespace=namespace))
    evictions = webhook("look", hooks.on("/look", allow), rule("pods/eviction"), namespace=namespace)
    await configure(http, VALIDATING, "look", evictions)
    assert (await http.delete(f"{pods}/web")).status_code == 400
    eviction = {"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": "web"}}
    answer = await http.post(f"{pods}/web/eviction", json=eviction)
    assert answer.status_code == 201, answer.text
    (asked,) = hooks.requests("/look")
    assert (asked["operation"], asked["kind"], asked["subResource"]) == (
        "CREATE",
        {"group": "policy", "version": "v1", "kind": "Eviction"},
        "eviction",
    )
    assert asked["object"]["metadata"]["name"] == asked["name"] == "web"


async def test_a_webhook_says_where_a_pod_is_bound(http: httpx.AsyncClient, namespace: str, hooks: Hooks) -> None:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    pod = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "main", "image": "busybox"}]}}
    await created(http, pods, pod)
    change = patch({"op": "replace", "path": "/target/name", "value": "elsewhere"})
    about = rule("pods/binding")
    await configure(http, MUTATING, "move", webhook("move", hooks.on("/move", change), about, namespace=namespace))
    binding = {"metadata": {"name": "web"}, "target": {"kind": "Node", "name": "here"}}
    answer = await http.post(f"{pods}/web/binding", json=binding)
    assert answer.status_code == 201, answer.text
    assert (await http.get(f"{pods}/web")).json()["spec"]["nodeName"] == "elsewhere"
    assert hooks.requests("/move")[0]["kind"] == {"group": "", "version": "v1", "kind": "Binding"}


BROKEN: set[str] = set()
"""Holds something while nothing is converted."""


async def convert(request: web.BaseRequest) -> web.StreamResponse:
    """v1 has `spec.address` ("host:port"), v2 has `spec.host` and `spec.port`."""
    review = json.loads(await request.read())
    if BROKEN:
        return web.Response(status=500)
    asked, objects = review["request"], []
    for each in asked["objects"]:
        spec, to = each["spec"], asked["desiredAPIVersion"]
        if to.endswith("/v2") and "address" in spec:
            host, _, port = spec["address"].partition(":")
            spec = {"host": host, "port": port}
        elif to.endswith("/v1") and "host" in spec:
            spec = {"address": f"{spec['host']}:{spec['port']}"}
        objects.append({**each, "apiVersion": to, "spec": spec})
    response = {"uid": asked["uid"], "result": {"status": "Success"}, "convertedObjects": objects}
    return web.json_response({**review, "response": response})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def routes(http: httpx.AsyncClient, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[None]:
    """A custom resource in two versions, and a webhook between them."""
    directory: Path = tmp_path_factory.mktemp("converter")
    async with extension(convert, directory=directory, hosts=["127.0.0.1"]) as converter:
        client = {
            "url": f"https://127.0.0.1:{converter.port}/",
            "caBundle": base64.b64encode(converter.bundle).decode(),
        }
        conversion = {
            "strategy": "Webhook",
            "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": client},
        }
        scale = {"scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}}
        await establish(
            http,
            definition(
                "routes",
                GROUP,
                version("v1", schema=schema("address")),
                version("v2", schema=schema("host", "port"), storage=False, subresources=scale),
                conversion=conversion,
            ),
        )
        yield


def schema(*fields: str) -> Document:
    """A spec of texts and replicas; anything else is pruned."""
    properties: Document = {each: {"type": "string"} for each in fields}
    properties["replicas"] = {"type": "integer"}
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}


def place(namespace: str, name: str) -> str:
    """The path of the routes of a namespace in a version."""
    return f"/apis/{GROUP}/{name}/namespaces/{namespace}/routes"


async def test_a_custom_resource_is_changed_in_the_version_of_the_rule_and_stored_in_another(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks, routes: None
) -> None:
    change = patch({"op": "replace", "path": "/spec/port", "value": "8080"}, add("/spec/unknown", "pruned"))
    about = rule("routes", groups=[GROUP], versions=["v2"], operations=["CREATE", "UPDATE"])
    await configure(http, MUTATING, "port", webhook("port", hooks.on("/port", change), about, namespace=namespace))
    route = custom(f"{GROUP}/v1", "Route", "a", spec={"address": "web:80"})
    made = await created(http, place(namespace, "v1"), route)
    assert (made["apiVersion"], made["spec"]) == (f"{GROUP}/v1", {"address": "web:8080"})
    (asked,) = hooks.requests("/port")
    assert asked["object"]["apiVersion"] == f"{GROUP}/v2"
    assert asked["object"]["spec"] == {"host": "web", "port": "80"}
    assert (asked["kind"]["version"], asked["requestKind"]["version"]) == ("v2", "v1")
    hooks.on("/port", allow)
    change = {"spec": {"host": "db"}}
    changed = await http.patch(f"{place(namespace, 'v2')}/a", json=change, headers=MERGE)
    assert changed.json()["spec"] == {"host": "db", "port": "8080"}, changed.text
    asked = hooks.requests("/port")[1]
    assert (asked["object"]["spec"], asked["oldObject"]["spec"]) == (
        {"host": "db", "port": "8080"},
        {"host": "web", "port": "8080"},
    )
    read = await http.get(f"{place(namespace, 'v1')}/a")
    assert read.json()["spec"] == {"address": "db:8080"}


async def test_custom_resources_are_refused_like_others(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks, routes: None
) -> None:
    route = custom(f"{GROUP}/v1", "Route", "a", spec={"address": "web:80"})
    await created(http, place(namespace, "v1"), route)
    about = rule("routes", groups=[GROUP], versions=["v2"])
    await configure(http, VALIDATING, "no", webhook("no", hooks.on("/no", deny()), about, namespace=namespace))
    for version_ in ("v1", "v2"):
        url = place(namespace, version_)
        spec = {"address": "x:1"} if version_ == "v1" else {"host": "x", "port": "1"}
        body = custom(f"{GROUP}/{version_}", "Route", "b", spec=spec)
        assert (await http.post(url, json=body)).status_code == 400
        assert (await http.patch(f"{url}/a", json={"spec": spec}, headers=MERGE)).status_code == 400
        assert (await http.delete(f"{url}/a")).status_code == 400
        assert (await http.delete(url)).status_code == 400
    assert {asked["kind"]["version"] for asked in hooks.requests("/no")} == {"v2"}
    assert (await http.get(f"{place(namespace, 'v1')}/a")).json()["spec"] == {"address": "web:80"}


@pytest.mark.parametrize(("about", "code"), [("v1", 400), ("v2", 500)])
async def test_a_conversion_that_fails_opens_no_way_past_a_webhook(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks, routes: None, about: str, code: int
) -> None:
    url = f"{place(namespace, 'v1')}/a"
    await created(http, place(namespace, "v1"), custom(f"{GROUP}/v1", "Route", "a", spec={"address": "web:80"}))
    rules = rule("routes", groups=[GROUP], versions=[about], operations=["DELETE"])
    await configure(http, VALIDATING, "no", webhook("no", hooks.on("/no", deny()), rules, namespace=namespace))
    BROKEN.add("conversion")
    try:
        # What is stored can be shown in the stored version; in the other it cannot, and so it stays.
        refused = await http.delete(f"{place(namespace, 'v2')}/a")
        assert refused.status_code == code, refused.text
    finally:
        BROKEN.clear()
    assert (await http.get(url)).status_code == 200
    assert len(hooks.requests("/no")) == (1 if code == 400 else 0)


async def test_definitions_of_custom_resources_are_refused(http: httpx.AsyncClient, hooks: Hooks) -> None:
    about = rule("customresourcedefinitions", groups=["apiextensions.k8s.io"], operations=["CREATE"])
    await configure(http, VALIDATING, "no", webhook("no", hooks.on("/no", deny("no crds")), about))
    document = definition("refusals", GROUP)
    answer = await http.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", json=document)
    assert answer.status_code == 400
    assert answer.json()["message"] == 'admission webhook "no.example.com" denied the request: no crds'
    assert hooks.requests("/no")[0]["object"]["spec"]["names"]["plural"] == "refusals"


async def test_a_rule_about_everything_sees_custom_resources_too(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks, routes: None
) -> None:
    everything = rule("*/*", groups=["*"], versions=["*"], scope="Namespaced")
    await configure(http, VALIDATING, "all", webhook("all", hooks.on("/all", allow), everything, namespace=namespace))
    route = custom(f"{GROUP}/v2", "Route", "a", spec={"host": "web", "port": "80", "replicas": 1})
    made = await created(http, place(namespace, "v2"), route)
    assert made["spec"]["host"] == "web"
    (asked,) = hooks.requests("/all")
    assert (asked["kind"]["version"], asked["namespace"]) == ("v2", namespace)
