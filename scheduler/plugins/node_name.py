"""A pod that names its node runs there or nowhere."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from ..change import Change
from ..columns import Columns
from ..framework import Reads
from ..journal import Rows
from ..labels import Mask
from ..shape import Shape
from ..view import Pod

REASON = "node(s) didn't match the requested node name"


def named(name: str, columns: Columns, rows: Rows) -> Mask:
    """Which rows have the name."""
    row = columns.rows.get(name, -1)
    return np.equal(np.arange(columns.capacity)[rows], row)


class NodeName:
    """Filters by `spec.nodeName`."""

    name = "NodeName"
    reads = Reads.STATIC
    cures = Change.NODE_ADDED

    def concerns(self, shape: Shape) -> bool:
        """Whether a node is named."""
        return bool(shape.node_name)

    def filter(self, shape: Shape, columns: Columns, rows: Rows) -> Mask:
        """Only the named node."""
        return named(shape.node_name, columns, rows)

    def explain(self, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Counter[str]:
        """One reason for all."""
        return Counter({REASON: rows.size})

    def unresolvable(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """All: the node itself is the reason."""
        return np.ones(rows.size, dtype=np.bool_)
