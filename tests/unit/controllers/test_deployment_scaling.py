"""Proportional scaling, against a plain telling of the rules that Kubernetes documents."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.controllers.deployment.scaling import Bounds, proportional
from k8slite.kinds.apps import Deployment, ReplicaSet

from .builders import deployment, replicaset

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"


def rolling(replicas: int, *, surge: int, unavailable: int = 1, status: int = 0) -> Deployment:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    return deployment(replicas=replicas, strategy=strategy, status={"replicas": status})


def sized(number: int, replicas: int, *, most: int | None, available: int = 0) -> ReplicaSet:
    annotations: dict[str, Any] = {DESIRED: "1"} | ({MAXIMUM: str(most)} if most else {})
    status = {"availableReplicas": available}
    return replicaset(f"rs{number}", replicas=replicas, created=number, annotations=annotations, status=status)


def reference(wanted: Deployment, sets: list[ReplicaSet]) -> dict[str, int]:
    """Each of several sets gets its share of the change, rounded half up; the largest takes what is left."""
    replicas = wanted.spec.replicas
    surge = wanted.spec.strategy.rolling_update.max_surge  # type: ignore[union-attr]
    allowed = replicas + surge if replicas else 0
    sizes = {rs.name: rs.spec.replicas for rs in sets}
    missing = allowed - sum(sizes.values())
    if not missing:
        return sizes
    newest_first = sorted(sets, key=lambda rs: rs.metadata.creation_timestamp, reverse=missing > 0)
    order = sorted(newest_first, key=lambda rs: rs.spec.replicas, reverse=True)
    given_out = 0
    for rs in order:
        left = missing - given_out
        before = int(rs.metadata.annotations.get(MAXIMUM, 0)) or wanted.status.replicas
        if left == 0 or (replicas and not before):
            share = 0
        elif not replicas:
            share = max(-rs.spec.replicas, left)
        else:
            exact = (2 * rs.spec.replicas * (replicas + surge) + before) // (2 * before)
            share = exact - rs.spec.replicas
            share = min(share, left) if missing > 0 else max(share, left)
        sizes[rs.name] += share
        given_out += share
    sizes[order[0].name] = max(0, sizes[order[0].name] + missing - given_out)
    return sizes


@given(
    before=st.lists(st.integers(1, 12), min_size=2, max_size=5),
    most=st.one_of(st.none(), st.integers(1, 40)),
    uneven=st.booleans(),
    replicas=st.integers(0, 40),
    surge=st.integers(0, 6),
    status=st.integers(0, 40),
)
def test_shares_are_as_documented_and_sum_to_what_is_allowed(before, most, uneven, replicas, surge, status):
    wanted = rolling(replicas, surge=surge, status=status)
    annotated = [most + number if most and uneven else most for number in range(len(before))]
    sets = [sized(number, size, most=annotated[number]) for number, size in enumerate(before)]
    sizes = proportional(wanted, new=sets[-1], old=sets[:-1], bounds=Bounds.of(wanted))
    named = {rs.name: sizes[rs.uid] for rs in sets}
    assert named == reference(wanted, sets)
    assert all(size >= 0 for size in named.values())
    if not uneven and most is not None and most >= sum(before):
        # No set is larger than its share allows, so that nothing is cut off.
        assert sum(named.values()) == (replicas + surge if replicas else 0)


@pytest.mark.parametrize(
    ("replicas", "surge", "sizes", "most", "expected"),
    [
        (15, 3, [8, 5], 13, [11, 7]),  # the documentation's example
        (12, 0, [5, 5], 10, [6, 6]),
        (13, 0, [5, 5], 10, [6, 7]),  # the newer of equals takes the odd one
        (5, 0, [5, 5], 10, [2, 3]),  # the older of equals loses the odd one
        (0, 2, [6, 4], 12, [0, 0]),
        (20, 0, [10, 5, 5], 20, [10, 5, 5]),
        (10, 0, [10, 5, 5], 20, [4, 3, 3]),  # halves are rounded up, the largest pays for it
    ],
)
def test_examples(replicas, surge, sizes, most, expected):
    wanted = rolling(replicas, surge=surge)
    sets = [sized(number, size, most=most) for number, size in enumerate(sizes)]
    found = proportional(wanted, new=sets[-1], old=sets[:-1], bounds=Bounds.of(wanted))
    assert [found[rs.uid] for rs in sets] == expected


def test_an_only_active_set_takes_all_and_of_none_the_new_one():
    wanted = rolling(7, surge=1)
    old, new = sized(0, 3, most=4), sized(1, 0, most=4)
    assert proportional(wanted, new=new, old=[old], bounds=Bounds.of(wanted)) == {old.uid: 7}
    none = sized(0, 0, most=4)
    assert proportional(wanted, new=new, old=[none], bounds=Bounds.of(wanted)) == {new.uid: 7}
    older = sized(2, 0, most=4)
    assert proportional(wanted, new=None, old=[none, older], bounds=Bounds.of(wanted)) == {older.uid: 7}
    assert proportional(wanted, new=None, old=[], bounds=Bounds.of(wanted)) == {}


def test_when_the_new_set_serves_all_the_old_ones_go():
    wanted = rolling(3, surge=1)
    old = sized(0, 2, most=4)
    new = replicaset("new", replicas=3, created=9, annotations={DESIRED: "3"}, status={"availableReplicas": 3})
    assert proportional(wanted, new=new, old=[old], bounds=Bounds.of(wanted)) == {old.uid: 0}
