"""Who is silent, how zones fare, and how fast nodes are emptied: tables, and plain references over random histories."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.controllers.nodelifecycle.heartbeats import Heartbeats
from k8slite.controllers.nodelifecycle.line import Line
from k8slite.controllers.nodelifecycle.zones import EXCLUDED, Census, Settings, Size, State, judge, state, zone_of
from k8slite.kinds.core import Node

ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"


def node(name: str, *, zone: str = "", ready: bool = True, **labels: str) -> Node:
    labelled = {**({ZONE: zone} if zone else {}), **labels}
    status = {"conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}]}
    return Node.model_validate({"metadata": {"name": name, "labels": labelled}, "status": status})


@pytest.mark.parametrize(
    ("ready", "not_ready", "expected"),
    [
        (0, 0, State.NORMAL),
        (5, 0, State.NORMAL),
        (0, 1, State.FULL),
        (0, 9, State.FULL),
        (1, 1, State.NORMAL),
        (1, 2, State.NORMAL),
        (1, 3, State.PARTIAL),
        (2, 3, State.PARTIAL),
        (3, 3, State.NORMAL),
        (45, 55, State.PARTIAL),
        (46, 54, State.NORMAL),
    ],
)
def test_the_state_of_a_zone(ready: int, not_ready: int, expected: State) -> None:
    assert state(Size(ready, not_ready), threshold=0.55) is expected


def test_rates() -> None:
    settings = Settings()
    sizes = {"fine": Size(9, 1), "small": Size(1, 4), "large": Size(20, 40), "out": Size(0, 3)}
    judged = judge(sizes, settings)
    assert judged.rates == {"fine": 0.1, "small": 0.0, "large": 0.01, "out": 0.1}
    assert not judged.halted
    assert judge({"a": Size(0, 1), "b": Size(0, 60)}, settings).halted
    assert judge({"a": Size(0, 1), "b": Size(0, 60)}, settings).rates == {"a": 0.0, "b": 0.0}
    assert not judge({}, settings).halted


def test_zones_are_told_apart_by_region_and_zone() -> None:
    assert zone_of(node("a")) == ""
    assert zone_of(node("a", zone="1")) != zone_of(node("a", zone="1", **{REGION: "x"}))
    assert zone_of(node("a", zone="1")) == zone_of(node("a", **{"failure-domain.beta.kubernetes.io/zone": "1"}))


_CHANGES = st.lists(
    st.tuples(
        st.sampled_from("abcde"),
        st.one_of(st.none(), st.tuples(st.sampled_from(["", "x", "y"]), st.booleans(), st.booleans())),
    ),
    max_size=40,
)


@given(_CHANGES)
def test_the_census_is_what_counting_anew_gives(changes: list[tuple[str, Any]]) -> None:
    census = Census()
    there: dict[str, Node] = {}
    for name, what in changes:
        before = census.sizes()
        if what is None:
            there.pop(name, None)
            told = census.forget(name)
        else:
            zone, ready, excluded = what
            there[name] = node(name, zone=zone, ready=ready, **({EXCLUDED: ""} if excluded else {}))
            told = census.see(there[name])
        counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for each in there.values():
            if EXCLUDED not in each.metadata.labels:
                counts[zone_of(each)][each.ready] += 1
        assert census.sizes() == {zone: Size(ready, rest) for zone, (rest, ready) in counts.items()}
        assert told or before == census.sizes()


_MOMENTS = st.lists(
    st.tuples(
        st.floats(0.01, 30),
        st.sampled_from(["hear", "start", "settle", "forget", "look"]),
        st.sampled_from("abcd"),
    ),
    max_size=60,
)


@given(_MOMENTS)
def test_the_overdue_are_those_whom_a_look_at_all_would_find(history: list[tuple[float, str, str]]) -> None:
    beats = Heartbeats()
    heard: dict[str, tuple[float, float]] = {}
    lost: set[str] = set()
    now = 0.0
    for passed, what, name in history:
        now += passed
        if what == "look":
            found = beats.overdue(now=now)
            expected = {each for each, (at, grace) in heard.items() if now - at >= grace} - lost
            assert set(found) == expected
            assert len(found) == len(expected)
            lost |= expected
        elif what == "forget":
            beats.forget(name)
            heard.pop(name, None)
            lost.discard(name)
        elif what == "hear" and name in beats:
            beats.hear(name, now=now)
            heard[name] = (now, heard[name][1])
            lost.discard(name)
        elif what in ("start", "settle"):
            grace = 60.0 if what == "start" else 50.0
            beats.hear(name, now=now, grace=grace)
            heard[name] = (now, grace)
            lost.discard(name)
        assert {each for each in heard if beats.lost(each)} == lost
        waiting = [at + grace for each, (at, grace) in heard.items() if each not in lost]
        due = beats.next_due(now=now)
        assert (due is None) == (not waiting)
        assert due is None or due == pytest.approx(max(0.0, min(waiting) - now) + 0.05)
        lately = {each for each, (at, _) in heard.items() if at > now - 25 and each not in lost}
        assert set(beats.heard_since(now - 25)) == lately


_STEPS = st.lists(
    st.tuples(
        st.floats(0, 40),
        st.sampled_from(["add", "remove", "rate", "take", "take", "take", "refused"]),
        st.integers(0, 5),
        st.sampled_from([0.0, 0.01, 0.1, 1.0]),
    ),
    max_size=60,
)


@given(_STEPS)
def test_never_more_are_taken_than_the_rates_allow(steps: list[tuple[float, str, int, float]]) -> None:
    """Over every span of time: at most one and what the rates add up to in it."""
    line = Line(rate=0.1, now=0.0)
    now, rate, allowance = 0.0, 0.1, 0.0
    waiting: list[str] = []
    taken: list[float] = []
    """What the rates had added up to when each was taken."""
    for passed, what, number, other in steps:
        now += passed
        allowance += passed * rate
        name = f"n{number}"
        if what == "add":
            assert line.add(name) == (name not in waiting)
            waiting += [name] if name not in waiting else []
        elif what == "remove":
            line.remove(name)
            waiting = [each for each in waiting if each != name]
        elif what == "rate":
            line.set_rate(other, now=now)
            rate = other
        else:
            wait = line.wait(now=now)
            got = line.take(now=now)
            assert got is None or got == waiting.pop(0)
            assert got is not None or wait is None or wait > 0
            if got is not None and what == "refused":
                line.give_back(got)
                waiting.insert(0, got)
            elif got is not None:
                taken.append(allowance)
        assert line.first() == (waiting[0] if waiting else None)
    for begin in range(len(taken)):
        for end in range(begin, len(taken)):
            assert end - begin + 1 <= 1 + (taken[end] - taken[begin]) + 1e-6


def test_whoever_waits_is_taken_when_it_is_said() -> None:
    line = Line(rate=0.1, now=0.0)
    for name in "abc":
        line.add(name)
    assert (line.wait(now=0.0), line.take(now=0.0)) == (0.0, "a")
    assert line.wait(now=4.0) == pytest.approx(6.0)
    assert line.take(now=9.9) is None
    assert line.take(now=10.0) == "b"
    line.set_rate(0.0, now=50.0)
    assert (line.wait(now=1e6), line.take(now=1e6)) == (None, None)
    line.set_rate(0.1, now=1e6)
    assert line.take(now=1e6) is None
    assert line.take(now=1e6 + 10) == "c"
