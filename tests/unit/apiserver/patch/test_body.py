"""Patches as requests bring them: what is no patch, and what strict writers hear."""

from __future__ import annotations

import pytest

from k8slite.apiserver.patch.body import Form, read_patch
from k8slite.errors import ApiError


@pytest.mark.parametrize(
    ("form", "body", "words"),
    [
        ("json", b"", "invalid JSON patch"),
        ("merge", b"a: b", "invalid JSON patch"),
        ("strategic", b"{", "invalid JSON patch"),
        ("json", b"{}", "cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
        ("json", b"[1]", "cannot unmarshal number into Go value of type handlers.jsonPatchOp"),
        ("json", b'[{"op":1}]', "cannot unmarshal number into Go struct field jsonPatchOp.op of type string"),
        ("merge", b"[]", "cannot unmarshal array into Go value of type map[string]interface {}"),
        ("merge", b"null", "Invalid JSON Patch"),
        ("strategic", b'"x"', "cannot unmarshal string into Go value of type map[string]interface {}"),
    ],
)
def test_what_is_no_patch(form: Form, body: bytes, words: str) -> None:
    with pytest.raises(ApiError) as refused:
        read_patch(body, form, facts=None, strict=False)
    assert refused.value.code == 400 and words in refused.value.message


DEEP = b'{"a":' * 300 + b"1" + b"}" * 300


@pytest.mark.parametrize(
    ("form", "body"),
    [
        ("json", b'[{"op":"add","path":"/x","value":' + DEEP + b"}]"),
        ("merge", DEEP),
        ("strategic", DEEP),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_patches_that_are_nested_too_deep(form: Form, body: bytes, strict: bool) -> None:
    with pytest.raises(ApiError, match="exceeded max depth") as refused:
        read_patch(body, form, facts=None, strict=strict)
    assert refused.value.code == 400


def test_strict_writers_hear_of_repeated_and_unknown_fields() -> None:
    body = b'[ {"op": "add", "op": "add", "path": "/x", "value": {"a": [{"b": 1, "b": 2}]}, "foo": 1} ]'
    assert read_patch(body, "json", facts=None, strict=True).findings == [
        'json patch duplicate field "[0].op"',
        'json patch duplicate field "[0].value.a[0].b"',
        'json patch unknown field "[0].foo"',
    ]
    assert read_patch(body, "json", facts=None, strict=False).findings == []
    merge = read_patch(b'{"a":{"b":1,"b":2}}', "merge", facts=None, strict=True)
    assert merge.findings == ['duplicate field "a.b"'] and merge.apply({}) == {"a": {"b": 2}}


def test_a_refusal_shows_the_outcome_or_the_strategic_patch() -> None:
    merge = read_patch(b'{"b":1,"a":null}', "merge", facts=None, strict=True)
    assert merge.shown(merge.apply({"a": 1})) == '{"b":1}'
    strategic = read_patch(b'{"b":[1,true,null],"a":{"x":"y"}}', "strategic", facts=None, strict=True)
    assert strategic.shown({}) == "map[a:map[x:y] b:[1 true <nil>]]"
