"""What a decision went by, kept so cheaply that every decision has it: masks and scores by row, as they were.

The arrays of a trace are never written to again: whoever renews a view puts a new array in the place of a shared one.
Names of plugins and nodes are looked up when somebody reads a trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .columns import Columns
from .labels import Mask

Scores = npt.NDArray[np.float64]
#: Nodes whose scores are told.
BEST = 5


class Scored(NamedTuple):
    """What one plugin gave to the rows of `Trace.best`, before its weight."""

    plugin: str
    weight: int
    scores: Scores


@dataclass(slots=True)
class Trace:
    """One decision. `names` are the nodes by row, empty for none; `reasons` are by plugin, None if nobody asked."""

    names: Sequence[str]
    passed: list[tuple[str, Mask]] = field(default_factory=list)
    """Filters in their order, each with the rows that it let pass."""
    reasons: Mapping[str, Mapping[str, int]] | None = None
    best: Sequence[int] = ()
    total: Scores | None = None
    """Of the best rows."""
    scores: list[Scored] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """As JSON: for each filter the nodes that it was the first to remove, and why; the scores of the best."""
        left = np.array([bool(name) for name in self.names])
        filters = []
        for plugin, passed in self.passed:
            removed = np.flatnonzero(left & ~passed)
            left &= passed
            if removed.size:
                entry: dict[str, Any] = {"plugin": plugin, "removed": int(removed.size)}
                if self.reasons is not None:
                    entry["reasons"] = dict(self.reasons.get(plugin, {}))
                filters.append(entry | {"nodes": [self.names[row] for row in removed.tolist()]})
        known = {plugin for plugin, _ in self.passed}
        for plugin, reasons in (self.reasons or {}).items():
            if plugin not in known:  # it rejected the pod before any node was looked at
                filters.append({"plugin": plugin, "removed": sum(reasons.values()), "reasons": dict(reasons)})
        return {"nodes": sum(map(bool, self.names)), "filters": filters, "scores": self._scores()}

    def _scores(self) -> list[dict[str, Any]]:
        if self.total is None:
            return []
        return [
            {
                "node": self.names[row],
                "total": float(self.total[index]),
                "plugins": [
                    {"plugin": plugin, "score": float(scores[index]), "weight": weight}
                    for plugin, weight, scores in self.scores
                ],
            }
            for index, row in enumerate(self.best)
        ]


class Roster:
    """The names of nodes by row, one copy for all traces between two changes of the nodes."""

    def __init__(self) -> None:
        self._position = -1
        self._names: tuple[str, ...] = ()

    def names(self, columns: Columns) -> tuple[str, ...]:
        """The live nodes."""
        if self._position != columns.static.position or len(self._names) != columns.capacity:
            self._position = columns.static.position
            self._names = tuple(
                name if live else "" for name, live in zip(columns.names, columns.live.tolist(), strict=True)
            )
        return self._names
