"""Which rows changed since when: lets a reader of the columns renew only those.

A reader keeps the `position` up to which it has read. The journal forgets old entries; a reader that is behind them,
or that would have to renew a large part anyway, is told to read everything.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Rows = slice | npt.NDArray[np.intp]
ALL = slice(None)
NONE: npt.NDArray[np.intp] = np.empty(0, dtype=np.intp)


V = TypeVar("V", bound=np.generic)


def pick(table: npt.NDArray[V], rows: Rows) -> npt.NDArray[V]:
    """Those rows of nodes from a table that has them on its last axis: to be read, for it may be the table itself.

    `table[..., rows]` takes four times as long, for the one row that it mostly is and for many.
    """
    found: npt.NDArray[V] = table[..., rows] if isinstance(rows, slice) else table.take(rows, axis=-1)
    return found


class Journal:
    """A bounded list of changed rows."""

    def __init__(self, *, limit: int = 1024) -> None:
        self._limit = limit
        self._start = 0
        self._rows: list[int] = []

    @property
    def position(self) -> int:
        """The position of a reader that has seen everything."""
        return self._start + len(self._rows)

    def mark(self, row: int) -> None:
        """A row changed."""
        self._rows.append(row)
        if len(self._rows) > self._limit:
            half = self._limit // 2
            del self._rows[:half]
            self._start += half

    def reset(self) -> None:
        """Everything changed."""
        self._start = self.position + 1
        self._rows.clear()

    def since(self, position: int) -> Rows:
        """The rows that changed after `position`, each once; `ALL` if that is unknown."""
        if position < self._start:
            return ALL
        rows = self._rows[position - self._start :]
        match len(rows):
            case 0:
                return NONE
            case 1:
                return np.array(rows, dtype=np.intp)
            case _:
                return np.unique(np.array(rows, dtype=np.intp))
