"""The profile: which plugins one scheduler runs at which extension point, in which order and with which weights.

Everything is settled when a profile is made, so that a decision only walks tuples. A plugin may stand at some of the
points that it implements and not at others; the extension point `filter` takes both Filter and PodFilter, `score` both
Score and Compare, for these are one thing to whoever configures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar, cast

from .change import Change
from .framework import (
    Background,
    Bind,
    Compare,
    Filter,
    Permit,
    Plugin,
    PodFilter,
    PostBind,
    PostFilter,
    PreBind,
    PreEnqueue,
    PreFilter,
    PreScore,
    QueueSort,
    Reserve,
    Score,
)
from .node_by_node import NodeByNode, adapters

P = TypeVar("P")


class Point(StrEnum):
    """The extension points, as configuration spells them, in the order in which upstream fills them."""

    PRE_FILTER = "preFilter"
    FILTER = "filter"
    POST_FILTER = "postFilter"
    RESERVE = "reserve"
    PRE_SCORE = "preScore"
    SCORE = "score"
    PRE_BIND = "preBind"
    BIND = "bind"
    POST_BIND = "postBind"
    PERMIT = "permit"
    PRE_ENQUEUE = "preEnqueue"
    QUEUE_SORT = "queueSort"


PROTOCOLS: Mapping[Point, tuple[type[Any], ...]] = {
    Point.PRE_FILTER: (PreFilter,),
    Point.FILTER: (Filter, PodFilter),
    Point.POST_FILTER: (PostFilter,),
    Point.RESERVE: (Reserve,),
    Point.PRE_SCORE: (PreScore,),
    Point.SCORE: (Score, Compare),
    Point.PRE_BIND: (PreBind,),
    Point.BIND: (Bind,),
    Point.POST_BIND: (PostBind,),
    Point.PERMIT: (Permit,),
    Point.PRE_ENQUEUE: (PreEnqueue,),
    Point.QUEUE_SORT: (QueueSort,),
}

#: Where a plugin may say no to a pod that may fit later.
_REJECTING = (Point.PRE_ENQUEUE, Point.PRE_FILTER, Point.FILTER, Point.RESERVE, Point.PERMIT)

#: What may cure the no of a plugin that does not say.
ANYTHING = ~Change.NOTHING


def standing(plugin: Plugin, point: Point) -> list[Any]:
    """What is asked at an extension point where a plugin stands: itself, or what adapts it."""
    found: list[Any] = [plugin, *adapters(plugin)] if isinstance(plugin, NodeByNode) else [plugin]
    return [each for each in found if isinstance(each, PROTOCOLS[point])]


def implements(plugin: Plugin, point: Point) -> bool:
    """Whether a plugin can stand at an extension point."""
    return bool(standing(plugin, point))


@dataclass(frozen=True, slots=True)
class Profile:
    """The plugins of one scheduler, by extension point and in order."""

    queue_sort: QueueSort
    bind: tuple[Bind, ...]
    pre_enqueue: tuple[PreEnqueue, ...] = ()
    pre_filter: tuple[PreFilter, ...] = ()
    filter: tuple[Filter, ...] = ()
    pod_filter: tuple[PodFilter, ...] = ()
    post_filter: tuple[PostFilter, ...] = ()
    pre_score: Mapping[str, PreScore] = field(default_factory=dict)
    """By name, as they say something of the score of the same name."""
    score: tuple[Score, ...] = ()
    compare: tuple[Compare, ...] = ()
    reserve: tuple[Reserve, ...] = ()
    permit: tuple[Permit, ...] = ()
    pre_bind: tuple[PreBind, ...] = ()
    post_bind: tuple[PostBind, ...] = ()
    background: tuple[Background, ...] = ()
    cures: Mapping[str, Change] = field(default_factory=dict)
    """By name of a plugin that rejects: the changes that may cure it."""
    weights: Mapping[str, int] = field(default_factory=dict)
    """By name of a plugin that scores, where configuration says other than the plugin."""

    def weight(self, plugin: Score | Compare) -> int:
        """What a plugin's score is multiplied with."""
        return self.weights.get(plugin.name, plugin.weight)


def assemble(places: Mapping[Point, Sequence[Plugin]], *, weights: Mapping[str, int] | None = None) -> Profile:
    """The profile of plugins by extension point. Raises ValueError unless exactly one sorts and at least one binds."""
    asked = {point: [each for plugin in places.get(point, ()) for each in standing(plugin, point)] for point in Point}

    def at(point: Point, protocol: type[P]) -> tuple[P, ...]:
        return tuple(plugin for plugin in asked[point] if isinstance(plugin, protocol))

    sorts: tuple[QueueSort, ...] = at(Point.QUEUE_SORT, QueueSort)  # type: ignore[type-abstract]
    binds: tuple[Bind, ...] = at(Point.BIND, Bind)  # type: ignore[type-abstract]
    if len(sorts) != 1:
        raise ValueError(f"only one queue sort plugin required, but got {len(sorts)}")
    if not binds:
        raise ValueError("at least one bind plugin is needed")
    everywhere = {id(plugin): plugin for plugins in places.values() for plugin in plugins}.values()
    return Profile(
        queue_sort=sorts[0],
        bind=binds,
        pre_enqueue=at(Point.PRE_ENQUEUE, PreEnqueue),  # type: ignore[type-abstract]
        pre_filter=at(Point.PRE_FILTER, PreFilter),  # type: ignore[type-abstract]
        filter=at(Point.FILTER, Filter),  # type: ignore[type-abstract]
        pod_filter=at(Point.FILTER, PodFilter),  # type: ignore[type-abstract]
        post_filter=at(Point.POST_FILTER, PostFilter),  # type: ignore[type-abstract]
        pre_score={p.name: p for p in at(Point.PRE_SCORE, PreScore)},  # type: ignore[type-abstract]
        score=at(Point.SCORE, Score),  # type: ignore[type-abstract]
        compare=at(Point.SCORE, Compare),  # type: ignore[type-abstract]
        reserve=at(Point.RESERVE, Reserve),  # type: ignore[type-abstract]
        permit=at(Point.PERMIT, Permit),  # type: ignore[type-abstract]
        pre_bind=at(Point.PRE_BIND, PreBind),  # type: ignore[type-abstract]
        post_bind=at(Point.POST_BIND, PostBind),  # type: ignore[type-abstract]
        background=tuple(plugin for plugin in everywhere if isinstance(plugin, Background)),
        cures={
            plugin.name: cast(Change, getattr(plugin, "cures", ANYTHING))
            for point in _REJECTING
            for plugin in places.get(point, ())
        },
        weights=weights or {},
    )


def profile(plugins: Iterable[Plugin]) -> Profile:
    """The profile in which every plugin stands wherever it can."""
    found = list(plugins)
    return assemble({point: [plugin for plugin in found if implements(plugin, point)] for point in Point})
