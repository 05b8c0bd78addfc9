"""Cordoned nodes take no pods, except those that tolerate the taint that says so."""

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
from .taint_toleration import tolerates

REASON = "node(s) were unschedulable"
CORDONED = ("node.kubernetes.io/unschedulable", "", "NoSchedule")


class NodeUnschedulable:
    """Filters by `spec.unschedulable`."""

    name = "NodeUnschedulable"
    reads = Reads.STATIC
    cures = Change.NODE_ADDED | Change.NODE_TAINTS

    def concerns(self, shape: Shape) -> bool:
        """Whether the shape minds."""
        return not any(tolerates(toleration, CORDONED) for toleration in shape.tolerations)

    def filter(self, shape: Shape, columns: Columns, rows: Rows) -> Mask:
        """Nodes that are not cordoned."""
        return ~columns.unschedulable[rows]

    def explain(self, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Counter[str]:
        """One reason for all."""
        return Counter({REASON: rows.size})

    def unresolvable(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """All: the node itself is the reason."""
        return np.ones(rows.size, dtype=np.bool_)
