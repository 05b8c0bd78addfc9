"""Hints by `service.kubernetes.io/topology-mode: Auto`: each zone gets endpoints by its share of the cluster's CPUs.

Endpoints of a zone are for that zone, but for as many as have to be given to zones that have too few. Where that cannot
be done without giving any endpoint more than a fifth too much, there are no hints at all, and an event says why.

Source: Kubernetes documentation, "Topology Aware Routing"; k8s.io/endpointslice/topologycache.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from k8slite import quantity
from k8slite.kinds.core import Node, Service

from .model import Endpoint, Hints, hints
from .packing import Draft

_OVERLOAD = 0.2
"""How much more than its fair share an endpoint may get."""
ZONE = "topology.kubernetes.io/zone"
_EXCLUDED = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
_MODE, _OLD_MODE = "service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints"


@dataclass(frozen=True, slots=True)
class Notice:
    """An event about the Service."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class _Share:
    """How many endpoints a zone may, must and should have."""

    least: int
    most: int
    wanted: float


def automatic(service: Service) -> bool:
    """Whether the annotation asks for it; the older one counts where both are."""
    annotations = service.metadata.annotations
    return annotations.get(_OLD_MODE, annotations.get(_MODE)) in ("Auto", "auto")


def zone_ratios(nodes: Iterable[Node]) -> Mapping[str, float] | None:
    """Each zone's share of the CPUs of ready nodes; None if a node does not tell, or there are less than two zones."""
    cpus: Counter[str] = Counter()
    for node in nodes:
        if not node.ready or any(label in node.metadata.labels for label in _EXCLUDED):
            continue
        zone, cpu = node.metadata.labels.get(ZONE, ""), cpus_of(node)
        if not zone or not cpu:
            return None
        cpus[zone] += cpu
    total = sum(cpus.values())
    return {zone: cpu / total for zone, cpu in cpus.items()} if len(cpus) > 1 else None


def cpus_of(node: Node) -> int:
    """A node's allocatable CPUs in thousandths, 0 if it does not tell."""
    try:
        return quantity.milli(node.status.allocatable.get("cpu", 0))
    except quantity.QuantityError:
        return 0


def remove_hints(drafts: Iterable[Draft]) -> None:
    """No endpoint has a hint."""
    for draft in drafts:
        if any(item.hints is not None for item in draft.endpoints):
            draft.endpoints = [replace(item, hints=None) if item.hints else item for item in draft.endpoints]
            draft.write = True


def add_hints(drafts: Sequence[Draft], *, ratios: Mapping[str, float] | None, family: str) -> list[Notice]:
    """Give every ready endpoint its hint, changing as few slices as possible."""
    before = any(item.hints is not None for draft in drafts for item in draft.endpoints)
    ready = sum(item.ready for draft in drafts for item in draft.endpoints)
    shares = _shares(ratios, ready)
    problem = shares if isinstance(shares, str) else _assign(drafts, shares)
    if problem:
        remove_hints(drafts)
        return [Notice("Warning", "TopologyAwareHintsDisabled", f"{problem}, addressType: {family}")]
    if before:
        return []
    message = f"Topology Aware Hints has been enabled, addressType: {family}"
    return [Notice("Normal", "TopologyAwareHintsEnabled", message)]


def _shares(ratios: Mapping[str, float] | None, count: int) -> dict[str, _Share] | str:
    """What each zone may have, or why that cannot be told."""
    if ratios is None:
        return "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"
    numbers = f"({count} endpoints, {len(ratios)} zones)"
    if len(ratios) > count:
        return f"Insufficient number of endpoints {numbers}"
    least = {zone: math.ceil(ratio * count / (1 + _OVERLOAD)) for zone, ratio in ratios.items()}
    spare = count - sum(least.values())
    if spare < 0:
        return (
            f"Unable to allocate minimum required endpoints to each zone without exceeding overload threshold {numbers}"
        )
    return {
        zone: _Share(least[zone], least[zone] + spare, max(ratio * count, least[zone]))
        for zone, ratio in ratios.items()
    }


def _assign(drafts: Sequence[Draft], shares: Mapping[str, _Share]) -> str:
    """Keep what hints are good, and give the rest; empty, or why there can be none."""
    given: Counter[str] = Counter()
    for draft in drafts:
        if draft.write:
            continue
        kept = _still_good(draft.endpoints, given, shares)
        if kept is None:
            draft.write = True
        else:
            given.update(kept)
    open_ = [draft for draft in drafts if draft.write]
    for draft in open_:
        if any(item.ready and not item.zone for item in draft.endpoints):
            return "One or more endpoints do not have a zone specified"
        draft.endpoints = [_hinted(item, item.zone if item.ready else None) for item in draft.endpoints]
        given.update(item.zone for item in draft.endpoints if item.ready and item.zone)
    if not given:
        return "No hints allocated for zones"
    _redistribute(open_, *_moves(shares, given), given)
    if len(open_) < len(drafts) and any(given[zone] < share.least for zone, share in shares.items()):
        # What a zone lacks stands in slices that were to stay as they are.
        for draft in drafts:
            draft.write = True
        return _assign(drafts, shares)
    return ""


def _still_good(
    endpoints: Iterable[Endpoint], given: Mapping[str, int], shares: Mapping[str, _Share]
) -> Counter[str] | None:
    """The zones that a slice's hints are for, None if they cannot stay."""
    found: Counter[str] = Counter()
    for item in endpoints:
        if not item.ready:
            continue
        zones = item.hints.for_zones if item.hints is not None else ()
        if not zones or any(zone.name not in shares for zone in zones):
            return None
        found.update(zone.name for zone in zones)
    over = any(count + given.get(zone, 0) > shares[zone].most for zone, count in found.items())
    return None if over else found


def _moves(shares: Mapping[str, _Share], given: Mapping[str, int]) -> tuple[Counter[str], Counter[str]]:
    """How many endpoints each zone has to give away, and how many to get; the same number in all."""
    before = Counter({zone: given.get(zone, 0) for zone in sorted(shares)})
    have = before.copy()
    while True:
        surplus = {zone: count - shares[zone].wanted for zone, count in have.items()}
        spare = {zone: shares[zone].most - count for zone, count in have.items()}
        giver = min(surplus, key=lambda zone: (min(spare[zone], 0), -surplus[zone]))
        taker = min(surplus, key=lambda zone: (spare[zone] <= 0, surplus[zone]))
        gives, takes = surplus[giver], -surplus[taker]
        if spare[giver] >= 0 and (gives < 0.5 or takes < 0.5 or (gives < 1.0 and takes < 1.0)):
            break
        have[giver] -= 1
        have[taker] += 1
    while lacking := [zone for zone, count in have.items() if count < shares[zone].least]:
        giver = max(have, key=lambda zone: have[zone] - shares[zone].least)
        if have[giver] <= shares[giver].least:
            break  # some endpoints are in zones that get no traffic at all
        have[giver] -= 1
        have[lacking[0]] += 1
    return before - have, have - before


def _redistribute(drafts: Iterable[Draft], giving: Counter[str], receiving: Counter[str], given: Counter[str]) -> None:
    """Carry out the moves as far as these slices have the endpoints; `given` is kept in step."""
    for draft in drafts:
        for index, item in enumerate(draft.endpoints):
            if not item.ready or not item.zone or giving[item.zone] <= 0:
                continue
            zone = next((zone for zone, count in sorted(receiving.items()) if count > 0), None)
            if zone is None:
                return
            draft.endpoints[index] = _hinted(item, zone)
            giving[item.zone] -= 1
            receiving[zone] -= 1
            given[item.zone] -= 1
            given[zone] += 1


def _hinted(item: Endpoint, zone: str | None) -> Endpoint:
    wanted: Hints | None = hints(zone)
    return item if item.hints == wanted else replace(item, hints=wanted)
