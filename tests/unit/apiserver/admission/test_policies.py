"""What policies decide: judgements, patches, and which policies are about a request."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.apiserver.admission.cel.evaluation import Evaluation
from k8slite.apiserver.admission.cel.inputs import Inputs
from k8slite.apiserver.admission.policies.configured import Configured
from k8slite.apiserver.admission.policies.judging import Denial, compile_validations, judge
from k8slite.apiserver.admission.policies.patching import PatchFailed, apply_configuration, apply_patch, plain
from k8slite.apiserver.cel.objects import ObjectEnvironment
from k8slite.apiserver.cel.types import DYN
from k8slite.apiserver.cel.values import Duration, Timestamp, TypedObject, UInt
from k8slite.catalogue import builtin
from k8slite.schema import Schemas

from . import rig

CATALOGUE = builtin()
OBJECT = {"metadata": {"name": "web"}, "spec": {"replicas": 3}}


def judged(spec, *, budget=10_000_000, params=None, fail="Fail"):
    policy = compile_validations({"failurePolicy": fail, **spec})
    given_ = Inputs({"object": OBJECT, "oldObject": None}, {})

    def evaluation(conditions):
        return Evaluation(given_, budget=budget, variables=policy.variables, params=params)

    return judge(policy, evaluation)


def validation(expression, **rest):
    return {"expression": expression, **rest}


@pytest.mark.parametrize(
    ("one", "denial"),
    [
        (validation("object.spec.replicas == 3"), None),
        (validation("object.spec.replicas == 4"), Denial(0, "failed expression: object.spec.replicas == 4", "Invalid")),
        (validation(" false ", message=" no \n"), Denial(0, "no", "Invalid")),
        (validation("false", messageExpression="'so ' + string(object.spec.replicas)"), Denial(0, "so 3", "Invalid")),
        (validation("false", messageExpression="'a\\nb'", message="kept"), Denial(0, "kept", "Invalid")),
        (validation("false", messageExpression="'  '", message="kept"), Denial(0, "kept", "Invalid")),
        (validation("false", messageExpression="object.nope"), Denial(0, "failed expression: false", "Invalid")),
        (validation("false", reason="Forbidden"), Denial(0, "failed expression: false", "Forbidden")),
        (
            validation("object.nope == 1", message="no"),
            Denial(0, "expression 'object.nope == 1' resulted in error: no such key: nope"),
        ),
    ],
)
def test_judgements(one, denial):
    assert judged({"validations": [one]}).denials == ((denial,) if denial else ())


def test_every_validation_is_judged_and_told_by_its_place():
    found = judged({"validations": [validation("false"), validation("true"), validation("1 == 2")]})
    assert [one.index for one in found.denials] == [0, 2]


def test_errors_that_are_ignored_do_not_hide_failures():
    spec = {"validations": [validation("object.nope"), validation("object.nope == 1"), validation("false")]}
    assert [one.index for one in judged(spec).denials] == [0, 1, 2]
    assert [one.index for one in judged(spec, fail="Ignore").denials] == [2]


@pytest.mark.parametrize(("fail", "denials"), [("Fail", 1), ("Ignore", 0)])
def test_a_spent_budget_ends_the_policy(fail, denials):
    spec = {"validations": [validation("[1, 2, 3].all(x, x > 0)"), validation("false")]}
    found = judged(spec, budget=5, fail=fail).denials
    assert len(found) == denials
    assert all("running out of cost budget" in one.message for one in found)


def test_parameters_and_conditions():
    spec = {
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConditions": [{"name": "some", "expression": "params.some == true"}],
        "validations": [validation("false")],
    }
    assert judged(spec, params={"some": True}).denials
    assert not judged(spec, params={"some": False}).denials
    assert "no such key: some" in judged(spec, params={}).denials[0].message
    assert not judged(spec, params={}, fail="Ignore").denials


DEPLOYMENT = Schemas().atom_of("apps", "v1", "Deployment")
CONFIG_MAP = Schemas().atom_of("", "v1", "ConfigMap")


def written(source, **variables):
    program = ObjectEnvironment({"object": DYN, **dict.fromkeys(variables, DYN)}).compile(source).program
    outcome = program.evaluate({"object": OBJECT, **variables}, limit=1_000_000)
    assert outcome.error is None
    return outcome.value


def test_keyed_lists_merge_and_the_live_object_stays():
    live = {"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]}}}}
    before = copy.deepcopy(live)
    found = apply_configuration(
        live,
        written(
            "Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{containers: "
            "[Object.spec.template.spec.containers{name: 'b', image: 'z'}]}}}}"
        ),
        DEPLOYMENT,
    )
    containers = found["spec"]["template"]["spec"]["containers"]
    assert containers == [{"name": "a", "image": "x"}, {"name": "b", "image": "z"}]
    assert live == before


def test_a_failed_test_leaves_the_object_alone():
    live = {"data": {"a": "1"}}
    operations = "[JSONPatch{op: 'remove', path: '/data/a'}, JSONPatch{op: 'test', path: '/data', value: 1}]"
    assert apply_patch(live, written(operations)) == live


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("Object{spec: Object.spec{replicas: [1]}}", ".spec.replicas: expected scalar, got []interface {}"),
        ("Object{spec: Object.spec{nope: 1}}", ".spec.nope: field not declared in schema"),
        (
            "Object{spec: Object.spec{selector: Object.spec.selector{matchLabels: {'a': 'b'}}}}",
            "may not mutate atomic arrays, maps or structs: .spec.selector",
        ),
        ("Object{spec: Object.other{}}", 'unexpected type name "Object.other", expected "Object.spec"'),
        ("Object{spec: Object.spec{replicas: quantity('1')}}", "kubernetes.Quantity is not JSON"),
        ("Object{metadata: Object.metadata{labels: {1: 'x'}}}", 'map key "1" is of type int, not string'),
    ],
)
def test_what_cannot_be_merged(source, complaint):
    with pytest.raises(PatchFailed) as caught:
        apply_configuration({"spec": {"replicas": 1}}, written(source), DEPLOYMENT)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3.0, 3),
        (3.5, 3.5),
        (True, True),
        (UInt(7), 7),
        (b"ab", "YWI="),
        (Duration(1_500_000_000), "1.5s"),
        (Timestamp(0), "1970-01-01T00:00:00Z"),
        ({"a": [None, {"b": 1}]}, {"a": [None, {"b": 1}]}),
    ],
)
def test_values_as_json(value, expected):
    found = plain(value)
    assert found == expected
    assert type(found) is type(expected)


_DATA = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=5)


@given(live=_DATA, wanted=_DATA)
def test_merging_keeps_what_is_not_named_and_sets_what_is(live, wanted):
    configuration = TypedObject("Object")
    configuration["data"] = wanted
    document = {"kind": "ConfigMap", "data": live}
    found = apply_configuration(document, configuration, CONFIG_MAP)
    assert found["data"] == {**live, **wanted}
    assert apply_configuration(found, configuration, CONFIG_MAP) == found
    assert document == {"kind": "ConfigMap", "data": live}


class Row:
    """An object in a table of objects."""

    def __init__(self, name, revision, spec):
        self.key, self.revision, self.document = name, revision, {"metadata": {"name": name}, "spec": spec}
        self.labels = {}


class Table:
    """The objects of one resource; counts how often they are listed."""

    def __init__(self):
        self.changed, self.rows, self.listed = 1, [], 0

    def put(self, name, spec):
        """Make or replace an object."""
        self.changed += 1
        self.rows = [row for row in self.rows if row.key != name] + [Row(name, self.changed, spec)]

    def get(self, namespace, name):
        """One object."""
        return next((row for row in self.rows if row.key == name), None)

    def select(self, **_):
        """All of them."""
        self.listed += 1
        return self.rows


class Tables:
    """Policies and bindings."""

    def __init__(self):
        self.policies, self.bindings = Table(), Table()

    def resource(self, group, plural):
        """One of the two."""
        return self.bindings if plural.endswith("bindings") else self.policies


def rules(*resources, **rest):
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": list(resources), **rest}
    return {"resourceRules": [rule], "matchPolicy": "Equivalent"}


def configured():
    tables, compiled = Tables(), []

    def compile_(spec):
        compiled.append(spec)
        return spec

    return tables, compiled, Configured(tables, policies="policies", bindings="bindings", compile_=compile_)


def admission_of(plural, *, name="web", group=""):
    return rig.admission(plural, {"metadata": {"name": name}}, group=group)


def names(found):
    return [(one.policy.name, [binding.name for binding in one.bindings]) for one in found]


def test_nothing_is_looked_at_while_there_is_nothing():
    tables, compiled, policies = configured()
    for _ in range(3):
        assert policies.concerned(admission_of("pods"), CATALOGUE) == ()
    assert (tables.policies.listed, tables.bindings.listed, compiled) == (1, 1, [])


def test_policies_without_a_binding_are_about_nothing():
    tables, _, policies = configured()
    tables.policies.put("a", {"matchConstraints": rules("pods")})
    assert policies.concerned(admission_of("pods"), CATALOGUE) == ()
    tables.bindings.put("b", {"policyName": "other"})
    assert policies.concerned(admission_of("pods"), CATALOGUE) == ()
    tables.bindings.put("c", {"policyName": "a"})
    assert names(policies.concerned(admission_of("pods"), CATALOGUE)) == [("a", ["c"])]


def test_policies_come_in_the_order_of_their_names_with_the_bindings_that_match():
    tables, _, policies = configured()
    for name in ("z", "a", "m"):
        tables.policies.put(name, {"matchConstraints": rules("pods" if name != "m" else "secrets")})
        tables.bindings.put(f"{name}-2", {"policyName": name})
        tables.bindings.put(f"{name}-1", {"policyName": name, "matchResources": rules("services")})
        tables.bindings.put(f"{name}-0", {"policyName": name, "matchResources": rules("pods")})
    assert names(policies.concerned(admission_of("pods"), CATALOGUE)) == [("a", ["a-0", "a-2"]), ("z", ["z-0", "z-2"])]


def test_only_what_changed_is_compiled_again():
    tables, compiled, policies = configured()
    for name in ("a", "b"):
        tables.policies.put(name, {"matchConstraints": rules("pods"), "name": name})
        tables.bindings.put(name, {"policyName": name})

    def use():
        return [one.policy.compiled["name"] for one in policies.concerned(admission_of("pods"), CATALOGUE)]

    assert use() == use() == ["a", "b"]
    tables.policies.put("b", {"matchConstraints": rules("pods"), "name": "b2"})
    assert use() == ["a", "b2"]
    assert [spec["name"] for spec in compiled] == ["a", "b", "b2"]


def test_rules_for_some_names():
    tables, _, policies = configured()
    tables.policies.put("a", {"matchConstraints": rules("pods", resourceNames=["web"])})
    tables.bindings.put("a", {"policyName": "a"})
    assert policies.concerned(admission_of("pods", name="other"), CATALOGUE) == ()
    assert names(policies.concerned(admission_of("pods", name="web"), CATALOGUE)) == [("a", ["a"])]


def test_what_configures_admission_is_exempt():
    tables, _, policies = configured()
    everything = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}
    tables.policies.put("a", {"matchConstraints": {"resourceRules": [everything]}})
    tables.bindings.put("a", {"policyName": "a"})
    admission = admission_of("validatingadmissionpolicies", group="admissionregistration.k8s.io")
    assert policies.concerned(admission, CATALOGUE) == ()
    assert policies.concerned(admission_of("pods"), CATALOGUE) != ()
