"""Taints keep pods off that do not tolerate them, or make a node the second choice.

Source: Kubernetes documentation, "Taints and Tolerations".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from k8slite.tolerations import covers

from ..change import Change
from ..columns import Columns
from ..framework import Normalize, Reads, Scores
from ..journal import Rows
from ..labels import Mask
from ..shape import Shape, Tolerated
from ..taints import Taint, TaintSet
from ..view import Pod

REASON = "node(s) had untolerated taint(s)"
REPELLING = ("NoSchedule", "NoExecute")


def tolerates(toleration: Tolerated, taint: Taint) -> bool:
    """Whether a toleration covers a taint."""
    key, value, effect = taint
    return covers(toleration, key=key, value=value, effect=effect)


def repelled_by(taints: Iterable[Taint], tolerations: tuple[Tolerated, ...]) -> Taint | None:
    """The first taint that keeps a pod with these tolerations off."""
    for taint in taints:
        if taint[2] in REPELLING and not any(tolerates(toleration, taint) for toleration in tolerations):
            return taint
    return None


def disliked(taints: Iterable[Taint], tolerations: tuple[Tolerated, ...]) -> int:
    """How many PreferNoSchedule taints are not tolerated."""
    return sum(
        taint[2] == "PreferNoSchedule" and not any(tolerates(toleration, taint) for toleration in tolerations)
        for taint in taints
    )


class TaintToleration:
    """Filters by NoSchedule and NoExecute, scores by PreferNoSchedule."""

    name = "TaintToleration"
    reads = Reads.STATIC
    cures = Change.NODE_ADDED | Change.NODE_TAINTS
    weight = 3
    normalize = Normalize.REVERSED

    def concerns(self, shape: Shape) -> bool:
        """Always."""
        return True

    def filter(self, shape: Shape, columns: Columns, rows: Rows) -> Mask:
        """Nodes without a taint that the shape does not tolerate."""

        def welcome(taints: TaintSet) -> bool:
            return repelled_by(taints, shape.tolerations) is None

        return columns.taints.gather(welcome, rows, np.bool_)

    def explain(self, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Counter[str]:
        """One reason for all: taints may say what pods' owners need not know."""
        return Counter({REASON: rows.size})

    def unresolvable(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """All: the node itself is the reason."""
        return np.ones(rows.size, dtype=np.bool_)

    def score(self, shape: Shape, columns: Columns, rows: Rows) -> Scores:
        """How many taints the shape would rather avoid."""

        def count(taints: TaintSet) -> int:
            return disliked(taints, shape.tolerations)

        return columns.taints.gather(count, rows, np.float64)
