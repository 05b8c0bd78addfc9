"""Replicas are spread over nodes and zones, so that the loss of one takes few of them: by the pod's own constraints,
hard or soft, or softly by the defaults.

A node's answer depends on the pods of all nodes, so that filter and score are asked anew at each decision; what they
need to know of the nodes alone (the plan) is kept until a node changes. To the score, by hostname means by node,
whatever the label says.

Source: Kubernetes documentation, "Pod Topology Spread Constraints"; the PodTopologySpread plugin for the score.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..change import Change
from ..columns import Columns
from ..framework import MAX_SCORE, Reads, Scores
from ..journal import ALL, Rows
from ..labels import ABSENT, Mask
from ..shape import Shape
from ..spread import HOSTNAME, Spread
from ..view import Pod
from .node_affinity import NodeAffinity
from .taint_toleration import TaintToleration

SKEWED = "node(s) didn't match pod topology spread constraints"
UNLABELLED = f"{SKEWED} (missing required label)"

#: Plans remembered; each takes about 10 bytes a node and constraint.
REMEMBERED = 128


@dataclass(frozen=True, slots=True)
class _Topology:
    """What the nodes alone say of a constraint."""

    codes: npt.NDArray[np.int32]
    """The value of the label by row, as a number below `size`; 0 for none."""
    size: int
    counted: Mask
    """The rows whose pods count."""
    domains: npt.NDArray[np.intp]
    """The values that occur in counted rows."""

    def by_domain(self, counts: Scores) -> Scores:
        """How many pods each value of the label has."""
        rows = np.flatnonzero(counts)
        rows = rows[self.counted[rows]]
        sums = np.bincount(self.codes[rows], weights=counts[rows], minlength=self.size)
        return sums.astype(np.float64, copy=False)


@dataclass(frozen=True, slots=True)
class _Plan:
    """For constraints alike but for their groups. `complete` are the rows that have all labels asked for."""

    columns: Columns
    position: int
    complete: Mask
    topologies: tuple[_Topology, ...]


def weight_of(domains: int) -> float:
    """What a pod counts for, so that a constraint over few domains does not weigh more than one over many."""
    return float(np.log(domains + 2))


def evened(levels: Scores, candidates: Mask) -> Scores:
    """Whole levels as scores: the lowest of the candidates gets 100, the highest what is left of it in proportion."""
    found = levels.compress(candidates)
    highest, lowest = (float(found.max()), float(found.min())) if found.size else (0.0, 0.0)
    if highest <= 0:
        return candidates.astype(np.float64) * MAX_SCORE
    scores: Scores = (highest + lowest) - levels
    scores *= MAX_SCORE
    scores /= highest
    np.floor(scores, out=scores)
    scores *= candidates
    return scores


class TopologySpread:
    """Filters by hard constraints, scores by soft ones."""

    name = "PodTopologySpread"
    reads = Reads.CLUSTER
    cures = Change.NODE_ADDED | Change.NODE_LABELS | Change.NODE_TAINTS | Change.POD_REMOVED | Change.PEERS
    weight = 2

    def __init__(self) -> None:
        self._plans: OrderedDict[tuple[object, ...], _Plan] = OrderedDict()

    def concerns(self, shape: Shape) -> bool:
        """Whether a constraint is hard."""
        return any(spread.hard for spread in shape.spread)

    def filter(self, shape: Shape, columns: Columns, rows: Rows) -> Mask:
        """Nodes with all labels where one more pod keeps every skew."""
        spreads = [spread for spread in shape.spread if spread.hard]
        plan = self._plan(shape, spreads, columns)
        mask = plan.complete
        for spread, topology in zip(spreads, plan.topologies, strict=True):
            sums = topology.by_domain(columns.peers.counts(spread.group))
            enough = topology.domains.size >= max(spread.min_domains, 1)
            least = sums[topology.domains].min() if enough else 0.0
            mask = mask & (sums + spread.counts_itself - least <= spread.max_skew)[topology.codes]
        return mask[rows]

    def explain(self, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Counter[str]:
        """Whether a label lacks, or the skew would be too large."""
        plan = self._plan(shape, [spread for spread in shape.spread if spread.hard], columns)
        labelled = int(np.count_nonzero(plan.complete[rows]))
        return Counter({reason: n for reason, n in ((UNLABELLED, rows.size - labelled), (SKEWED, labelled)) if n})

    def unresolvable(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """Nodes without a label that a hard constraint goes by."""
        plan = self._plan(shape, [spread for spread in shape.spread if spread.hard], columns)
        return ~plan.complete[rows]

    def concerned(self, pod: Pod, shape: Shape) -> bool:
        """Whether a constraint is soft."""
        return any(not spread.hard for spread in shape.spread)

    def compare(self, pod: Pod, shape: Shape, columns: Columns, feasible: Mask) -> Scores:
        """Higher where there are fewer pods of the group; 0 for nodes that lack a label which the pod named."""
        spreads = [spread for spread in shape.spread if not spread.hard]
        plan = self._plan(shape, spreads, columns)
        candidates = feasible & plan.complete
        levels = np.zeros(columns.capacity)
        for spread, topology in zip(spreads, plan.topologies, strict=True):
            counts = columns.peers.counts(spread.group)
            if spread.key == HOSTNAME:
                levels += counts * weight_of(int(np.count_nonzero(candidates))) + (spread.max_skew - 1)
            elif topology.size > 1:
                occurring = int(np.count_nonzero(np.bincount(topology.codes[candidates])))
                by_code = topology.by_domain(counts) * weight_of(occurring) + (spread.max_skew - 1)
                by_code[ABSENT] = 0
                levels += by_code[topology.codes]
        levels += 0.5
        return evened(np.floor(levels, out=levels), candidates)

    def _plan(self, shape: Shape, spreads: list[Spread], columns: Columns) -> _Plan:
        tolerations = shape.tolerations if any(spread.honours_taints for spread in spreads) else ()
        key = (*map(_said_of_nodes, spreads), shape.selector, shape.required, tolerations)
        plan = self._plans.get(key)
        if plan is None or plan.columns is not columns or plan.position != columns.static.position:
            plan = self._plans[key] = _planned(shape, spreads, columns)
            if len(self._plans) > REMEMBERED:
                self._plans.popitem(last=False)
        self._plans.move_to_end(key)
        return plan


def _said_of_nodes(spread: Spread) -> tuple[object, ...]:
    return spread.key, spread.default, spread.honours_affinity, spread.honours_taints


def _planned(shape: Shape, spreads: list[Spread], columns: Columns) -> _Plan:
    found = [(spread, columns.labels.codes(spread.key)) for spread in spreads]
    complete = columns.live.copy()
    for spread, codes in found:
        if not spread.default:
            complete &= codes != ABSENT
    topologies = []
    for spread, codes in found:
        counted = complete & (codes != ABSENT)
        if spread.honours_affinity:
            counted &= NodeAffinity().filter(shape, columns, ALL)
        if spread.honours_taints:
            counted &= TaintToleration().filter(shape, columns, ALL)
        domains = np.unique(codes[counted]).astype(np.intp)
        topologies.append(_Topology(codes, int(codes.max()) + 1, counted, domains))
    return _Plan(columns, columns.static.position, complete, tuple(topologies))
