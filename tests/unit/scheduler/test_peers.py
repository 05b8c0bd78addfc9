"""Counts of a group's pods by row, kept in step with what comes and goes, against counting anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.scheduler import peers
from k8slite.scheduler.peers import OWNER, Group, Kind, PeerColumns, kind_of
from k8slite.selectors import Requirement

from .builders import pod

ROWS = 4


def test_what_a_pod_counts_as() -> None:
    assert kind_of(pod(labels={"a": "1"})) == Kind("default", frozenset({("a", "1")}))
    assert kind_of(pod(owner="rs")) == Kind("default", frozenset({(OWNER, "rs")}))
    assert kind_of(pod(owner="ds", owner_kind="DaemonSet")) == Kind("default", frozenset())
    assert kind_of(pod(deleting=True, owner="rs")) is None, "a pod on its way out counts no more"


def test_a_group_without_requirements_has_nobody() -> None:
    columns = PeerColumns(ROWS)
    columns.account(0, Kind("a", frozenset()), 1)
    assert not columns.counts(Group("a", ())).any()


pairs = st.tuples(st.sampled_from("xy"), st.sampled_from("12"))
kinds = st.builds(
    lambda namespace, labels: Kind(namespace, frozenset(labels.items())),
    st.sampled_from("ab"),
    st.dictionaries(st.sampled_from("xy"), st.sampled_from("12")),
)
requirements = st.one_of(
    st.builds(lambda pair: Requirement(pair[0], "In", frozenset({pair[1]})), pairs),
    st.builds(lambda key: Requirement(key, "In", frozenset("12")), st.sampled_from("xy")),
    st.builds(lambda pair: Requirement(pair[0], "NotIn", frozenset({pair[1]})), pairs),
    st.builds(lambda key: Requirement(key, "Exists"), st.sampled_from("xy")),
    st.builds(lambda key: Requirement(key, "DoesNotExist"), st.sampled_from("xy")),
)
groups = st.builds(Group, st.sampled_from("ab"), st.lists(requirements, min_size=1, max_size=2).map(tuple))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("come"), kinds, st.integers(0, ROWS - 1)),
        st.tuples(st.just("go"), st.integers(0, 30)),
        st.tuples(st.just("ask"), groups),
    ),
    max_size=60,
)


@pytest.fixture(params=[peers.REMEMBERED, 2], autouse=True)
def remembered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "REMEMBERED", request.param)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_counts_are_what_counting_anew_gives(actions: list[Any]) -> None:
    columns = PeerColumns(ROWS)
    placed: list[tuple[Kind, int]] = []
    asked: set[Group] = set()
    for action in actions:
        match action:
            case "come", kind, row:
                placed.append((kind, row))
                columns.account(row, kind, 1)
            case "go", number if placed:
                kind, row = placed.pop(number % len(placed))
                columns.account(row, kind, -1)
            case "ask", group:
                asked.add(group)
        for group in asked:
            expected = [
                sum(
                    row == at and kind.namespace == group.namespace and group.matches(dict(kind.labels))
                    for kind, at in placed
                )
                for row in range(ROWS)
            ]
            assert columns.counts(group).tolist() == expected
    for kind, row in placed:
        columns.account(row, kind, -1)
    assert not columns._kinds and not columns._kinds_with, "nothing piles up"
    assert len(columns._groups) <= peers.REMEMBERED


def test_more_rows() -> None:
    columns = PeerColumns(1)
    group = Group("a", (Requirement("x", "Exists"),))
    columns.account(0, Kind("a", frozenset({("x", "1")})), 1)
    assert columns.counts(group).tolist() == [1]
    columns.grow(3)
    columns.account(2, Kind("a", frozenset({("x", "1")})), 1)
    assert np.array_equal(columns.counts(group), [1, 0, 1])
