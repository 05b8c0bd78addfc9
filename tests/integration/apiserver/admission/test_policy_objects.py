"""Policies as they are written: what is refused, and what type checking says of them in their status."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from .policies import API, CONFIGMAPS, DEPLOYMENTS, Document, policed

pytestmark = pytest.mark.asyncio(loop_scope="module")

MERGE = {"content-type": "application/merge-patch+json"}


async def until(look: Callable[[], Awaitable[Document | None]]) -> Document:
    """What is seen, once there is something to see."""
    async with asyncio.timeout(30):
        while (seen := await look()) is None:  # noqa: ASYNC110 - the state is the server's, which signals nothing
            await asyncio.sleep(0.02)
    return seen


async def _status(http: httpx.AsyncClient, name: str, generation: int) -> Document:
    """The status of a policy, once it is of that generation."""

    async def look() -> Document | None:
        policy = (await http.get(f"{API}/validatingadmissionpolicies/{name}")).json()
        status: Document = policy.get("status") or {}
        return status if status.get("observedGeneration") == generation else None

    return await until(look)


async def _served(http: httpx.AsyncClient) -> Document | None:
    found = await http.get("/apis/checked.example.com/v1")
    return found.json() if found.status_code == 200 else None


async def test_expressions_that_do_not_compile_are_refused(http: httpx.AsyncClient) -> None:
    spec = {
        "matchConstraints": {"resourceRules": [CONFIGMAPS]},
        "validations": [{"expression": "variables.a"}, {"expression": "object.x ="}],
        "variables": [{"name": "a", "expression": "'text'"}],
    }
    refused = await http.post(f"{API}/validatingadmissionpolicies", json={"metadata": {"name": "bad"}, "spec": spec})
    assert refused.status_code == 422
    causes = {cause["field"]: cause["message"] for cause in refused.json()["details"]["causes"]}
    assert causes["spec.validations[0].expression"] == (
        'Invalid value: "variables.a": must evaluate to bool but got string'
    )
    assert "compilation failed: ERROR: <input>:1:10: Syntax error" in causes["spec.validations[1].expression"]
    assert len(causes) == 2
    mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "{'a': 'b'}"}}
    spec = {
        "matchConstraints": {"resourceRules": [CONFIGMAPS]},
        "mutations": [mutation],
        "reinvocationPolicy": "Never",
    }
    refused = await http.post(f"{API}/mutatingadmissionpolicies", json={"metadata": {"name": "bad"}, "spec": spec})
    assert refused.status_code == 422
    assert refused.json()["message"].endswith(
        "spec.mutations[0].applyConfiguration.expression: Invalid value: \"{'a': 'b'}\": "
        "must evaluate to Object but got map(string, string)"
    )


async def test_an_update_is_judged_too(http: httpx.AsyncClient, namespace: str) -> None:
    async with policed(http, namespace, {"validations": [{"expression": "true"}]}, rules=[CONFIGMAPS]) as name:
        place = f"{API}/validatingadmissionpolicies/{name}"
        changed = {"spec": {"validations": [{"expression": "params.x"}]}}
        refused = await http.patch(place, json=changed, headers=MERGE)
        assert refused.status_code == 422
        assert "undeclared reference to 'params'" in refused.json()["message"]
        labelled = await http.patch(place, json={"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
        assert labelled.status_code == 200


async def test_expressions_are_checked_against_the_kinds(http: httpx.AsyncClient, namespace: str) -> None:
    # The expressions are those of Kubernetes' test "should type check validation expressions".
    spec = {
        "validations": [
            {
                "expression": "object.spec.replicas > '1'",
                "messageExpression": "'wants replicas > 1, got ' + object.spec.replicas",
            },
            {"expression": "object.spec.nope == object.spec.replicas"},
        ]
    }
    async with policed(http, namespace, spec, rules=[DEPLOYMENTS]) as name:
        found = (await _status(http, name, 1))["typeChecking"]["expressionWarnings"]
        assert [one["fieldRef"] for one in found] == [
            "spec.validations[0].expression",
            "spec.validations[0].messageExpression",
            "spec.validations[1].expression",
        ]
        assert found[0]["warning"].startswith(
            "apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload for '_>_' applied to "
            "'(int, string)'\n | object.spec.replicas > '1'"
        )
        assert "undefined field 'nope'" in found[2]["warning"]
        good = {"spec": {"validations": [{"expression": "object.spec.replicas > 1"}]}}
        changed = await http.patch(f"{API}/validatingadmissionpolicies/{name}", json=good, headers=MERGE)
        assert changed.status_code == 200
        assert await _status(http, name, 2) == {"observedGeneration": 2, "typeChecking": {}}


async def test_expressions_are_checked_against_custom_resources(http: httpx.AsyncClient, namespace: str) -> None:
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"cron": {"type": "string"}}}},
    }
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    definition = {
        "metadata": {"name": "crontabs.checked.example.com"},
        "spec": {
            "group": "checked.example.com",
            "names": {"plural": "crontabs", "kind": "CronTab"},
            "scope": "Namespaced",
            "versions": [version],
        },
    }
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    made = await http.post(definitions, json=definition)
    assert made.status_code == 201, made.text
    rule = {**CONFIGMAPS, "apiGroups": ["checked.example.com"], "resources": ["crontabs"]}
    spec = {
        "validations": [
            {"expression": "object.spec.cron != '' && object.metadata.labels['a'] == 'b'"},
            {"expression": "object.spec.cron == 1"},
        ]
    }
    try:
        await until(lambda: _served(http))
        async with policed(http, namespace, spec, rules=[rule]) as name:
            (found,) = (await _status(http, name, 1))["typeChecking"]["expressionWarnings"]
            assert found["fieldRef"] == "spec.validations[1].expression"
            assert found["warning"].startswith("checked.example.com/v1, Kind=CronTab: ERROR: <input>:1:18: found no")
    finally:
        await http.delete(f"{definitions}/crontabs.checked.example.com")
