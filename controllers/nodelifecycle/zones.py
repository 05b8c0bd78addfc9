"""How many nodes of each zone are ready, and how fast nodes may be emptied there.

Where many nodes of a zone fail at once, the fault is more likely the network's, or ours, than theirs, and their pods
would only press upon what is left: nodes of a large zone are then emptied slowly, those of a small one not at all.
Where no zone has a node that is ready, nobody is emptied.

Source: Kubernetes documentation, "Nodes: Rate limits on eviction"; node lifecycle controller (ComputeZoneState).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from k8slite.kinds.core import Node

EXCLUDED = "node.kubernetes.io/exclude-disruption"
"""Nodes with this label, whatever its value, do not count when a zone is judged."""
_ZONES = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
_REGIONS = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
_FEW = 2
"""So many nodes that are not ready are no disruption, unless there are no others."""


class State(StrEnum):
    """How a zone fares."""

    NORMAL = "Normal"
    PARTIAL = "PartialDisruption"
    FULL = "FullDisruption"


@dataclass(frozen=True, slots=True)
class Size:
    """Nodes of a zone that count."""

    ready: int
    not_ready: int


@dataclass(frozen=True, slots=True)
class Settings:
    """The flags of upstream; rates are nodes a second."""

    rate: float = 0.1
    secondary_rate: float = 0.01
    threshold: float = 0.55
    large: int = 50


@dataclass(frozen=True, slots=True)
class Judgement:
    """How fast nodes of each zone that counts are emptied. `halted`: no zone has a node that is ready."""

    rates: Mapping[str, float]
    halted: bool


def zone_of(node: Node) -> str:
    """What tells zones apart: region and zone; empty for nodes that name neither."""
    labels = node.metadata.labels
    region = next((labels[name] for name in _REGIONS if name in labels), "")
    zone = next((labels[name] for name in _ZONES if name in labels), "")
    return f"{region}:{zone}" if region or zone else ""


def state(size: Size, *, threshold: float) -> State:
    """How a zone of that size fares."""
    if size.not_ready and not size.ready:
        return State.FULL
    if size.not_ready > _FEW and size.not_ready / (size.ready + size.not_ready) >= threshold:
        return State.PARTIAL
    return State.NORMAL


def judge(sizes: Mapping[str, Size], settings: Settings) -> Judgement:
    """Judge all zones. One without a ready node is treated as any other, as long as another zone has one."""
    states = {zone: state(size, threshold=settings.threshold) for zone, size in sizes.items()}
    if states and all(each is State.FULL for each in states.values()):
        return Judgement(dict.fromkeys(states, 0.0), halted=True)
    rates = {}
    for zone, each in states.items():
        slow = settings.secondary_rate if sizes[zone].ready + sizes[zone].not_ready > settings.large else 0.0
        rates[zone] = slow if each is State.PARTIAL else settings.rate
    return Judgement(rates, halted=False)


class Census:
    """The nodes that count, kept in step one by one."""

    def __init__(self) -> None:
        self._nodes: dict[str, tuple[str, bool]] = {}
        self._counts: dict[str, list[int]] = {}

    def see(self, node: Node) -> bool:
        """A node came or changed; whether that may change a judgement."""
        now = None if EXCLUDED in node.metadata.labels else (zone_of(node), node.ready)
        return self._put(node.name, now)

    def forget(self, name: str) -> bool:
        """A node is gone."""
        return self._put(name, None)

    def _put(self, name: str, now: tuple[str, bool] | None) -> bool:
        before = self._nodes.get(name)
        if before == now:
            return False
        if before is not None:
            zone, ready = before
            self._counts[zone][ready] -= 1
            if not any(self._counts[zone]):
                del self._counts[zone]
            del self._nodes[name]
        if now is not None:
            zone, ready = now
            self._counts.setdefault(zone, [0, 0])[ready] += 1
            self._nodes[name] = now
        return True

    def sizes(self) -> dict[str, Size]:
        """Every zone that has a node which counts."""
        return {zone: Size(ready=ready, not_ready=rest) for zone, (rest, ready) in self._counts.items()}
