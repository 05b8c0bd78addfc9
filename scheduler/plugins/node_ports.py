"""A host port serves one pod of a node at a time."""

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

REASON = "node(s) didn't have free ports for the requested pod ports"


class NodePorts:
    """Filters by the host ports that are taken."""

    name = "NodePorts"
    reads = Reads.USAGE
    cures = Change.NODE_ADDED | Change.POD_REMOVED

    def concerns(self, shape: Shape) -> bool:
        """Whether the shape takes a host port."""
        return bool(shape.ports)

    def filter(self, shape: Shape, columns: Columns, rows: Rows) -> Mask:
        """Nodes where every port is free."""
        free = np.ones(columns.capacity, dtype=np.bool_)
        free[list(columns.ports.conflicts(shape.ports))] = False
        return free[rows]

    def explain(self, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Counter[str]:
        """One reason for all."""
        return Counter({REASON: rows.size})
