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
    ],
)
def test_operations(operations: list[Any], expected: dict[str, Any]) -> None:
    before = {"a": {"b": 1}, "list": [1, 2, 3], "m~n/o": "odd"}
    assert json.apply(DOCUMENT, operations) == {**before, **expected}
    assert before == DOCUMENT, "the given document is not changed"


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        ({"op": "add"}, 400),
        ([{"op": "explode", "path": "/a"}], 400),
        ([{"op": "add", "path": "a", "value": 1}], 400),
        ([{"op": "add", "path": "/a/c"}], 400),
        ([{"op": "remove", "path": "/nothing"}], 422),
        ([{"op": "replace", "path": "/nothing", "value": 1}], 422),
        ([{"op": "add", "path": "/x/y", "value": 1}], 422),
        ([{"op": "add", "path": "/list/7", "value": 1}], 422),
        ([{"op": "test", "path": "/a/b", "value": True}], 422),
        ([{"op": "move", "from": "/a", "path": "/a/b"}], 422),
    ],
)
def test_refusals(operations: Any, code: int) -> None:
    with pytest.raises(json.PatchError) as refused:
        json.apply(DOCUMENT, operations)
    assert refused.value.code == code


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
