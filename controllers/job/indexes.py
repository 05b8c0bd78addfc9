"""Sets of completion indexes as Kubernetes writes them: `0-2,5,7,8`.

A Job may have 100,000 indexes, so a set is kept as its runs: what it costs depends on how many there are, not how long.

Source: Kubernetes documentation, "Jobs": completion mode.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

INDEX = "batch.kubernetes.io/job-completion-index"


@dataclass(frozen=True, slots=True)
class Indexes:
    """Runs of indexes, `(first, last)`, in order and apart from each other."""

    runs: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Indexes:
        """The set of some numbers."""
        return cls(tuple(_joined((number, number) for number in sorted(numbers))))

    @classmethod
    def parse(cls, text: str, *, below: int) -> Indexes:
        """The numbers of `0-2,5` that are smaller than `below`; what is no number is left out."""
        runs = []
        for part in text.split(","):
            first, _, last = part.partition("-")
            if first.isdecimal() and (last.isdecimal() or not last) and int(first) < below:
                runs.append((int(first), min(int(last or first), below - 1)))
        return cls(tuple(_joined(sorted(runs))))

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(last - first + 1 for first, last in self.runs)

    def common(self, other: Indexes) -> int:
        """How many are in both."""
        return self.count + other.count - (self | other).count

    def free(self, below: int) -> Iterator[int]:
        """The numbers smaller than `below` that are not in the set, in order."""
        start = 0
        for first, last in self.runs:
            yield from range(start, min(first, below))
            start = last + 1
        yield from range(start, below)

    def __contains__(self, number: int) -> bool:
        place = bisect_left(self.runs, number, key=lambda run: run[1])
        return place < len(self.runs) and self.runs[place][0] <= number

    def __or__(self, other: Indexes) -> Indexes:
        return Indexes(tuple(_joined(sorted((*self.runs, *other.runs))))) if other.runs else self

    def __str__(self) -> str:
        """Runs of two are listed, longer ones become ranges, as Kubernetes does."""
        parts = []
        for first, last in self.runs:
            parts.append(str(first) if first == last else f"{first}{',' if last == first + 1 else '-'}{last}")
        return ",".join(parts)


def _joined(runs: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Runs in order of their beginnings, those that touch or overlap made one."""
    pending: tuple[int, int] | None = None
    for first, last in runs:
        if last < first:
            continue
        if pending is not None and first <= pending[1] + 1:
            pending = (pending[0], max(pending[1], last))
            continue
        if pending is not None:
            yield pending
        pending = (first, last)
    if pending is not None:
        yield pending
