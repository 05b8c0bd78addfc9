"""The OpenAPI documents: what kubectl looks up in them, and that nothing in them points nowhere."""

import orjson
import pytest

from k8slite.apiserver.openapi import OpenApi
from k8slite.catalogue import Resource, builtin
from k8slite.errors import ApiError

OPENAPI = OpenApi(builtin())


def read(path, openapi=OPENAPI):
    answer = openapi.answer(path, "application/json", "")
    assert answer is not None
    return orjson.loads(answer.body)


def references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_the_index_names_a_document_for_every_group_and_version():
    paths = read("/openapi/v3")["paths"]
    assert {"api/v1", "apis/apps/v1", "apis/autoscaling/v1", "apis/autoscaling/v2"} <= set(paths)
    for name, entry in paths.items():
        url = entry["serverRelativeURL"].partition("?")[0]
        assert url == f"/openapi/v3/{name}"
        assert OPENAPI.answer(url, "", "") is not None


@pytest.mark.parametrize("path", ["/openapi/v2", *(f"/openapi/v3/{name}" for name in read("/openapi/v3")["paths"])])
def test_every_reference_leads_somewhere(path):
    document = read(path)
    defined = document["definitions"] if path == "/openapi/v2" else document["components"]["schemas"]
    prefix = "#/definitions/" if path == "/openapi/v2" else "#/components/schemas/"
    assert {ref.removeprefix(prefix) for ref in references(document)} <= set(defined)


def test_operations_have_ids_of_their_own():
    ids = [
        operation["operationId"]
        for item in read("/openapi/v2")["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    ]
    assert len(ids) == len(set(ids))
    assert {
        "listCoreV1NamespacedPod",
        "listCoreV1PodForAllNamespaces",
        "readCoreV1NamespacedPodStatus",
        "deleteAppsV1CollectionNamespacedDeployment",
        "createRbacAuthorizationV1ClusterRole",
        "connectGetCoreV1NamespacedPodExec",
    } <= set(ids)


def test_kinds_can_be_found_by_path_as_explain_does():
    operation = read("/openapi/v3/apis/apps/v1")["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments"]["get"]
    assert operation["x-kubernetes-action"] == "list"
    assert operation["x-kubernetes-group-version-kind"] == {"group": "apps", "version": "v1", "kind": "Deployment"}


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_writes_announce_field_validation_and_dry_run(version):
    document = read("/openapi/v2" if version == "v2" else "/openapi/v3/api/v1")
    item = document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]
    for method in ("patch", "put"):
        names = {parameter["name"] for parameter in item[method]["parameters"]}
        assert {"fieldValidation", "dryRun", "fieldManager"} <= names
    patch = item["patch"]
    types = patch["consumes"] if version == "v2" else list(patch["requestBody"]["content"])
    assert "application/strategic-merge-patch+json" in types


def test_merge_marks_are_where_apply_looks_for_them():
    schemas = read("/openapi/v3/apis/apps/v1")["components"]["schemas"]
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["x-kubernetes-patch-strategy"] == "merge"
    assert containers["items"] == {"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}
    strategy = schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["strategy"]
    assert strategy["x-kubernetes-patch-strategy"] == "retainKeys"
    assert strategy["allOf"] == [{"$ref": "#/components/schemas/io.k8s.api.apps.v1.DeploymentStrategy"}]


def test_custom_resources_appear_and_go():
    catalogue = builtin()
    openapi = OpenApi(catalogue)
    before = openapi.answer("/openapi/v3", "", "")
    assert before is not None
    row = Resource(
        group="example.com",
        version="v1",
        plural="widgets",
        singular="widget",
        kind="Widget",
        namespaced=True,
        short_names=(),
        verbs=("get", "list", "create", "patch"),
        categories=(),
        subresources=(),
    )
    catalogue.add(row)
    document = read("/openapi/v3/apis/example.com/v1", openapi)
    assert "com.example.v1.Widget" in document["components"]["schemas"]
    defined = set(document["components"]["schemas"])
    assert {ref.removeprefix("#/components/schemas/") for ref in references(document)} <= defined
    catalogue.remove(row)
    assert openapi.answer("/openapi/v3/apis/example.com/v1", "", "") is None


def test_a_client_that_has_the_document_is_told_so():
    first = OPENAPI.answer("/openapi/v3", "", "")
    assert first is not None
    again = OPENAPI.answer("/openapi/v3", "", first.etag)
    assert again is not None
    assert again.status == 304


def test_protobuf_alone_is_not_acceptable():
    with pytest.raises(ApiError) as caught:
        OPENAPI.answer("/openapi/v2", "application/xml", "")
    assert caught.value.code == 406


@pytest.mark.parametrize("path", ["/openapi", "/openapi/v4", "/openapi/v3/apis/nope/v1", "/openapi/v3/api/v2"])
def test_other_paths_are_not_openapi(path):
    assert OPENAPI.answer(path, "", "") is None


def fields(data: bytes) -> list[tuple[int, bytes]]:
    """The length-delimited fields of a protobuf message."""

    def varint(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            value |= (data[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if not data[at - 1] & 0x80:
                return value, at

    found, at = [], 0
    while at < len(data):
        tag, at = varint(at)
        size, at = varint(at)
        if tag & 7 == 2:
            found.append((tag >> 3, data[at : at + size]))
            at += size
    return found


def test_version_2_is_there_in_protobuf_for_kubectl_and_helm():
    answer = OPENAPI.answer("/openapi/v2", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf", "")
    assert answer.content_type == "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    document = dict(fields(answer.body))
    assert document[1] == b"2.0"
    wanted = read("/openapi/v2")
    paths = dict(dict(fields(entry)).values() for _, entry in fields(document[8]))
    assert {path.decode() for path in paths} == set(wanted["paths"])
    definitions = dict(dict(fields(entry)).values() for _, entry in fields(document[9]))
    assert {name.decode() for name in definitions} == set(wanted["definitions"])
    pod = fields(definitions[b"io.k8s.api.core.v1.Pod"])
    properties = dict(dict(fields(entry)).values() for _, entry in fields(dict(pod)[25]))
    assert fields(properties[b"spec"]) == [(1, b"#/definitions/io.k8s.api.core.v1.PodSpec")]
    kinds = next(dict(fields(entry))[2] for number, entry in pod if number == 31)
    assert orjson.loads(dict(fields(kinds))[2]) == [{"group": "", "kind": "Pod", "version": "v1"}]
