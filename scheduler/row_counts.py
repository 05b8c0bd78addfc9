"""Counts by row that are few for most and many for some: kept by row, and as a column where they are many."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: So many rows are few; in a large cluster a 32nd of all rows is, so that columns take 256 bytes a counted row at most.
_FEW = 16
_SHARE = 32


class RowCounts:
    """How often something is on each row."""

    __slots__ = ("_capacity", "_column", "_counts")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._counts: dict[int, int] = {}
        self._column: npt.NDArray[np.float64] | None = None

    def add(self, row: int, sign: int) -> None:
        """One more on a row (1), or one less (-1)."""
        count = self._counts.get(row, 0) + sign
        if count:
            self._counts[row] = count
        else:
            del self._counts[row]
        if self._column is not None:
            self._column[row] = count
            if len(self._counts) < self._few() // 2:
                self._column = None

    def sums(self, codes: npt.NDArray[np.int32], size: int) -> npt.NDArray[np.float64]:
        """How often it is on all rows of each code, which are below `size`."""
        if self._column is None and len(self._counts) > self._few():
            self._column = np.zeros(self._capacity)
            self._column[list(self._counts)] = list(self._counts.values())
        if self._column is not None:
            return np.bincount(codes, weights=self._column, minlength=size).astype(np.float64, copy=False)
        found = np.zeros(size)
        for row, count in self._counts.items():
            found[codes[row]] += count
        return found

    def grow(self, capacity: int) -> None:
        """There are that many rows now."""
        self._capacity = capacity
        self._column = None

    def _few(self) -> int:
        return max(_FEW, self._capacity // _SHARE)
