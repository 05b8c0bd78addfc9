"""Node taints as one column: each distinct set of taints has a code, and most nodes share a few sets.

What a pod's tolerations make of taints is worked out once a set, and gathered over the nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from .journal import Rows

Taint = tuple[str, str, str]
"""Key, value, effect."""
TaintSet = tuple[Taint, ...]

#: So many sets are all judged, rather than finding out first which of them occur.
_FEW = 16

S = TypeVar("S", bound=np.generic)


class TaintColumn:
    """The taints of all nodes; code 0 is no taint."""

    def __init__(self, capacity: int) -> None:
        self.codes = np.zeros(capacity, dtype=np.intp)
        self.sets: list[TaintSet] = [()]
        self._code_of: dict[TaintSet, int] = {(): 0}

    def set(self, row: int, taints: TaintSet) -> bool:
        """Replace the taints of a row; whether that changed anything."""
        code = self._code_of.get(taints)
        if code is None:
            code = self._code_of[taints] = len(self.sets)
            self.sets.append(taints)
        if self.codes[row] == code:
            return False
        self.codes[row] = code
        return True

    def get(self, row: int) -> TaintSet:
        """The taints of a row."""
        return self.sets[int(self.codes[row])]

    def gather(self, judge: Callable[[TaintSet], object], rows: Rows, dtype: type[S]) -> npt.NDArray[S]:
        """`judge` of each row's taints, called at most once for each set."""
        codes: npt.NDArray[np.intp] = self.codes[rows]
        if codes.size == 1:
            return np.array([judge(self.sets[int(codes[0])])], dtype=dtype)
        occurring = range(len(self.sets)) if len(self.sets) <= _FEW else np.unique(codes)
        verdicts = np.zeros(len(self.sets), dtype=dtype)
        for code in occurring:
            verdicts[code] = judge(self.sets[code])
        if not verdicts.any():
            return np.zeros(codes.size, dtype=dtype)
        return verdicts.take(codes)

    def grow(self, capacity: int) -> None:
        """Make room for more rows."""
        self.codes = np.concatenate([self.codes, np.zeros(capacity - self.codes.size, dtype=np.intp)])
