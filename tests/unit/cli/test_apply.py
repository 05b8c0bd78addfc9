"""The three-way comparison behind `apply`, as a table and as a property."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.cli.verbs.apply import _SAME, three_way


@pytest.mark.parametrize(
    ("live", "wanted", "previous", "patch"),
    [
        pytest.param({"a": 1}, {"a": 1}, {"a": 1}, _SAME, id="nothing differs"),
        pytest.param({"a": 1, "b": 2}, {"a": 1}, {"a": 1}, _SAME, id="what others set stays"),
        pytest.param({"a": 1, "b": 2}, {"a": 1}, {"a": 1, "b": 2}, {"b": None}, id="what left the manifest goes"),
        pytest.param({"a": 1}, {"a": 2}, {"a": 1}, {"a": 2}, id="what differs is set"),
        pytest.param({"a": 3}, {"a": 1}, {"a": 1}, {"a": 1}, id="drift is undone"),
        pytest.param({"a": {"x": 1, "y": 2}}, {"a": {"x": 5}}, {}, {"a": {"x": 5}}, id="only the inner difference"),
        pytest.param({"l": [{"n": 1, "d": 0}]}, {"l": [{"n": 1}]}, {}, _SAME, id="defaults in lists are no change"),
        pytest.param({"l": [{"n": 1}]}, {"l": [{"n": 2}]}, {}, {"l": [{"n": 2}]}, id="lists are replaced whole"),
        pytest.param({"l": [1, 2]}, {"l": [1]}, {}, {"l": [1]}, id="a shorter list"),
    ],
)
def test_three_way(live: Any, wanted: Any, previous: Any, patch: Any) -> None:
    assert three_way(live, wanted, previous) == patch


documents = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=12,
).filter(lambda value: isinstance(value, dict))


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


@given(live=documents, wanted=documents, previous=documents)
def test_applying_twice_changes_nothing_more(live: Any, wanted: Any, previous: Any) -> None:
    patch = three_way(live, wanted, previous)
    after = live if patch is _SAME else merged(live, patch)
    assert three_way(after, wanted, wanted) is _SAME
