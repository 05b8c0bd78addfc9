"""Whom one node would lose, asked of every filter: the pods are removed from the columns and brought back.

This is exact for every plugin, and costs a question to all filters for each pod that might be lost.

Source: kube-scheduler's SelectVictimsOnNode.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..columns import Columns, Placed
from ..judging import Chosen, Concerned
from ..shape import Shape
from ..view import Pod
from ..whatif import WhatIf
from .budgets import Budgets
from .roster import importance, started
from .sparing import OFFSET

Key = tuple[float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node, and the pods that it would lose, the most important first."""

    row: int
    victims: tuple[Placed, ...]
    violations: int

    def key(self) -> Key:
        """What candidates are compared by: less is better."""
        priorities = [placed.pod.spec.priority for placed in self.victims]
        highest = max(priorities)
        start = min(
            started(placed.pod.status.start_time) for placed in self.victims if placed.pod.spec.priority == highest
        )
        return self.violations, highest, sum(priorities) + OFFSET * len(priorities), len(priorities), -start


class DryRun:
    """One preemptor, and the filters concerned with it."""

    def __init__(self, concerned: Concerned, pod: Pod, shape: Shape, columns: Columns) -> None:
        self._concerned = concerned
        self._pod = pod
        self._shape = shape
        self._columns = columns

    def candidate(self, row: int, victims: Sequence[Placed], budgets: Budgets) -> Candidate | Counter[str]:
        """What a row would lose of these pods, the most important first; else why losing all would not help.

        There must be a victim: a row that could run the pod as it is needs no preemption, and is none of this.
        """
        rows = np.array([row])
        with WhatIf(self._columns) as trying:
            for placed in victims:
                trying.remove(placed)
            if reasons := self._reasons(rows, trying):
                return reasons
            lost, violations = [], 0
            violated = budgets.violated(victims) if budgets else [False] * len(victims)
            for protected in (True, False):
                for placed, violating in zip(victims, violated, strict=True):
                    if violating is protected and not self._spare(placed, rows, trying):
                        lost.append(placed)
                        violations += violating
        lost.sort(key=lambda placed: importance(placed.pod))
        return Candidate(row, tuple(lost), violations)

    def _spare(self, placed: Placed, rows: Chosen, trying: WhatIf) -> bool:
        trying.bring_back(placed.pod.uid)
        if self._fits(rows, trying):
            return True
        trying.remove(placed)
        return False

    def _fits(self, rows: Chosen, trying: WhatIf) -> bool:
        asked = self._pod, self._shape, self._columns, rows
        promised = self._columns.nominations.before(self._pod, int(rows[0])) if self._columns.nominations else ()
        if promised:
            with trying.adding(promised):
                if not self._concerned.pods_pass(*asked).all():
                    return False
        return bool(self._concerned.pods_pass(*asked).all())

    def _reasons(self, rows: Chosen, trying: WhatIf) -> Counter[str]:
        asked = self._pod, self._shape, self._columns, rows
        with trying.adding(self._columns.nominations.before(self._pod, int(rows[0]))):
            _, reasons = self._concerned.first_no(*asked)
        return reasons or self._concerned.first_no(*asked)[1]
