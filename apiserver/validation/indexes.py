"""Sets of indexes as Jobs write them: `1,3-5,7`.

Source: Kubernetes' batch validation (validateIndexesFormat).
"""

from __future__ import annotations

from .sequences import natural

Interval = tuple[int, int]


def parse_indexes(text: str, completions: int) -> tuple[list[Interval], str]:
    """The intervals of a text, in order, and what is wrong with it ("" if nothing)."""
    intervals: list[Interval] = []
    for part in text.split(",") if text else ():
        interval, problem = _interval(part, completions)
        if interval is None:
            return intervals, problem
        if intervals and intervals[-1][1] >= interval[0]:
            return intervals, f"non-increasing order, previous: {intervals[-1][1]}, current: {interval[0]}"
        intervals.append(interval)
    return intervals, ""


def _interval(text: str, completions: int) -> tuple[Interval | None, str]:
    limits = text.split("-")
    if len(limits) > 2:
        rule = "the requirement that an index interval can have at most two parts separated by '-'"
        return None, f'the fragment "{text}" violates {rule}'
    numbers = []
    for limit in limits:
        if not limit.isascii() or not limit.isdigit():
            return None, f'cannot convert string to integer for index: "{limit}"'
        number = natural(limit)
        if number >= completions:
            return None, f'too large index: "{limit}"'
        numbers.append(number)
    if len(numbers) == 2 and numbers[0] >= numbers[1]:
        return None, f"non-increasing order, previous: {numbers[0]}, current: {numbers[1]}"
    return (numbers[0], numbers[-1]), ""


def overlap(left: list[Interval], right: list[Interval]) -> int | None:
    """The first index that both have."""
    common = [max(a, c) for a, b in left for c, d in right if a <= d and c <= b]
    return min(common, default=None)
