"""YAML bodies: what scalars are, and how much is read before the rest is refused."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from k8slite.apiserver.wire.limits import DEEPEST, MOST_VALUES
from k8slite.apiserver.wire.yaml_reader import read
from k8slite.errors import ApiError


def value(text: str) -> Any:
    return read(text.encode())[0]


def problem(text: str | bytes) -> str:
    with pytest.raises(ApiError) as caught:
        read(text.encode() if isinstance(text, str) else text)
    assert caught.value.code in (400, 413)
    return caught.value.message.removeprefix("error converting YAML to JSON: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[(text, None) for text in ("", "~", "null", "Null", "NULL")],
        *[(text, True) for text in ("y", "Yes", "true", "TRUE", "on")],
        *[(text, False) for text in ("n", "no", "False", "OFF")],
        *[("'true'", "true"), ('"1"', "1"), ("yES", "yES"), ("nope", "nope"), ("!!str true", "true"), ("! 1", "1")],
        *[("1", 1), ("-7", -7), ("+7", 7), ("0", 0), ("0o17", 15), ("017", 15), ("0x1F", 31), ("-0b11", -3)],
        *[("1_000", 1000), ("18446744073709551615", 2**64 - 1), ("-9223372036854775808", -(2**63))],
        *[("18446744073709551616", 1.8446744073709552e19), ("08", 8.0), ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0)],
        *[
            ("-1.5E-3", -0.0015),
            ("1e999", "1e999"),
            ("1:30", "1:30"),
            ("0xzz", "0xzz"),
            ("1.2.3", "1.2.3"),
        ],
        *[("2001-12-14", "2001-12-14"), ("2001-12-14t21:59:43.10-05:00", "2001-12-14t21:59:43.10-05:00")],
        *[("!!int '12'", 12), ("!!float 1", 1.0), ("!!bool 'yes'", True), ("!!null ''", None), ("!other 1", "1")],
        *[("!!binary aGVsbG8=", "hello"), ("!!timestamp 2001-01-01", "2001-01-01"), ("9" * 600, "9" * 600)],
        *[("!!set {a, b}", {"a": None, "b": None}), ("!!python/object/apply:os.system [id]", ["id"])],
    ],
)
def test_scalars_are_what_they_are_to_kubernetes(text: str, expected: Any) -> None:
    found = value(text if text.startswith("!!set") or "[" in text else f"a: {text}")
    if isinstance(expected, dict | list):
        assert found == expected
    else:
        assert found == {"a": expected}
        assert type(found["a"]) is type(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("# nothing", None),
        ("a: 1\n---\nb: 2", {"a": 1}),
        ("[a, [], {}]", ["a", [], {}]),
        ("{1: a, true: b, 1.5: c}", {"1": "a", "true": "b", "1.5": "c"}),
        ("x: &x {a: 1, b: 2}\nv: {<<: *x, b: 3}", {"x": {"a": 1, "b": 2}, "v": {"a": 1, "b": 3}}),
        ("x: &x {a: 1}\nz: &z {a: 2, c: 3}\nv: {b: 0, <<: [*x, *z]}", {"a": 1, "c": 3, "b": 0}),
        ("a: &a [1]\nb: *a", {"a": [1], "b": [1]}),
        ("a: |\n  two\n  lines\nb: >-\n  one\n  line", {"a": "two\nlines\n", "b": "one line"}),
    ],
)
def test_structures(text: str, expected: Any) -> None:
    found = value(text)
    assert (found["v"] if "*z" in text else found) == expected


def test_keys_that_are_set_twice_are_named_and_the_last_counts() -> None:
    assert read(b"a: 1\nb: {c: 1, c: 2}\na: 3") == (
        {"a": 3, "b": {"c": 2}},
        ['line 2: key "c" already set in map', 'line 3: key "a" already set in map'],
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "yaml: line"),
        ("a: b: c", "yaml: line 1: mapping values are not allowed"),
        ("a: *b", "yaml: unknown anchor 'b' referenced"),
        ("a: &a [*a]", "yaml: anchor 'a' value contains itself"),
        ("&a {a: *a}", "yaml: anchor 'a' value contains itself"),
        ("a: {<<: 5}", "yaml: map merge requires map or sequence of maps as the value"),
        ("a: !!int foo", "yaml: cannot decode !!str `foo` as a !!int"),
        ("a: !!binary '***'", "yaml: !!binary value contains invalid base64 data"),
        ("? [a, b]\n: 1", "yaml: invalid map key"),
        ("? {a: b}\n: 1", "yaml: invalid map key"),
        ("~: 1", "Unsupported map key of type: null"),
        ("a: .nan", "json: unsupported value: NaN"),
        ("a: -.inf", "json: unsupported value: -Inf"),
        ('a: "\\ud800"', "yaml: line 1:"),
        (b"a: \xff", "yaml: "),
        (b"a: \x00", "yaml: "),
    ],
)
def test_what_is_wrong_is_said(text: str | bytes, words: str) -> None:
    assert problem(text).startswith(words)


def test_depth_is_bounded() -> None:
    deepest = "[" * DEEPEST + "]" * DEEPEST
    assert orjson.dumps(value(deepest)).decode() == deepest
    words = f"yaml: exceeded max depth of {DEEPEST}"
    for text in (
        "[" * (DEEPEST + 1),
        "{a: " * (DEEPEST + 1),
        "[" * 3_000_000,
        "- " * 1_000_000,
        "x: " + "{a: " * 700_000,
    ):
        assert problem(text) == words


def test_the_number_of_values_is_bounded() -> None:
    assert len(value("[" + "1," * (MOST_VALUES - 1) + "]")) == MOST_VALUES - 1
    too_many = f"Request entity too large: limit is {MOST_VALUES} values"
    assert problem("[" + "1," * MOST_VALUES + "]") == too_many
    assert problem("[" + "{}," * 900_000 + "]") == too_many
    assert problem("{" + ",".join(f"k{i}: " for i in range(MOST_VALUES)) + "}") == too_many


def laughs(levels: int, fanout: int) -> str:
    lines = ["a0: &a0 [" + ",".join(["lol"] * fanout) + "]"]
    lines += [f"a{n}: &a{n} [" + ",".join([f"*a{n - 1}"] * fanout) + "]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "bomb",
    [
        laughs(9, 9),
        laughs(5, 10),
        "a: &a " + "x" * 2_000_000 + "\nb: [" + ",".join(["*a"] * 1000) + "]",
        "a: &a {" + ",".join(f"k{i}: 1" for i in range(40_000)) + "}\nb:\n" + " - {<<: *a}\n" * 3,
        "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 9)),
    ],
)
def test_what_aliases_stand_for_is_counted(bomb: str) -> None:
    assert problem(bomb) == "yaml: document contains excessive aliasing"


def test_some_aliases_are_fine() -> None:
    assert len(value(laughs(4, 10))["a3"]) == 10


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc yn01~", max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_json_is_yaml(document: Any) -> None:
    assert read(orjson.dumps(document)) == (document, [])


@given(values, st.booleans())
def test_what_is_written_is_read_again(document: Any, flow: bool) -> None:
    text = yaml.safe_dump(document, default_flow_style=flow, allow_unicode=True)
    # PyYAML leaves these words bare; to Kubernetes they are true and false.
    if not any(word in text for word in ("y", "Y", "n", "N")):
        assert read(text.encode())[0] == document
