"""How many seats each priority level has: its share by configuration, and what levels lend to each other for now. Pure.

Source: KEP-1040, "Dispatching"; Kubernetes' apiserver, util/flowcontrol/conc_alloc.go and apf_controller.go.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

_LEAST_TARGET = 0.001
_STEPS = 64


@dataclass(frozen=True, slots=True)
class Shares:
    """What a level's configuration says of its seats. `borrowing` is a percentage, None for no bound."""

    shares: int
    lendable: int = 0
    borrowing: int | None = None
    exempt: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """A level's seats: its nominal number, the number that it never falls below, and the one that it never exceeds."""

    nominal: int
    lower: int
    upper: int
    exempt: bool = False


@dataclass(frozen=True, slots=True)
class Demand:
    """Seats that a level could have used lately: the most at any moment, and a smoothed figure."""

    peak: int = 0
    smoothed: float = 0.0


@dataclass(frozen=True, slots=True)
class Allocation:
    """The seats that each level has for now, what was aimed at, and the fraction of their targets that all had."""

    seats: Mapping[str, int]
    targets: Mapping[str, float]
    fair_fraction: float


def bounds(levels: Mapping[str, Shares], *, total: int) -> dict[str, Bounds]:
    """The seats of each level by configuration. They may add up to a little more than `total`: each is rounded up."""
    every = sum(level.shares for level in levels.values())
    found = {}
    for name, level in levels.items():
        nominal = math.ceil(total * level.shares / every) if every else 0
        lent = round(nominal * level.lendable / 100)
        borrowed = total if level.borrowing is None else round(nominal * level.borrowing / 100)
        found[name] = Bounds(nominal, nominal - lent, nominal + borrowed, level.exempt)
    return found


def adjust(levels: Mapping[str, Bounds], demands: Mapping[str, Demand]) -> Allocation:
    """Divide the seats anew: what a level does not use of what it lends goes to those that can use it.

    An exempt level takes what it uses first. Each other keeps what it used lately, as far as that is its own; what is
    left is divided in proportion to what each could use.
    """
    total = sum(level.nominal for level in levels.values())
    seats, targets, least = {}, {}, {}
    remaining = total
    for name, level in levels.items():
        demand = demands.get(name, Demand())
        if level.exempt:
            seats[name] = max(level.lower, demand.peak)
            targets[name] = float(seats[name])
            remaining -= seats[name]
        else:
            least[name] = max(level.lower, min(level.nominal, demand.peak))
            targets[name] = max(float(least[name]), demand.smoothed)
    lower = {name: levels[name].lower for name in least}
    if remaining <= sum(lower.values()):
        return Allocation(seats | lower, targets, 0.0)
    if remaining <= sum(least.values()):
        fraction = (remaining - sum(lower.values())) / (sum(least.values()) - sum(lower.values()))
        between = {name: lower[name] + round((least[name] - lower[name]) * fraction) for name in least}
        return Allocation(seats | between, targets, 0.0)
    fraction = _fair_fraction(remaining, {name: (least[name], levels[name].upper, targets[name]) for name in least})
    fair = {
        name: round(min(levels[name].upper, max(least[name], fraction * max(targets[name], _LEAST_TARGET))))
        for name in least
    }
    return Allocation(seats | fair, targets, fraction)


def _fair_fraction(total: float, levels: Mapping[str, tuple[float, float, float]]) -> float:
    """The fraction of all targets at which the levels, each within its bounds, have `total` seats together."""
    low = 0.0
    high = max((upper / max(target, _LEAST_TARGET) for _, upper, target in levels.values()), default=0.0)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        given = sum(
            min(upper, max(lower, middle * max(target, _LEAST_TARGET))) for lower, upper, target in levels.values()
        )
        low, high = (middle, high) if given < total else (low, middle)
    return high
