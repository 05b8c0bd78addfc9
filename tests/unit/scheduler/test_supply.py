"""Volumes and room found for all nodes at once are those that a look at each node finds."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from k8slite.scheduler.storage.objects import Claim, CsiCapacity, PersistentVolume, Where
from k8slite.scheduler.storage.reach import Indices, Reach, reachable
from k8slite.scheduler.storage.supply import NONE, Choice, Room, Supply

from .builders import columns, node
from .storing import capacity, claim, volume

HOSTS = ("a", "b", "c", "d")
ZONE = "topology.kubernetes.io/zone"
NODES = [
    node(name, labels={"kubernetes.io/hostname": name, ZONE: "east" if name in "ab" else "west"}) for name in HOSTS
]


def in_zone(*zones: str) -> list[dict[str, Any]]:
    return [{"matchExpressions": [{"key": ZONE, "operator": "In", "values": list(zones)}]}]


PLACES: list[dict[str, Any]] = [
    {},
    {"terms": in_zone("east")},
    {"terms": in_zone("west")},
    {"terms": in_zone("east", "west")},
    {"terms": []},
    *({"on": host} for host in HOSTS),
]
stock = st.lists(st.tuples(st.integers(1, 4), st.sampled_from(PLACES)), max_size=8)


def made(stocked: list[tuple[int, dict[str, Any]]]) -> list[PersistentVolume]:
    return [
        PersistentVolume.model_validate(volume(f"v{index}", size=str(size), **place))
        for index, (size, place) in enumerate(stocked)
    ]


@given(stock, st.lists(st.integers(1, 4), min_size=1, max_size=4), st.sets(st.integers(0, 7)))
def test_every_claim_gets_the_smallest_that_is_left(
    stocked: list[tuple[int, dict[str, Any]]], sizes: list[int], gone: set[int]
) -> None:
    state, supply = columns(*NODES), Supply()
    volumes = made(stocked)
    for each in volumes:
        supply.put(each, free=True)
    for index in gone & set(range(len(volumes))):
        supply.remove(volumes[index].name)
    left = [each for index, each in enumerate(volumes) if index not in gone]
    claims = [Claim.model_validate(claim(f"c{index}", size=str(size))) for index, size in enumerate(sorted(sizes))]
    choices: list[Choice] = []
    for each in claims:
        choices.append(supply.choose(each, state, earlier=choices))
    for host in HOSTS:
        row, taken = state.rows[host], set[str]()
        for choice in choices:
            fitting = [
                one
                for one in left
                if one.size >= (choice.claim.size or 0)
                and one.name not in taken
                and bool(reachable(one.where, state, slice(None))[row])
            ]
            expected = min(fitting, key=lambda one: one.size, default=None)
            assert choice.at(row) is expected
            if expected is not None:
                taken.add(expected.name)


@given(stock, st.integers(1, 4))
def test_room_is_where_the_first_capacity_with_enough_is(stocked: list[tuple[int, dict[str, Any]]], size: int) -> None:
    state, room = columns(*NODES), Room()
    capacities = [
        CsiCapacity.model_validate(capacity(f"r{index}", total=str(total), labels={ZONE: zone}))
        for index, (total, place) in enumerate(stocked)
        for zone in [("east", "west")[PLACES.index(place) % 2]]
    ]
    for each in capacities:
        room.put(each)
    slots = room.choose(size, state)
    for host in HOSTS:
        zone = "east" if host in "ab" else "west"
        fitting = [
            index
            for index, each in enumerate(capacities)
            if (each.limit or 0) >= size
            and each.node_topology is not None
            and each.node_topology.match_labels[ZONE] == zone
        ]
        assert slots[state.rows[host]] == (fitting[0] if fitting else NONE)


def test_what_nodes_are_called_may_change_while_volumes_stay() -> None:
    state, supply = columns(*NODES[:1]), Supply()
    supply.put(PersistentVolume.model_validate(volume("v", on="b")), free=True)
    wanted = Claim.model_validate(claim("c"))
    assert supply.choose(wanted, state, earlier=[]).at(state.rows["a"]) is None
    state.set_node(node("a", labels={"kubernetes.io/hostname": "b"}))
    found = supply.choose(wanted, state, earlier=[]).at(state.rows["a"])
    assert found is not None
    assert found.name == "v"
    for number in range(200):
        state.set_node(node(f"more-{number}"))
    assert supply.choose(wanted, state, earlier=[]).at(state.rows["a"]) is found, "also when there are more rows"


def test_conditions_that_nobody_has_any_more_take_no_room() -> None:
    reach = Reach()
    wheres: list[Where] = [PersistentVolume.model_validate(volume("v", **place)).where for place in PLACES]
    cells = [reach.enter(where) for where in wheres]
    assert len(set(cells)) == len(set(wheres))
    size = len(reach.firsts(reach_of(cells)))
    for _ in range(10):
        for cell in cells:
            reach.leave(cell)
        cells = [reach.enter(where) for where in wheres]
    assert len(reach.firsts(reach_of(cells))) == size


def reach_of(cells: list[int]) -> Indices:
    return np.array(cells, dtype=np.intp)
