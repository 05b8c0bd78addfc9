"""Single stories of nodes and their pods in virtual time: restarts, nodes that come back, networks that run short."""

from __future__ import annotations

import asyncio
import ipaddress
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k8slite.config import ControllerManagerConfig
from k8slite.controllers.nodeipam import sync as networks
from k8slite.controllers.ttl import sync as ttl

from .node_world import World

TAINT = {"key": "example.com/down", "effect": "NoExecute"}


def tolerating(seconds: int) -> dict[str, object]:
    return {"key": TAINT["key"], "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}


def taint(world: World, node: str, **more: str) -> None:
    found = world.objects["nodes"][node]
    spec = found["spec"] | {"taints": [TAINT | more] if more else [TAINT]}
    world.put("nodes", node, found | {"spec": spec})


@pytest.mark.parametrize("faults", [0.0, 0.3])
async def test_a_restart_changes_no_pods_time(faults: float) -> None:
    world = World(Random(3), faults=faults)
    world.node("n1")
    world.pod("later", "n1", tolerating(100))
    world.start()
    await world.run(5)
    taint(world, "n1", timeAdded="2026-01-01T00:00:05Z")
    await world.run(50)
    await world.stop()
    world.start()
    await world.run(105 - world.clock.monotonic() - 0.1)
    assert "default/later" in world.objects["pods"]
    await world.run(2)
    assert "default/later" not in world.objects["pods"]
    [moment] = {at for at, what, _ in world.log if what == "deleted"}
    assert moment == pytest.approx(105, abs=1)
    await world.stop()


async def test_a_pod_that_comes_to_a_tainted_node_has_its_time_too() -> None:
    world = World(Random(3))
    world.node("n1")
    world.start()
    await world.run(1)
    taint(world, "n1")
    await world.run(30)
    world.pod("late", "n1", tolerating(100))
    world.pod("never", "n1")
    await world.run(1)
    assert set(world.objects["pods"]) == {"default/late"}
    await world.run(71)
    assert not world.objects["pods"]
    await world.stop()


@pytest.mark.parametrize("faults", [0.0, 0.3])
async def test_pods_of_a_node_that_is_gone_fail_and_go(faults: float) -> None:
    world = World(Random(5), faults=faults)
    for name in ("n1", "n2"):
        world.node(name)
        world.pod(f"on-{name}", name)
    world.start()
    await world.run(1)
    world.silent.add("n1")
    world.put("nodes", "n1", None)
    await world.run(35)
    await world.stop()
    world.start()
    assert set(world.objects["pods"]) == {"default/on-n1", "default/on-n2"}
    await world.run(80 if faults else 43)
    status = world.last["on-n1"]["status"]
    assert status["phase"] == "Failed"
    [why] = [condition for condition in status["conditions"] if condition["type"] == "DisruptionTarget"]
    assert (why["reason"], why["message"]) == ("DeletionByPodGC", "PodGC: node no longer exists")
    assert set(world.objects["pods"]) == {"default/on-n2"}
    await world.stop()


async def test_a_node_that_is_there_again_in_time_keeps_its_pods() -> None:
    world = World(Random(5))
    world.node("n1")
    world.node("n2")
    world.pod("stays", "n1")
    world.start()
    await world.run(1)
    world.put("nodes", "n1", None)
    await world.run(39)
    world.node("n1")
    await world.run(300)
    assert set(world.objects["pods"]) == {"default/stays"}
    assert world.log == []
    await world.stop()


_MOVES = st.lists(
    st.tuples(st.sampled_from(["come", "come", "go", "restart", "wait"]), st.integers(0, 9)), min_size=1, max_size=25
)


async def share_out(moves: list[tuple[str, int]], *, seed: int, faults: float) -> None:
    config = ControllerManagerConfig(kubeconfig=Path("unused"), cluster_cidr="10.0.0.0/21,fd00::/61")
    world = World(Random(seed), faults=faults, config=config)
    world.start(networks.build)
    try:
        for what, number in moves:
            name = f"n{number}"
            if what == "come" and name not in world.objects["nodes"]:
                world.node(name)
            elif what == "go":
                world.put("nodes", name, None)
            elif what == "restart":
                await world.stop()
                world.start(networks.build)
            elif what == "wait":
                await world.run(5)
            check_networks(world)
        world.faults = 0
        await world.run(200)
        check_networks(world)
        served = [name for name, node in world.objects["nodes"].items() if "podCIDRs" in node["spec"]]
        assert len(served) == min(7, len(world.objects["nodes"]))
    finally:
        world.faults = 0
        await world.stop()


def check_networks(world: World) -> None:
    given = [node["spec"]["podCIDRs"] for node in world.objects["nodes"].values() if "podCIDRs" in node["spec"]]
    assert all(["." in first, ":" in second] == [True, True] for first, second in given)
    held = [ipaddress.ip_network(cidr) for cidrs in given for cidr in cidrs]
    assert len(set(held)) == len(held)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_MOVES, st.integers(0, 1000), st.sampled_from([0.0, 0.3]))
def test_networks_are_shared_out_whatever_breaks(moves: list[tuple[str, int]], seed: int, faults: float) -> None:
    """Seven blocks for up to ten nodes: nobody has another's, and in the end as many have one as there are."""
    asyncio.run(share_out(moves, seed=seed, faults=faults))


async def test_all_nodes_are_told_when_the_cluster_has_grown() -> None:
    world = World(Random(1))
    world.start(ttl.build)
    key = "node.alpha.kubernetes.io/ttl"

    def told() -> set[str]:
        return {node["metadata"].get("annotations", {}).get(key, "") for node in world.objects["nodes"].values()}

    for count, expected in ((100, "0"), (101, "15"), (95, "15"), (89, "0")):
        for number in range(101):
            name = f"n{number}"
            if number < count and name not in world.objects["nodes"]:
                world.node(name)
            elif number >= count:
                world.put("nodes", name, None)
        for _ in range(20):
            await world.clock.advance(0.5)
        assert told() == {expected}
    await world.stop()
