"""Rates: over which points they are taken, and over which they are not."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.apiserver.resource_metrics.pages import Page, Point
from k8slite.apiserver.resource_metrics.tracks import LONGEST, SHORTEST, History, Rate, Track

SECOND = 10**9


def point(at: float, cpu: float, *, taken: float | None = None, started: float = 0.0, memory: int = 1) -> Point:
    """A point at a second by the node's clock, with so many seconds used; got at once."""
    return Point(1000 + at, int(cpu * SECOND), memory, started, at if taken is None else taken)


def track(*points: Point) -> Track:
    made = Track()
    for each in points:
        made.add(each)
    return made


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([], None),
        ([point(0, 5)], None),
        ([point(0, 5), point(1, 5.25, memory=7)], Rate(SECOND // 4, 7, 1001, 1.0)),
        ([point(0, 5), point(0.4, 5.25)], None),
        # Somebody else asked in between: the second answer is what the kubelet measured for him.
        ([point(0, 5), point(0.5, 5.25, taken=1)], Rate(SECOND // 2, 1, 1000.5, 0.5)),
        ([point(0, 5), point(31, 6)], None),
        # The newest base that is far enough away.
        ([point(0, 0), point(2, 0), point(4, 1)], Rate(SECOND // 2, 1, 1004, 2.0)),
        ([point(0, 0), point(0.6, 0), point(1.2, 1.2)], Rate(SECOND, 1, 1001.2, 1.2)),
        # Measured once, read twice: kubelets that measure every ten seconds.
        ([point(0, 1), point(10, 6), point(10, 6, taken=11)], Rate(SECOND // 2, 1, 1010, 10.0)),
        # A restart.
        ([point(0, 5), point(1, 4)], None),
        ([point(0, 5), point(1, 4), point(2, 4.5)], Rate(SECOND // 2, 1, 1002, 1.0)),
        ([point(0, 5, started=1), point(1, 6, started=2)], None),
        ([point(0, 5, started=1), point(1, 5.5, started=1)], Rate(SECOND // 2, 1, 1001, 1.0)),
        ([point(0, 5, started=0), point(1, 5.5, started=1)], Rate(SECOND // 2, 1, 1001, 1.0)),
        # The node's clock is set back, or ahead.
        ([point(0, 5), point(-3600, 6, taken=1)], None),
        ([point(0, 5), point(-3600, 6, taken=1), point(-3599, 7, taken=2)], Rate(SECOND, 1, 1000 - 3599, 1.0)),
        ([point(0, 5), point(25, 6, taken=1)], None),
        ([point(0, 5), point(25, 6, taken=1), point(26, 7, taken=2)], Rate(SECOND, 1, 1026, 1.0)),
        # Late by a few seconds: a kubelet may tell what it knew.
        ([point(0, 5), point(10, 6, taken=4)], Rate(SECOND // 10, 1, 1010, 10.0)),
    ],
)
def test_a_rate_is_taken_over_what_can_be_compared(points: list[Point], expected: Rate | None) -> None:
    found = track(*points).rate(now=max((each.taken for each in points), default=0.0))
    assert (found and (found.cpu, found.memory, round(found.at, 6), round(found.window, 6))) == (
        expected and (expected.cpu, expected.memory, expected.at, expected.window)
    )


def test_what_nobody_renews_is_no_news_after_a_minute() -> None:
    made = track(point(0, 1), point(1, 2))
    assert made.rate(now=61) is not None
    assert made.rate(now=61.1) is None


@dataclass(frozen=True)
class Beat:
    """A reading after so many seconds: at which rate time was used meanwhile, and whether something happened."""

    wait: float
    cores: float
    event: str


beats = st.lists(
    st.builds(
        Beat,
        wait=st.floats(0.01, 45),
        cores=st.floats(0, 64),
        event=st.sampled_from(["", "", "", "", "restart", "back", "ahead", "repeat"]),
    ),
    max_size=40,
)


@given(beats)
def test_a_rate_is_that_of_the_time_since_the_last_restart_or_step(story: list[Beat]) -> None:
    """Whatever happens: no rate below or above what was really used between two readings of one life and clock."""
    made, taken, offset, cpu, started = Track(), 0.0, 0.0, 0, 1.0
    life: list[tuple[Point, list[float]]] = []
    rates: list[float] = []
    for beat in story:
        taken += beat.wait
        cpu += int(beat.wait * beat.cores * SECOND)
        rates = [*rates, beat.cores]
        if beat.event == "restart":
            cpu, started, life = 0, started + taken, []
        elif beat.event in ("back", "ahead"):
            offset += -10_000 if beat.event == "back" else 10_000
            life = []
        new = Point(offset + taken, cpu, 1, started, taken)
        if beat.event == "repeat" and life:
            new = life[-1][0]._replace(taken=taken)
        else:
            life.append((new, rates))
            rates = []
        made.add(new)
        found = made.rate(now=taken)
        assert len(made._points) <= 9
        if found is None:
            continue
        assert SHORTEST <= found.window <= LONGEST
        assert found.at == life[-1][0].at
        bases = [index for index, (each, _) in enumerate(life) if abs(each.at - (found.at - found.window)) < 1e-6]
        assert bases, "the rate began in this life, by this clock"
        used = [cores for _, each in life[bases[0] + 1 :] for cores in each]
        assert min(used) * SECOND * 0.999 - 10 <= found.cpu <= max(used) * SECOND * 1.001 + 10


@given(st.lists(st.floats(1.0, 14.0), min_size=1, max_size=30))
def test_who_asks_at_least_every_half_minute_always_has_a_rate_after_the_first(waits: list[float]) -> None:
    made, taken = track(point(0, 0)), 0.0
    for wait in waits:
        taken += wait
        made.add(point(taken, taken / 2))
        found = made.rate(now=taken)
        assert found is not None and abs(found.cpu - SECOND // 2) <= 2
        assert abs(found.window - wait) < 1e-6, "since the last time"


def page(at: float, *names: str, cpu: float = 0.0) -> Page:
    pods: dict[tuple[str, str], dict[str, Point]] = {}
    for name in names:
        pod, _, container = name.partition("/")
        pods.setdefault(("ns", pod), {})[container] = point(at, cpu)
    return Page(point(at, cpu), pods)


def test_a_pod_is_told_of_when_all_its_containers_have_rates() -> None:
    history = History()
    history.add(page(0, "web/a"))
    assert not history.is_telling(now=0)
    history.add(page(1, "web/a", "web/b", cpu=1))
    assert history.is_telling(now=1)
    assert history.pod(("ns", "web"), now=1) is None
    assert history.pod(("ns", "other"), now=1) is None
    history.add(page(2, "web/a", "web/b", cpu=2))
    found = history.pod(("ns", "web"), now=2)
    assert found is not None and found.keys() == {"a", "b"}
    assert history.node(now=2) == Rate(SECOND, 1, 1002, 1.0)


def test_what_a_page_does_not_speak_of_any_more_is_forgotten() -> None:
    history = History()
    history.add(page(0, "web/a"))
    history.add(page(1))
    assert history.pod(("ns", "web"), now=1) is None
    history.add(page(2, "web/a", cpu=9))
    assert history.pod(("ns", "web"), now=2) is None, "it began anew"
