"""Replicas are spread over nodes and zones, so that the loss of one takes few of them: by the pod's own constraints,
hard or soft, or by the defaults of the scheduler's configuration.

A node's answer depends on the pods of all nodes, so that filter and score are asked anew at each decision; what they
need to know of the nodes alone (the plan) is kept until a node changes. To the score, by hostname means by node, if it
has that label.

Source: Kubernetes documentation, "Pod Topology Spread Constraints"; the PodTopologySpread plugin for the score.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..change import Change, Event
from ..columns import Columns
from ..framework import MAX_SCORE, Args, Reads, Scores
from ..groups import NOBODY, Group
from ..journal import ALL, Rows
from ..labels import ABSENT, Mask
from ..shape import Shape
from ..spread import HOSTNAME, SYSTEM_DEFAULTS, Spread
from ..view import Pod
from .node_affinity import NodeAffinity
from .spread_arguments import spread_arguments
from .spread_hints import may_help
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
    counted: npt.NDArray[np.int32]
    """The same for rows whose pods count; 0 for others."""
    size: int
    domains: npt.NDArray[np.intp]
    """The values that occur in counted rows."""

    def by_domain(self, counts: Scores) -> Scores:
        """How many pods each value of the label has."""
        sums = np.bincount(self.counted, weights=counts, minlength=self.size).astype(np.float64, copy=False)
        sums[ABSENT] = 0
        return sums


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
    cures = (
        Change.NODE_ADDED
        | Change.NODE_LABELS
        | Change.NODE_TAINTS
        | Change.NODE_REMOVED
        | Change.POD_REMOVED
        | Change.PEERS
    )
    weight = 2

    def __init__(self, defaults: Sequence[Spread] = SYSTEM_DEFAULTS, *, lenient: bool = True) -> None:
        """`defaults` are for replicas without constraints; if `lenient`, nodes may lack labels that these go by."""
        self._hard_defaults = tuple(spread for spread in defaults if spread.hard)
        self._soft_defaults = tuple(spread for spread in defaults if not spread.hard)
        self._lenient = lenient
        self._plans: OrderedDict[tuple[object, ...], _Plan] = OrderedDict()

    @classmethod
    def made(cls, args: Args) -> TopologySpread:
        """The plugin with its PodTopologySpreadArgs. Raises BadArguments."""
        found = spread_arguments(args)
        return cls(found.spreads, lenient=found.built_in)

    def concerns(self, shape: Shape) -> bool:
        """Whether a constraint is hard."""
        return bool(self._hard(shape))

    def filter(self, shape: Shape, columns: Columns, rows: Rows) -> Mask:
        """Nodes with all labels where one more pod keeps every skew."""
        hard = self._hard(shape)
        plan = self._plan(shape, hard, columns)
        mask = plan.complete
        for spread, topology in zip(hard, plan.topologies, strict=True):
            mask = mask & _keeps_skew(spread, topology, _group(spread, shape), columns).take(topology.codes)
        return mask[rows]

    def explain(self, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Counter[str]:
        """Whether a label lacks, or the skew would be too large: what the first constraint says that fails."""
        hard = self._hard(shape)
        reasons: Counter[str] = Counter()
        for spread, topology in zip(hard, self._plan(shape, hard, columns).topologies, strict=True):
            codes = topology.codes[rows]
            labelled = codes != ABSENT
            keeps = _keeps_skew(spread, topology, _group(spread, shape), columns)[codes]
            reasons[UNLABELLED] += int(np.count_nonzero(~labelled))
            reasons[SKEWED] += int(np.count_nonzero(labelled & ~keeps))
            rows = rows[labelled & keeps]
        return +reasons

    def unresolvable(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """Nodes without a label that a hard constraint goes by."""
        return ~self._plan(shape, self._hard(shape), columns).complete[rows]

    def concerned(self, pod: Pod, shape: Shape) -> bool:
        """Whether a constraint is soft."""
        return bool(self._soft(shape))

    def compare(self, pod: Pod, shape: Shape, columns: Columns, feasible: Mask) -> Scores:
        """Higher where there are fewer pods of the group; 0 for nodes that lack a label which they must have."""
        soft = self._soft(shape)
        plan = self._plan(shape, soft, columns, lenient=self._lenient and not shape.spread.own)
        candidates = feasible & plan.complete
        levels = np.full(columns.capacity, 0.5)
        for spread, topology in zip(soft, plan.topologies, strict=True):
            counts = columns.peers.counts(_group(spread, shape))
            if spread.key == HOSTNAME:
                level = counts * weight_of(int(np.count_nonzero(candidates))) + (spread.max_skew - 1)
                levels += level * (topology.codes != ABSENT)
            elif topology.size > 1:
                occurring = int(np.count_nonzero(np.bincount(topology.codes.compress(candidates))))
                by_code = topology.by_domain(counts) * weight_of(occurring) + (spread.max_skew - 1)
                by_code[ABSENT] = 0
                levels += by_code.take(topology.codes)
        return evened(np.floor(levels, out=levels), candidates)

    def helps(self, pod: Pod, shape: Shape, event: Event, columns: Columns) -> bool:
        """Whether a pod of one of the groups came, went or changed, or a node that their counts are compared on."""
        hard = self._hard(shape)
        return may_help([(spread.key, _group(spread, shape)) for spread in hard], event)

    def _hard(self, shape: Shape) -> tuple[Spread, ...]:
        own = shape.spread.own
        if own:
            return tuple(spread for spread in own if spread.hard)
        return self._hard_defaults if shape.spread.replicas is not None else ()

    def _soft(self, shape: Shape) -> tuple[Spread, ...]:
        own = shape.spread.own
        if own:
            return tuple(spread for spread in own if not spread.hard)
        return self._soft_defaults if shape.spread.replicas is not None else ()

    def _plan(self, shape: Shape, spreads: Sequence[Spread], columns: Columns, *, lenient: bool = False) -> _Plan:
        tolerations = shape.tolerations if any(spread.honours_taints for spread in spreads) else ()
        key = (lenient, *map(_said_of_nodes, spreads), shape.selector, shape.required, tolerations)
        plan = self._plans.get(key)
        if plan is None or plan.columns is not columns or plan.position != columns.static.position:
            plan = self._plans[key] = _planned(shape, spreads, columns, lenient=lenient)
            if len(self._plans) > REMEMBERED:
                self._plans.popitem(last=False)
        self._plans.move_to_end(key)
        return plan


def _group(spread: Spread, shape: Shape) -> Group:
    return spread.group or shape.spread.replicas or NOBODY


def _keeps_skew(spread: Spread, topology: _Topology, group: Group, columns: Columns) -> Mask:
    """By value of the label, whether one more pod keeps the skew."""
    sums = topology.by_domain(columns.peers.counts(group))
    enough = topology.domains.size >= max(spread.min_domains, 1)
    least = sums[topology.domains].min() if enough else 0.0
    keeps: Mask = sums <= spread.max_skew + least - spread.counts_itself
    return keeps


def _said_of_nodes(spread: Spread) -> tuple[object, ...]:
    return spread.key, spread.honours_affinity, spread.honours_taints


def _planned(shape: Shape, spreads: Sequence[Spread], columns: Columns, *, lenient: bool) -> _Plan:
    found = [(spread, columns.labels.codes(spread.key)) for spread in spreads]
    complete = columns.live.copy()
    if not lenient:
        for _, codes in found:
            complete &= codes != ABSENT
    topologies = []
    for spread, codes in found:
        counting = complete.copy()
        if spread.honours_affinity:
            counting &= NodeAffinity().filter(shape, columns, ALL)
        if spread.honours_taints:
            counting &= TaintToleration().filter(shape, columns, ALL)
        counted = np.where(counting, codes, ABSENT)
        domains = np.unique(counted[counted != ABSENT]).astype(np.intp)
        topologies.append(_Topology(codes, counted, columns.labels.size(spread.key), domains))
    return _Plan(columns, columns.static.position, complete, tuple(topologies))
