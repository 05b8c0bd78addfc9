"""What is asked of texts and lists of any length, at a cost that grows with their length alone."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

_LARGE = 1 << 64


def repeats(items: Iterable[Hashable]) -> list[int]:
    """The places of items that came before."""
    seen: set[Hashable] = set()
    found = []
    for index, item in enumerate(items):
        if item in seen:
            found.append(index)
        seen.add(item)
    return found


def natural(digits: str) -> int:
    """The number that decimal digits mean. One beyond 64 bits, however many digits it has, is 2⁶⁴."""
    plain = digits.lstrip("0")
    return min(int(plain or "0"), _LARGE) if len(plain) <= 20 else _LARGE
