"""Pruning, defaulting, nulls, embedded metadata and list types: what a schema makes of a document."""

from __future__ import annotations

from typing import Any

import pytest

from k8slite.apiserver.custom import lists, metadata
from k8slite.apiserver.custom.defaulting import default, drop_nulls
from k8slite.apiserver.custom.pruning import prune
from k8slite.apiserver.custom.structural import Structural

HEAD = {"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "a"}}
OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
STRING = {"type": "string"}


def object_of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("schema", "given", "kept", "dropped"),
    [
        ({"type": "object"}, {"a": 1}, {}, ["a"]),
        (object_of(a=STRING), {"a": "x", "b": 1}, {"a": "x"}, ["b"]),
        (object_of(a=object_of(b=STRING)), {"a": {"b": "x", "c": {"d": 1}}}, {"a": {"b": "x"}}, ["a.c"]),
        (
            object_of(a={"type": "array", "items": object_of(b=STRING)}),
            {"a": [{"b": "x"}, {"c": 1}]},
            {"a": [{"b": "x"}, {}]},
            ["a[1].c"],
        ),
        (
            {"type": "object", "additionalProperties": object_of(a=STRING)},
            {"x": {"a": "1", "b": 2}},
            {"x": {"a": "1"}},
            ["x.b"],
        ),
        (OPEN, {"a": {"b": 1}}, {"a": {"b": 1}}, []),
        (
            {**OPEN, "properties": {"a": object_of(b=STRING)}},
            {"a": {"b": "x", "c": 1}, "d": 1},
            {"a": {"b": "x"}, "d": 1},
            ["a.c"],
        ),
        (
            object_of(a={**object_of(spec={"type": "object"}), "x-kubernetes-embedded-resource": True}),
            {"a": {"apiVersion": "v1", "kind": "X", "metadata": {"m": 1}, "status": {}}},
            {"a": {"apiVersion": "v1", "kind": "X", "metadata": {"m": 1}}},
            ["a.status"],
        ),
        (object_of(a={"type": "object"}), {"a": {"metadata": {}}}, {"a": {}}, ["a.metadata"]),
        (object_of(b=STRING, a=STRING), {"z": 1, "y": 2}, {}, ["y", "z"]),
    ],
)
def test_what_the_schema_does_not_name_is_dropped(
    schema: dict[str, Any], given: dict[str, Any], kept: dict[str, Any], dropped: list[str]
) -> None:
    document = {**HEAD, **given}
    assert prune(document, Structural(schema)) == dropped
    assert document == {**HEAD, **kept}


@pytest.mark.parametrize(
    ("schema", "given", "wanted"),
    [
        (object_of(a={**STRING, "default": "x"}), {}, {"a": "x"}),
        (object_of(a={**STRING, "default": "x"}), {"a": ""}, {"a": ""}),
        (object_of(a={**STRING, "default": "x"}), {"a": None}, {"a": "x"}),
        (object_of(a={**STRING, "default": "x", "nullable": True}), {"a": None}, {"a": None}),
        (object_of(a=STRING), {"a": None}, {}),
        (object_of(a={**STRING, "nullable": True}), {"a": None}, {"a": None}),
        (object_of(a=object_of(b={"type": "integer", "default": 1})), {}, {}),
        (object_of(a=object_of(b={"type": "integer", "default": 1})), {"a": {}}, {"a": {"b": 1}}),
        (
            object_of(a={**object_of(b={"type": "integer", "default": 1}), "default": {}}),
            {},
            {"a": {"b": 1}},
        ),
        (
            object_of(a={"type": "array", "items": object_of(b={"type": "integer", "default": 1})}),
            {"a": [{}, {"b": 2}]},
            {"a": [{"b": 1}, {"b": 2}]},
        ),
        (
            {"type": "object", "additionalProperties": {"type": "integer", "default": 7}},
            {"x": None, "y": 1},
            {"x": 7, "y": 1},
        ),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"x": None}, {}),
        (object_of(a={"type": "boolean", "default": False}), {}, {"a": False}),
    ],
)
def test_nulls_give_way_to_defaults(schema: dict[str, Any], given: dict[str, Any], wanted: dict[str, Any]) -> None:
    structural = Structural(schema)
    drop_nulls(given, structural)
    default(given, structural)
    assert given == wanted


def test_a_default_is_not_shared_between_documents() -> None:
    structural = Structural(object_of(a={"type": "array", "items": STRING, "default": []}))
    first: dict[str, Any] = {}
    default(first, structural)
    first["a"].append("x")
    second: dict[str, Any] = {}
    default(second, structural)
    assert second == {"a": []}


def test_metadata_is_an_object_meta() -> None:
    assert metadata.read({"name": "a", "labels": {"b": "c"}}) == ({"name": "a", "labels": {"b": "c"}}, [])
    read, unknown = metadata.read({"name": "a", "odd": 1})
    assert (read, unknown) == ({"name": "a"}, ['unknown field "metadata.odd"'])
    with pytest.raises(metadata.Malformed, match=r"cannot unmarshal number into Go struct field ObjectMeta\.labels"):
        metadata.read({"name": "a", "labels": {"b": 1}})
    assert metadata.read({"name": "a", "labels": {"b": 1}}, lenient=True) == ({"name": "a"}, [])
    assert metadata.read("nonsense", lenient=True) == ({}, [])


def test_embedded_objects_have_a_kind_and_metadata() -> None:
    whole = {**OPEN, "x-kubernetes-embedded-resource": True}
    structural = Structural(object_of(a=whole, l={"type": "array", "items": whole}))
    document = {"a": {"metadata": {"odd": 1}}, "l": [{"apiVersion": "v1", "kind": "X"}]}
    assert metadata.coerce(document, structural, lenient=False) == ['unknown field "a.metadata.odd"']
    assert [str(cause) for cause in metadata.validate(document, structural)] == [
        "a.apiVersion: Required value",
        "a.kind: Required value",
    ]
    wrong = {"l": [{"apiVersion": "a/b/c", "kind": "_", "metadata": {"labels": {"/": "x"}}}]}
    fields = [cause.field for cause in metadata.validate(wrong, structural)]
    assert fields == ["l[0].apiVersion", "l[0].kind", "l[0].metadata.labels"]


SET = {"type": "array", "x-kubernetes-list-type": "set", "items": STRING}


def keyed(*keys: str) -> dict[str, Any]:
    return {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": list(keys),
        "items": {**OPEN, "properties": {"inner": SET}},
    }


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (SET, ["a", "b"], []),
        (SET, ["a", "b", "a", "a"], ['f[2]: Duplicate value: "a"']),
        (keyed("k"), [{"k": 1}, {"k": 2}], []),
        (keyed("k"), [{"k": 1}, {"k": 1, "x": 2}], ['f[1]: Duplicate value: {"k":1}']),
        (keyed("k"), [{}, {"x": 2}], ["f[1]: Duplicate value: {}"]),
        (
            keyed("k", "l"),
            [{"k": 1, "l": 1}, {"k": 1, "l": 2}, {"k": 1, "l": 1}],
            ['f[2]: Duplicate value: {"k":1,"l":1}'],
        ),
        (keyed("k"), ["a"], ['f[0]: Invalid value: "a": must be an object for an array of list-type map']),
        (keyed("k"), [{"k": 1, "inner": ["a", "a"]}], ['f[0].inner[1]: Duplicate value: "a"']),
        ({"type": "object", "additionalProperties": SET}, {"x": ["a", "a"]}, ['f[x][1]: Duplicate value: "a"']),
    ],
)
def test_what_stands_twice_in_a_set_or_map_is_told(schema: dict[str, Any], value: Any, expected: list[str]) -> None:
    found = lists.check({"f": value}, Structural(object_of(f=schema)))
    assert [str(cause) for cause in found] == expected
