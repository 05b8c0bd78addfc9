"""Seats by configuration, and what levels lend to each other."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.apiserver.flowcontrol.allocation import Bounds, Demand, Shares, adjust, bounds

DEFAULTS = {
    "exempt": Shares(0, exempt=True),
    "catch-all": Shares(5),
    "system": Shares(30, 33),
    "node-high": Shares(40, 25),
    "leader-election": Shares(10),
    "workload-high": Shares(40, 50),
    "workload-low": Shares(100, 90),
    "global-default": Shares(20, 50),
}


def test_shares_become_seats_as_in_kubernetes() -> None:
    """The figures that Kubernetes' documentation has for the default of 600 seats."""
    found = bounds(DEFAULTS, total=600)
    assert {name: level.nominal for name, level in found.items()} == {
        "exempt": 0,
        "catch-all": 13,
        "system": 74,
        "node-high": 98,
        "leader-election": 25,
        "workload-high": 98,
        "workload-low": 245,
        "global-default": 49,
    }
    assert found["workload-low"] == Bounds(245, 25, 845)
    assert found["leader-election"].lower == 25


def test_borrowing_can_be_bounded() -> None:
    assert bounds({"a": Shares(1, borrowing=50), "b": Shares(1, borrowing=0)}, total=100) == {
        "a": Bounds(50, 50, 75),
        "b": Bounds(50, 50, 50),
    }


def test_idle_levels_lend_to_the_one_that_is_flooded() -> None:
    found = adjust(bounds(DEFAULTS, total=600), {"global-default": Demand(peak=2000, smoothed=1500.0)})
    lower = {name: level.lower for name, level in bounds(DEFAULTS, total=600).items()}
    assert found.seats["global-default"] > 300
    assert all(found.seats[name] == lower[name] for name in lower if name not in ("global-default", "exempt"))


def test_a_level_has_its_own_back_when_it_wants_it() -> None:
    flooded = {name: Demand(peak=2000, smoothed=1500.0) for name in DEFAULTS if name != "exempt"}
    found = adjust(bounds(DEFAULTS, total=600), flooded)
    for name, level in bounds(DEFAULTS, total=600).items():
        assert found.seats[name] == pytest.approx(level.nominal, abs=1)


def test_exempt_requests_take_theirs_first() -> None:
    found = adjust(bounds(DEFAULTS, total=600), {"exempt": Demand(peak=5000, smoothed=5000.0)})
    assert found.seats["exempt"] == 5000
    assert found.seats["workload-low"] == bounds(DEFAULTS, total=600)["workload-low"].lower


LEVELS = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=2),
    st.builds(
        Shares,
        shares=st.integers(0, 100),
        lendable=st.integers(0, 100),
        borrowing=st.none() | st.integers(0, 300),
        exempt=st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@settings(deadline=None)
@given(levels=LEVELS, total=st.integers(1, 1000), data=st.data())
def test_every_level_is_within_its_bounds(levels: dict[str, Shares], total: int, data: st.DataObject) -> None:
    limits = bounds(levels, total=total)
    demands = {name: Demand(data.draw(st.integers(0, 2000)), data.draw(st.floats(0, 2000))) for name in levels}
    found = adjust(limits, demands)
    limited = [name for name, level in limits.items() if not level.exempt]
    for name in limited:
        assert limits[name].lower <= found.seats[name] <= limits[name].upper
    # Rounding aside, no more is given than there is, and nothing is kept back that somebody may have.
    remaining = sum(level.nominal for level in limits.values()) - sum(
        found.seats[name] for name in limits if name not in limited
    )
    given_out = sum(found.seats[name] for name in limited)
    assert given_out <= max(remaining, sum(limits[name].lower for name in limited)) + len(limited)
    assert given_out >= min(remaining, sum(limits[name].upper for name in limited)) - len(limited)
