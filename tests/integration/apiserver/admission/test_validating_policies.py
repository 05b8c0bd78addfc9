"""ValidatingAdmissionPolicy over the real server: what is refused and warned of, by whichever way it comes."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from k8slite.testing import RunningServer
from k8slite.testing.kubectl import Kubectl

from .policies import API, CONFIGMAPS, DEPLOYMENTS, Document, deployment, policed

pytestmark = pytest.mark.asyncio(loop_scope="module")

MERGE = {"content-type": "application/merge-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}
AT_MOST_FIVE: Document = {"validations": [{"expression": "object.spec.replicas <= 5"}]}


def deployments(namespace: str, *rest: str) -> str:
    return "/".join([f"/apis/apps/v1/namespaces/{namespace}/deployments", *rest])


def configmaps(namespace: str, *rest: str) -> str:
    return "/".join([f"/api/v1/namespaces/{namespace}/configmaps", *rest])


def configmap(name: str, **data: str) -> Document:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def test_a_deployment_is_validated(http: httpx.AsyncClient, namespace: str) -> None:
    # Kubernetes' conformance test "should validate against a Deployment".
    spec = {
        "validations": [
            {
                "expression": "object.spec.replicas > 1",
                "messageExpression": "'wants replicas > 1, got ' + string(object.spec.replicas)",
            },
            {"expression": "namespaceObject.metadata.name == request.namespace", "message": "the wrong namespace"},
        ]
    }
    async with policed(http, namespace, spec, rules=[DEPLOYMENTS]) as name:
        refused = await http.post(deployments(namespace), json=deployment("one"))
        by = f"ValidatingAdmissionPolicy '{name}' with binding '{namespace}.binding'"
        message = f"{by} denied request: wants replicas > 1, got 1"
        assert refused.status_code == 422
        assert refused.json() == {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": f'deployments.apps "one" is forbidden: {message}',
            "reason": "Invalid",
            "details": {"name": "one", "group": "apps", "kind": "deployments", "causes": [{"message": message}]},
            "code": 422,
        }
        assert (await http.post(deployments(namespace), json=deployment("two", 2))).status_code == 201
    assert (await http.post(deployments(namespace), json=deployment("one"))).status_code == 201


async def test_expressions_refer_to_variables(http: httpx.AsyncClient, namespace: str) -> None:
    # Kubernetes' conformance test "should allow expressions to refer variables."
    spec = {
        "variables": [
            {"name": "replicas", "expression": "object.spec.replicas"},
            {"name": "oddReplicas", "expression": "variables.replicas % 2 == 1"},
        ],
        "validations": [
            {"expression": "variables.replicas > 1"},
            {"expression": "variables.oddReplicas", "messageExpression": "'even: ' + string(variables.replicas)"},
        ],
    }
    async with policed(http, namespace, spec, rules=[DEPLOYMENTS]):
        refused = (await http.post(deployments(namespace), json=deployment("one"))).json()
        assert refused["message"].endswith("denied request: failed expression: variables.replicas > 1")
        refused = (await http.post(deployments(namespace), json=deployment("two", 2))).json()
        assert refused["message"].endswith("denied request: even: 2")
        assert (await http.post(deployments(namespace), json=deployment("three", 3))).status_code == 201


async def test_every_way_to_an_object_leads_past_the_policy(http: httpx.AsyncClient, namespace: str) -> None:
    made = await http.post(deployments(namespace), json=deployment("web"))
    live = made.json()
    there = deployments(namespace, "web")
    scale = {**DEPLOYMENTS, "resources": ["deployments", "deployments/scale", "deployments/status"]}
    async with policed(http, namespace, AT_MOST_FIVE, rules=[scale]):
        live["spec"]["replicas"] = 9
        ways = [
            await http.put(there, json=live),
            await http.patch(there, json={"spec": {"replicas": 9}}, headers=MERGE),
            await http.patch(
                there,
                json={"spec": {"replicas": 9}},
                headers={"content-type": "application/strategic-merge-patch+json"},
            ),
            await http.patch(
                there,
                json=[{"op": "replace", "path": "/spec/replicas", "value": 9}],
                headers={"content-type": "application/json-patch+json"},
            ),
            await http.patch(
                there, params={"fieldManager": "a", "force": "true"}, json=deployment("web", 9), headers=APPLY
            ),
            await http.patch(
                deployments(namespace, "new"), params={"fieldManager": "a"}, json=deployment("new", 9), headers=APPLY
            ),
            await http.post(deployments(namespace), json=deployment("new", 9)),
            await http.post(deployments(namespace), params={"dryRun": "All"}, json=deployment("new", 9)),
        ]
        for way in ways:
            assert way.status_code == 422, (way.request.method, way.request.headers.get("content-type"), way.text)
            assert "failed expression: object.spec.replicas <= 5" in way.json()["message"]
        assert (await http.get(there)).json()["spec"]["replicas"] == 1
        passed = await http.patch(there, json={"spec": {"replicas": 5}}, headers=MERGE)
        assert passed.status_code == 200


async def test_deletions_are_judged_by_what_goes(http: httpx.AsyncClient, namespace: str) -> None:
    await http.post(configmaps(namespace), json=configmap("kept"))
    await http.post(configmaps(namespace), json=configmap("gone"))
    spec = {
        "validations": [{"expression": "object == null && oldObject.metadata.name != 'kept'", "reason": "Forbidden"}]
    }
    async with policed(http, namespace, spec, rules=[{**CONFIGMAPS, "operations": ["DELETE"]}]):
        refused = await http.delete(configmaps(namespace, "kept"))
        assert (refused.status_code, refused.json()["reason"]) == (403, "Forbidden")
        assert (await http.delete(configmaps(namespace, "gone"))).status_code == 200
        await http.delete(configmaps(namespace))
        assert (await http.get(configmaps(namespace, "kept"))).status_code == 200


@pytest.mark.parametrize(
    ("reason", "code"), [("Unauthorized", 401), ("Forbidden", 403), ("Invalid", 422), ("RequestEntityTooLarge", 413)]
)
async def test_reasons(http: httpx.AsyncClient, namespace: str, reason: str, code: int) -> None:
    spec = {"validations": [{"expression": "false", "reason": reason, "message": "no"}]}
    async with policed(http, namespace, spec, rules=[CONFIGMAPS]):
        refused = await http.post(configmaps(namespace), json=configmap("a"))
        assert (refused.status_code, refused.json()["reason"], refused.json()["code"]) == (code, reason, code)


async def test_warnings(http: httpx.AsyncClient, namespace: str) -> None:
    spec = {"validations": [{"expression": "has(object.data)", "message": "without data"}]}
    async with policed(
        http, namespace, spec, rules=[CONFIGMAPS], binding={"validationActions": ["Warn", "Audit"]}
    ) as name:
        made = await http.post(configmaps(namespace), json={"metadata": {"name": "bare"}})
        assert made.status_code == 201
        assert made.headers.get_list("warning") == [
            f"299 - \"Validation failed for ValidatingAdmissionPolicy '{name}' with binding "
            f"'{namespace}.binding': without data\""
        ]
        made = await http.post(configmaps(namespace), json=configmap("full", a="b"))
        assert "warning" not in made.headers


async def test_match_conditions_and_exclusions(http: httpx.AsyncClient, namespace: str) -> None:
    spec: Document = {
        "validations": [{"expression": "false", "message": "never"}],
        "matchConditions": [
            {"name": "not-mine", "expression": "request.userInfo.username != 'nobody'"},
            {"name": "named", "expression": "object.metadata.name.startsWith('judged')"},
        ],
    }
    exclude = {"excludeResourceRules": [{**CONFIGMAPS, "resourceNames": ["judged-but-excluded"]}]}
    async with policed(http, namespace, spec, rules=[CONFIGMAPS], match=exclude):
        for name, code in (("judged", 422), ("other", 201), ("judged-but-excluded", 201)):
            assert (await http.post(configmaps(namespace), json=configmap(name))).status_code == code, name


async def test_object_selectors(http: httpx.AsyncClient, namespace: str) -> None:
    match = {"objectSelector": {"matchExpressions": [{"key": "skip", "operator": "DoesNotExist"}]}}
    spec = {"validations": [{"expression": "false"}]}
    async with policed(http, namespace, spec, rules=[CONFIGMAPS], match=match):
        assert (await http.post(configmaps(namespace), json=configmap("a"))).status_code == 422
        skipped = configmap("a")
        skipped["metadata"]["labels"] = {"skip": ""}
        assert (await http.post(configmaps(namespace), json=skipped)).status_code == 201


@pytest.mark.parametrize(("policy", "code"), [("Fail", 422), ("Ignore", 201)])
async def test_errors_count_as_the_failure_policy_has_it(
    http: httpx.AsyncClient, namespace: str, policy: str, code: int
) -> None:
    spec = {"failurePolicy": policy, "validations": [{"expression": "object.data.nope == 'x'"}]}
    async with policed(http, namespace, spec, rules=[CONFIGMAPS]):
        answer = await http.post(configmaps(namespace), json=configmap("a", b="c"))
        assert answer.status_code == code
        if code == 422:
            assert (
                "expression 'object.data.nope == 'x'' resulted in error: no such key: nope" in answer.json()["message"]
            )


async def _param(http: httpx.AsyncClient, namespace: str, name: str, most: int, **labels: str) -> None:
    body = configmap(name, most=str(most))
    body["metadata"]["labels"] = labels
    assert (await http.post(configmaps(namespace), json=body)).status_code == 201


def _with_params(**reference: Any) -> Document:
    return {"paramRef": {"parameterNotFoundAction": "Deny", **reference}}


PARAMETRIZED: Document = {
    "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
    "validations": [
        {
            "expression": "params == null || object.spec.replicas <= int(params.data.most)",
            "messageExpression": "'at most ' + params.data.most + ' by ' + params.metadata.name + params.kind",
        }
    ],
}


async def test_parameters_by_name_and_by_labels(http: httpx.AsyncClient, namespace: str) -> None:
    await _param(http, namespace, "three", 3)
    await _param(http, namespace, "six", 6, limit="soft")
    await _param(http, namespace, "eight", 8, limit="soft")
    soft = _with_params(selector={"matchLabels": {"limit": "soft"}})
    async with policed(http, namespace, PARAMETRIZED, rules=[DEPLOYMENTS], binding=_with_params(name="three")):
        refused = (await http.post(deployments(namespace), json=deployment("a", 4))).json()
        assert refused["message"].endswith("denied request: at most 3 by threeConfigMap")
        assert (await http.post(deployments(namespace), json=deployment("a", 3))).status_code == 201
        await http.patch(configmaps(namespace, "three"), json={"data": {"most": "4"}}, headers=MERGE)
        assert (await http.post(deployments(namespace), json=deployment("b", 4))).status_code == 201
    async with policed(http, namespace, PARAMETRIZED, rules=[DEPLOYMENTS], binding=soft):
        refused = (await http.post(deployments(namespace), json=deployment("c", 7))).json()
        assert refused["message"].endswith("denied request: at most 6 by sixConfigMap")
        assert (await http.post(deployments(namespace), json=deployment("c", 6))).status_code == 201


async def test_parameters_that_are_missing(http: httpx.AsyncClient, namespace: str) -> None:
    missing = _with_params(name="missing")
    async with policed(http, namespace, PARAMETRIZED, rules=[DEPLOYMENTS], binding=missing):
        refused = (await http.post(deployments(namespace), json=deployment("a"))).json()
        expected = "no params found for policy binding with `Deny` parameterNotFoundAction"
        assert refused["message"].endswith(f"denied request: failed to configure binding: {expected}")
    allowed = {"paramRef": {"name": "missing", "parameterNotFoundAction": "Allow"}}
    async with policed(http, namespace, PARAMETRIZED, rules=[DEPLOYMENTS], binding=allowed):
        assert (await http.post(deployments(namespace), json=deployment("a", 100))).status_code == 201
    async with policed(http, namespace, PARAMETRIZED, rules=[DEPLOYMENTS], binding={}):
        assert (await http.post(deployments(namespace), json=deployment("b", 100))).status_code == 201


async def test_a_parameter_of_a_kind_that_is_not_served(http: httpx.AsyncClient, namespace: str) -> None:
    spec = {**PARAMETRIZED, "paramKind": {"apiVersion": "rules.example.com/v1", "kind": "ReplicaLimit"}}
    async with policed(http, namespace, spec, rules=[DEPLOYMENTS], binding=_with_params(name="x")) as name:
        refused = (await http.post(deployments(namespace), json=deployment("a"))).json()
        assert refused["message"].endswith(
            f"ValidatingAdmissionPolicy '{name}' denied request: failed to configure policy: "
            "failed to find resource referenced by paramKind: 'rules.example.com/v1, Kind=ReplicaLimit'"
        )


async def test_authorizers_are_asked(server: RunningServer, http: httpx.AsyncClient, namespace: str) -> None:
    secrets = "authorizer.group('').resource('secrets').namespace(request.namespace)"
    spec = {
        "validations": [
            {
                "expression": f"{secrets}.check('list').allowed()",
                "messageExpression": "request.userInfo.username + ' may not list secrets'",
            }
        ]
    }
    role = {
        "metadata": {"name": "writer"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}],
    }
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    assert (await http.post(f"{rbac}/roles", json=role)).status_code == 201
    bound = {
        "metadata": {"name": "writer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "writer"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ann"}],
    }
    assert (await http.post(f"{rbac}/rolebindings", json=bound)).status_code == 201
    async with policed(http, namespace, spec, rules=[CONFIGMAPS]), server.http(server.client_config("ann")) as ann:
        refused = await ann.post(configmaps(namespace), json=configmap("a"))
        assert refused.json()["message"].endswith("denied request: ann may not list secrets")
        assert (await http.post(configmaps(namespace), json=configmap("a"))).status_code == 201


async def test_other_versions_match_where_they_are_equivalent(http: httpx.AsyncClient, namespace: str) -> None:
    rule = {"apiGroups": ["autoscaling"], "apiVersions": ["v2"], "operations": ["*"], "resources": ["*"]}
    spec = {"validations": [{"expression": "object.apiVersion == 'autoscaling/v2' && has(object.spec.metrics)"}]}
    autoscaler = {
        "metadata": {"name": "a"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": 3,
            "targetCPUUtilizationPercentage": 50,
        },
    }
    place = f"/apis/autoscaling/v1/namespaces/{namespace}/horizontalpodautoscalers"
    async with policed(http, namespace, spec, rules=[rule]):
        made = await http.post(place, json=autoscaler)
        assert made.status_code == 201, made.text
    spec = {"validations": [{"expression": "false"}]}
    async with policed(http, namespace, spec, rules=[rule], match={"matchPolicy": "Exact"}):
        autoscaler["metadata"] = {"name": "b"}
        assert (await http.post(place, json=autoscaler)).status_code == 201
    async with policed(http, namespace, spec, rules=[rule]):
        autoscaler["metadata"] = {"name": "c"}
        assert (await http.post(place, json=autoscaler)).status_code == 422


async def test_policies_are_not_subject_to_policies(http: httpx.AsyncClient, namespace: str) -> None:
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}
    spec = {
        "validations": [{"expression": "false"}],
        "matchConditions": [{"name": "mine", "expression": f"request.name.startsWith('{namespace}')"}],
    }
    async with policed(http, namespace, spec, rules=[rule], cluster=True) as name:
        refused = await http.post("/api/v1/namespaces", json={"metadata": {"name": f"{namespace}-2"}})
        assert refused.status_code == 422
        changed = await http.patch(
            f"{API}/validatingadmissionpolicies/{name}", json={"metadata": {"labels": {"a": "b"}}}, headers=MERGE
        )
        assert changed.status_code == 200
        review = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
        asked = await http.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json=review)
        assert asked.status_code == 201


async def test_kubectl_apply_is_refused_with_the_reason(
    server: RunningServer, http: httpx.AsyncClient, namespace: str
) -> None:
    kubectl = Kubectl(server)
    async with policed(http, namespace, AT_MOST_FIVE, rules=[DEPLOYMENTS]) as name:
        applied = await kubectl("apply", "-n", namespace, "-f", "-", stdin=_yaml(deployment("web", 9)))
        assert applied.code == 1
        assert applied.err == (
            f"The deployments \"web\" is invalid: : ValidatingAdmissionPolicy '{name}' with binding "
            f"'{namespace}.binding' denied request: failed expression: object.spec.replicas <= 5"
        )
        applied = await kubectl("apply", "-n", namespace, "-f", "-", stdin=_yaml(deployment("web", 5)))
        assert applied.out == "deployment.apps/web created"


def _yaml(document: Document) -> str:
    return json.dumps(document)
