"""Tables of text in aligned columns, as kubectl prints them; colours only on a terminal."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence

import click

GAP = 3

_COLOURS = {
    "Running": "green", "Ready": "green", "Active": "green", "Completed": "bright_black", "True": "green",
    "Pending": "yellow", "ContainerCreating": "yellow", "Terminating": "yellow", "NotReady": "red", "Warning": "yellow",
    "CrashLoopBackOff": "red", "Error": "red", "ImagePullBackOff": "red", "ErrImagePull": "red", "Failed": "red",
    "stopped": "yellow", "failing": "red", "running": "green",
}  # fmt: skip


def render(header: Sequence[str], rows: Sequence[Sequence[str]], *, colour: bool | None = None) -> str:
    """Rows under a header, every column as wide as its widest cell; no trailing blanks."""
    return Table(colour=colour).render(header, rows)


class Table:
    """A table that grows: rows printed later keep to the columns of those before."""

    def __init__(self, *, colour: bool | None = None) -> None:
        self._colour = sys.stdout.isatty() if colour is None else colour
        self._widths: list[int] = []

    def render(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        """More rows, under a header unless it is empty."""
        lines = [[_one_line(cell) for cell in line] for line in ([header, *rows] if header else rows)]
        if not lines:
            return ""
        found = [max(map(_width, column)) for column in zip(*lines, strict=True)]
        before = self._widths or [0] * len(found)
        self._widths = [max(pair) for pair in zip(found, before, strict=True)]
        first = 1 if header else 0
        return "\n".join(self._line(line, tint=self._colour and index >= first) for index, line in enumerate(lines))

    def _line(self, cells: Sequence[str], *, tint: bool) -> str:
        last = len(cells) - 1
        pieces = []
        for index, (cell, wide) in enumerate(zip(cells, self._widths, strict=True)):
            text = click.style(cell, fg=_COLOURS[cell]) if tint and cell in _COLOURS else cell
            pieces.append(text + " " * (wide + GAP - _width(cell) if index < last else 0))
        return "".join(pieces).rstrip()


def visible(text: str) -> str:
    """Text whose control characters, which could steer the terminal, stand as `^[` and the like."""
    return "".join(f"^{chr(ord(c) ^ 0x40)}" if (c < " " and c not in "\n\t") or c == "\x7f" else c for c in text)


def _one_line(cell: str) -> str:
    first, broken, _ = cell.partition("\n")
    return visible(first).replace("\t", " ") + ("..." if broken else "")


def _width(text: str) -> int:
    """Places that a text takes on a terminal: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
