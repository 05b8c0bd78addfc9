"""Figures, as a table for people or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. `note` says what bears on it: latencies, errors, how it was measured."""

    name: str
    value: float
    unit: str
    note: str = ""


def table(figures: Sequence[Figure]) -> str:
    """Aligned columns."""
    rows = [(figure.name, number(figure.value), figure.unit, figure.note) for figure in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else [0, 0, 0]
    return "\n".join(
        f"{name:<{widths[0]}}  {value:>{widths[1]}}  {unit:<{widths[2]}}  {note}".rstrip()
        for name, value, unit, note in rows
    )


def number(value: float) -> str:
    """Three significant digits, thousands separated."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def as_json(figures: Sequence[Figure]) -> str:
    """The same as JSON."""
    return json.dumps([asdict(figure) for figure in figures], indent=2)


def milliseconds(seconds: float) -> str:
    """A latency in a note."""
    return f"{number(seconds * 1000)} ms"
