"""Taints keep pods off that do not tolerate them, or make a node the second choice.

Source: Kubernetes documentation, "Taints and Tolerations".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

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
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,18}")


def tolerates(toleration: Tolerated, taint: Taint) -> bool:
    """Whether a toleration covers a taint."""
    key, value, effect = taint
    if toleration.effect and toleration.effect != effect:
        return False
    if toleration.key and toleration.key != key:
        return False
    match toleration.operator:
        case "Exists":
            return True
        case "Equal":
            return toleration.value == value
        case "Lt" | "Gt":
            return _compares(value, toleration)
    return False


def _compares(value: str, toleration: Tolerated) -> bool:
    """Whether a taint's value is below (or above) the toleration's; what is no number of 64 bits compares with none."""
    mine, bound = _number(value), _number(toleration.value)
    if mine is None or bound is None:
        return False
    return mine < bound if toleration.operator == "Lt" else mine > bound


def _number(text: str) -> int | None:
    found = int(text) if _NUMBER.fullmatch(text) else None
    return found if found is not None and -(1 << 63) <= found < 1 << 63 else None


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
