"""Whether what happened can help pods that were rejected: judged before any of them is tried again.

A node's row is asked whether it would take the pod now: its own filters are at hand and answer for many rows at once.
That is done for every change that bears on one of these filters, whoever rejected the pod, so that who rejects it is
always known well enough: what is not looked at cannot have made room. All others who rejected the pod (filters that
look at other nodes, or at the pod itself, plugins that reserve or permit) say themselves in `helps` whether an event
may have changed their mind; without it every event among their `cures` may have.

Source: Kubernetes documentation, "Scheduling Framework", QueueingHint; KEP-4247 for what a hint may be asked.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import numpy.typing as npt

from . import metrics
from .blame import told
from .change import NOWHERE, Event
from .columns import Columns
from .framework import Alike, Filter, Hints, Reads
from .judging import Filters
from .profile import ANYTHING, Profile
from .shape import Shape
from .view import Pod
from .yielding import makes_way

Rows = npt.NDArray[np.intp]
NO_ROWS: Rows = np.empty(0, dtype=np.intp)


@dataclass(frozen=True, slots=True)
class Help:
    """What events did for a pod: rows that would take it now, or something `else_` that nobody can say so exactly."""

    rows: Rows = field(default_factory=lambda: NO_ROWS)
    else_: bool = False

    def __bool__(self) -> bool:
        return self.else_ or bool(self.rows.size)


NO_HELP = Help()


@dataclass(frozen=True, slots=True)
class _Rejecter:
    """Somebody who rejected the pod and is to be asked again after `cures`; `hints` is None if any of them will do."""

    name: str
    cures: int
    hints: Hints | None


class Advisers:
    """Who of a profile says what can help: found out once, for to ask what a plugin can do takes long."""

    def __init__(self, profile: Profile) -> None:
        judging = (*profile.pre_filter, *profile.filter, *profile.pod_filter, *profile.reserve, *profile.permit)
        self.filters = Filters(profile.filter, profile.pod_filter)
        self.cures = profile.cures
        self.pre_filters = profile.pre_filter
        self.looking = frozenset(plugin.name for plugin in (*profile.filter, *profile.pod_filter))
        self.hinting = {plugin.name: plugin for plugin in judging if isinstance(plugin, Hints)}
        self.afterwards = tuple(
            _Rejecter(plugin.name, getattr(plugin, "cures", ANYTHING).value, plugin)
            for plugin in profile.post_filter
            if isinstance(plugin, Hints)
        )
        self._filters = frozenset(plugin.name for plugin in profile.filter)
        self._early = frozenset(plugin.name for plugin in profile.pre_filter)
        self._pod_filters = tuple(
            (plugin, plugin if isinstance(plugin, Alike) else None) for plugin in profile.pod_filter
        )

    def likeness(self, pod: Pod, rejected_by: frozenset[str]) -> tuple[Hashable, ...] | None:
        """What else pods of a shape must have in common to be rejected alike; None if it is about one alone."""
        found: list[Hashable] = []
        shared = set(self._filters)
        for plugin, alike in self._pod_filters:
            if plugin.name in rejected_by:
                shared.add(plugin.name)
                if not plugin.concerns_pod(pod):
                    continue
                if alike is None:
                    return None
                found += [plugin.name, alike.alike(pod)]
        return tuple(found) if rejected_by <= shared - self._early else None


class Interest:
    """What can help a pod of some shape that certain plugins rejected. `changes` are all that are worth a look.

    Changes are kept as numbers here: they are compared for each event and group, and a Flag takes ten times as long.
    """

    def __init__(self, pod: Pod, shape: Shape, rejected_by: frozenset[str], *, advisers: Advisers, columns: Columns):
        self._pod, self._shape, self._columns = pod, shape, columns
        self._concerned = advisers.filters.concerned(pod, shape)
        own = [p for p in self._concerned.filters if p.reads is not Reads.CLUSTER]
        self._pre = [p for p in advisers.pre_filters if p.name in rejected_by]
        self._filters: list[Filter] = [
            *own,
            *(p for p in self._concerned.filters if p.reads is Reads.CLUSTER and p.name in rejected_by),
        ]
        self._pod_filters = [p for p in self._concerned.pod_filters if p.name in rejected_by]
        self._own_changes = 0
        if rejected_by <= advisers.looking:
            for plugin in own:
                self._own_changes |= plugin.cures.value
        plain = {plugin.name for plugin in own if plugin.name not in advisers.hinting}
        self._rejecters = [
            _Rejecter(name, advisers.cures.get(name, ANYTHING).value, advisers.hinting.get(name))
            for name in sorted(rejected_by - plain)
        ]
        self.exact = not self._rejecters
        """Whether there is room if and only if a row says so; what lets others make room is another matter."""
        self._rejecters += advisers.afterwards
        self.changes = self._own_changes
        for rejecter in self._rejecters:
            self.changes |= rejecter.cures

    def helped_by(self, events: Sequence[Event] | None) -> Help:
        """What came of events, as things stand now; None stands for events that nobody knows."""
        if events is None:
            return Help(self._everywhere(), not self.exact)
        touched = set()
        for event in events:
            change = event.change.value
            if change & self._own_changes:
                touched.add(event.row)
            for rejecter in self._rejecters:
                if change & rejecter.cures and self._changes_mind(rejecter, event):
                    return Help(else_=True)
        if not touched:
            return NO_HELP
        return Help(self._everywhere() if NOWHERE in touched else self.taking(np.array(sorted(touched), dtype=np.intp)))

    def _everywhere(self) -> Rows:
        return self.taking(np.arange(self._columns.capacity)) if self._own_changes else NO_ROWS

    def taking(self, rows: Rows) -> Rows:
        """Those of the rows that would take the pod now, and are not promised to others."""
        rows = rows[self._columns.live[rows]]
        for plugin in self._filters:
            if not rows.size:
                return rows
            rows = rows[plugin.filter(self._shape, self._columns, rows)]
        for judging in self._pod_filters:
            if not rows.size:
                return rows
            rows = rows[judging.filter_pod(self._pod, self._shape, self._columns, rows)]
        if rows.size and self._columns.nominations:
            rows = rows[makes_way(self._concerned, self._pod, self._shape, self._columns, rows)]
        if rows.size and any(plugin.pre_filter(self._pod, self._columns) for plugin in self._pre):
            return NO_ROWS
        return rows

    def _changes_mind(self, rejecter: _Rejecter, event: Event) -> bool:
        if rejecter.hints is None:
            return True
        started, hint = perf_counter(), "Queue"
        try:
            if rejecter.hints.helps(self._pod, self._shape, event, self._columns):
                return True
            hint = "QueueSkip"
            return False
        except Exception as error:
            told(error)
            hint = "Error"
            return True
        finally:
            metrics.HINT_SECONDS.observe(perf_counter() - started, rejecter.name, metrics.label(event), hint)
