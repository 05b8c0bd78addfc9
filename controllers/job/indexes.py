"""Completion indexes as Kubernetes writes them: `0-2,5,7-8`.

Source: Kubernetes documentation, "Jobs": completion mode.
"""

from __future__ import annotations

from collections.abc import Iterable

INDEX = "batch.kubernetes.io/job-completion-index"


def parse(text: str) -> frozenset[int]:
    """The numbers of `0-2,5`; what is no number is left out."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        if first.isdigit() and (last.isdigit() or not last):
            found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def render(numbers: Iterable[int]) -> str:
    """The shortest text: runs of two are listed, longer ones become ranges, as Kubernetes does."""
    parts: list[str] = []
    run: list[int] = []
    for number in [*sorted(numbers), None]:
        if number is not None and run and number == run[-1] + 1:
            run.append(number)
            continue
        if len(run) == 1:
            parts.append(str(run[0]))
        elif run:
            parts.append(f"{run[0]}-{run[-1]}" if len(run) > 2 else f"{run[0]},{run[-1]}")
        run = [number] if number is not None else []
    return ",".join(parts)
