"""Counts of a group's pods by row, kept in step with what comes and goes, against counting anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.scheduler import peers
from k8slite.scheduler.groups import NOBODY, Group, Index, Kind
from k8slite.scheduler.peers import OWNER, PeerColumns, kind_of
from k8slite.selectors import Requirement

from .builders import pod

ROWS = 4


def test_what_a_pod_counts_as() -> None:
    assert kind_of(pod(labels={"a": "1"})) == Kind("default", frozenset({("a", "1")}))
    assert kind_of(pod(owner="rs")) == Kind("default", frozenset({(OWNER, "rs")}))
    assert kind_of(pod(owner="ds", owner_kind="DaemonSet")) == Kind("default", frozenset())
    assert kind_of(pod(deleting=True, owner="rs")) == Kind("default", frozenset({(OWNER, "rs")}), leaving=True)


def test_a_group_without_requirements_has_everybody_of_its_namespaces() -> None:
    columns = PeerColumns(ROWS)
    columns.account(0, Kind("a", frozenset()), 1)
    columns.account(1, Kind("b", frozenset()), 1)
    assert columns.counts(Group(frozenset("a"), ())).tolist() == [1, 0, 0, 0]
    assert columns.counts(Group(None, ())).tolist() == [1, 1, 0, 0]
    assert not columns.counts(NOBODY).any()


def test_pods_on_their_way_out_count_for_those_who_say_so() -> None:
    columns = PeerColumns(ROWS)
    columns.account(0, Kind("a", frozenset(), leaving=True), 1)
    assert not columns.counts(Group(frozenset("a"), ())).any()
    assert columns.counts(Group(frozenset("a"), (), leaving=True)).tolist() == [1, 0, 0, 0]


pairs = st.tuples(st.sampled_from("xy"), st.sampled_from("12"))
#: More than a cover names one by one.
MANY = frozenset({"b", *(f"more-{number}" for number in range(16))})
spaces = st.sampled_from("abc")
kinds = st.builds(
    lambda namespace, labels, leaving: Kind(namespace, frozenset(labels.items()), leaving),
    spaces,
    st.dictionaries(st.sampled_from("xy"), st.sampled_from("12")),
    st.booleans(),
)
requirements = st.one_of(
    st.builds(lambda pair: Requirement(pair[0], "In", frozenset({pair[1]})), pairs),
    st.builds(lambda key: Requirement(key, "In", frozenset("12")), st.sampled_from("xy")),
    st.builds(lambda pair: Requirement(pair[0], "NotIn", frozenset({pair[1]})), pairs),
    st.builds(lambda key: Requirement(key, "Exists"), st.sampled_from("xy")),
    st.builds(lambda key: Requirement(key, "DoesNotExist"), st.sampled_from("xy")),
)
groups = st.builds(
    Group,
    st.one_of(st.none(), st.frozensets(spaces, max_size=2), st.just(MANY)),
    st.lists(requirements, max_size=2).map(tuple),
    st.booleans(),
)
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


@settings(max_examples=100, deadline=None)
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
            expected = [sum(row == at and _belongs(kind, group) for kind, at in placed) for row in range(ROWS)]
            assert columns.counts(group).tolist() == expected
    for kind, row in placed:
        columns.account(row, kind, -1)
    assert not columns._kinds and not columns._kinds_with, "nothing piles up"
    assert len(columns._groups) <= peers.REMEMBERED


def _belongs(kind: Kind, group: Group) -> bool:
    labels = dict(kind.labels)
    return (
        (group.namespaces is None or kind.namespace in group.namespaces)
        and (group.leaving or not kind.leaving)
        and all(requirement.matches(labels) for requirement in group.requirements)
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(groups, max_size=8), kinds, st.integers(0, 7))
def test_an_index_finds_each_selector_of_a_pod_once_and_few_others(
    selectors: list[Group], kind: Kind, gone: int
) -> None:
    index: Index[int] = Index()
    assert not index
    filed = []
    for number, group in enumerate(selectors):
        filed.append(index.choose(group.namespaces, group.requirements))
        index.add(number, filed[-1])
    if gone < len(selectors):
        index.discard(gone, filed[gone])
    labels = dict(kind.labels)
    found = list(index.about(kind.namespace, labels))
    assert len(found) == len(set(found))
    for number, group in enumerate(selectors):
        if number != gone and _belongs(kind, replace(group, leaving=True)):
            assert number in found
    for number in set(range(len(selectors))) - {gone}:
        index.discard(number, filed[number])
    assert not index and not list(index.about(kind.namespace, labels))


def test_more_rows() -> None:
    columns = PeerColumns(1)
    group = Group(frozenset("a"), (Requirement("x", "Exists"),))
    columns.account(0, Kind("a", frozenset({("x", "1")})), 1)
    assert columns.counts(group).tolist() == [1]
    columns.grow(3)
    columns.account(2, Kind("a", frozenset({("x", "1")})), 1)
    assert np.array_equal(columns.counts(group), [1, 0, 1])
