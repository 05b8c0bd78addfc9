"""Plugins that look at one pod and one node at a time, as upstream's do: simple to write, slow by nature.

The framework asks them for every node that all other filters let pass, in plain Python: a microsecond or a few for each
node and pod. What is to be fast answers for all nodes at once (`framework.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .change import Change
from .columns import Columns
from .framework import MAX_SCORE, Normalize, Scores
from .labels import Mask
from .shape import Shape
from .view import Node, Pod


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A node and the pods that are, or are about to be, on it."""

    node: Node
    pods: Sequence[Pod]


class NodeByNode:
    """The base of such plugins. Whichever of the two methods a plugin overrides, it is asked for.

    `cures` are the changes that may turn a no into a yes; `weight` what the score counts unless configured;
    `normalize` how raw scores become 0–100.
    """

    name: str = ""
    cures: Change = ~Change.NOTHING
    weight: int = 1
    normalize: Normalize = Normalize.NONE

    def filter_node(self, pod: Pod, node: NodeInfo) -> str:
        """Why the node cannot run the pod; empty if it can."""
        return ""

    def score_node(self, pod: Pod, node: NodeInfo) -> int:
        """How well the node suits the pod: 0–100, or anything from 0 if it is normalized."""
        return 0


def info(columns: Columns, row: int) -> NodeInfo:
    """The node of a row as an object. There must be one."""
    node = columns.nodes[row]
    assert node is not None  # rows that are asked for are live
    return NodeInfo(node, [placed.pod for placed in columns.pods_on(row).values()])


class NodeFilter:
    """A plugin's `filter_node` as a PodFilter."""

    def __init__(self, plugin: NodeByNode) -> None:
        self._plugin = plugin
        self.name = plugin.name
        self.cures = plugin.cures

    def concerns_pod(self, pod: Pod) -> bool:
        """Always: only the plugin knows."""
        return True

    def filter_pod(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """The rows for which the plugin names no reason."""
        found = (not self._plugin.filter_node(pod, info(columns, row)) for row in rows.tolist())
        return np.fromiter(found, dtype=np.bool_, count=rows.size)

    def explain_pod(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Counter[str]:
        """The plugin's reasons, counted."""
        return Counter(filter(None, (self._plugin.filter_node(pod, info(columns, row)) for row in rows.tolist())))


class NodeScore:
    """A plugin's `score_node` as a comparison."""

    def __init__(self, plugin: NodeByNode) -> None:
        self._plugin = plugin
        self.name = plugin.name
        self.weight = plugin.weight

    def concerned(self, pod: Pod, shape: Shape) -> bool:
        """Always: only the plugin knows."""
        return True

    def compare(self, pod: Pod, shape: Shape, columns: Columns, feasible: Mask) -> Scores:
        """The plugin's scores of the feasible rows. Raises ValueError for one out of range."""
        scores = np.zeros(columns.capacity)
        for row in np.flatnonzero(feasible).tolist():
            scores[row] = self._plugin.score_node(pod, info(columns, row))
        if self._plugin.normalize is not Normalize.NONE:
            highest = scores.max(initial=0.0)
            if highest > 0:
                scores = np.floor(scores * MAX_SCORE / highest)
            if self._plugin.normalize is Normalize.REVERSED:
                scores = MAX_SCORE - scores
        for wrong in (scores.min(initial=0.0), scores.max(initial=0.0)):
            if not 0 <= wrong <= MAX_SCORE:
                raise ValueError(f"an invalid score {wrong:g}, it should be in the range of [0, 100] after normalizing")
        return scores


def adapters(plugin: NodeByNode) -> list[NodeFilter | NodeScore]:
    """What the framework asks in the plugin's place."""
    kind = type(plugin)
    found: list[NodeFilter | NodeScore] = []
    if kind.filter_node is not NodeByNode.filter_node:
        found.append(NodeFilter(plugin))
    if kind.score_node is not NodeByNode.score_node:
        found.append(NodeScore(plugin))
    return found
