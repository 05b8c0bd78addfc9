"""What type checking says of a policy's expressions: for which kinds, and in which words."""

from __future__ import annotations

import pytest

from k8slite.apiserver.admission.policies.type_checking import issues, kinds_to_check, warnings
from k8slite.apiserver.cel.kinds import declared_kind
from k8slite.catalogue import builtin
from k8slite.schema import Schemas

CATALOGUE = builtin()
SCHEMAS = Schemas()
DEPLOYMENT = ("apps", "v1", "Deployment")


def type_of(kind):
    facts = SCHEMAS.type_of(*kind)
    return declared_kind(facts) if facts is not None else None


def rule(groups, versions, resources):
    return {"apiGroups": groups, "apiVersions": versions, "resources": resources}


@pytest.mark.parametrize(
    ("rules", "kinds"),
    [
        ([rule(["apps"], ["v1"], ["deployments"])], [DEPLOYMENT]),
        ([rule(["apps"], ["v1"], ["deployments/status"])], []),
        ([rule(["apps"], ["v1"], ["*"])], []),
        ([rule(["*"], ["v1"], ["deployments"])], []),
        ([rule(["apps"], ["*"], ["deployments"])], []),
        ([rule(["apps"], ["v9"], ["deployments"])], []),
        (
            [rule(["", "apps"], ["v1"], ["pods", "deployments"]), rule(["apps"], ["v1"], ["deployments"])],
            [("", "v1", "Pod"), DEPLOYMENT],
        ),
        ([], []),
    ],
)
def test_kinds_are_those_that_rules_name(rules, kinds):
    assert kinds_to_check({"matchConstraints": {"resourceRules": rules}}, CATALOGUE) == kinds


def test_ten_kinds_of_a_rule_are_enough():
    many = [row.plural for row in CATALOGUE.of("", "v1") if row.kind != "Status"]
    assert len(many) > 10
    assert len(kinds_to_check({"matchConstraints": {"resourceRules": [rule([""], ["v1"], many)]}}, CATALOGUE)) == 10


@pytest.mark.parametrize(
    ("expression", "issue"),
    [
        ("object.spec.replicas > 1", ""),
        ("object.metadata.labels['a'] == 'b'", ""),
        ("oldObject.metadata.creationTimestamp < object.metadata.creationTimestamp", ""),
        ("object.spec.template.spec.containers.all(c, c.resources.limits['cpu'] != '')", ""),
        (
            "object.spec.strategy.rollingUpdate.maxSurge == 1 || object.spec.strategy.rollingUpdate.maxSurge == '25%'",
            "",
        ),
        ("request.name == object.metadata.name && namespaceObject.metadata.name == object.metadata.__namespace__", ""),
        ("object.spec.replicas > '1'", "found no matching overload for '_>_' applied to '(int, string)'"),
        ("object.spec.replica > 1", "undefined field 'replica'"),
        ("variables.count + 'x' == ''", "found no matching overload for '_+_' applied to '(int, string)'"),
        ("params.data['x'] == 1", "found no matching overload for '_==_' applied to '(string, int)'"),
    ],
)
def test_issues(expression, issue):
    spec = {
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "variables": [{"name": "count", "expression": "object.spec.replicas"}],
        "validations": [{"expression": expression}],
    }
    found = issues(spec, type_of(DEPLOYMENT), type_of)
    assert list(found) == (["spec.validations[0].expression"] if issue else [])
    assert issue in found.get("spec.validations[0].expression", "")


def test_one_mistake_is_told_once():
    spec = {"validations": [{"expression": "object.nope.further.than == 1"}]}
    (issue,) = issues(spec, type_of(DEPLOYMENT), type_of).values()
    assert "*error*" not in issue
    assert issue == "ERROR: <input>:1:7: undefined field 'nope'\n | object.nope.further.than == 1\n | ......^"


def test_warnings_name_the_kinds():
    spec = {"validations": [{"expression": "true"}, {"expression": "a", "messageExpression": "b"}]}
    pod = ("", "v1", "Pod")
    place = "spec.validations[1].messageExpression"
    assert warnings(spec, [(pod, {place: "wrong"}), (DEPLOYMENT, {place: "too"})]) == [
        {"fieldRef": place, "warning": "/v1, Kind=Pod: wrong\n\napps/v1, Kind=Deployment: too\n"}
    ]
    assert warnings(spec, [(pod, {})]) == []


def test_every_built_in_kind_can_be_checked():
    for row in CATALOGUE:
        facts = SCHEMAS.type_of(row.group, row.version, row.kind)
        assert facts is not None
        spec = {"validations": [{"expression": "object.kind == object.apiVersion && has(object.kind)"}]}
        assert issues(spec, declared_kind(facts), type_of) == {}, row.kind
