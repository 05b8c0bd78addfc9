"""Places: nodes that have the same value of a label. What is counted by row, told by place."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from .columns import Columns
from .framework import Scores
from .groups import Group
from .journal import NONE
from .labels import ABSENT, Mask
from .standing import Standing


class Places:
    """Counts by value of a label, and what they say of some rows."""

    def __init__(self, columns: Columns, rows: npt.NDArray[np.intp] = NONE) -> None:
        self._columns = columns
        self._rows = rows

    def of_group(self, key: str, group: Group) -> Scores:
        """How many pods of a group are beside each other, by code of a label; 0 where it lacks."""
        labels = self._columns.labels
        counts = self._columns.peers.counts(group)
        sums = np.bincount(labels.codes(key), weights=counts, minlength=labels.size(key))
        return _labelled(sums.astype(np.float64, copy=False))

    def of_term(self, standing: Standing) -> Scores:
        """How many pods have a term, in the same way."""
        labels, key = self._columns.labels, standing.term.key
        return _labelled(standing.pods.sums(labels.codes(key), labels.size(key)))

    def codes(self, key: str) -> npt.NDArray[np.int32]:
        """What value the rows have of a label."""
        return self._columns.labels.codes(key).take(self._rows)

    def none(self) -> Mask:
        """None of the rows."""
        return np.zeros(self._rows.size, dtype=np.bool_)

    def shared(self, counted: Iterable[tuple[str, Scores]]) -> Mask:
        """Which of the rows have a value of a label for which anything is counted."""
        found = self.none()
        for key, sums in counted:
            found |= (sums > 0).take(self.codes(key))
        return found


def _labelled(sums: Scores) -> Scores:
    sums[ABSENT] = 0
    return sums
