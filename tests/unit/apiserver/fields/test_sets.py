"""Sets of fields obey the laws of sets, whatever their form as nested dictionaries."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.apiserver.fields.sets import (
    FieldSet,
    canonical,
    contains,
    difference,
    has,
    intersection,
    is_member,
    leaves,
    members,
    only,
    path_text,
    single,
    union,
    without,
)

STEPS = ("f:a", "f:b", 'k:{"name":"x"}', 'v:"y"')
PATHS = st.lists(st.sampled_from(STEPS), min_size=1, max_size=3).map(tuple)


def of(paths: set[tuple[str, ...]]) -> FieldSet:
    found: FieldSet = {}
    for path in sorted(paths):
        found = union(found, single(path))
    return found


SETS = st.sets(PATHS, max_size=8).map(of)


def paths(fields: FieldSet) -> set[tuple[str, ...]]:
    return set(members(fields))


def well_formed(fields: FieldSet, *, root: bool = True) -> bool:
    """No way that leads nowhere, and no member written as `{".": {}}` alone."""
    if fields == {".": {}} or (root and "." in fields):
        return False
    return all(step == "." or well_formed(node, root=False) for step, node in fields.items())


@given(st.sets(PATHS, max_size=8))
def test_a_set_has_the_members_that_were_put_in(wanted: set[tuple[str, ...]]) -> None:
    assert paths(of(wanted)) == wanted


@given(SETS, SETS)
def test_the_algebra_is_that_of_sets(first: FieldSet, second: FieldSet) -> None:
    assert paths(union(first, second)) == paths(first) | paths(second)
    assert paths(intersection(first, second)) == paths(first) & paths(second)
    assert paths(difference(first, second)) == paths(first) - paths(second)
    for found in (union(first, second), intersection(first, second), difference(first, second)):
        assert well_formed(found)
    assert contains(union(first, second), second)
    assert contains(first, second) == (paths(second) <= paths(first))


@given(SETS, SETS)
def test_without_takes_parts_along(first: FieldSet, second: FieldSet) -> None:
    gone = paths(second)
    expected = {path for path in paths(first) if not any(path[:n] in gone for n in range(1, len(path) + 1))}
    assert paths(without(first, second)) == expected
    assert well_formed(without(first, second))


@given(SETS, SETS)
def test_what_does_not_change_stays_the_same_dictionary(first: FieldSet, second: FieldSet) -> None:
    assert union(first, intersection(first, second)) is first
    assert difference(first, difference(second, first)) is first


@given(SETS)
def test_leaves_have_nothing_below_them(fields: FieldSet) -> None:
    found = paths(leaves(fields))
    assert found == {
        path for path in paths(fields) if not any(other[: len(path)] == path != other for other in paths(fields))
    }


def test_members_and_ways_to_members_differ() -> None:
    fields = {"f:spec": {"f:ports": {".": {}, 'k:{"port":80}': {}}}}
    assert has(fields, ("f:spec", "f:ports")) and has(fields, ("f:spec", "f:ports", 'k:{"port":80}'))
    assert not has(fields, ("f:spec",)) and not has(fields, ("f:status",))
    assert not is_member(fields["f:spec"])


def test_only_keeps_what_a_pattern_allows() -> None:
    fields = {
        "f:spec": {"f:containers": {'k:{"name":"a"}': {".": {}, "f:image": {}, "f:resources": {"f:limits": {}}}}},
        "f:metadata": {"f:labels": {}},
    }
    pattern = {"f:spec": {"f:containers": {"*": {"f:resources": {}}}}}
    assert only(fields, pattern) == {"f:spec": {"f:containers": {'k:{"name":"a"}': {"f:resources": {"f:limits": {}}}}}}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("f:spec", "f:replicas"), ".spec.replicas"),
        (("f:ports", 'k:{"port":80,"protocol":"TCP"}', "f:name"), '.ports[port=80,protocol="TCP"].name'),
        (("f:finalizers", 'v:"example.com/x"'), '.finalizers[="example.com/x"]'),
        (("f:list", "i:3"), ".list[3]"),
    ],
)
def test_paths_read_as_in_kubernetes(path: tuple[str, ...], text: str) -> None:
    assert path_text(path) == text


def test_what_clients_write_is_brought_into_one_form() -> None:
    assert canonical({"f:l": {'k:{"b": 1, "a":"x"}': {".": {}}}}) == {"f:l": {'k:{"a":"x","b":1}': {}}}


@pytest.mark.parametrize("wrong", [{"x:a": {}}, {"f:a": 1}, {"k:[1]": {}}, {"i:a": {}}, [], {"v:": {}}])
def test_what_is_no_set_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError):
        canonical(wrong)
