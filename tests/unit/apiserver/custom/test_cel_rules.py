"""Rules of custom resources: the documentation's examples, transitions, ratcheting, budgets, and the words of "
"causes."""

import copy
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.apiserver.custom.rules import Rules

_INTEGER = {"type": "integer"}
_STRING = {"type": "string"}


def ruled(schema, *rules):
    return {
        **schema,
        "x-kubernetes-validations": [rule if isinstance(rule, dict) else {"rule": rule} for rule in rules],
    }


def of_spec(spec):
    return Rules.compile({"type": "object", "properties": {"spec": spec}})


def texts(causes):
    return [f"{cause.field}: {cause.message}" for cause in causes]


def refused(spec, value, old=None):
    return texts(of_spec(spec).check({"spec": value}, None if old is None else {"spec": old}))


_REPLICAS = {
    "type": "object",
    "properties": dict.fromkeys(("minReplicas", "replicas", "maxReplicas", "immutableField"), _INTEGER)
    | {
        "health": _STRING,
        "components": {"type": "object", "additionalProperties": _STRING},
        "names": {"type": "array", "items": _STRING},
        "set1": {"type": "array", "items": _STRING, "x-kubernetes-list-type": "set"},
        "set2": {"type": "array", "items": _STRING, "x-kubernetes-list-type": "set"},
        "expired": {"type": "string", "format": "date-time"},
        "created": {"type": "string", "format": "date-time"},
        "ttl": {"type": "string", "format": "duration"},
        "widgets": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["key"],
            "items": {"type": "object", "properties": {"key": _STRING, "foo": _INTEGER}},
        },
    },
}


@pytest.mark.parametrize(
    ("rule", "right", "wrong"),
    [
        (
            "self.minReplicas <= self.replicas && self.replicas <= self.maxReplicas",
            {"minReplicas": 1, "replicas": 2, "maxReplicas": 3},
            {"minReplicas": 3, "replicas": 2, "maxReplicas": 3},
        ),
        ("'Available' in self.components", {"components": {"Available": ""}}, {"components": {}}),
        ("(size(self.set1) == 0) != (size(self.set2) == 0)", {"set1": ["a"], "set2": []}, {"set1": [], "set2": []}),
        ("self.set1.all(e, !(e in self.set2))", {"set1": ["a"], "set2": ["b"]}, {"set1": ["a"], "set2": ["a"]}),
        ("!('MY_KEY' in self.components) || self.components['MY_KEY'].matches('^[a-zA-Z]*$')",
         {"components": {"MY_KEY": "abc"}}, {"components": {"MY_KEY": "1"}}),
        ("self.widgets.filter(w, w.key == 'x')[0].foo < 10",
         {"widgets": [{"key": "x", "foo": 1}]}, {"widgets": [{"key": "x", "foo": 10}]}),
        ("has(self.expired) && self.created + self.ttl < self.expired",
         {"created": "2024-01-01T00:00:00Z", "ttl": "1h", "expired": "2024-01-01T01:00:01Z"},
         {"created": "2024-01-01T00:00:00Z", "ttl": "1h", "expired": "2024-01-01T00:59:59Z"}),
        ("self.health.startsWith('ok')", {"health": "okay"}, {"health": "not ok"}),
        ("self.widgets.exists(w, w.key == 'x' && w.foo < 10)",
         {"widgets": [{"key": "x", "foo": 1}]}, {"widgets": [{"key": "y", "foo": 1}]}),
        ("self.?replicas.orValue(1) > 0", {}, {"replicas": 0}),
        ("self.set1 == ['a', 'b']", {"set1": ["b", "a"]}, {"set1": ["a"]}),
    ],
)  # fmt: skip
def test_examples_of_the_documentation(rule, right, wrong):
    schema = ruled(_REPLICAS, rule)
    assert refused(schema, right) == []
    assert refused(schema, wrong) == [f"spec: Invalid value: failed rule: {rule}"]


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (ruled(_STRING, {"rule": "self == ''", "message": " be empty "}), "a", 'spec: Invalid value: "a": be empty'),
        (
            ruled(_INTEGER, {"rule": "self > 1", "messageExpression": "'was %d'.format([self])", "message": "m"}),
            1,
            "spec: Invalid value: 1: was 1",
        ),
        (
            ruled(_INTEGER, {"rule": "self > 1", "messageExpression": "string(1 / (self - 1))", "message": "fallback"}),
            1,
            "spec: Invalid value: 1: fallback",
        ),
        (
            ruled(_INTEGER, {"rule": "false", "messageExpression": "' '"}),
            1,
            "spec: Invalid value: 1: failed rule: false",
        ),
        (ruled(_INTEGER, {"rule": "false", "reason": "FieldValueForbidden", "message": "m"}), 1, "spec: Forbidden: m"),
        (ruled(_INTEGER, {"rule": "1>2", "reason": "FieldValueRequired"}), 1, "spec: Required value: failed rule: 1>2"),
        (ruled(_INTEGER, {"rule": "self > 1", "reason": "FieldValueDuplicate"}), 1, "spec: Duplicate value: 1"),
        (
            ruled({"type": "object", "properties": {"a": _INTEGER}}, {"rule": "self.a > 1", "fieldPath": ".a"}),
            {"a": 1},
            "spec.a: Invalid value: failed rule: self.a > 1",
        ),
        (
            ruled({"type": "object", "properties": {"a": _INTEGER}}, "self.a > 1"),
            {},
            'spec: Invalid value: "object": no such key: a evaluating rule: self.a > 1',
        ),
        (
            ruled({"x-kubernetes-int-or-string": True}, "self > 1"),
            "a",
            "spec: Invalid value: \"\": 'no such overload': call arguments did not match a supported operator, "
            "function "
            "or macro signature for rule: self > 1",
        ),
        (
            ruled({"type": "object"}, "self.a > 1"),
            {"a": 1},
            'spec: Invalid value: "object": rule compile error: compilation failed: ERROR: <input>:1:5: '
            'undefined field '
            "'a'\n | self.a > 1\n | ....^",
        ),
        (
            {"type": "object", "additionalProperties": ruled(_INTEGER, "self > 1")},
            {"a.b": 1},
            "spec[a.b]: Invalid value: 1: failed rule: self > 1",
        ),
        (
            {"type": "array", "items": ruled(_INTEGER, "self > 1")},
            [2, 1],
            "spec[1]: Invalid value: 1: failed rule: self > 1",
        ),
    ],
)  # fmt: skip
def test_words(schema, value, expected):
    assert refused(schema, value) == [expected]


def test_the_root_sees_its_name_and_is_called_nil():
    rules = Rules.compile(ruled({"type": "object"}, "self.metadata.name == 'a' && self.kind == 'K'"))
    document = {"kind": "K", "apiVersion": "v1", "metadata": {"name": "b", "labels": {"x": "y"}}}
    assert texts(rules.check(document)) == [
        "<nil>: Invalid value: failed rule: self.metadata.name == 'a' && self.kind == 'K'"
    ]
    assert rules.check(document | {"metadata": {"name": "a"}}) == []


def test_embedded_resources_show_their_name_only():
    schema = {"type": "object", "x-kubernetes-embedded-resource": True, "x-kubernetes-preserve-unknown-fields": True}
    assert refused(ruled(schema, "self.metadata.name == 'a'"), {"metadata": {"name": "a"}}) == []
    assert "undefined field 'labels'" in refused(ruled(schema, "self.metadata.labels == {}"), {"metadata": {}})[0]


def test_nothing_runs_on_null():
    assert refused(ruled(_STRING | {"nullable": True}, "false"), None) == []


def test_a_schema_without_rules_is_false():
    assert not Rules.compile({"type": "object", "properties": {"a": _INTEGER}})
    assert Rules.compile(ruled({"type": "object"}, "true"))


def test_transition_rules_run_on_updates_only():
    schema = ruled(_STRING, {"rule": "self == oldSelf", "message": "is immutable"})
    assert refused(schema, "a") == []
    assert refused(schema, "a", "a") == []
    assert refused(schema, "b", "a") == ['spec: Invalid value: "b": is immutable']


def test_transition_rules_with_an_optional_old_value_run_always():
    rule = {"rule": "oldSelf.hasValue() ? self >= oldSelf.value() : self == 1", "optionalOldSelf": True}
    schema = ruled(_INTEGER, rule)
    assert refused(schema, 1) == []
    assert len(refused(schema, 2)) == 1
    assert refused(schema, 3, 2) == []
    assert len(refused(schema, 2, 3)) == 1


_PORTS = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
    "items": ruled({"type": "object", "properties": {"name": _STRING, "port": _INTEGER}}, "self.port >= oldSelf.port"),
}


def test_elements_are_matched_by_their_keys():
    old = [{"name": "a", "port": 1}, {"name": "b", "port": 5}]
    assert refused(_PORTS, [{"name": "b", "port": 5}, {"name": "c", "port": 0}, {"name": "a", "port": 1}], old) == []
    assert refused(_PORTS, [{"name": "b", "port": 4}], old) == [
        "spec[0]: Invalid value: failed rule: self.port >= oldSelf.port"
    ]


def test_elements_of_other_lists_are_not_matched():
    schema = {"type": "array", "items": ruled(_INTEGER, "self == oldSelf")}
    assert refused(schema, [2], [1]) == []


def test_values_of_maps_are_matched_by_key():
    schema = {"type": "object", "additionalProperties": ruled(_INTEGER, "self == oldSelf")}
    assert refused(schema, {"a": 2, "b": 1}, {"a": 1}) == ["spec[a]: Invalid value: 2: failed rule: self == oldSelf"]


def test_what_an_update_left_alone_is_let_pass():
    schema = {"type": "object", "properties": {"a": ruled(_INTEGER, "self > 5"), "b": _INTEGER}}
    assert refused(schema, {"a": 1, "b": 2}, {"a": 1, "b": 1}) == []
    assert refused(schema, {"a": 2, "b": 1}, {"a": 1, "b": 1}) == ["spec.a: Invalid value: 2: failed rule: self > 5"]
    atomic = {"type": "array", "items": ruled(_INTEGER, "self > 5")}
    assert refused(atomic, [1, 2], [1, 2]) == []
    assert len(refused(atomic, [1, 2], [1, 3])) == 2


def test_a_rule_that_names_the_old_value_is_never_let_pass():
    schema = ruled(_INTEGER, "self > oldSelf")
    assert len(refused(schema, 1, 1)) == 1


def test_one_expensive_rule_ends_the_check():
    schema = {
        "type": "object",
        "properties": {
            "all": ruled(
                {"type": "array", "items": _INTEGER},
                "self.all(a, self.all(b, self.all(c, a + b + c >= 0)))",
                "false",
            )
        },
    }
    start = time.process_time()
    reported = refused(schema, {"all": list(range(5000))})
    assert time.process_time() - start < 1
    assert reported == [
        "spec.all: Invalid value: \"array\": 'operation cancelled: actual cost limit exceeded': no further validation "
        "rules will be run due to call cost exceeds limit for rule: "
        "self.all(a, self.all(b, self.all(c, a + b + c >= 0)))"
    ]


def test_all_rules_share_a_budget():
    rule = {"rule": "self.all(a, self.map(b, b).size() > 0)"}
    array = {"type": "array", "items": _INTEGER}
    assert refused(ruled(array, *[rule] * 8), list(range(250))) == []
    reported = refused(ruled(array, *[rule] * 30), list(range(250)))
    assert len(reported) == 1
    assert reported[0].endswith(
        "validation failed due to running out of cost budget, no further validation rules will be run"
    )


@pytest.mark.parametrize(
    "rule",
    [
        "self.all(a, self.all(b, string(a) + 'x' != string(b)))",
        "self.all(a, self.indexOf(-1) < 0)",
        "self.all(a, self.all(b, timestamp(b).getHours('Europe/Paris') >= 0))",
        "self.all(a, self.all(b, string(a).matches('^[0-9]+$')))",
        "self.all(a, self.all(b, isIP('10.0.0.' + string(b % 250))))",
        "self.all(a, '%s'.format([self]) != '')",
    ],
)
def test_many_expensive_rules_end_soon_together(rule):
    schema = ruled({"type": "array", "items": _INTEGER}, *[rule] * 50)
    rules = of_spec(schema)
    start = time.process_time()
    reported = rules.check({"spec": list(range(240))})
    assert time.process_time() - start < 3
    assert len(reported) == 1


_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=3), st.floats(allow_nan=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abx"), inner, max_size=3)),
    max_leaves=6,
)
_ANY_RULES = of_spec(
    ruled(
        {
            "type": "object",
            "properties": {
                "a": ruled(_PORTS, "self.all(p, p.port > 0)", "self == oldSelf"),
                "b": ruled({"type": "number"}, "self > 0.5"),
                "x": ruled({"type": "string", "format": "date-time"}, "self > timestamp(0)"),
            },
        },
        "self == self",
        "has(self.a) || has(self.b)",
    )
)


@given(_VALUES, _VALUES)
def test_whatever_the_values_a_check_neither_fails_nor_changes_them(value, old):
    kept = copy.deepcopy((value, old))
    assert isinstance(_ANY_RULES.check({"spec": value}, {"spec": old}), list)
    assert repr((value, old)) == repr(kept)
