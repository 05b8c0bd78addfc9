"""How long kubelets may keep what they read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.controllers.ttl.plan import ANNOTATION, right, seconds, step


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [(0, 0), (100, 0), (101, 15), (500, 15), (501, 30), (1000, 30), (1001, 60), (2000, 60), (2001, 300), (5000, 300)],
)
def test_a_growing_cluster(nodes: int, expected: int) -> None:
    assert seconds(step(0, nodes)) == expected


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [(1800, 300), (1799, 60), (900, 60), (899, 30), (450, 30), (449, 15), (90, 15), (89, 0), (0, 0)],
)
def test_a_shrinking_cluster(nodes: int, expected: int) -> None:
    assert seconds(step(4, nodes)) == expected


@given(st.integers(0, 4), st.integers(0, 6000), st.integers(-9, 9))
def test_a_few_nodes_more_or_less_do_not_go_to_and_fro(before: int, nodes: int, change: int) -> None:
    here = step(before, nodes)
    there = step(here, max(0, nodes + change))
    assert step(here, nodes) == here
    assert there in (here - 1, here, here + 1)
    assert step(there, max(0, nodes + change)) == there


def test_what_nodes_say() -> None:
    assert right({ANNOTATION: "15"}, wanted=15)
    assert not right({ANNOTATION: "x"}, wanted=0)
    assert not right({}, wanted=0)
