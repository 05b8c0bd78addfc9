"""What a kubelet's page of resource metrics says, as points. Pure.

All kubelets are read by this page, our own too: times in `/stats/summary` are whole seconds, which a rate over one
second cannot be made of. One regular expression finds the few lines that matter, at a twentieth of what a parser of the
whole format takes.

Source: Prometheus' text format; metrics-server, scraper/client/resource/decode.go (which metrics are read).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

PodName = tuple[str, str]
"""Namespace and name."""

_LINE = re.compile(
    rb"^(node_(?:cpu_usage_seconds_total|memory_working_set_bytes)"
    rb"|container_(?:cpu_usage_seconds_total|memory_working_set_bytes|start_time_seconds))"
    rb'(?:\{((?:[^"}\n]|"(?:[^"\\\n]|\\.)*")*)\})?[ \t]+(\S+)(?:[ \t]+(-?\d{1,18}))?[ \t]*\r?$',
    re.MULTILINE,
)
_LABEL = re.compile(rb'(container|namespace|pod)="((?:[^"\\]|\\.)*)"')
_MOST = float(1 << 63)
_LATEST = 253_402_300_799_000
"""Milliseconds until the year 9999 is over: no later time can be written."""


class Point(NamedTuple):
    """One reading: processor time in nanoseconds and memory in bytes at a Unix time of the node's own clock.

    `started` is when the counter began, 0 if unknown. `taken` is when we got it, by our monotonic clock.
    """

    at: float
    cpu: int
    memory: int
    started: float
    taken: float


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says of the node (None: nothing), and of containers by pod and name."""

    node: Point | None = None
    pods: Mapping[PodName, Mapping[str, Point]] = field(default_factory=dict)


class _Found:
    __slots__ = ("at", "cpu", "memory", "started")

    def __init__(self) -> None:
        self.at = self.cpu = self.memory = -1.0
        self.started = 0.0

    def point(self, taken: float, now: float) -> Point | None:
        if self.cpu < 0 or self.memory < 0:
            return None
        return Point(self.at if self.at >= 0 else now, int(self.cpu), int(self.memory), self.started, taken)


def parse(body: bytes, *, taken: float, now: float) -> Page:
    """The points of a page; `now` is the Unix time for samples that bear none. What cannot be read is passed over."""
    node, found = _Found(), dict[bytes, _Found]()
    for name, labels, text, moment in _LINE.findall(body):
        value = _number(text, nanos=name.endswith(b"_total"))
        at = int(moment) if moment else -1
        if value < 0 or at > _LATEST:
            continue
        one = node if name.startswith(b"node_") else found.setdefault(labels, _Found())
        if name.endswith(b"_total"):
            one.cpu = value
            one.at = at / 1000 if moment else -1.0
        elif name.endswith(b"_bytes"):
            one.memory = value
        else:
            one.started = value
    pods: dict[PodName, dict[str, Point]] = {}
    for labels, one in found.items():
        point = one.point(taken, now)
        known = dict(_LABEL.findall(labels))
        if point is not None and len(known) == 3:
            pod = known[b"namespace"].decode(errors="replace"), known[b"pod"].decode(errors="replace")
            pods.setdefault(pod, {})[known[b"container"].decode(errors="replace")] = point
    return Page(node.point(taken, now), pods)


def _number(text: bytes, *, nanos: bool) -> float:
    """A value, below zero if it is none that can be: not finite, or too large to be counted in whole numbers."""
    try:
        value = float(text) * 1e9 if nanos else float(text)
    except ValueError:
        return -1.0
    return value if math.isfinite(value) and 0 <= value < _MOST else -1.0
