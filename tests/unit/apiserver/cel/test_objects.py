"""Expressions that write objects and JSON patches, macros with two variables, and questions to the authorizers."""

import pytest

from k8slite.apiserver.cel.environment import CompileError, Environment
from k8slite.apiserver.cel.functions.authorization import (
    AUTHORIZER,
    RESOURCE_CHECK,
    Authorizer,
    Decision,
    Question,
    ResourceCheck,
)
from k8slite.apiserver.cel.objects import ObjectEnvironment
from k8slite.apiserver.cel.types import DYN, INT, STRING, DeclType, list_of, map_of

_OBJECTS = ObjectEnvironment({"object": DYN})
_OBJECT = {"metadata": {"labels": {"a/b": "c"}}}


def _value(source, environment=_OBJECTS, **variables):
    outcome = environment.compile(source).program.evaluate({"object": _OBJECT} | variables, limit=1_000_000)
    assert outcome.error is None, outcome.error
    return outcome.value


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Object{}", {}),
        ("Object{spec: Object.spec{replicas: 3}}", {"spec": {"replicas": 3}}),
        ("Object{spec: Object . spec {namespace: 'x'}}", {"spec": {"namespace": "x"}}),
        ("Object{?spec: object.?spec, ?metadata: object.?metadata}", {"metadata": _OBJECT["metadata"]}),
        ("Object{data: {'Object.data{': 'Object.data{'}}", {"data": {"Object.data{": "Object.data{"}}),
        (
            "Object{spec: Object.spec{list: [Object.spec.list{a: 1}, Object.spec.list{b: r'\\d{'}]}}",
            {"spec": {"list": [{"a": 1}, {"b": "\\d{"}]}},
        ),
        ("Object{a: Object.a{a: Object.a.a{b: null}}}.a.a", {"b": None}),
        (
            "object.metadata.labels.map(k, JSONPatch{op: 'remove', path: '/l/' + jsonpatch.escapeKey(k)})",
            [{"op": "remove", "path": "/l/a~1b"}],
        ),
        ("[JSONPatch{op: 'add', path: '/x', value: Object.x{y: [1]}}]", None),
    ],
)
def test_objects_are_written(source, expected):
    value = _value(source)
    assert value == ([{"op": "add", "path": "/x", "value": {"y": [1]}}] if expected is None else expected)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("Object{}", "Object"),
        ("Object.spec{}", "Object.spec"),
        ("[JSONPatch{}]", "list(JSONPatch)"),
        ("has(object.x) ? [JSONPatch{}] : []", "list(JSONPatch)"),
        ("{'a': 1}", "map(string, int)"),
    ],
)
def test_the_type_of_what_is_written_is_known(source, kind):
    assert _OBJECTS.compile(source).result == kind


def test_every_type_keeps_its_own_name():
    types = [f"Object.{first}{second}" for first in "abcdefghijk" for second in ["", *"abcdefghij"]]
    source = "[" + ", ".join(f"type({name}{{}}) == type({name}{{x: 1}})" for name in types) + "]"
    assert all(_value(source))
    assert not _value("type(Object.a{}) == type(Object.b{})")


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("Object{spec: x}", "ERROR: <input>:1:14: undeclared reference to 'x'"),
        ("JSONPatch{nope: 1}", "undefined field 'nope'"),
        ("Object.spec{a: 1} + 1", "'(Object.spec, int)'"),
        ("Other{a: 1}", "undeclared reference to 'Other'"),
    ],
)
def test_errors_name_the_types_and_places_of_the_text(source, complaint):
    with pytest.raises(CompileError) as caught:
        _OBJECTS.compile(source)
    assert complaint in str(caught.value)


def test_objects_of_too_many_types_are_refused_before_they_are_declared():
    source = " == ".join(f"Object.a{place}{{b{place}: 1}}" for place in range(400))
    with pytest.raises(CompileError, match="objects of 401 types are too many"):
        _OBJECTS.compile(source)


def test_without_mutation_nothing_can_be_written():
    with pytest.raises(CompileError, match="Object"):
        Environment({"object": DYN}).compile("Object{}")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("l.all(i, v, i < 3 && v != 'z')", True),
        ("l.exists(i, v, i == 1 && v == 'b')", True),
        ("l.existsOne(i, v, v > 'a')", False),
        ("m.all(k, v, m[k] == v)", True),
        ("m.transformMap(k, v, v + 1)", {"x": 2, "y": 3}),
        ("m.transformMap(k, v, v > 1, v)", {"y": 2}),
        ("m.transformList(k, v, k + string(v))", ["x1", "y2"]),
        ("m.transformMapEntry(k, v, {v: k})", {1: "x", 2: "y"}),
        ("l.transformList(i, v, l.transformList(j, w, i == j, v + w))", [["aa"], ["bb"], ["cc"]]),
    ],
)
def test_macros_with_two_variables(source, expected):
    environment = Environment({"l": list_of(STRING), "m": map_of(INT)})
    assert _value(source, environment, l=["a", "b", "c"], m={"x": 1, "y": 2}) == expected


def test_a_key_is_not_made_twice():
    environment = Environment({"l": list_of(STRING)})
    compiled = environment.compile("l.transformMapEntry(i, v, {'a': v})")
    outcome = compiled.program.evaluate({"l": ["x", "y"]}, limit=1000)
    assert str(outcome.error) == "insert failed: key a already exists"


_ASKING = Environment({"authorizer": DeclType(AUTHORIZER), "authorizer.requestResource": DeclType(RESOURCE_CHECK)})


def _asked(source):
    questions = []

    def ask(question):
        questions.append(question)
        return Decision(question.verb == "get", "because", "" if question.verb else "broken")

    resource = ResourceCheck(ask, Question(group="apps", resource="deployments", name="web"))
    variables = {"authorizer": Authorizer(ask), "authorizer.requestResource": resource}
    return _ASKING.compile(source).program.evaluate(variables, limit=1_000_000), questions


@pytest.mark.parametrize(
    ("source", "question"),
    [
        ("authorizer.path('/healthz').check('get')", Question(verb="get", path="/healthz")),
        (
            "authorizer.group('').resource('pods').subresource('log').namespace('a').name('b').check('get')",
            Question(verb="get", resource="pods", subresource="log", namespace="a", name="b"),
        ),
        (
            "authorizer.serviceAccount('ns', 'builder').group('x').resource('y').check('list')",
            Question(account=("ns", "builder"), verb="list", group="x", resource="y"),
        ),
        (
            "authorizer.group('').resource('pods').fieldSelector('a=b').labelSelector('c').check('list')",
            Question(verb="list", resource="pods", field_selector="a=b", label_selector="c"),
        ),
        (
            "authorizer.requestResource.check('custom')",
            Question(verb="custom", group="apps", resource="deployments", name="web"),
        ),
    ],
)
def test_questions_to_the_authorizers(source, question):
    outcome, questions = _asked(source)
    assert outcome.error is None
    assert questions == [question]
    assert outcome.cost > 350_000


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("authorizer.path('/x').check('get').allowed()", True),
        ("authorizer.path('/x').check('put').allowed()", False),
        ("authorizer.path('/x').check('get').reason()", "because"),
        ("authorizer.path('/x').check('get').errored()", False),
        ("authorizer.path('/x').check('').error()", "broken"),
    ],
)
def test_answers_of_the_authorizers(source, expected):
    assert _asked(source)[0].value == expected


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("authorizer.path(' ')", "path must not be empty"),
        ("authorizer.group('').resource('')", "resource must not be empty"),
        ("authorizer.serviceAccount('no.label', 'x')", "Invalid service account namespace"),
        ("authorizer.serviceAccount('x', 'A@')", "Invalid service account name"),
    ],
)
def test_questions_that_make_no_sense(source, error):
    outcome, questions = _asked(source)
    assert str(outcome.error) == error
    assert not questions


def test_two_checks_are_what_an_expression_can_afford():
    check = "authorizer.path('/x').check('put').allowed()"
    assert _asked(f"{check} || {check}")[0].value is False
    outcome, _ = _asked(f"{check} || {check} || {check}")
    assert "cost limit exceeded" in str(outcome.error)
