"""The decision: a shape and the columns give a node, or the reasons why there is none. Nothing but memory changes here.

What was worked out for a shape (its `_View`: which nodes can run it, and how they score) is kept and renewed for those
rows only that the columns' journals name. Between two pods of one shape usually one row changed: the node that the
first was put on. What depends on the pods of other nodes (filters that read the cluster, comparisons) is not kept.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt

from .columns import Columns
from .framework import MAX_SCORE, Filter, Normalize, PodFilter, Profile, Reads, Score, Scores
from .journal import ALL, Rows
from .labels import Mask
from .shape import Shape
from .view import Pod

#: Shapes remembered; each takes about 25 bytes a node.
REMEMBERED = 128
_NEVER = -1


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the pod goes."""

    node: str


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """Why it goes nowhere. `rejected_by` names the plugins whose mind must change first."""

    message: str
    rejected_by: frozenset[str]


Decision = Placement | Unschedulable


class _View:
    """What is known of all nodes for one shape."""

    def __init__(self, shape: Shape, profile: Profile, capacity: int) -> None:
        filters = [p for p in profile.filter if p.reads is not Reads.CLUSTER and p.concerns(shape)]
        unneeded = {name for name, plugin in profile.pre_score.items() if not plugin.pre_score(shape)}
        scores = [plugin for plugin in profile.score if plugin.name not in unneeded]
        self.filters = filters
        self.static_filters = [plugin for plugin in filters if plugin.reads is Reads.STATIC]
        self.usage_filters = [plugin for plugin in filters if plugin.reads is Reads.USAGE]
        self.plain_scores = [plugin for plugin in scores if plugin.normalize is Normalize.NONE]
        self.relative_scores = [plugin for plugin in scores if plugin.normalize is not Normalize.NONE]
        self.capacity = capacity
        self.allowed: Mask = np.zeros(capacity, dtype=np.bool_)
        """Live, and passed by every filter that reads nodes only."""
        self.total: Scores = np.full(capacity, -1.0)
        """The plain scores of feasible nodes; -1 for the others."""
        self.raw: list[Scores] = [np.zeros(capacity) for _ in self.relative_scores]
        self.static_at = _NEVER
        self.usage_at = _NEVER
        self.failure: Unschedulable | None = None


class Cycle:
    """Decides; remembers between decisions. `random` breaks ties."""

    def __init__(self, profile: Profile, *, random: Random) -> None:
        self._profile = profile
        self._cluster_filters = [plugin for plugin in profile.filter if plugin.reads is Reads.CLUSTER]
        self._random = random
        self._views: OrderedDict[Shape, _View] = OrderedDict()

    def decide(self, pod: Pod, shape: Shape, columns: Columns) -> Decision:
        """Where the pod should go as things stand."""
        for plugin in self._profile.pre_filter:
            if reason := plugin.pre_filter(pod, columns):
                return Unschedulable(_message(columns.node_count, reason), frozenset({plugin.name}))
        view = self._view(shape, columns)
        filters = [plugin for plugin in self._cluster_filters if plugin.concerns(shape)]
        pod_filters = [plugin for plugin in self._profile.pod_filter if plugin.concerns_pod(pod)]
        total = view.total
        for filtering in filters:
            total = np.where(filtering.filter(shape, columns, ALL), total, -1.0)
        for judging in pod_filters:
            rows = np.flatnonzero(total >= 0)
            total = total.copy()
            total[rows[~judging.filter_pod(pod, shape, columns, rows)]] = -1.0
        total = self._compared(self._relative(view, total), pod, shape, columns)
        best = total.max()
        if best < 0:
            if filters or pod_filters:
                return explain(pod, shape, columns, view.filters + filters, pod_filters)
            if view.failure is None:
                view.failure = explain(pod, shape, columns, view.filters)
            return view.failure
        ties = np.flatnonzero(total == best)
        return Placement(columns.names[ties[self._random.randrange(ties.size)]])

    def feasible(self, pod: Pod, shape: Shape, columns: Columns, rows: npt.NDArray[np.intp]) -> Mask:
        """Which of the rows can run the pod as the columns stand; nothing is remembered."""
        mask: Mask = columns.live[rows]
        for plugin in self._profile.filter:
            if plugin.concerns(shape):
                mask = mask & plugin.filter(shape, columns, rows)
        for judging in self._profile.pod_filter:
            if judging.concerns_pod(pod):
                mask = mask & judging.filter_pod(pod, shape, columns, rows)
        return mask

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
            allowed = allowed & plugin.filter(shape, columns, rows)
        view.allowed[rows] = allowed
        self._renew_raw(view, shape, columns, rows, Reads.STATIC)

    def _renew_usage(self, view: _View, shape: Shape, columns: Columns, rows: Rows) -> None:
        feasible = view.allowed[rows]
        for filtering in view.usage_filters:
            feasible = feasible & filtering.filter(shape, columns, rows)
        total = np.zeros(feasible.size)
        for scoring in view.plain_scores:
            total += scoring.weight * scoring.score(shape, columns, rows)
        view.total[rows] = np.where(feasible, total, -1.0)
        self._renew_raw(view, shape, columns, rows, Reads.USAGE)
        view.failure = None

    def _renew_raw(self, view: _View, shape: Shape, columns: Columns, rows: Rows, reads: Reads) -> None:
        for plugin, raw in zip(view.relative_scores, view.raw, strict=True):
            if plugin.reads is reads:
                raw[rows] = plugin.score(shape, columns, rows)

    @staticmethod
    def _relative(view: _View, total: Scores) -> Scores:
        """The totals with the scores that depend on which nodes are feasible."""
        for plugin, raw in zip(view.relative_scores, view.raw, strict=True):
            if raw.any():
                feasible = total >= 0
                total = np.where(feasible, total + plugin.weight * normalized(raw, plugin, feasible), -1.0)
        return total

    def _compared(self, total: Scores, pod: Pod, shape: Shape, columns: Columns) -> Scores:
        """The totals with the scores that depend on what is placed on other nodes."""
        for plugin in self._profile.compare:
            if plugin.concerned(pod, shape):
                feasible = total >= 0
                scores = plugin.compare(pod, shape, columns, feasible)
                scores *= plugin.weight
                scores += total
                total = np.where(feasible, scores, -1.0)
        return total


def normalized(raw: Scores, plugin: Score, feasible: Mask) -> Scores:
    """Raw scores scaled to 0–100 by the highest among feasible nodes."""
    highest = np.max(raw, where=feasible, initial=0.0)
    scaled: Scores = np.floor(raw * MAX_SCORE / highest) if highest > 0 else np.zeros_like(raw)
    return MAX_SCORE - scaled if plugin.normalize is Normalize.REVERSED else scaled


def explain(
    pod: Pod, shape: Shape, columns: Columns, filters: Sequence[Filter], pod_filters: Sequence[PodFilter] = ()
) -> Unschedulable:
    """Count, node by node, the reasons of the first filter that rejects it."""
    rows = np.flatnonzero(columns.live)
    count = rows.size
    if not count:
        return Unschedulable("no nodes available to schedule pods", frozenset(plugin.name for plugin in filters))
    reasons: Counter[str] = Counter()
    rejected_by = set()
    for plugin in filters:
        passed = plugin.filter(shape, columns, rows)
        failed = rows[~passed]
        if failed.size:
            rejected_by.add(plugin.name)
            reasons += plugin.explain(shape, columns, failed)
            rows = rows[passed]
    for judging in pod_filters:
        passed = judging.filter_pod(pod, shape, columns, rows)
        failed = rows[~passed]
        if failed.size:
            rejected_by.add(judging.name)
            reasons += judging.explain_pod(pod, shape, columns, failed)
            rows = rows[passed]
    texts = sorted(f"{number} {reason}" for reason, number in reasons.items())
    return Unschedulable(_message(count, ", ".join(texts)), frozenset(rejected_by))


def _message(nodes: int, reasons: str) -> str:
    return f"0/{nodes} nodes are available: {reasons}."


def _any(rows: Rows) -> bool:
    return isinstance(rows, slice) or bool(rows.size)


def _union(some: Rows, others: Rows) -> Rows:
    if isinstance(some, slice) or isinstance(others, slice):
        return ALL
    return np.union1d(some, others) if others.size else some
