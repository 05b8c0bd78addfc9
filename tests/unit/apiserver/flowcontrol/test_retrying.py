"""When refused clients are told to come again."""

from __future__ import annotations

from k8slite.apiserver.flowcontrol.retrying import LONGEST, RetryAfter


def test_the_first_who_are_refused_come_again_in_a_second() -> None:
    retry = RetryAfter()
    assert [retry.refused(100) for _ in range(50)] == [1] * 50


def test_the_advice_doubles_under_a_flood_and_falls_after_it() -> None:
    retry = RetryAfter()
    advice = [retry.refused(second) for second in range(100, 300) for _ in range(200)]
    assert sorted(set(advice)) == [1, 2, 4, 8, 16, LONGEST]
    assert advice == sorted(advice)
    calm = [retry.refused(second) for second in range(1000, 1000 + 40 * LONGEST, 40)]
    assert calm[0] == LONGEST - 1
    assert calm[-1] == 1
