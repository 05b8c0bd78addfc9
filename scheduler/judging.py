"""The filters of a profile that have something to say of one pod, and what they say of nodes as the columns stand.

Nothing is remembered here, so that the columns may be changed between two questions and changed back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .columns import Amounts, Columns
from .framework import Filter, Measured, Narrowing, Plugin, PodFilter, Reads, Unresolvable
from .journal import ALL, pick
from .labels import Mask
from .shape import Shape
from .view import Pod

Chosen = npt.NDArray[np.intp]
"""Rows, each once."""


@dataclass(frozen=True, slots=True)
class Concerned:
    """The filters concerned, in their order. `measured` compare amounts only; `placed` look at the pods otherwise.

    `narrowing` may name the nodes in question.
    """

    filters: tuple[Filter, ...]
    pod_filters: tuple[PodFilter, ...]
    measured: tuple[Measured, ...]
    placed: tuple[Filter, ...]
    narrowing: tuple[Narrowing, ...] = ()

    @property
    def only_measured(self) -> bool:
        """Whether amounts are all that the pods of a node can matter for."""
        return not self.placed and not self.pod_filters

    def passes(self, pod: Pod, shape: Shape, columns: Columns, rows: Chosen) -> Mask:
        """Which of the rows can run the pod."""
        mask: Mask = columns.live[rows]
        for plugin in self.filters:
            mask = mask & plugin.filter(shape, columns, rows)
        return mask & self._pod_filters_pass(pod, shape, columns, rows)

    def pods_pass(self, pod: Pod, shape: Shape, columns: Columns, rows: Chosen) -> Mask:
        """The same of rows that only their pods can speak against."""
        mask = self.fits(shape, columns, rows)
        for plugin in self.placed:
            mask = mask & plugin.filter(shape, columns, rows)
        return mask & self._pod_filters_pass(pod, shape, columns, rows)

    def fits(self, shape: Shape, columns: Columns, rows: Chosen, more: Amounts | float = 0.0) -> Mask:
        """Whether there is enough of everything, also if `more` is requested than is."""
        mask = np.ones(rows.size, dtype=np.bool_)
        for plugin in self.measured:
            asked = pick(columns.requested, rows) + more
            asked += plugin.needs(shape, columns)
            mask &= (asked <= pick(columns.allocatable, rows)).all(axis=0)
        return mask

    def needs(self, shape: Shape, columns: Columns) -> Amounts:
        """What the measured filters ask of each resource, as one column."""
        found = np.full((len(columns.resources), 1), -np.inf)
        for plugin in self.measured:
            found = np.maximum(found, plugin.needs(shape, columns))
        return found

    def first_no(self, pod: Pod, shape: Shape, columns: Columns, row: Chosen) -> tuple[str, Counter[str]]:
        """The first filter that rejects a row (an array of one), and why; nothing if none does."""
        for filtering in self.filters:
            if not filtering.filter(shape, columns, row).all():
                return filtering.name, filtering.explain(shape, columns, row)
        for judging in self.pod_filters:
            if not judging.filter_pod(pod, shape, columns, row).all():
                return judging.name, judging.explain_pod(pod, shape, columns, row)
        return "", Counter()

    def _pod_filters_pass(self, pod: Pod, shape: Shape, columns: Columns, rows: Chosen) -> Mask | bool:
        if not self.pod_filters:
            return True
        mask = np.ones(rows.size, dtype=np.bool_)
        for plugin in self.pod_filters:
            mask &= plugin.filter_pod(pod, shape, columns, rows)
        return mask


class Filters:
    """All filters of a profile, sorted once."""

    def __init__(self, filters: Iterable[Filter], pod_filters: Iterable[PodFilter]) -> None:
        self._filters = tuple(filters)
        self._pod_filters = tuple(pod_filters)
        self._measured = {plugin.name: plugin for plugin in self._filters if isinstance(plugin, Measured)}
        self.narrowing = tuple(plugin for plugin in self._filters if isinstance(plugin, Narrowing))
        everything: tuple[Filter | PodFilter, ...] = (*self._filters, *self._pod_filters)
        self._unresolvable = {plugin.name: plugin for plugin in everything if isinstance(plugin, Unresolvable)}

    def concerned(self, pod: Pod, shape: Shape) -> Concerned:
        """Those that have something to say of the pod."""
        filters = tuple(plugin for plugin in self._filters if plugin.concerns(shape))
        return Concerned(
            filters=filters,
            pod_filters=tuple(plugin for plugin in self._pod_filters if plugin.concerns_pod(pod)),
            measured=tuple(self._measured[plugin.name] for plugin in filters if plugin.name in self._measured),
            placed=tuple(p for p in filters if p.reads is not Reads.STATIC and p.name not in self._measured),
            narrowing=self.narrowing,
        )

    def resolvable(
        self, concerned: Concerned, pod: Pod, shape: Shape, columns: Columns, *, known: Mapping[str, Mask]
    ) -> Chosen:
        """The rows whose first filter that says no might be of another mind if pods left their node.

        What no filter rejects is rejected for those it is promised to, which may be placed beside fewer pods. `known`
        has the rows that filters let pass, for some of them.
        """
        left, curable = columns.live.copy(), np.zeros(columns.capacity, dtype=np.bool_)
        for filtering in concerned.filters:
            passed = known.get(filtering.name)
            passed = filtering.filter(shape, columns, ALL) if passed is None else passed
            curable[self._curable(filtering, pod, shape, columns, np.flatnonzero(left & ~passed))] = True
            left &= passed
        rows = np.flatnonzero(left)
        for judging in concerned.pod_filters:
            keeps = judging.filter_pod(pod, shape, columns, rows)
            curable[self._curable(judging, pod, shape, columns, rows[~keeps])] = True
            rows = rows[keeps]
        curable[rows] = True
        return np.flatnonzero(curable)

    def _curable(self, plugin: Plugin, pod: Pod, shape: Shape, columns: Columns, failed: Chosen) -> Chosen:
        knowing = self._unresolvable.get(plugin.name)
        if knowing is None or not failed.size:
            return failed
        return failed[~knowing.unresolvable(pod, shape, columns, failed)]
