"""Random histories of nodes, over the real node controllers in virtual time, against plain rules.

Whatever happens, the manager's death and broken connections included: no node that beats is called lost, no zone is
emptied faster than its rate, no pod goes that puts up with its node, and in the end who is lost is emptied.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .node_world import World

ZONES = {"a0": "a", "a1": "a", "a2": "a", "b0": "b", "b1": "b", "b2": "b"}
GRACE, RATE = 50.0, 0.1
UNREACHABLE, NOT_READY = "node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready"


def tolerating(seconds: int | None) -> list[dict[str, Any]]:
    limit = {} if seconds is None else {"tolerationSeconds": seconds}
    return [{"key": key, "operator": "Exists", "effect": "NoExecute", **limit} for key in (UNREACHABLE, NOT_READY)]


def ready(world: World, name: str) -> str:
    conditions = world.objects["nodes"][name]["status"]["conditions"]
    return next(condition["status"] for condition in conditions if condition["type"] == "Ready")


def leaving(world: World, name: str) -> dict[str, str]:
    """The taints that make pods leave a node, and when they were added."""
    taints = world.objects["nodes"][name]["spec"].get("taints") or ()
    return {taint["key"]: taint["timeAdded"] for taint in taints if taint["effect"] == "NoExecute"}


_ACTS = ["silence", "silence", "return", "refuse", "restart", "zone"]
_HISTORY = st.lists(
    st.tuples(st.sampled_from(_ACTS), st.sampled_from(sorted(ZONES)), st.integers(1, 90)), min_size=1, max_size=8
)


async def live(history: list[tuple[str, str, int]], *, seed: int, faults: float) -> None:
    world = World(Random(seed), faults=faults)
    for name, zone in ZONES.items():
        world.node(name, zone)
        world.pod(f"{name}-never", name)
        world.pod(f"{name}-later", name, *tolerating(100))
        world.pod(f"{name}-always", name, *tolerating(None))
    world.start()
    since = dict.fromkeys(ZONES, 0.0)
    """Since when a node has been as it is."""
    ever: set[str] = set()
    """Nodes that ever were not as they should be."""
    refusing: set[str] = set()
    try:
        await world.run(1)
        for act, name, seconds in history:
            now = world.clock.monotonic()
            if act == "restart":
                await world.stop()
                world.start()
                since = {each: max(at, world.clock.monotonic()) for each, at in since.items()}
            for each in [name] if act != "zone" else [other for other in ZONES if ZONES[other] == ZONES[name]]:
                if act in ("silence", "zone") and each not in world.silent:
                    world.silent.add(each)
                    refusing.discard(each)
                    ever.add(each)
                    since[each] = now
                elif act in ("return", "refuse"):
                    world.silent.discard(each)
                    world.beat(each)
                    world.report(each, "True" if act == "return" else "False")
                    (refusing.discard if act == "return" else refusing.add)(each)
                    ever |= {each} if act == "refuse" else set()
                    since[each] = now
            await world.run(seconds)
            for each in ZONES:
                check_node(world, each, quiet=world.clock.monotonic() - since[each])
                assert each not in refusing or ready(world, each) == "False"
            now = world.clock.monotonic()
            if not faults and world.silent == set(ZONES) and all(now - at > GRACE + 20 for at in since.values()):
                assert not any(leaving(world, each) for each in ZONES)
        check_rates(world)
        check_pods(world, ever)
        await end(world, ever)
    finally:
        world.faults = 0
        await world.stop()


def check_node(world: World, name: str, *, quiet: float) -> None:
    """What holds at every moment, whatever the faults were."""
    if name not in world.silent:
        assert ready(world, name) != "Unknown"
    elif world.faults == 0 and quiet > GRACE + 20:
        assert ready(world, name) == "Unknown"
    if world.faults == 0 and ready(world, name) == "True" and quiet > 1:
        assert not leaving(world, name)


def check_rates(world: World) -> None:
    """In any span of time, no more than a manager's one and what the rate allows."""
    for zone in ("a", "b"):
        moments = [at for at, what, name in world.log if what == "emptied" and ZONES[name] == zone]
        for index, first in enumerate(moments):
            for count, last in enumerate(moments[index:], start=1):
                assert count <= world.starts + RATE * (last - first) + 1e-6


def check_pods(world: World, ever: set[str]) -> None:
    for _, what, name in world.log:
        if what == "deleted":
            assert name.partition("-")[0] in ever
            assert not name.endswith("always")


async def end(world: World, ever: set[str]) -> None:
    """One node of each zone lives, another is silent for good: its pods go, each at its time, and no others do."""
    world.faults = 0
    for name in ZONES:
        world.silent.discard(name)
        world.beat(name)
        world.report(name, "True")
    await world.run(200)
    for name in ZONES:
        assert not leaving(world, name)
        assert ready(world, name) == "True"
    before = len(world.log)
    world.silent |= {"a0", "b0"}
    await world.run(400)
    for name in ZONES:
        assert list(leaving(world, name)) == ([UNREACHABLE] if name in world.silent else [])
    left = {key.partition("/")[2]: pod for key, pod in world.objects["pods"].items()}
    for name in ("a0", "b0"):
        assert "deletionTimestamp" not in left[f"{name}-always"]["metadata"]
        for kind in ("never", "later"):
            pod = left.get(f"{name}-{kind}")
            assert pod is None or "deletionTimestamp" in pod["metadata"]
            if pod is not None:
                told = {condition["type"]: condition for condition in pod["status"]["conditions"]}
                assert told["DisruptionTarget"]["reason"] == "DeletionByTaintManager"
                assert told["Ready"]["status"] == "False"
    assert {name.partition("-")[0] for _, what, name in world.log[before:] if what == "deleted"} <= world.silent


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_HISTORY, st.integers(0, 1000))
def test_histories(history: list[tuple[str, str, int]], seed: int) -> None:
    run(live(history, seed=seed, faults=0.0))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_HISTORY, st.integers(0, 1000))
def test_histories_with_broken_connections(history: list[tuple[str, str, int]], seed: int) -> None:
    run(live(history, seed=seed, faults=0.2))


async def test_nodes_of_a_zone_are_emptied_one_by_one() -> None:
    world = World(Random(1))
    for number in range(20):
        world.node(f"n{number:02}")
    world.start()
    await world.run(1)
    world.silent |= {f"n{number:02}" for number in range(8)}
    await world.run(300)
    moments = [at for at, what, _ in world.log if what == "emptied"]
    assert len(moments) == 8
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert all(gap == pytest.approx(10, abs=0.1) for gap in gaps)
    await world.stop()


@pytest.mark.parametrize(("size", "gone", "expected"), [(10, 6, 0), (60, 40, 4)])
async def test_a_disrupted_zone_is_emptied_slowly_if_it_is_large_and_not_at_all_if_it_is_small(
    size: int, gone: int, expected: int
) -> None:
    """More than half of the zone at once, for five minutes after that was noticed; another zone is as ever."""
    world = World(Random(1))
    names = [f"n{number:02}" for number in range(size)]
    for name in names:
        world.node(name, "big")
    for number in range(3):
        world.node(f"o{number}", "other")
    world.start()
    await world.run(1)
    world.silent |= set(names[:gone])
    await world.run(60 + 300)
    emptied = [name for _, what, name in world.log if what == "emptied"]
    assert expected <= len(emptied) <= expected + 1
    await world.stop()


async def test_when_all_zones_are_out_nobody_leaves_until_one_node_is_back() -> None:
    world = World(Random(1))
    for name, zone in ZONES.items():
        world.node(name, zone)
        world.pod(f"{name}-later", name, *tolerating(100))
    world.start()
    await world.run(1)
    world.silent |= {"a0"}
    await world.run(70)
    assert leaving(world, "a0")
    world.silent |= set(ZONES)
    await world.run(70)
    assert {ready(world, name) for name in ZONES} == {"Unknown"}
    await world.run(1000)
    assert not any(leaving(world, name) for name in ZONES)
    assert not [name for _, what, name in world.log if what == "deleted"]
    assert "Cancelling deletion of Pod default/a0-later" in world.said
    world.silent -= {"b1"}
    world.report("b1", "True")
    await world.run(9)
    assert not any(leaving(world, name) for name in ZONES)
    await world.run(30)
    assert all(bool(leaving(world, name)) == name.startswith("a") for name in ("a0", "a1", "a2", "b1"))
    await world.stop()
