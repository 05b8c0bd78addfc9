"""Node labels as columns of small numbers: a requirement on a label is one comparison over all nodes.

A label key is a column; each of its values has a code, 0 means that the node lacks the label. Codes of values that no
node has any more are given to new values, so that names of nodes that come and go do not pile up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from k8slite.selectors import Requirement

from .journal import Rows

Mask = npt.NDArray[np.bool_]
ABSENT = 0


class _Column:
    """The codes of one label key."""

    def __init__(self, capacity: int) -> None:
        self.codes = np.zeros(capacity, dtype=np.int32)
        self.values: list[str | None] = [None]
        self.code_of: dict[str, int] = {}
        self._users = [0]
        self._free: list[int] = []

    def set(self, row: int, value: str | None) -> None:
        """Give a row a value; None takes the label away."""
        before = int(self.codes[row])
        self.codes[row] = ABSENT if value is None else self._code(value)
        if before:
            self._release(before)

    def _code(self, value: str) -> int:
        code = self.code_of.get(value)
        if code is None:
            if self._free:
                code = self._free.pop()
                self.values[code] = value
            else:
                code = len(self.values)
                self.values.append(value)
                self._users.append(0)
            self.code_of[value] = code
        self._users[code] += 1
        return code

    def _release(self, code: int) -> None:
        self._users[code] -= 1
        value = self.values[code]
        if not self._users[code] and value is not None:
            del self.code_of[value]
            self.values[code] = None
            self._free.append(code)

    @property
    def empty(self) -> bool:
        return not self.code_of

    def matches(self, requirement: Requirement, rows: Rows) -> Mask:
        """Which rows meet a requirement."""
        codes: npt.NDArray[np.int32] = self.codes[rows]
        match requirement.operator:
            case "Exists":
                return np.not_equal(codes, ABSENT)
            case "DoesNotExist":
                return np.equal(codes, ABSENT)
            case "In":
                return self._among(codes, requirement.values)
            case "NotIn":
                return ~self._among(codes, requirement.values)
            case "Gt" | "Lt":
                labels = ({requirement.key: value} if value is not None else {} for value in self.values)
                return np.fromiter(map(requirement.matches, labels), dtype=np.bool_, count=len(self.values))[codes]

    def _among(self, codes: npt.NDArray[np.int32], values: frozenset[str]) -> Mask:
        wanted = [code for value in values if (code := self.code_of.get(value))]
        if len(wanted) == 1:
            return np.equal(codes, wanted[0])
        return np.isin(codes, wanted)


class LabelColumns:
    """The labels of all nodes."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._columns: dict[str, _Column] = {}
        self._labels: dict[int, Mapping[str, str]] = {}

    def set(self, row: int, labels: Mapping[str, str]) -> bool:
        """Replace the labels of a row; whether that changed anything."""
        before = self._labels.get(row, {})
        if before == labels:
            return False
        for key in before.keys() - labels.keys():
            column = self._columns[key]
            column.set(row, None)
            if column.empty:
                del self._columns[key]
        for key, value in labels.items():
            if before.get(key) != value:
                if key not in self._columns:
                    self._columns[key] = _Column(self._capacity)
                self._columns[key].set(row, value)
        if labels:
            self._labels[row] = dict(labels)
        else:
            self._labels.pop(row, None)
        return True

    def get(self, row: int) -> Mapping[str, str]:
        """The labels of a row."""
        return self._labels.get(row, {})

    def codes(self, key: str) -> npt.NDArray[np.int32]:
        """The values of a label by row, as numbers, `ABSENT` where it lacks; true until a node changes."""
        column = self._columns.get(key)
        return np.zeros(self._capacity, dtype=np.int32) if column is None else column.codes

    def size(self, key: str) -> int:
        """All codes of a label are less."""
        column = self._columns.get(key)
        return 1 if column is None else len(column.values)

    def values(self, key: str) -> Sequence[str | None]:
        """The values of a label by their numbers; None for `ABSENT` and for numbers that nobody has."""
        column = self._columns.get(key)
        return (None,) if column is None else column.values

    def matches(self, requirement: Requirement, rows: Rows) -> Mask:
        """Which of the rows meet a requirement."""
        column = self._columns.get(requirement.key)
        if column is None:
            count = self._capacity if isinstance(rows, slice) else rows.size
            return np.full(count, requirement.operator in ("NotIn", "DoesNotExist"))
        return column.matches(requirement, rows)

    def grow(self, capacity: int) -> None:
        """Make room for more rows."""
        for column in self._columns.values():
            column.codes = np.concatenate([column.codes, np.zeros(capacity - self._capacity, dtype=np.int32)])
        self._capacity = capacity
