"""A rolling update: which old pods go now, and on which nodes a new one comes beside the old one.

Without surge, old pods go until as many nodes as allowed have no available pod; the next sync makes new ones. With
surge, new pods come first, beside at most so many old ones that are available; an old one goes when its successor is
available. Old pods that are not available do no good: without surge they go at once, with surge they get a successor
whatever the limit.

How far an update has come is seen on the pods alone, so that whoever takes over goes on from there.

Source: Kubernetes documentation, "Perform a Rolling Update on a DaemonSet"; kubernetes pkg/controller/daemon/update.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from k8slite.intorstr import scaled
from k8slite.kinds.apps import DaemonSet

from ..pods import Pod, available
from ..revisions import POD_LABEL
from .placement import Fit


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of an update: the pods that go, and the nodes that get a second one."""

    delete: Sequence[Pod] = ()
    create: Sequence[str] = ()


def surges(daemonset: DaemonSet) -> bool:
    """Whether a node may have two pods during an update."""
    return _limit(daemonset, "max_surge", nodes=1) > 0


def _limit(daemonset: DaemonSet, name: str, *, nodes: int) -> int:
    strategy = daemonset.spec.update_strategy
    if strategy.type != "RollingUpdate" or strategy.rolling_update is None:
        return 0
    return scaled(getattr(strategy.rolling_update, name), nodes, round_up=True)


def step(
    *,
    daemonset: DaemonSet,
    fits: Mapping[str, Fit],
    placed: Mapping[str, Sequence[Pod]],
    going: frozenset[str],
    hash_: str,
    now: datetime,
) -> Turn:
    """Decide. `placed` are pods by node, `going` the UIDs of those that are being deleted."""
    if all(pod.metadata.labels.get(POD_LABEL) == hash_ for there in placed.values() for pod in there):
        return Turn()
    desired = sum(1 for verdict in fits.values() if verdict is Fit.RUN)
    surge = _limit(daemonset, "max_surge", nodes=desired)
    missing = _limit(daemonset, "max_unavailable", nodes=desired)
    if desired and not surge and not missing:
        missing = 1
    view = _View(daemonset.spec.min_ready_seconds, hash_, going, now)
    empty = [() for node, verdict in fits.items() if verdict is Fit.RUN and node not in placed]
    if not surge:
        return _in_place([*placed.values(), *empty], view, limit=missing)
    return _beside(fits, placed, view, limit=surge, desired=desired)


@dataclass(frozen=True, slots=True)
class _View:
    """How pods are looked at."""

    min_ready_seconds: int
    hash: str
    going: frozenset[str]
    now: datetime

    def available(self, pod: Pod) -> bool:
        return available(pod, min_ready_seconds=self.min_ready_seconds, now=self.now)

    def pair(self, there: Sequence[Pod]) -> tuple[Pod | None, Pod | None] | None:
        """A node's new pod and its old one, of those that stay; None if there are two of a sort."""
        new: Pod | None = None
        old: Pod | None = None
        for pod in there:
            if pod.uid in self.going:
                continue
            if pod.metadata.labels.get(POD_LABEL) == self.hash:
                if new is not None:
                    return None
                new = pod
            elif old is not None:
                return None
            else:
                old = pod
        return new, old


def _in_place(groups: Sequence[Sequence[Pod]], view: _View, *, limit: int) -> Turn:
    """Old pods go first; a node counts as unavailable from then until its new pod is available."""
    unavailable = 0
    at_once, candidates = [], []
    for there in groups:
        pair = view.pair(there)
        if pair is None:
            unavailable += 1
            continue
        new, old = pair
        if old is None or new is not None:
            unavailable += old is not None or new is None or not view.available(new)
        elif view.available(old):
            candidates.append(old)
        else:
            at_once.append(old)
            unavailable += 1
    return Turn(delete=[*at_once, *candidates[: max(limit - unavailable, 0)]])


def _beside(
    fits: Mapping[str, Fit], placed: Mapping[str, Sequence[Pod]], view: _View, *, limit: int, desired: int
) -> Turn:
    """New pods come first. Old ones on nodes where none should run go when enough are available without them."""
    extra = ripe = 0
    delete: list[Pod] = []
    leaving: list[Pod] = []
    at_once: list[str] = []
    candidates: list[str] = []
    for node, there in placed.items():
        pair = view.pair(there)
        if pair is None:
            extra += 1
            continue
        new, old = pair
        first = old or new
        ripe += first is not None and view.available(first)
        if old is None:
            continue
        if new is not None:
            if view.available(new):
                delete.append(old)
            else:
                extra += 1
        elif node not in fits:
            continue  # the node is gone: so will its pods be
        elif fits[node] is not Fit.RUN:
            (leaving if view.available(old) else delete).append(old)
        else:
            (candidates if view.available(old) else at_once).append(node)
    delete += leaving[: max(ripe - desired, 0)]
    return Turn(delete=delete, create=[*at_once, *candidates[: max(limit - extra, 0)]])
