"""The node that loses least by making room for a pod.

Where amounts alone decide, what every node would lose is known (`sparing`) and the best is picked. Otherwise that is
a lower bound: no filter lets a node lose pods of lower priorities only than amounts do. Nodes are then tried one by one
(`dry_run`), the most promising first, until no other can be better than the best so far, or enough were tried.

Source: kube-scheduler's pickOneNodeForPreemption and DryRunPreemption.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ..columns import Columns
from ..framework import Judge, Reads
from ..journal import pick
from ..judging import Chosen, Concerned
from ..shape import Shape
from ..view import Pod
from .budgets import Budgets
from .dry_run import Candidate, DryRun
from .roster import Roster
from .sparing import Losses, Sparing

NO_VICTIMS = "No preemption victims found for incoming pod"
NOT_HELPFUL = "Preemption is not helpful for scheduling"


@dataclass(frozen=True, slots=True)
class Enough:
    """How many nodes to try where it is one by one, once there is a candidate: per cent of them, at least a number."""

    percentage: int = 10
    absolute: int = 100

    def of(self, nodes: int) -> int:
        """The number for so many nodes."""
        return min(max(nodes * self.percentage // 100, self.absolute), nodes)


@dataclass(frozen=True, slots=True)
class _Search:
    """A pod, the filters concerned with it, and what nodes would lose by amounts."""

    pod: Pod
    shape: Shape
    concerned: Concerned
    losses: Losses


def hopeless(without_victims: int, *, of: int, resolvable: int) -> Counter[str]:
    """Why so many nodes are no candidates before any is tried, of all nodes and of those that pods could help."""
    return +Counter({NO_VICTIMS: without_victims, NOT_HELPFUL: of - resolvable})


class Choice:
    """Chooses among the nodes of some columns."""

    def __init__(self, columns: Columns, budgets: Budgets, *, enough: Enough) -> None:
        self._columns = columns
        self._budgets = budgets
        self._enough = enough
        self.roster = columns.of(Roster, lambda: Roster(columns, budgets))
        self._sparing = Sparing(columns, self.roster)

    def choose(self, pod: Pod, shape: Shape, judge: Judge, resolvable: Chosen) -> Candidate | Counter[str]:
        """The candidate among resolvable rows that loses least; without any, why no node is one, by reason."""
        concerned = judge.concerned(pod, shape)
        losses = self._losses(concerned, pod, shape)
        search = _Search(pod, shape, concerned, losses)
        rows = resolvable[self.roster.lowest[resolvable] < pod.spec.priority]
        fitting = rows[losses.fits[rows]]
        reasons = hopeless(resolvable.size - rows.size, of=self._columns.node_count, resolvable=resolvable.size)
        found = self._reckoned(search, fitting) if concerned.only_measured else self._tried(search, fitting, reasons)
        if found is not None:
            return found
        return reasons + self._lacking(search, rows[~losses.fits[rows]])

    def _losses(self, concerned: Concerned, pod: Pod, shape: Shape) -> Losses:
        """By row; what the pod is promised itself is no promise that it has to mind."""
        needs, nominations = concerned.needs(shape, self._columns), self._columns.nominations
        losses = self._sparing.losses(needs, pod.spec.priority)
        own = nominations.get(pod.uid)
        row = self._columns.rows.get(own.node) if own is not None else None
        if row is None:
            return losses
        rows = np.array([row])
        losses = losses.copy()
        losses.put(rows, self._sparing.reckon(needs, pod.spec.priority, rows, nominations.promised(pod, row)))
        return losses

    def _reckoned(self, search: _Search, rows: Chosen) -> Candidate | None:
        """The best of the rows, where amounts alone decide."""
        columns, losses, pod, shape = self._columns, search.losses, search.pod, search.shape
        rows = rows[losses.count[rows] > 0]
        while rows.size:
            row = losses.least(rows)[:1]
            if all(p.filter(shape, columns, row).all() for p in search.concerned.filters if p.reads is Reads.STATIC):
                promised = columns.nominations.promised(pod, int(row[0]))
                needs = search.concerned.needs(shape, columns)
                slots, violations = self._sparing.lost(needs, pod.spec.priority, int(row[0]), promised)
                pods = self.roster.pods[int(row[0])]
                return Candidate(int(row[0]), tuple(pods[slot] for slot in slots), violations)
            rows = rows[rows != row]
        return None

    def _tried(self, search: _Search, rows: Chosen, reasons: Counter[str]) -> Candidate | None:
        """The best of the rows; why others are none is counted."""
        priority, columns = search.pod.spec.priority, self._columns
        bounds = self._sparing.bounds(search.concerned.needs(search.shape, columns), priority, rows, search.losses)
        trying = DryRun(search.concerned, search.pod, search.shape, columns)
        enough = self._enough.of(columns.node_count)
        best: Candidate | None = None
        harmless = False
        for tries, index in enumerate(bounds.order().tolist()):
            if best is not None and (best.key() <= bounds.key(index) or (harmless and tries >= enough)):
                break
            row = int(rows[index])
            tried = trying.candidate(row, self.roster.victims(row, priority), self._budgets)
            if not isinstance(tried, Candidate):
                reasons += tried
                continue
            if not tried.victims:
                continue
            if best is None or tried.key() < best.key():
                best = tried
            harmless = harmless or not tried.violations
        return best

    def _lacking(self, search: _Search, rows: Chosen) -> Counter[str]:
        """What rows lack also when all are gone whom the pod may remove."""
        columns, found = self._columns, Counter[str]()
        if not rows.size:
            return found
        priority, shape = search.pod.spec.priority, search.shape
        bare = self._sparing.bare(priority, rows) + pick(columns.nominations.ahead(priority).amounts, rows)
        before, columns.requested = columns.requested, columns.requested.copy()
        try:
            columns.requested[:, rows] = bare
            for plugin in search.concerned.measured:
                passed = plugin.filter(shape, columns, rows)
                found += plugin.explain(shape, columns, rows[~passed])
                rows = rows[passed]
        finally:
            columns.requested = before
        return found
