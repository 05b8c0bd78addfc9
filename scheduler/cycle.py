"""The decision: a shape and the columns give a node, or the reasons why there is none. Nothing but memory changes here.

What was worked out for a shape (its `_View`: which nodes can run it, and how they score) is kept and renewed for those
rows only that the columns' journals name. Between two pods of one shape usually one row changed: the node that the
first was put on. What depends on the pods of other nodes (filters that read the cluster, comparisons) is not kept.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .change import NOWHERE
from .columns import Columns
from .framework import MAX_SCORE, Normalize, Reads, Score, Scores
from .journal import ALL, NONE, Rows
from .judging import Chosen, Concerned, Filters
from .labels import Mask
from .profile import Profile
from .shape import Shape
from .trace import BEST, Roster, Scored, Trace
from .view import Pod
from .yielding import makes_way, reasons_for_way

#: Shapes remembered; each takes about 25 bytes a node.
REMEMBERED = 128
_NEVER = -1
#: Where a trace tells of nodes that are left to nominated pods; no plugin has this name.
PROMISED = "nominated pods"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the pod goes."""

    node: str
    trace: Trace | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """Why it goes nowhere. `rejected_by` names the plugins whose mind must change first."""

    message: str
    rejected_by: frozenset[str]
    trace: Trace | None = field(default=None, compare=False, repr=False)


Decision = Placement | Unschedulable


class _Step(NamedTuple):
    """All totals after a plugin added its scores."""

    plugin: str
    weight: int
    total: Scores


class _View:
    """What is known of all nodes for one shape."""

    def __init__(self, shape: Shape, profile: Profile, capacity: int) -> None:
        filters = [p for p in profile.filter if p.reads is not Reads.CLUSTER and p.concerns(shape)]
        unneeded = {name for name, plugin in profile.pre_score.items() if not plugin.pre_score(shape)}
        scores = [plugin for plugin in profile.score if plugin.name not in unneeded]
        self.filters = filters
        self.static_filters = [plugin for plugin in filters if plugin.reads is Reads.STATIC]
        self.usage_filters = [plugin for plugin in filters if plugin.reads is Reads.USAGE]
        self.passed: dict[str, Mask] = {plugin.name: np.zeros(capacity, dtype=np.bool_) for plugin in filters}
        """By filter, the rows that it let pass. Traces share those of static filters, so these are never written to."""
        weighted = [(plugin, profile.weight(plugin)) for plugin in scores]
        self.plain_scores = [pair for pair in weighted if pair[0].normalize is Normalize.NONE]
        self.relative_scores = [pair for pair in weighted if pair[0].normalize is not Normalize.NONE]
        self.capacity = capacity
        self.allowed: Mask = np.zeros(capacity, dtype=np.bool_)
        """Live, and passed by every filter that reads nodes only."""
        self.total: Scores = np.full(capacity, -1.0)
        """The plain scores of feasible nodes; -1 for the others."""
        self.plain: list[Scores] = [np.zeros(capacity) for _ in self.plain_scores]
        self.raw: list[Scores] = [np.zeros(capacity) for _ in self.relative_scores]
        self.static_at = _NEVER
        self.usage_at = _NEVER
        self.failure: Unschedulable | None = None


class Cycle:
    """Decides; remembers between decisions. `random` breaks ties."""

    def __init__(self, profile: Profile, *, random: Random) -> None:
        self._profile = profile
        self._filters = Filters(profile.filter, profile.pod_filter)
        self._cluster_filters = [plugin for plugin in profile.filter if plugin.reads is Reads.CLUSTER]
        self._comparisons = [(plugin, profile.weight(plugin)) for plugin in profile.compare]
        self._random = random
        self._roster = Roster()
        self._views: OrderedDict[Shape, _View] = OrderedDict()

    def decide(self, pod: Pod, shape: Shape, columns: Columns, *, thorough: bool = True) -> Decision:
        """Where the pod should go as things stand. The trace of a `thorough` decision has reasons and the next best."""
        trace = Trace(self._roster.names(columns))
        for plugin in self._profile.pre_filter:
            if reason := plugin.pre_filter(pod, columns):
                trace.reasons = {plugin.name: {reason: columns.node_count}}
                return Unschedulable(_message(columns.node_count, reason), frozenset({plugin.name}), trace)
        own = columns.nominations.get(pod.uid) if columns.nominations else None
        if own is not None and self._takes(own.node, pod, shape, columns):
            return _placed(own.node, columns, trace)
        for narrowing in self._filters.narrowing:
            if (names := narrowing.among(shape)) is not None and len(names) < 2:
                return self._pinned(names, pod, shape, columns, trace=trace, thorough=thorough)
        view = self._view(shape, columns)
        trace.passed = [(p.name, view.passed[p.name]) for p in view.static_filters]
        trace.passed += [(p.name, view.passed[p.name].copy()) for p in view.usage_filters]
        filters = [plugin for plugin in self._cluster_filters if plugin.concerns(shape)]
        pod_filters = [plugin for plugin in self._profile.pod_filter if plugin.concerns_pod(pod)]
        total = view.total
        for filtering in filters:
            passed = filtering.filter(shape, columns, ALL)
            trace.passed.append((filtering.name, passed))
            total = np.where(passed, total, -1.0)
        for judging in pod_filters:
            rows = np.flatnonzero(total >= 0)
            total = total.copy()
            total[rows[~judging.filter_pod(pod, shape, columns, rows)]] = -1.0
            trace.passed.append((judging.name, total >= 0))
        yielding = NONE
        if columns.nominations:
            feasible = np.flatnonzero(total >= 0)
            yielding = feasible[~makes_way(self.concerned(pod, shape), pod, shape, columns, feasible)]
            if yielding.size:
                total = total.copy()
                total[yielding] = -1.0
                trace.passed.append((PROMISED, total >= 0))
        steps = [*self._relative(view, total)]
        steps += self._compared(steps[-1].total if steps else total, pod, shape, columns)
        final = steps[-1].total if steps else total
        best = final.max()
        if best < 0:
            shared = not filters and not pod_filters and not yielding.size
            if shared and view.failure is not None:
                return view.failure
            failure = explain(self.concerned(pod, shape), pod, shape, columns, yielding=yielding, trace=trace)
            if shared:
                view.failure = failure
            return failure
        ties = np.flatnonzero(final == best)
        chosen = int(ties[self._random.randrange(ties.size)])
        if thorough:
            explain(self.concerned(pod, shape), pod, shape, columns, yielding=yielding, trace=trace)
        self._note(trace, chosen, ties, view=view, base=total, steps=steps, thorough=thorough)
        return Placement(columns.names[chosen], trace)

    @staticmethod
    def _note(
        trace: Trace,
        chosen: int,
        ties: npt.NDArray[np.intp],
        *,
        view: _View,
        base: Scores,
        steps: Sequence[_Step],
        thorough: bool,
    ) -> None:
        """Keep the scores of the chosen row and of the next best, which a burst has no time to look for."""
        final = steps[-1].total if steps else base
        others = ties[:BEST]
        if thorough and ties.size < BEST:
            others = np.argsort(-final, kind="stable")[:BEST]
            others = others[final[others] >= 0]
        rows = [chosen, *(row for row in others.tolist() if row != chosen)][:BEST]
        trace.best, trace.total = rows, final.take(rows)
        for (plain, weight), scores in zip(view.plain_scores, view.plain, strict=True):
            trace.scores.append(Scored(plain.name, weight, scores.take(rows)))
        before = base
        for name, weight, total in steps:
            trace.scores.append(Scored(name, weight, (total.take(rows) - before.take(rows)) / weight))
            before = total

    def feasible(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """Which of the rows can run the pod as the columns stand; nothing is remembered."""
        return self.concerned(pod, shape).passes(pod, shape, columns, rows)

    def resolvable(self, pod: Pod, shape: Shape, columns: Columns) -> npt.NDArray[np.intp]:
        """The rows that cannot run the pod, but might if pods left their node."""
        if any(plugin.pre_filter(pod, columns) for plugin in self._profile.pre_filter):
            return NONE
        known = self._view(shape, columns).passed
        return self._filters.resolvable(self.concerned(pod, shape), pod, shape, columns, known=known)

    def concerned(self, pod: Pod, shape: Shape) -> Concerned:
        """The filters that have something to say of the pod."""
        return self._filters.concerned(pod, shape)

    def _takes(self, node: str, pod: Pod, shape: Shape, columns: Columns) -> bool:
        """Whether a node can run the pod, beside those that are promised it."""
        rows = np.array([columns.rows.get(node, NOWHERE)])
        if rows[0] == NOWHERE:
            return False
        concerned = self.concerned(pod, shape)
        if not concerned.passes(pod, shape, columns, rows).all():
            return False
        return not columns.nominations or bool(makes_way(concerned, pod, shape, columns, rows).all())

    def _pinned(
        self, names: Collection[str], pod: Pod, shape: Shape, columns: Columns, *, trace: Trace, thorough: bool
    ) -> Decision:
        """Where a pod goes of which one node, or none, is in question: nothing is worked out for the others."""
        concerned = self.concerned(pod, shape)
        for name in names:
            if self._takes(name, pod, shape, columns):
                if thorough:
                    explain(concerned, pod, shape, columns, trace=trace)
                return _placed(name, columns, trace)
        rows = np.array([columns.rows[name] for name in names if name in columns.rows], dtype=np.intp)
        yielding = rows[concerned.passes(pod, shape, columns, rows)]
        return explain(concerned, pod, shape, columns, yielding=yielding, trace=trace)

    def _view(self, shape: Shape, columns: Columns) -> _View:
        """The shape's view, brought up to date."""
        view = self._views.get(shape)
        if view is None or view.capacity != columns.capacity:
            view = self._views[shape] = _View(shape, self._profile, columns.capacity)
            if len(self._views) > REMEMBERED:
                self._views.popitem(last=False)
        self._views.move_to_end(shape)
        static, usage = columns.static.since(view.static_at), columns.usage.since(view.usage_at)
        if _any(static):
            self._renew_static(view, shape, columns, static)
            usage = _union(static, usage)
        if _any(usage):
            self._renew_usage(view, shape, columns, usage)
        view.static_at, view.usage_at = columns.static.position, columns.usage.position
        return view

    def _renew_static(self, view: _View, shape: Shape, columns: Columns, rows: Rows) -> None:
        allowed = columns.live[rows]
        for plugin in view.static_filters:
            passed = plugin.filter(shape, columns, rows)
            shared = view.passed[plugin.name].copy()
            shared[rows] = passed
            view.passed[plugin.name] = shared
            allowed = allowed & passed
        view.allowed[rows] = allowed
        self._renew_raw(view, shape, columns, rows, Reads.STATIC)

    def _renew_usage(self, view: _View, shape: Shape, columns: Columns, rows: Rows) -> None:
        feasible = view.allowed[rows]
        for filtering in view.usage_filters:
            passed = filtering.filter(shape, columns, rows)
            view.passed[filtering.name][rows] = passed
            feasible = feasible & passed
        total = np.zeros(feasible.size)
        for (scoring, weight), kept in zip(view.plain_scores, view.plain, strict=True):
            scores = scoring.score(shape, columns, rows)
            kept[rows] = scores
            total += weight * scores
        view.total[rows] = np.where(feasible, total, -1.0)
        self._renew_raw(view, shape, columns, rows, Reads.USAGE)
        view.failure = None

    def _renew_raw(self, view: _View, shape: Shape, columns: Columns, rows: Rows, reads: Reads) -> None:
        for (plugin, _), raw in zip(view.relative_scores, view.raw, strict=True):
            if plugin.reads is reads:
                raw[rows] = plugin.score(shape, columns, rows)

    @staticmethod
    def _relative(view: _View, total: Scores) -> Iterator[_Step]:
        """The totals with the scores that depend on which nodes are feasible, plugin by plugin."""
        for (plugin, weight), raw in zip(view.relative_scores, view.raw, strict=True):
            if raw.any():
                feasible = total >= 0
                scores = normalized(raw, plugin, feasible)
                scores *= weight
                scores += total
                np.copyto(scores, -1.0, where=~feasible)
                total = scores
                yield _Step(plugin.name, weight, total)

    def _compared(self, total: Scores, pod: Pod, shape: Shape, columns: Columns) -> Iterator[_Step]:
        """The totals with the scores that depend on what is placed on other nodes, plugin by plugin."""
        for plugin, weight in self._comparisons:
            if plugin.concerned(pod, shape):
                feasible = total >= 0
                scores = plugin.compare(pod, shape, columns, feasible)
                if weight != 1:
                    scores *= weight
                scores += total
                np.copyto(scores, -1.0, where=~feasible)
                total = scores
                yield _Step(plugin.name, weight, total)


def _placed(node: str, columns: Columns, trace: Trace) -> Placement:
    """The node, where it had not to be compared with others."""
    trace.best, trace.total = (columns.rows[node],), np.zeros(1)
    return Placement(node, trace)


def normalized(raw: Scores, plugin: Score, feasible: Mask) -> Scores:
    """Raw scores scaled to 0–100 by the highest among feasible nodes."""
    highest = np.max(raw, where=feasible, initial=0.0)
    scaled: Scores = np.floor(raw * MAX_SCORE / highest) if highest > 0 else np.zeros_like(raw)
    return MAX_SCORE - scaled if plugin.normalize is Normalize.REVERSED else scaled


def explain(
    concerned: Concerned,
    pod: Pod,
    shape: Shape,
    columns: Columns,
    *,
    yielding: Chosen = NONE,
    trace: Trace | None = None,
) -> Unschedulable:
    """Count, node by node, the reasons of the first filter that rejects it; the trace gets them by plugin.

    `yielding` are rows that all filters let pass but for the pods that are promised them.
    """
    rows = np.flatnonzero(columns.live)
    count = rows.size
    if not count:
        names = frozenset(plugin.name for plugin in (*concerned.filters, *concerned.pod_filters))
        return Unschedulable("no nodes available to schedule pods", names, trace)
    reasons: dict[str, Counter[str]] = {}
    for narrowing in concerned.narrowing:
        among = narrowing.among(shape)
        if among is None:
            continue
        if not among:
            return Unschedulable(_message(count, narrowing.conflict), frozenset({narrowing.name}), trace)
        known = np.isin(rows, [columns.rows.get(name, NOWHERE) for name in among])
        if not known.all():
            reason = f"node(s) didn't satisfy plugin(s) [{narrowing.name}]"
            reasons[narrowing.name] = Counter({reason: int(np.count_nonzero(~known))})
            rows = rows[known]
    for plugin in concerned.filters:
        passed = plugin.filter(shape, columns, rows)
        if not passed.all():
            reasons.setdefault(plugin.name, Counter()).update(plugin.explain(shape, columns, rows[~passed]))
            rows = rows[passed]
    for judging in concerned.pod_filters:
        passed = judging.filter_pod(pod, shape, columns, rows)
        if not passed.all():
            reasons[judging.name] = judging.explain_pod(pod, shape, columns, rows[~passed])
            rows = rows[passed]
    by_way = reasons_for_way(concerned, pod, shape, columns, yielding) if yielding.size else {}
    if trace is not None:
        trace.reasons = reasons | ({PROMISED: sum(by_way.values(), Counter[str]())} if by_way else {})
    total = sum((*reasons.values(), *by_way.values()), Counter[str]())
    texts = sorted(f"{number} {reason}" for reason, number in total.items())
    return Unschedulable(_message(count, ", ".join(texts)), frozenset(reasons | by_way), trace)


def _message(nodes: int, reasons: str) -> str:
    return f"0/{nodes} nodes are available: {reasons}."


def _any(rows: Rows) -> bool:
    return isinstance(rows, slice) or bool(rows.size)


def _union(some: Rows, others: Rows) -> Rows:
    if isinstance(some, slice) or isinstance(others, slice):
        return ALL
    return np.union1d(some, others) if others.size else some
