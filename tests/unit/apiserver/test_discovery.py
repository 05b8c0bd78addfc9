"""What clients learn about the API from its discovery documents."""

import dataclasses

import orjson
import pytest

from k8slite.apiserver.discovery import AnswerCache, Discovery
from k8slite.catalogue import Resource, builtin

AGGREGATED = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)


def read(path: str, accept: str = "application/json", discovery: Discovery | None = None):
    answer = (discovery or Discovery(builtin())).answer(path, accept, "")
    assert answer is not None
    assert answer.status == 200
    return orjson.loads(answer.body)


def test_api_names_the_core_version():
    assert read("/api")["versions"] == ["v1"]


def test_apis_lists_every_group_with_its_preferred_version():
    groups = {group["name"]: group for group in read("/apis")["groups"]}
    assert groups["autoscaling"]["preferredVersion"]["groupVersion"] == "autoscaling/v2"
    assert [v["version"] for v in groups["autoscaling"]["versions"]] == ["v2", "v1"]
    assert "" not in groups


def test_one_group():
    assert read("/apis/apps") == {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": "apps",
        "versions": [{"groupVersion": "apps/v1", "version": "v1"}],
        "preferredVersion": {"groupVersion": "apps/v1", "version": "v1"},
    }


def test_resource_list_has_resources_and_subresources():
    rows = {row["name"]: row for row in read("/api/v1/")["resources"]}
    assert rows["pods"] == {
        "name": "pods",
        "singularName": "pod",
        "namespaced": True,
        "kind": "Pod",
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        "shortNames": ["po"],
        "categories": ["all"],
        "storageVersionHash": "xPOwRZ+Yhw8=",
    }
    assert rows["pods/eviction"] == {
        "name": "pods/eviction",
        "singularName": "",
        "namespaced": True,
        "group": "policy",
        "version": "v1",
        "kind": "Eviction",
        "verbs": ["create"],
    }
    assert rows["pods/log"]["kind"] == "Pod"


@pytest.mark.parametrize(
    "path", ["/apis/nope", "/apis/apps/v2", "/api/v2", "/apis/apps/v1/deployments", "/", "/apis//v1"]
)
def test_other_paths_are_not_discovery(path):
    assert Discovery(builtin()).answer(path, "", "") is None


@pytest.mark.parametrize("version", ["v2", "v2beta1"])
def test_aggregated_discovery(version):
    accept = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
    document = read("/apis", accept)
    assert document["apiVersion"] == f"apidiscovery.k8s.io/{version}"
    apps = next(item for item in document["items"] if item["metadata"]["name"] == "apps")
    deployments = next(r for r in apps["versions"][0]["resources"] if r["resource"] == "deployments")
    assert deployments["scope"] == "Namespaced"
    assert {s["subresource"]: s["responseKind"]["kind"] for s in deployments["subresources"]} == {
        "scale": "Scale",
        "status": "Deployment",
    }


def test_the_form_that_a_client_names_first_wins():
    discovery = Discovery(builtin())
    assert read("/api", AGGREGATED, discovery)["apiVersion"] == "apidiscovery.k8s.io/v2"
    assert read("/api", "application/json," + AGGREGATED, discovery)["kind"] == "APIVersions"
    answer = discovery.answer("/api", AGGREGATED, "")
    assert answer is not None
    assert answer.content_type == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def test_a_client_with_the_current_document_gets_304_until_the_catalogue_changes():
    catalogue = builtin()
    discovery = Discovery(catalogue)
    first = discovery.answer("/apis", AGGREGATED, "")
    assert first is not None
    again = discovery.answer("/apis", AGGREGATED, first.etag)
    assert again is not None
    assert (again.status, again.body) == (304, b"")
    row = Resource(
        group="example.com",
        version="v1",
        plural="widgets",
        singular="widget",
        kind="Widget",
        namespaced=True,
        short_names=(),
        verbs=("get", "list"),
        categories=(),
        subresources=(),
    )
    catalogue.add(row)
    changed = discovery.answer("/apis", AGGREGATED, first.etag)
    assert changed is not None
    assert changed.status == 200
    assert b"widgets" in changed.body
    catalogue.remove(dataclasses.replace(row))
    back = discovery.answer("/apis", AGGREGATED, "")
    assert back is not None
    assert back.etag == first.etag


def test_an_answer_that_was_begun_before_a_change_is_not_kept_after_it():
    generation = 1
    answers = AnswerCache(lambda: generation)

    def overtaken():
        nonlocal generation
        generation = 2
        assert answers.answer("other", "", lambda: ("text/plain", b"other")).body == b"other"
        return "text/plain", b"old"

    assert answers.answer("key", "", overtaken).body == b"old"
    assert answers.answer("key", "", lambda: ("text/plain", b"new")).body == b"new"
    assert answers.answer("key", "", lambda: ("text/plain", b"made again")).body == b"new"
