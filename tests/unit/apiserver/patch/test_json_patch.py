from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.apiserver.patch import json, merge

DOCUMENT: dict[str, Any] = {"a": {"b": 1}, "list": [1, 2, 3], "m~n/o": "odd"}


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([{"op": "add", "path": "/a/c", "value": 2}], {"a": {"b": 1, "c": 2}}),
        ([{"op": "add", "path": "/list/1", "value": 9}], {"list": [1, 9, 2, 3]}),
        ([{"op": "add", "path": "/list/-", "value": 9}], {"list": [1, 2, 3, 9]}),
        ([{"op": "remove", "path": "/a/b"}], {"a": {}}),
        ([{"op": "replace", "path": "/list/0", "value": 7}], {"list": [7, 2, 3]}),
        ([{"op": "move", "from": "/a/b", "path": "/x"}], {"a": {}, "x": 1}),
        ([{"op": "copy", "from": "/list", "path": "/x"}], {"x": [1, 2, 3]}),
        ([{"op": "test", "path": "/a/b", "value": 1}], {}),
        ([{"op": "replace", "path": "/m~0n~1o", "value": "even"}], {"m~n/o": "even"}),
        ([{"op": "test", "path": "/a/nothing", "value": None}], {}),
        ([{"op": "remove", "path": "/list/-1"}], {"list": [1, 2]}),
        ([{"op": "replace", "path": "/list/-2", "value": 9}], {"list": [1, 9, 3]}),
        ([{"op": "add", "path": "/list/-1", "value": 9}], {"list": [1, 2, 3, 9]}),
    ],
)
def test_operations(operations: list[Any], expected: dict[str, Any]) -> None:
    before = {"a": {"b": 1}, "list": [1, 2, 3], "m~n/o": "odd"}
    assert json.apply(DOCUMENT, operations) == {**before, **expected}
    assert before == DOCUMENT, "the given document is not changed"


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "explode", "path": "/a"},
        {"op": ["add"], "path": "/a"},
        {"path": "/a"},
        {"op": "add", "value": 1},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "/a/c"},
        {"op": "remove", "path": "/nothing"},
        {"op": "replace", "path": "/nothing", "value": 1},
        {"op": "add", "path": "/x/y", "value": 1},
        {"op": "add", "path": "/list/7", "value": 1},
        {"op": "add", "path": "/list/-5", "value": 1},
        {"op": "replace", "path": "/list/-4", "value": 1},
        {"op": "replace", "path": "/list/-", "value": 1},
        {"op": "test", "path": "/a/b", "value": True},
        {"op": "test", "path": "/x/y", "value": None},
        {"op": "move", "from": "/a", "path": "/a/b"},
    ],
)
def test_what_cannot_be_carried_out(operation: dict[str, Any]) -> None:
    with pytest.raises(json.PatchError) as refused:
        json.apply(DOCUMENT, [operation])
    assert refused.value.code == 422


values = st.recursive(
    st.integers() | st.text(max_size=3) | st.booleans(),
    lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=3), values, max_size=4)


@given(objects, objects)
def test_merge_patch_that_says_everything_gives_what_it_says(old: dict[str, Any], new: dict[str, Any]) -> None:
    def difference(before: Any, after: Any) -> Any:
        if not isinstance(before, dict) or not isinstance(after, dict):
            return after
        patch = {key: difference(before.get(key), value) for key, value in after.items()}
        return {**patch, **{key: None for key in before if key not in after}}

    assert merge.apply(old, difference(old, new)) == new


@given(objects, objects)
def test_merge_patch_twice_is_merge_patch_once(document: dict[str, Any], patch: dict[str, Any]) -> None:
    once = merge.apply(document, patch)
    assert merge.apply(once, patch) == once


def test_merge_patch_brings_no_nulls_along() -> None:
    patch = {"list": [{"a": None, "b": [{"c": None}]}, None], "new": {"a": None}}
    assert merge.apply({"list": [1]}, patch) == {"list": [{"b": [{}]}, None], "new": {}}


def test_copies_that_would_double_the_document_forever_end() -> None:
    operations = [{"op": "copy", "from": "", "path": f"/x{number}"} for number in range(60)]
    with pytest.raises(json.PatchError, match="the accumulated size increase of copy is"):
        json.apply({"a": "x" * 1000}, operations)


def test_a_patch_has_at_most_ten_thousand_operations() -> None:
    operation = {"op": "test", "path": "/a", "value": 1}
    assert json.apply({"a": 1}, [operation] * 10_000) == {"a": 1}
    with pytest.raises(json.PatchError, match="is 10000, got 10001") as caught:
        json.apply({"a": 1}, [operation] * 10_001)
    assert caught.value.code == 413
