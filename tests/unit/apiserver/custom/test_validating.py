"""Values against schemas: what is refused, where, and in which words."""

from __future__ import annotations

import time
from typing import Any

import pytest

from k8slite.apiserver.custom.validating import Rules


def spec(**schema: Any) -> Rules:
    """The rules of an object whose only field is `f`."""
    return Rules({"type": "object", "properties": {"f": schema}})


def words(rules: Rules, document: Any, old: Any = ...) -> list[str]:
    found = rules.check(document) if old is ... else rules.check(document, old)
    return [str(cause) for cause in found]


INVALID = "f: Invalid value: "


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "string"}, 1, [INVALID + '"integer": f in body must be of type string: "integer"']),
        ({"type": "integer"}, 2**63, [INVALID + '"number": f in body must be of type integer: "number"']),
        ({"type": "integer"}, 1e16, [INVALID + '"number": f in body must be of type integer: "number"']),
        ({"type": "integer"}, 2**63 - 1, []),
        ({"type": "integer"}, 1e3, []),
        ({"type": "number"}, 2**63, []),
        ({"type": "integer"}, "x", [INVALID + '"string": f in body must be of type integer: "string"']),
        ({"type": "integer"}, 1.5, [INVALID + '"number": f in body must be of type integer: "number"']),
        ({"type": "integer"}, 2.0, []),
        ({"type": "integer"}, True, [INVALID + '"boolean": f in body must be of type integer: "boolean"']),
        ({"type": "number"}, 2, []),
        ({"type": "boolean"}, None, [INVALID + '"null": f in body must be of type boolean: "null"']),
        ({"type": "boolean", "nullable": True}, None, []),
        ({"type": "array"}, {}, [INVALID + '"object": f in body must be of type array: "object"']),
        ({"x-kubernetes-int-or-string": True}, "1", []),
        ({"x-kubernetes-int-or-string": True}, 1, []),
        (
            {"x-kubernetes-int-or-string": True},
            True,
            [INVALID + '"boolean": f in body must be of type integer,string: "boolean"'],
        ),
        ({"type": "string", "enum": ["a", "b"]}, "c", ['f: Unsupported value: "c": supported values: "a", "b"']),
        ({"type": "integer", "enum": [2, 1]}, 3, ['f: Unsupported value: 3: supported values: "2", "1"']),
        ({"enum": [1]}, True, ['f: Unsupported value: true: supported values: "1"']),
        ({"type": "string", "maxLength": 2}, "abc", ["f: Too long: may not be more than 2 bytes"]),
        ({"type": "string", "maxLength": 3}, "äöü", []),
        ({"type": "string", "minLength": 2}, "a", [INVALID + '"a": f in body should be at least 2 chars long']),
        ({"type": "string", "pattern": "^a+$"}, "b", [INVALID + "\"b\": f in body should match '^a+$'"]),
        ({"type": "string", "pattern": r"^\pL+$"}, "äb", []),
        ({"type": "integer", "minimum": 1}, 0, [INVALID + "0: f in body should be greater than or equal to 1"]),
        (
            {"type": "number", "minimum": 1, "exclusiveMinimum": True},
            1,
            [INVALID + "1: f in body should be greater than 1"],
        ),
        ({"type": "number", "maximum": 1.5}, 2.5, [INVALID + "2.5: f in body should be less than or equal to 1.5"]),
        (
            {"type": "integer", "maximum": 10, "exclusiveMaximum": True},
            10,
            [INVALID + "10: f in body should be less than 10"],
        ),
        ({"type": "integer", "multipleOf": 3}, 7, [INVALID + "7: f in body should be a multiple of 3"]),
        ({"type": "number", "multipleOf": 0.1}, 0.3, []),
        (
            {"type": "integer", "format": "int32"},
            2**31,
            ['<nil>: Invalid value: "": Checked value must be of type integer with format int32 in f'],
        ),
        ({"type": "array", "minItems": 1}, [], [INVALID + "0: f in body should have at least 1 items"]),
        ({"type": "array", "maxItems": 1}, [1, 2], ["f: Too many: 2: must have at most 1 item"]),
        ({"type": "array", "uniqueItems": True}, [1, 1], [INVALID + '"": f in body shouldn\'t contain duplicates']),
        ({"type": "array", "uniqueItems": True}, [1, True], []),
        (
            {"type": "array", "items": {"type": "string"}},
            ["a", 1],
            ['f[1]: Invalid value: "integer": f[1] in body must be of type string: "integer"'],
        ),
        ({"type": "object", "required": ["a", "b"]}, {"a": 1}, ["f.b: Required value"]),
        (
            {"type": "object", "minProperties": 1},
            {},
            [INVALID + "0: f in body should have at least 1 properties"],
        ),
        ({"type": "object", "maxProperties": 1}, {"a": 1, "b": 2}, ["f: Too many: 2: must have at most 1 item"]),
        (
            {"type": "object", "additionalProperties": {"type": "integer"}},
            {"a": "x"},
            ['f.a: Invalid value: "string": f.a in body must be of type integer: "string"'],
        ),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "integer"}},
            {"a": "x", "b": 1},
            [],
        ),
        ({"type": "string", "format": "ipv4"}, "::1", [INVALID + '"::1": f in body must be of type ipv4: "::1"']),
        ({"type": "string", "format": "unheard-of"}, "x", []),
        ({"type": "object", "format": "ipv4"}, {}, []),
    ],
)
def test_a_value_is_judged_in_kubernetes_words(schema: dict[str, Any], value: Any, expected: list[str]) -> None:
    assert words(spec(**schema), {"f": value}) == expected


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (
            {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {},
            ['<nil>: Invalid value: "": "f" must validate at least one schema (anyOf)', "f.a: Required value"],
        ),
        ({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, {"b": 1}, []),
        (
            {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"a": 1, "b": 1},
            ['<nil>: Invalid value: "": "f" must validate one and only one schema (oneOf). Found 2 valid alternatives'],
        ),
        (
            {"oneOf": [{"required": ["a"]}]},
            {},
            [
                '<nil>: Invalid value: "": "f" must validate one and only one schema (oneOf). Found none valid',
                "f.a: Required value",
            ],
        ),
        (
            {"allOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {"a": 1},
            ["f.b: Required value", '<nil>: Invalid value: "": "f" must validate all the schemas (allOf)'],
        ),
        (
            {"not": {"required": ["a"]}},
            {"a": 1},
            ['<nil>: Invalid value: "": "f" must not validate the schema (not)'],
        ),
        ({"not": {"required": ["a"]}}, {}, []),
        (
            {
                "anyOf": [
                    {"properties": {"k": {"enum": ["x"]}, "v": {"minimum": 1}}},
                    {"properties": {"k": {"enum": ["y"]}, "v": {"minimum": 5}}},
                ]
            },
            {"k": "y", "v": 3},
            [
                '<nil>: Invalid value: "": "f" must validate at least one schema (anyOf)',
                'f.k: Unsupported value: "y": supported values: "x"',
            ],
        ),
    ],
)
def test_alternatives_are_explained_by_the_one_that_fits_best(
    schema: dict[str, Any], value: Any, expected: list[str]
) -> None:
    assert words(spec(type="object", **schema), {"f": value}) == expected


def test_a_pattern_is_read_as_go_reads_it() -> None:
    anchored = spec(type="string", pattern="^a+$")
    assert words(anchored, {"f": "a\n"}) and not words(anchored, {"f": "aa"})
    slow_elsewhere = spec(type="string", pattern="^(a+)+$")
    assert words(slow_elsewhere, {"f": "a" * 60 + "b"})
    assert words(spec(type="string", pattern="(unclosed"), {"f": "(unclosed"})


@pytest.mark.parametrize(("value", "factor"), [(1e308, 0.01), (1.5, 1e-320), (10**18, 1e-308)])
def test_a_number_out_of_all_proportion_is_no_multiple(value: float, factor: float) -> None:
    assert words(spec(type="number", multipleOf=factor), {"f": value})


def test_long_lists_and_enums_are_checked_in_linear_time() -> None:
    elements = [{"name": str(number)} for number in range(20_000)]
    long = {**KEYED, "items": {"type": "object", "properties": {"name": {"enum": [each["name"] for each in elements]}}}}
    began = time.process_time()
    assert not words(spec(**long), {"f": elements[::-1], "g": 1}, {"f": elements, "g": 2})
    assert time.process_time() - began < 5  # minutes, if each element were looked for among all


def test_every_problem_is_told() -> None:
    rules = Rules(
        {
            "type": "object",
            "required": ["spec"],
            "properties": {
                "spec": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"n": {"type": "integer", "maximum": 1}, "s": {"type": "string"}},
                }
            },
        }
    )
    assert words(rules, {}) == ["spec: Required value"]
    assert words(rules, {"spec": {"n": 2, "s": 3}}) == [
        "spec.n: Invalid value: 2: spec.n in body should be less than or equal to 1",
        'spec.s: Invalid value: "integer": spec.s in body must be of type string: "integer"',
        "spec.name: Required value",
    ]


KEYED = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
    "items": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "n": {"type": "integer", "maximum": 1}, "m": {"type": "integer"}},
    },
}


@pytest.mark.parametrize(
    ("schema", "old", "new", "refused"),
    [
        ({"type": "integer", "maximum": 1}, 2, 2, False),
        ({"type": "integer", "maximum": 1}, 2, 3, True),
        ({"type": "integer", "maximum": 1}, 1, 2, True),
        (KEYED, [{"name": "a", "n": 5}], [{"name": "b"}, {"name": "a", "n": 5, "m": 1}], False),
        (KEYED, [{"name": "a", "n": 5}], [{"name": "b", "n": 5}], True),
        ({**KEYED, "x-kubernetes-list-type": "atomic"}, [{"n": 5}], [{"n": 5}, {"n": 1}], True),
        ({"type": "object", "required": ["a"]}, {"b": 1}, {"b": 1}, False),
        ({"type": "object", "required": ["a"]}, {"b": 1}, {"b": 2}, True),
        (
            {"type": "object", "additionalProperties": {"type": "string", "maxLength": 1}},
            {"a": "xx"},
            {"a": "xx", "b": "y"},
            False,
        ),
    ],
)
def test_what_did_not_change_is_not_held_against_a_change(
    schema: dict[str, Any], old: Any, new: Any, refused: bool
) -> None:
    assert bool(words(spec(**schema), {"f": new, "g": 2}, {"f": old, "g": 1})) is refused


def test_a_status_alone_is_named_from_its_object() -> None:
    rules = Rules({"type": "object", "properties": {"n": {"type": "integer", "maximum": 1}}})
    (cause,) = rules.check({"n": 2}, prefix="status")
    assert str(cause) == "status.n: Invalid value: 2: n in body should be less than or equal to 1"


FORMATS = {
    "date": (["2024-02-29"], ["2024-13-01", "x"]),
    "date-time": (["2024-01-01T00:00:00Z", "2024-01-01T00:00:00.5+02:00"], ["2024-01-01", "noon"]),
    "duration": (["1h", "1.5s", "3 days"], ["soon", ""]),
    "email": (["a@b.c", "A <a@b.c>"], ["a", "@b", "(" * 5000]),
    "hostname": (["a", "a-b.example.com", "1.com"], ["-a", "a..b", "a" * 64]),
    "ipv4": (["10.0.0.1"], ["10.0.0", "::1"]),
    "ipv6": (["::1"], ["10.0.0.1", "fe80::1%eth0"]),
    "cidr": (["10.0.0.0/8", "::/0"], ["10.0.0.0", "10.0.0.0/33", "fe80::1%eth0/64"]),
    "mac": (["00:11:22:33:44:55"], ["00:11"]),
    "uri": (["http://a/b", "/a"], ["a b", "a"]),
    "uuid": (["9D3A4A8E-1C3B-4C5D-8E6F-0123456789ab"], ["9d3a"]),
    "uuid4": (["9d3a4a8e-1c3b-4c5d-8e6f-0123456789ab"], ["9d3a4a8e-1c3b-1c5d-8e6f-0123456789ab"]),
    "byte": (["YQ=="], ["a", "?"]),
    "isbn": (["0-306-40615-2", "978-0-306-40615-7"], ["0-306-40615-3"]),
    "creditcard": (["4111 1111 1111 1111"], ["4111 1111 1111 1112"]),
    "hexcolor": (["#fff", "a0b1c2"], ["#ff"]),
    "rgbcolor": (["rgb(0, 128, 255)"], ["rgb(0, 0, 256)"]),
    "ssn": (["123-45-6789"], ["12-345-6789"]),
    "password": (["anything"], []),
    "k8s-short-name": (["a-b"], ["a.b", "-a"]),
    "k8s-long-name": (["a.b"], ["a..b"]),
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_checked(name: str) -> None:
    good, bad = FORMATS[name]
    rules = spec(type="string", format=name)
    assert [value for value in good if words(rules, {"f": value})] == []
    assert [value for value in bad if not words(rules, {"f": value})] == []
