"""Templates kept as revisions: found by what they hold, named by a hash, numbered, and dropped when too many."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.controllers import revisions
from k8slite.kinds.apps import ControllerRevision
from k8slite.kinds.template import RawTemplate

from .builders import at, template


def revision(
    number: int, data: dict[str, Any] | None = None, *, name: str = "", age: float = 0.0
) -> ControllerRevision:
    metadata = {"name": name or f"web-{number}", "namespace": "default", "creationTimestamp": at(age)}
    return ControllerRevision.model_validate({"metadata": metadata, "data": data or {}, "revision": number})


def data(image: str = "web:1", **spec: Any) -> dict[str, Any]:
    document = template(image)
    document["spec"] |= spec
    return revisions.data_of(RawTemplate(document))


def test_a_revision_is_a_patch_that_puts_the_whole_template_back():
    document = template("web:1")
    kept = revisions.data_of(RawTemplate(document))
    assert kept["spec"]["template"]["$patch"] == "replace"
    assert revisions.template_of(revision(1, kept)).document == document
    assert "$patch" not in document


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (data(), data(), True),
        (data("web:1"), data("web:2"), False),
        (data(), data(hostNetwork=None), True),
        (data(), data(securityContext={}), True),
        (data(securityContext={"runAsUser": 1}), data(securityContext={}), False),
        (data(volumes=[{"name": "v", "emptyDir": {}}]), data(volumes=[{"name": "v"}]), False),
        (data(affinity={"labelSelector": {}}), data(affinity={"labelSelector": None}), False),
        (data(a=1, b=2), data(b=2, a=1), True),
    ],
)
def test_what_means_the_same_is_one_revision(one, other, same):
    assert (revisions.find([revision(1, one)], other) is not None) is same


def test_of_equal_revisions_the_newest_is_found():
    known = [revision(3, data("web:2")), revision(1, data("web:1"), name="a"), revision(2, data("web:1"), name="b")]
    found = revisions.find(known, data("web:1"))
    assert found is not None and found.name == "b"
    assert revisions.find(known, data("web:3")) is None
    assert revisions.find([], data()) is None


def test_a_collision_makes_another_name_and_the_name_fits():
    names = {revisions.hash_of(data(), collisions=number) for number in range(5)}
    assert len(names) == 5
    assert revisions.hash_of(data(), collisions=0) == revisions.hash_of(copy.deepcopy(data()), collisions=0)
    name = revisions.name_of("a" * 253, next(iter(names)))
    assert len(name) <= 253
    assert name.startswith("a" * 223 + "-")


def test_revisions_stand_by_number_then_age_then_name():
    known = [
        revision(2, name="d"),
        revision(1, name="c", age=2),
        revision(1, name="b", age=1),
        revision(1, name="a", age=2),
    ]
    assert [item.name for item in revisions.in_order(known)] == ["b", "a", "c", "d"]
    assert revisions.next_number(known) == 3
    assert revisions.next_number([]) == 1


@given(
    numbers=st.lists(st.integers(1, 30), unique=True, max_size=12),
    live=st.sets(st.integers(1, 30), max_size=4),
    limit=st.integers(0, 12),
)
def test_the_oldest_go_and_what_is_lived_from_stays(numbers: list[int], live: set[int], limit: int):
    known = [revision(number) for number in numbers]
    gone = revisions.superfluous(known, live={f"web-{number}" for number in live}, limit=limit)
    rest = {item.revision for item in known} - {item.revision for item in gone}
    dead = sorted(rest - live)
    assert set(numbers) & live <= rest
    assert len(dead) == min(limit, len(set(numbers) - live))
    assert all(item.revision < min(dead, default=31) for item in gone)
