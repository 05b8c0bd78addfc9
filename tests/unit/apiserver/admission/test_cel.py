"""Expressions of admission: what they see, what they may spend, and how match conditions decide."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from k8slite.apiserver.admission.base import Admission
from k8slite.apiserver.admission.cel.asking import Asking
from k8slite.apiserver.admission.cel.conditions import compile_conditions
from k8slite.apiserver.admission.cel.declared import Scope
from k8slite.apiserver.admission.cel.evaluation import CONDITIONS_BUDGET, Evaluation, OutOfBudget
from k8slite.apiserver.admission.cel.expressions import ANY, Compiler, compose
from k8slite.apiserver.admission.cel.inputs import inputs
from k8slite.apiserver.admission.describing import describe
from k8slite.apiserver.admission.matching import Match
from k8slite.apiserver.authn.base import User
from k8slite.apiserver.authz.base import NO_FIELDS, Decision
from k8slite.apiserver.strategies.base import Context
from k8slite.apiserver.wire.options import Options
from k8slite.catalogue import builtin
from k8slite.selectors import EVERYTHING

CATALOGUE = builtin()
DEPLOYMENTS = CATALOGUE.by_path("apps", "v1", "deployments")
MATCH = Match(DEPLOYMENTS, ("apps", "v1", "Deployment"))
USER = User("ann", uid="u1", groups=("dev", "system:authenticated"), extra={"scope": ("a", "b")})
OBJECT = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"replicas": 3}}
NAMESPACE = {
    "metadata": {"name": "shop", "labels": {"tier": "gold"}, "managedFields": [{}], "ownerReferences": [{}]},
    "spec": {"finalizers": ["kubernetes"]},
}


class Rules:
    """An authorizer that allows `get`; a waiting one answers later."""

    def __init__(self, *, waits: bool = False) -> None:
        self.waits = waits
        self.asked = []

    async def authorize(self, attributes):
        """ALLOW for get."""
        if self.waits:
            await asyncio.sleep(0)
        self.asked.append(attributes)
        if attributes.verb == "break":
            raise RuntimeError("out of order")
        return (Decision.ALLOW if attributes.verb == "get" else Decision.NO_OPINION), "so be it"


def an_admission(operation="UPDATE", **options):
    context = Context(
        user=USER,
        now=datetime(2026, 1, 1, tzinfo=UTC),
        namespace="shop",
        dry_run=bool(options.get("dry_run")),
        lookup=lambda *where: None,
        warnings=[],
    )
    return Admission(
        operation=operation,
        resource=DEPLOYMENTS,
        subresource="",
        namespace="shop",
        name="web",
        object=OBJECT,
        old={"metadata": {"name": "web"}},
        context=context,
        options=Options(**options),
    )


def given(authorizer=None):
    admission = an_admission()
    asking = Asking(authorizer or Rules(), USER)
    values = inputs(
        admission, MATCH, obj=admission.object, old=admission.old, asking=asking, namespace=lambda: NAMESPACE
    )
    return values, asking


async def run(source, *, scope=None, returns=ANY, authorizer=None, **rest):
    values, asking = given(authorizer)
    expression = Compiler(scope or Scope()).compile(source, returns)
    return await asking.answered(lambda: Evaluation(values, **rest).run(expression))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("object.spec.replicas", 3),
        ("oldObject.metadata.name", "web"),
        ("has(object.status)", False),
        ("object.metadata.namespace == request.namespace", True),
        ("request.kind.kind + request.resource.resource + request.operation", "DeploymentdeploymentsUPDATE"),
        ("request.requestKind.version + request.requestResource.group", "v1apps"),
        ("has(request.subResource)", False),
        ("request.userInfo.username", "ann"),
        ("'dev' in request.userInfo.groups", True),
        ("request.userInfo.extra['scope'][1]", "b"),
        ("request.dryRun", False),
        ("request.options.kind", "UpdateOptions"),
        ("namespaceObject.metadata.labels['tier']", "gold"),
        ("namespaceObject.spec.finalizers", ["kubernetes"]),
        ("has(namespaceObject.metadata.annotations)", False),
        ("authorizer.requestResource.check('get').allowed()", True),
        ("authorizer.requestResource.check('delete').allowed()", False),
        ("authorizer.group('').resource('pods').check('get').reason()", "so be it"),
        ("authorizer.path('/x').check('break').errored()", True),
        ("authorizer.path('/x').check('break').error()", "out of order"),
    ],
)
@pytest.mark.parametrize("waits", [False, True])
async def test_what_expressions_see(source, expected, waits):
    result = await run(source, authorizer=Rules(waits=waits))
    assert (result.value, result.error) == (expected, "")


async def test_a_question_is_asked_once_whatever_waits():
    authorizer = Rules(waits=True)
    source = "[1, 2].all(x, authorizer.group('').resource('pods').check('get').allowed()) || true"
    assert (await run(source, authorizer=authorizer)).value is True
    assert len(authorizer.asked) == 1
    asked = authorizer.asked[0]
    assert (asked.user, asked.resource, asked.version, asked.verb) == (USER, "pods", "*", "get")


async def test_service_accounts_are_asked_about_as_themselves():
    authorizer = Rules()
    await run("authorizer.serviceAccount('ns', 'robot').path('/x').check('get')", authorizer=authorizer)
    user = authorizer.asked[0].user
    assert user.name == "system:serviceaccount:ns:robot"
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:ns")


async def test_questions_may_be_narrowed_by_selectors():
    authorizer = Rules()
    pods = "authorizer.group('').resource('pods')"
    await run(f"{pods}.fieldSelector('spec.nodeName=a').labelSelector('x=y').check('list')", authorizer=authorizer)
    await run(f"{pods}.fieldSelector('!!').labelSelector('!!').check('list')", authorizer=authorizer)
    narrow, wide = authorizer.asked
    assert narrow.fields.value_of("spec.nodeName") == "a"
    assert narrow.labels.matches({"x": "y"}) and not narrow.labels.matches({})
    assert (wide.fields, wide.labels) == (NO_FIELDS, EVERYTHING)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("object.spec.nope == 1", "expression 'object.spec.nope == 1' resulted in error: no such key: nope"),
        ("request.nope", "compilation error: compilation failed: ERROR: <input>:1:8: undefined field 'nope'"),
        ("namespaceObject.metadata.managedFields", "undefined field 'managedFields'"),
        ("params.x", "undeclared reference to 'params'"),
        ("variables.x", "undeclared reference to 'variables'"),
    ],
)
async def test_errors_in_the_words_of_kubernetes(source, error):
    assert error in (await run(source)).error


@pytest.mark.parametrize(
    ("source", "returns", "error"),
    [
        ("'x'", ("bool",), "must evaluate to bool but got string"),
        ("1", ("string", "null_type"), "must evaluate to one of [string null_type] but got int"),
        ("object.x", ("string",), "must evaluate to string but got dyn"),
        ("[1]", ("Object",), "must evaluate to Object but got list(int)"),
    ],
)
def test_types_that_were_not_asked_for(source, returns, error):
    assert Compiler(Scope()).compile(source, *returns).error == error


def _composed(*variables, source, **rest):
    scope, composed = compose(Scope(variables={}), [{"name": name, "expression": text} for name, text in variables])
    return run(source, scope=scope, variables=composed, **rest)


async def test_variables_are_typed_in_their_order():
    variables = (("n", "object.spec.replicas"), ("twice", "[variables.n, variables.n]"), ("m", "{'a': 1}"))
    assert (await _composed(*variables, source="variables.twice[1] + variables.m.a")).value == 4
    assert "undefined field 'later'" in (await _composed(("a", "variables.later"), source="variables.a")).error
    assert "no such overload" in (await _composed(("a", "1"), source="variables.a + 'x'")).error or (
        "found no matching overload" in (await _composed(("a", "1"), source="variables.a + 'x'")).error
    )


async def test_variables_are_evaluated_when_named_and_once():
    authorizer = Rules(waits=False)
    variables = (("asked", "authorizer.path('/x').check('get').allowed()"), ("broken", "object.nope.nope"))
    result = await _composed(*variables, source="variables.asked && variables.asked", authorizer=authorizer)
    assert result.value is True
    assert len(authorizer.asked) == 1
    result = await _composed(*variables, source="variables.broken")
    assert result.error.endswith('composited variable "broken" fails to evaluate: no such key: nope')
    assert (await _composed(*variables, source="has(variables.broken)")).value is True
    assert (await _composed(*variables, source="variables.broken || true")).value is True


async def test_the_budget_counts_variables_too():
    loop = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10].all(x, x > 0)"
    assert (await run(loop, budget=1000)).value is True
    with pytest.raises(OutOfBudget, match="running out of cost budget"):
        await run(loop, budget=50)
    with pytest.raises(OutOfBudget):
        await _composed(("big", loop), source="variables.big", budget=50)


async def test_an_expression_alone_is_limited_too():
    big = "[0,1,2,3,4,5,6,7,8,9]"
    loop = f"{big}.all(a, {big}.all(b, {big}.all(c, {big}.all(d, {big}.all(e, {big}.all(f, f >= 0))))))"
    assert "cost limit exceeded" in (await run(loop)).error


def _conditions(*sources, fail=True):
    listed = [{"name": f"c{index}", "expression": text} for index, text in enumerate(sources)]
    return compile_conditions(listed, fail=fail).match(Evaluation(given()[0], budget=CONDITIONS_BUDGET))


@pytest.mark.parametrize("fail", [True, False])
def test_conditions_that_are_all_true_match(fail):
    assert _conditions(fail=fail).matches
    assert _conditions("object.spec.replicas == 3", "request.operation == 'UPDATE'", fail=fail).matches


@pytest.mark.parametrize("fail", [True, False])
def test_a_false_condition_decides_whatever_the_others(fail):
    verdict = _conditions("object.nope == 1", "object.spec.replicas == 4", fail=fail)
    assert (verdict.matches, verdict.error, verdict.condition) == (False, "", "c1")


def test_errors_count_as_the_failure_policy_has_it():
    verdict = _conditions("object.nope == 1", "true", "object.none == 1")
    assert not verdict.matches
    assert verdict.error == (
        "[expression 'object.nope == 1' resulted in error: no such key: nope, "
        "expression 'object.none == 1' resulted in error: no such key: none]"
    )
    verdict = _conditions("object.nope == 1", "true", fail=False)
    assert (verdict.matches, verdict.error) == (False, "")


def test_a_request_is_described_as_kubernetes_does():
    described = describe(an_admission(dry_run=True, field_manager="kubectl"), MATCH, uid="")
    assert described == {
        "uid": "",
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "requestKind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "requestResource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "name": "web",
        "namespace": "shop",
        "operation": "UPDATE",
        "userInfo": {
            "username": "ann",
            "uid": "u1",
            "groups": ["dev", "system:authenticated"],
            "extra": {"scope": ["a", "b"]},
        },
        "dryRun": True,
        "options": {
            "kind": "UpdateOptions",
            "apiVersion": "meta.k8s.io/v1",
            "fieldManager": "kubectl",
            "dryRun": ["All"],
        },
    }
    deletion = an_admission("DELETE", grace_period=5, precondition_uid="x", propagation="Orphan")
    assert describe(deletion, MATCH, uid="")["options"] == {
        "kind": "DeleteOptions",
        "apiVersion": "meta.k8s.io/v1",
        "gracePeriodSeconds": 5,
        "preconditions": {"uid": "x"},
        "propagationPolicy": "Orphan",
    }
    assert describe(an_admission("CONNECT"), MATCH, uid="")["options"] is None
