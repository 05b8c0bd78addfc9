"""Repeats and numbers in lists and texts of any length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.apiserver.validation.sequences import natural, repeats


@given(st.lists(st.integers(0, 5)))
def test_repeats_are_what_came_before(items: list[int]) -> None:
    assert repeats(items) == [index for index, item in enumerate(items) if item in items[:index]]


@given(st.integers(0, 2**64), st.integers(0, 30))
def test_digits_mean_their_number(number: int, zeros: int) -> None:
    assert natural("0" * zeros + str(number)) == number


@pytest.mark.parametrize("digits", [str(2**64 + 1), "9" * 20, "9" * 5000, "0" * 5000 + "9" * 5000])
def test_what_is_too_large_is_large(digits: str) -> None:
    assert natural(digits) == 2**64


def test_no_digits_are_nothing() -> None:
    assert natural("") == natural("0" * 5000) == 0
