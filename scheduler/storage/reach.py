"""Which nodes come by which of many things: volumes and capacities that only some nodes can use.

Most are bound to one value of one label (a host, a zone) or to none. Those with the same condition share a cell, and
each row is in one cell for each label: the best thing for every row is found with one assignment over the things and
one look-up over the rows for each label, however many things and rows there are. Conditions of other forms have a
cell each, and a mask over the rows that is renewed when a node changes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ..columns import Columns
from ..journal import ALL, Rows
from ..labels import Mask
from .objects import Where

Indices = npt.NDArray[np.intp]

#: The cells of what no node and what every node can use.
_NOBODY, _EVERYBODY = 0, 1


def reachable(where: Where, columns: Columns, rows: Rows) -> Mask:
    """Which of the rows meet a condition."""
    size = columns.live[rows].size
    if where is None:
        return np.ones(size, dtype=np.bool_)
    mask = np.zeros(size, dtype=np.bool_)
    for term in where:
        if term:
            met = np.ones(size, dtype=np.bool_)
            for requirement in term.labels:
                met &= columns.labels.matches(requirement, rows)
            mask |= met
    return mask


class _Label:
    """The cells of the values of one label."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.cells: dict[str | None, int] = {}
        self._state: tuple[Columns, int] | None = None
        self._by_row: Indices = np.empty(0, dtype=np.intp)

    def forget(self) -> None:
        self._state = None

    def by_row(self, columns: Columns) -> Indices:
        """The cell of each row."""
        state = columns, columns.static.position
        if self._state is None or self._state[0] is not columns or self._state[1] != state[1]:
            values = columns.labels.values(self.key)
            of_code = np.fromiter((self.cells.get(value, _NOBODY) for value in values), np.intp, len(values))
            self._state, self._by_row = state, of_code[columns.labels.codes(self.key)]
        return self._by_row


class _Condition:
    """A condition of any other form."""

    def __init__(self, where: Where) -> None:
        self._where = where
        self._state: tuple[Columns, int] | None = None
        self._mask: Mask = np.empty(0, dtype=np.bool_)

    def mask(self, columns: Columns) -> Mask:
        """The rows that meet it."""
        state = columns, columns.static.position
        if self._state is None or self._state[0] is not columns or self._state[1] != state[1]:
            self._state, self._mask = state, reachable(self._where, columns, ALL)
        return self._mask


class Reach:
    """The conditions of things. A thing enters once and leaves with the cell that it was given."""

    def __init__(self) -> None:
        self._cells: dict[Where, int] = {(): _NOBODY, None: _EVERYBODY}
        self._where: list[Where] = [(), None]
        self._users = [1, 1]
        self._free: list[int] = []
        self._labels: dict[str, _Label] = {}
        self._conditions: dict[int, _Condition] = {}

    def enter(self, where: Where) -> int:
        """The cell of a thing that the nodes which meet the condition can use."""
        cell = self._cells.get(where)
        if cell is None:
            cell = self._add(where)
        self._users[cell] += 1
        return cell

    def leave(self, cell: int) -> None:
        """A thing of the cell is gone."""
        self._users[cell] -= 1
        if not self._users[cell]:
            where = self._where[cell]
            del self._cells[where]
            self._free.append(cell)
            if self._conditions.pop(cell, None) is None:
                key, value = _only_value(where) or ("", "")
                label = self._labels[key]
                del label.cells[value]
                label.forget()
                if not label.cells:
                    del self._labels[key]

    def _add(self, where: Where) -> int:
        if self._free:
            cell = self._free.pop()
            self._where[cell] = where
        else:
            cell = len(self._where)
            self._where.append(where)
            self._users.append(0)
        self._cells[where] = cell
        if single := _only_value(where):
            label = self._labels.setdefault(single[0], _Label(single[0]))
            label.cells[single[1]] = cell
            label.forget()
        else:
            self._conditions[cell] = _Condition(where)
        return cell

    def firsts(self, cells: Indices) -> Indices:
        """By cell, the position of the first of the things in these cells, or their number if there is none."""
        found = np.full(len(self._where), cells.size, dtype=np.intp)
        found[cells[::-1]] = np.arange(cells.size - 1, -1, -1)
        found[_NOBODY] = cells.size
        return found

    def by_row(self, firsts: Indices, columns: Columns) -> Iterator[Indices]:
        """What `firsts` says, by row, for each way in which rows come by things."""
        none = firsts[_NOBODY]
        if firsts[_EVERYBODY] < none:
            yield np.full(columns.capacity, firsts[_EVERYBODY])
        for label in self._labels.values():
            yield firsts[label.by_row(columns)]
        for cell, condition in self._conditions.items():
            if firsts[cell] < none:
                yield np.where(condition.mask(columns), firsts[cell], none)


def _only_value(where: Where) -> tuple[str, str] | None:
    """The label and value, where a condition asks for just that."""
    if where is None or len(where) != 1 or len(where[0].labels) != 1:
        return None
    (requirement,) = where[0].labels
    if requirement.operator != "In" or len(requirement.values) != 1:
        return None
    return requirement.key, next(iter(requirement.values))
