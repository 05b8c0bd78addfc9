"""Tables of text in aligned columns, as kubectl prints them; colours only on a terminal."""

from __future__ import annotations

import sys
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
    lines = [list(header), *rows] if header else [list(row) for row in rows]
    if not lines:
        return ""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    tinted = sys.stdout.isatty() if colour is None else colour
    return "\n".join(_line(line, widths, tint=tinted and index > 0) for index, line in enumerate(lines))


def _line(cells: Sequence[str], widths: Sequence[int], *, tint: bool) -> str:
    padded = [cell.ljust(width + GAP) for cell, width in zip(cells, widths, strict=True)]
    padded[-1] = cells[-1]
    if tint:
        padded = [
            click.style(text, fg=_COLOURS[cell]) if cell in _COLOURS else text
            for text, cell in zip(padded, cells, strict=True)
        ]
    return "".join(padded).rstrip()
