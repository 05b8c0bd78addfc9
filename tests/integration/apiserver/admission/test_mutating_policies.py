"""MutatingAdmissionPolicy over the real server: what expressions write is merged in, or patched, and checked."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from k8slite.testing import RunningServer
from k8slite.testing.kubectl import Kubectl

from .policies import CONFIGMAPS, DEPLOYMENTS, Document, deployment, policed

pytestmark = pytest.mark.asyncio(loop_scope="module")

MERGE = {"content-type": "application/merge-patch+json"}
PODS: Document = {**CONFIGMAPS, "resources": ["pods"]}


def applied(*expressions: str, **rest: Any) -> Document:
    mutations = [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": e}} for e in expressions]
    return {"mutations": mutations, "reinvocationPolicy": "Never", **rest}


def patched(*expressions: str, **rest: Any) -> Document:
    mutations = [{"patchType": "JSONPatch", "jsonPatch": {"expression": text}} for text in expressions]
    return {"mutations": mutations, "reinvocationPolicy": "Never", **rest}


def mutated(http: httpx.AsyncClient, namespace: str, spec: Document, *rules: Document, **rest: Any) -> Any:
    return policed(http, namespace, spec, rules=list(rules or (CONFIGMAPS,)), sort="mutating", **rest)


async def make(http: httpx.AsyncClient, namespace: str, name: str = "a", **data: str) -> httpx.Response:
    body = {"metadata": {"name": name}, "data": data}
    return await http.post(f"/api/v1/namespaces/{namespace}/configmaps", json=body)


async def test_a_deployment_is_mutated(http: httpx.AsyncClient, namespace: str) -> None:
    # Kubernetes' conformance test "should mutate a Deployment".
    spec = applied("Object{spec: Object.spec{replicas: object.spec.replicas + 100}}")
    place = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    async with mutated(http, namespace, spec, DEPLOYMENTS):
        made = await http.post(place, json=deployment("web", 2))
        assert made.status_code == 201, made.text
        assert made.json()["spec"]["replicas"] == 102
        assert made.json()["spec"]["template"]["spec"]["containers"][0]["image"] == "i"
        scaled = await http.patch(f"{place}/web", json={"spec": {"replicas": 1}}, headers=MERGE)
        assert scaled.json()["spec"]["replicas"] == 101


async def test_a_deployment_is_mutated_with_annotations(http: httpx.AsyncClient, namespace: str) -> None:
    # Kubernetes' conformance test "should mutate a Deployment with annotations".
    spec = applied("Object{metadata: Object.metadata{annotations: {'my-foo-annotation': 'myAnnotationValue'}}}")
    async with mutated(http, namespace, spec, DEPLOYMENTS):
        body = deployment("web", annotations={"kept": "yes"})
        made = await http.post(f"/apis/apps/v1/namespaces/{namespace}/deployments", json=body)
        assert made.json()["metadata"]["annotations"] == {"kept": "yes", "my-foo-annotation": "myAnnotationValue"}


async def test_lists_merge_by_their_keys_and_defaults_are_filled_in(http: httpx.AsyncClient, namespace: str) -> None:
    spec = applied(
        "Object{spec: Object.spec{initContainers: [Object.spec.initContainers{name: 'mesh', image: 'proxy:1', "
        "restartPolicy: 'Always'}], containers: object.spec.containers.map(c, Object.spec.containers{name: c.name, "
        "env: [Object.spec.containers.env{name: 'ZONE', value: 'a'}]})}}",
        matchConditions=[
            {
                "name": "no-mesh-yet",
                "expression": "!object.spec.?initContainers.orValue([]).exists(c, c.name == 'mesh')",
            }
        ],
    )
    body = {
        "metadata": {"name": "web"},
        "spec": {
            "initContainers": [{"name": "first", "image": "one"}],
            "containers": [{"name": "c", "image": "two", "env": [{"name": "A", "value": "b"}]}],
        },
    }
    async with mutated(http, namespace, spec, PODS):
        made = await http.post(f"/api/v1/namespaces/{namespace}/pods", json=body)
        assert made.status_code == 201, made.text
        pod = made.json()["spec"]
        assert [(one["name"], one["image"]) for one in pod["initContainers"]] == [("first", "one"), ("mesh", "proxy:1")]
        mesh = pod["initContainers"][1]
        assert (mesh["imagePullPolicy"], mesh["terminationMessagePath"]) == ("IfNotPresent", "/dev/termination-log")
        assert pod["containers"][0]["env"] == [{"name": "A", "value": "b"}, {"name": "ZONE", "value": "a"}]


async def test_json_patches(http: httpx.AsyncClient, namespace: str) -> None:
    spec = patched(
        "[JSONPatch{op: 'add', path: '/data/' + jsonpatch.escapeKey('a.b'), value: 'new'}, "
        "JSONPatch{op: 'copy', from: '/data/x', path: '/data/y'}] + "
        "(has(object.metadata.labels) ? [] : "
        "[JSONPatch{op: 'add', path: '/metadata/labels', value: {'a/b': string(size(object.data))}}])",
        "[JSONPatch{op: 'test', path: '/data/x', value: 'other'}, JSONPatch{op: 'remove', path: '/data/x'}]",
    )
    async with mutated(http, namespace, spec):
        made = await make(http, namespace, x="1")
        assert made.status_code == 201, made.text
        assert made.json()["data"] == {"a.b": "new", "x": "1", "y": "1"}
        assert made.json()["metadata"]["labels"] == {"a/b": "1"}


async def test_each_mutation_sees_those_before_it(http: httpx.AsyncClient, namespace: str) -> None:
    spec = applied(
        "Object{data: {'one': object.data.zero + '1'}}",
        "Object{data: {'two': object.data.one + variables.mark}}",
        variables=[{"name": "mark", "expression": "'2'"}],
    )
    async with mutated(http, namespace, spec):
        assert (await make(http, namespace, zero="0")).json()["data"] == {"zero": "0", "one": "01", "two": "012"}


async def test_parameters(http: httpx.AsyncClient, namespace: str) -> None:
    await make(http, namespace, "settings", team="red")
    spec = applied("Object{data: {'team': params.data.team}}", paramKind={"apiVersion": "v1", "kind": "ConfigMap"})
    binding = {"paramRef": {"name": "settings", "parameterNotFoundAction": "Deny"}}
    async with mutated(http, namespace, spec, binding=binding):
        assert (await make(http, namespace)).json()["data"] == {"team": "red"}
        await http.delete(f"/api/v1/namespaces/{namespace}/configmaps/settings")
        refused = await make(http, namespace, "b")
        assert refused.status_code == 403
        assert refused.json()["reason"] == "Forbidden"
        assert "no params found for policy binding with `Deny` parameterNotFoundAction" in refused.json()["message"]


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        (
            applied("Object{data: {'x': string(object.data.nope)}}"),
            "expression 'Object{data: {'x': string(object.data.nope)}}' resulted in error: no such key: nope",
        ),
        (
            applied("Object{spec: Object.spec{}}"),
            "error applying patch: failed to convert patch object to typed object: .spec: field not declared in schema",
        ),
        (
            applied("Object{metadata: Object.meta{labels: {'a': 'b'}}}"),
            'type mismatch: unexpected type name "Object.meta", expected "Object.metadata", which matches field name '
            "path from root Object type",
        ),
        (
            patched("[JSONPatch{op: 'remove', path: '/data/nope'}]"),
            "JSON Patch: remove operation does not apply",
        ),
    ],
)
async def test_what_cannot_be_done_is_refused(
    http: httpx.AsyncClient, namespace: str, spec: Document, complaint: str
) -> None:
    async with mutated(http, namespace, spec) as name:
        refused = await make(http, namespace, x="1")
        assert (refused.status_code, refused.json()["reason"]) == (403, "Invalid"), refused.text
        start = f"policy '{name}' with binding '{namespace}.binding' denied request: "
        assert refused.json()["message"].startswith(start + complaint)
        assert refused.json()["details"]["causes"] == [{"message": refused.json()["message"]}]
    async with mutated(http, namespace, {**spec, "failurePolicy": "Ignore"}):
        made = await make(http, namespace, x="1")
        assert made.status_code == 201
        assert made.json()["data"] == {"x": "1"}


async def test_what_is_replaced_as_a_whole_may_not_be_named(http: httpx.AsyncClient, namespace: str) -> None:
    spec = applied(
        "Object{spec: Object.spec{containers: [Object.spec.containers{name: 'c', args: ['x']}], "
        "nodeSelector: {'a': 'b'}}}"
    )
    body = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    async with mutated(http, namespace, spec, PODS):
        refused = await http.post(f"/api/v1/namespaces/{namespace}/pods", json=body)
        assert refused.json()["message"].endswith(
            "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: "
            ".spec.containers[0].args, .spec.nodeSelector"
        )


async def test_what_a_policy_writes_is_validated(http: httpx.AsyncClient, namespace: str) -> None:
    spec = applied("Object{spec: Object.spec{replicas: -1}}")
    async with mutated(http, namespace, spec, DEPLOYMENTS):
        refused = await http.post(f"/apis/apps/v1/namespaces/{namespace}/deployments", json=deployment("web"))
        assert refused.status_code == 422
        assert "spec.replicas: Invalid value: -1: must be greater than or equal to 0" in refused.json()["message"]
    spec = patched("[JSONPatch{op: 'add', path: '/spec/nope', value: 1}]")
    async with mutated(http, namespace, spec, DEPLOYMENTS):
        refused = await http.post(f"/apis/apps/v1/namespaces/{namespace}/deployments", json=deployment("web"))
        assert refused.status_code == 500
        assert 'unknown field "spec.nope"' in refused.json()["message"]
    spec = applied("Object{metadata: Object.metadata{name: 'other', uid: 'x', resourceVersion: '1'}}")
    async with mutated(http, namespace, spec, {**CONFIGMAPS, "operations": ["UPDATE"]}):
        before = (await make(http, namespace, x="1")).json()
        place = f"/api/v1/namespaces/{namespace}/configmaps/a"
        refused = await http.patch(place, json={"data": {"x": "2"}}, headers=MERGE)
        assert refused.status_code == 422, refused.text
        assert "metadata.name: Invalid value: " in refused.json()["message"]
        assert (await http.get(place)).json() == before


@pytest.mark.parametrize(("policy", "seen"), [("IfNeeded", "b"), ("Never", "none")])
async def test_policies_are_applied_again_if_they_want_to(
    http: httpx.AsyncClient, namespace: str, policy: str, seen: str
) -> None:
    early = applied("Object{data: {'seen': object.?data.later.orValue('none')}}", reinvocationPolicy=policy)
    late = applied("Object{data: {'later': 'b'}}")
    async with (
        mutated(http, namespace, early),
        mutated(http, f"{namespace}.z", late, cluster=True, match={"namespaceSelector": _only(namespace)}),
    ):
        assert (await make(http, namespace)).json()["data"] == {"later": "b", "seen": seen}


def _only(namespace: str) -> Document:
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}


async def test_kubectl_apply_shows_what_a_policy_changed(
    server: RunningServer, http: httpx.AsyncClient, namespace: str
) -> None:
    kubectl = Kubectl(server)
    spec = applied("Object{metadata: Object.metadata{labels: {'owner': request.userInfo.username}}}")
    async with mutated(http, namespace, spec, DEPLOYMENTS):
        document = json.dumps(deployment("web"))
        done = await kubectl("apply", "--server-side", "-n", namespace, "-f", "-", stdin=document)
        assert done.code == 0, done.err
        shown = await kubectl("get", "deployment", "web", "-n", namespace, "--show-managed-fields", "-o", "json")
        found = json.loads(shown.out)["metadata"]
        assert found["labels"] == {"owner": "kubernetes-admin"}
        assert '"f:owner"' not in json.dumps(found["managedFields"])


async def test_custom_resources_are_mutated_and_pruned(http: httpx.AsyncClient, namespace: str) -> None:
    definition = {
        "metadata": {"name": "widgets.policies.example.com"},
        "spec": {
            "group": "policies.example.com",
            "names": {"plural": "widgets", "kind": "Widget"},
            "scope": "Namespaced",
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {
                                "spec": {
                                    "type": "object",
                                    "properties": {
                                        "size": {"type": "integer"},
                                        "color": {"type": "string", "default": "red"},
                                    },
                                }
                            },
                        }
                    },
                }
            ],
        },
    }
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    made = await http.post(definitions, json=definition)
    assert made.status_code == 201, made.text
    rule = {
        "apiGroups": ["policies.example.com"],
        "apiVersions": ["*"],
        "operations": ["*"],
        "resources": ["widgets"],
    }
    spec = patched("[JSONPatch{op: 'add', path: '/spec', value: Object.spec{size: 3, unknown: 'x'}}]")
    place = f"/apis/policies.example.com/v1/namespaces/{namespace}/widgets"
    widget = {"apiVersion": "policies.example.com/v1", "kind": "Widget", "metadata": {"name": "w"}}
    try:
        async with mutated(http, namespace, spec, rule):
            made = await http.post(place, json=widget)
            assert made.status_code == 201, made.text
            assert made.json()["spec"] == {"size": 3, "color": "red"}
    finally:
        await http.delete(f"{definitions}/widgets.policies.example.com")
