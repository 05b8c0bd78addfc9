"""From points to rates: what was counted over a while, by the clock of whoever counted. Pure.

A track holds the newest point and what a rate could begin at. It never spans a restart (another start, a counter that
fell) nor a step of the node's clock: after either it begins anew, and there is no rate until the next point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .pages import Page, PodName, Point

SHORTEST, LONGEST = 0.45, 30.0
"""Seconds that a rate may be taken over. Kubelets that measure by themselves do it every ten or fifteen; ours measures
when it is asked, but a second after the first answer it may give what somebody else had it measure half a second ago.
"""
_LONG_ENOUGH = 0.9
"""Seconds over which a rate is taken if it can be."""
_STEP = 15.0
"""Seconds by which a node's clock and ours may disagree on a while: a kubelet may answer with what it knew before."""
_STALE = 60.0
"""Seconds after which a point that no newer one follows is no news."""
_MOST = 8


@dataclass(frozen=True, slots=True)
class Rate:
    """What is used: billionths of a core on average over `window` seconds until the Unix time `at`, bytes by then."""

    cpu: int
    memory: int
    at: float
    window: float


class Track:
    """The points of one counter."""

    __slots__ = ("_points",)

    def __init__(self) -> None:
        self._points: list[Point] = []

    def add(self, point: Point) -> None:
        """Take in a point that was got after all others."""
        points = self._points
        if points:
            last = points[-1]
            if _is_restart(last, point) or point.at < last.at or _is_step(last, point):
                points.clear()
            elif point.at == last.at:  # nothing was measured since
                return
        points.append(point)
        while len(points) > 2 and (point.at - points[1].at >= _LONG_ENOUGH or len(points) > _MOST):
            del points[0]

    def rate(self, *, now: float) -> Rate | None:
        """The latest rate; None if there is none (any more). `now` is our monotonic clock."""
        points = self._points
        if not points or now - points[-1].taken > _STALE:
            return None
        first, last = points[0], points[-1]
        window = last.at - first.at
        if not SHORTEST <= window <= LONGEST:
            return None
        return Rate(round((last.cpu - first.cpu) / window), last.memory, last.at, window)


def _is_restart(old: Point, new: Point) -> bool:
    return new.cpu < old.cpu or bool(new.started and old.started and new.started != old.started)


def _is_step(old: Point, new: Point) -> bool:
    return abs((new.at - old.at) - (new.taken - old.taken)) > _STEP


class History:
    """The tracks of a node and of the containers on it."""

    __slots__ = ("_node", "_pods")

    def __init__(self) -> None:
        self._node = Track()
        self._pods: dict[PodName, dict[str, Track]] = {}

    def add(self, page: Page) -> None:
        """Take in a page that was got after all others; what it does not speak of any more is forgotten."""
        if page.node is not None:
            self._node.add(page.node)
        known, self._pods = self._pods, {}
        for pod, containers in page.pods.items():
            old = known.get(pod, {})
            tracks = self._pods[pod] = {name: old.get(name) or Track() for name in containers}
            for name, point in containers.items():
                tracks[name].add(point)

    def node(self, *, now: float) -> Rate | None:
        """What the node uses."""
        return self._node.rate(now=now)

    def pod(self, name: PodName, *, now: float) -> Mapping[str, Rate] | None:
        """What the containers of a pod use; None unless it is known of all of them."""
        rates = {each: track.rate(now=now) for each, track in self._pods.get(name, {}).items()}
        found = {each: rate for each, rate in rates.items() if rate is not None}
        return found if found and len(found) == len(rates) else None

    def is_telling(self, *, now: float) -> bool:
        """Whether there are rates at all, of the node or of some container."""
        if self._node.rate(now=now) is not None:
            return True
        return any(track.rate(now=now) is not None for tracks in self._pods.values() for track in tracks.values())
