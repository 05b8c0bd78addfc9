"""Match conditions of webhooks: expressions that say which requests they are asked about."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from .hooks import (
    CONFIGURATIONS,
    MUTATING,
    VALIDATING,
    Hooks,
    add,
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
BOTH = pytest.mark.parametrize("plural", [MUTATING, VALIDATING])


def condition(expression: str, name: str = "only") -> dict[str, Any]:
    """One condition."""
    return {"matchConditions": [{"name": name, "expression": expression}]}


def maps(namespace: str) -> str:
    """The path of the config maps of a namespace."""
    return f"/api/v1/namespaces/{namespace}/configmaps"


@BOTH
async def test_conditions_are_kept_and_can_be_changed(http: httpx.AsyncClient, hooks: Hooks, plural: str) -> None:
    hook = webhook("some", hooks.on("/some", deny()), rule("pods"), **condition("object.metadata.name != 'x'"))
    made = await configure(http, plural, "some", hook)
    assert made["webhooks"][0]["matchConditions"] == hook["matchConditions"]
    change = [{"op": "replace", "path": "/webhooks/0/matchConditions/0/expression", "value": "request.dryRun"}]
    url, headers = f"{CONFIGURATIONS}/{plural}/some", {"content-type": "application/json-patch+json"}
    changed = await http.patch(url, json=change, headers=headers)
    assert changed.json()["webhooks"][0]["matchConditions"][0]["expression"] == "request.dryRun"


@BOTH
@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("... [] bad expression", "compilation failed: ERROR: <input>:1:"),
        ("request.nothing == 'x'", "undefined field 'nothing'"),
        ("'a text'", "must evaluate to bool but got string"),
        ("params.x", "undeclared reference to 'params'"),
    ],
)
async def test_expressions_that_are_none_are_refused(
    http: httpx.AsyncClient, hooks: Hooks, plural: str, expression: str, said: str
) -> None:
    hook = webhook("some", hooks.on("/some", deny()), rule("pods"), **condition(expression))
    answer = await http.post(f"{CONFIGURATIONS}/{plural}", json={"metadata": {"name": "some"}, "webhooks": [hook]})
    assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid")
    (cause,) = answer.json()["details"]["causes"]
    assert cause["field"] == "webhooks[0].matchConditions[0].expression"
    assert said in cause["message"]


@pytest.mark.parametrize(
    ("expression", "asked"),
    [
        ("object.metadata.name == 'a'", True),
        ("object.metadata.name == 'b'", False),
        ("oldObject == null", True),
        ("request.operation == 'UPDATE'", False),
        ("request.resource.resource == 'configmaps' && request.kind.kind == 'ConfigMap'", True),
        ("request.userInfo.username == 'kubernetes-admin'", True),
        ("!('system:masters' in request.userInfo.groups)", False),
        ("request.namespace.startsWith('hooked-')", True),
        ("authorizer.group('').resource('configmaps').check('delete').allowed()", True),
        ("authorizer.requestResource.check('custom').allowed()", True),
        ("has(object.metadata.labels) && object.metadata.labels.x == 'y'", False),
    ],
)
@BOTH
async def test_conditions_see_the_request(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks, plural: str, expression: str, asked: bool
) -> None:
    hook = webhook("no", hooks.on("/no", deny()), rule("configmaps"), namespace=namespace, **condition(expression))
    await configure(http, plural, "no", hook)
    answer = await http.post(maps(namespace), json=config_map("a"))
    assert answer.status_code == (400 if asked else 201), answer.text


async def test_conditions_see_what_earlier_webhooks_changed(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks
) -> None:
    about = rule("configmaps", operations=["CREATE"])
    first = webhook("first", hooks.on("/first", patch(add("/data/x", "y"))), about, namespace=namespace)
    later = hooks.on("/later", annotate("later"))
    second = webhook("second", later, about, namespace=namespace, **condition("object.data.x == 'y'"))
    await configure(http, MUTATING, "both", first, second)
    made = await http.post(maps(namespace), json=config_map("a"))
    assert made.json()["metadata"]["annotations"] == {"later": "seen"}


async def test_one_webhook_skips_what_is_marked(http: httpx.AsyncClient, namespace: str, hooks: Hooks) -> None:
    skip = condition("object.metadata.name != 'skip-me'")
    hook = webhook("mark", hooks.on("/mark", annotate("marked")), rule("configmaps"), namespace=namespace, **skip)
    await configure(http, MUTATING, "mark", hook)
    for name, marked in (("skip-me", False), ("other", True)):
        made = await http.post(maps(namespace), json=config_map(name))
        assert ("annotations" in made.json()["metadata"]) is marked


ERROR = {"name": "error", "expression": "object.nothing == 'x'"}
TRUE, FALSE = {"name": "yes", "expression": "true"}, {"name": "no", "expression": "false"}


@pytest.mark.parametrize(
    ("conditions", "policy", "code"),
    [
        ([ERROR], "Fail", 403),
        ([ERROR], "Ignore", 201),
        ([TRUE, ERROR], "Fail", 403),
        ([ERROR, FALSE], "Fail", 201),
        ([TRUE], "Ignore", 400),
        ([TRUE, FALSE], "Fail", 201),
    ],
)
@BOTH
async def test_errors_count_as_the_failure_policy_has_it(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks, plural: str, conditions: Any, policy: str, code: int
) -> None:
    more = {"matchConditions": conditions, "failurePolicy": policy}
    hook = webhook("no", hooks.on("/no", deny()), rule("configmaps"), namespace=namespace, **more)
    await configure(http, plural, "no", hook)
    answer = await http.post(maps(namespace), json=config_map("a"))
    assert answer.status_code == code, answer.text
    assert len(hooks.asked) == (1 if code == 400 else 0)
    if code == 403:
        assert answer.json()["message"].startswith("configmaps \"a\" is forbidden: expression 'object.nothing == 'x''")


async def test_conditions_that_cost_too_much_are_errors(http: httpx.AsyncClient, namespace: str, hooks: Hooks) -> None:
    much = "[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, "
    much += "[1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, a + b + c + d + e > 0)))))"
    hook = webhook("no", hooks.on("/no", deny()), rule("configmaps"), namespace=namespace, **condition(much))
    await configure(http, VALIDATING, "no", hook)
    answer = await http.post(maps(namespace), json=config_map("a"))
    assert answer.status_code == 403, answer.text
    assert "cost" in answer.json()["message"]


async def test_conditions_are_counted(http: httpx.AsyncClient, namespace: str, hooks: Hooks) -> None:
    for name, expression in (("counted-out", "false"), ("counted-error", "oldObject.nothing == 1")):
        about = rule("configmaps", operations=["CREATE" if name == "counted-out" else "DELETE"])
        client = hooks.on("/no", deny())
        hook = webhook(name, client, about, namespace=namespace, **condition(expression))
        await configure(http, VALIDATING, name, hook)
    assert (await http.post(maps(namespace), json=config_map("a"))).status_code == 201
    assert (await http.delete(f"{maps(namespace)}/a")).status_code == 403
    text = (await http.get("/metrics")).text
    for metric, name, operation in (
        ("exclusions_total", "counted-out", "CREATE"),
        ("evaluation_errors_total", "counted-error", "DELETE"),
    ):
        labels = f'kind="webhook",name="{name}.example.com",operation="{operation}",type="validate"'
        assert f"apiserver_admission_match_condition_{metric}{{{labels}}} 1.0" in text
