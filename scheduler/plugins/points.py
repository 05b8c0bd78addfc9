"""Where upstream's plugins stand.

Ours need not stand wherever their namesakes do (what upstream's do before a filter or a score is part of the filter or
score here), but a configuration that names them there is as good as it is upstream: nothing comes of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..profile import Point

_PRE_FILTERED = frozenset({Point.PRE_FILTER, Point.FILTER})
_PRE_SCORED = frozenset({Point.PRE_SCORE, Point.SCORE})

POINTS: Mapping[str, frozenset[Point]] = {
    "SchedulingGates": frozenset({Point.PRE_ENQUEUE}),
    "PrioritySort": frozenset({Point.QUEUE_SORT}),
    "NodeUnschedulable": frozenset({Point.FILTER}),
    "NodeName": frozenset({Point.FILTER}),
    "TaintToleration": _PRE_SCORED | {Point.FILTER},
    "NodeAffinity": _PRE_FILTERED | _PRE_SCORED,
    "NodePorts": _PRE_FILTERED,
    "NodeResourcesFit": _PRE_FILTERED | _PRE_SCORED,
    "VolumeRestrictions": _PRE_FILTERED,
    "NodeVolumeLimits": _PRE_FILTERED,
    "VolumeBinding": _PRE_FILTERED | _PRE_SCORED | {Point.RESERVE, Point.PRE_BIND},
    "VolumeZone": _PRE_FILTERED,
    "PodTopologySpread": _PRE_FILTERED | _PRE_SCORED,
    "InterPodAffinity": _PRE_FILTERED | _PRE_SCORED,
    "DefaultPreemption": frozenset({Point.PRE_ENQUEUE, Point.POST_FILTER}),
    "NodeResourcesBalancedAllocation": _PRE_SCORED,
    "ImageLocality": frozenset({Point.SCORE}),
    "DefaultBinder": frozenset({Point.BIND}),
}
