"""Durations as Go reads and writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.scheduler.durations import parse_duration, show_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5s", 5), ("1m30s", 90), ("1.5h", 5400), ("300ms", 0.3), ("0", 0), ("-2s", -2), ("+.5s", 0.5), ("1.s", 1)],
)
def test_reading(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "1 s", "5sec", "-", "one"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=f'time: invalid duration "{text}"'):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (30, "30s"), (90, "1m30s"), (3600, "1h0m0s"), (1.5, "1.5s"), (0.3, "300ms"), (-0.00025, "-250µs")],
)
def test_writing(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text


@given(st.integers(min_value=0, max_value=10**13))
def test_what_is_written_is_read_again(microseconds: int) -> None:
    seconds = microseconds / 10**6
    assert parse_duration(show_duration(seconds)) == pytest.approx(seconds, abs=1e-9)
