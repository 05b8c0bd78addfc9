"""Pod networks: no two nodes have the same, whatever comes, goes or is refused."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.config import ConfigError, ControllerManagerConfig
from k8slite.controllers.nodeipam.plan import Blocks, Ranges, ranges


def config(**settings: Any) -> ControllerManagerConfig:
    return ControllerManagerConfig(kubeconfig=Path("unused"), **settings)


def test_the_first_block_is_nobodys_and_each_block_is_given_once() -> None:
    blocks = Blocks("10.42.0.0/22", 24)
    assert [blocks.allocate() for _ in range(4)] == ["10.42.1.0/24", "10.42.2.0/24", "10.42.3.0/24", None]
    blocks.give_back("10.42.2.0/24")
    assert blocks.allocate() == "10.42.2.0/24"


def test_what_nodes_have_already_is_respected() -> None:
    blocks = Blocks("10.42.0.0/22", 24)
    blocks.take("10.42.0.0/23")
    blocks.take("192.168.0.0/16")
    blocks.take("not a network")
    assert blocks.allocate() == "10.42.2.0/24"


def test_a_block_that_two_nodes_have_is_free_when_both_are_gone() -> None:
    made = ranges(config(cluster_cidr="10.42.0.0/23"))
    made.holds("a", ["10.42.1.0/24"])
    made.holds("b", ["10.42.1.0/24"])
    made.release("a")
    assert made.allocate("c") is None
    made.release("b")
    assert made.allocate("c") == ("10.42.1.0/24",)


def test_a_node_is_offered_the_same_until_it_is_gone() -> None:
    made = ranges(config())
    first = made.allocate("a")
    assert made.allocate("a") is first
    made.holds("a", first or ())
    assert made.release("a")
    assert not made.release("a")
    assert made.allocate("a") != first


def test_both_families_come_in_the_order_of_the_setting() -> None:
    made = ranges(config(cluster_cidr="fd00:10::/56, 10.42.0.0/16", node_cidr_mask_size_ipv4=26))
    assert made.allocate("a") == ("fd00:10:0:1::/64", "10.42.0.64/26")
    assert made.allocate("b") == ("fd00:10:0:2::/64", "10.42.0.128/26")


def test_nothing_is_kept_of_a_family_when_the_other_has_none_left() -> None:
    made = ranges(config(cluster_cidr="10.42.0.0/22,fd00::/62"))
    assert [made.allocate(name) is not None for name in "abcd"] == [True, True, True, False]
    made.release("b")
    assert made.allocate("d") == ("10.42.2.0/24", "fd00:0:0:2::/64")


def test_the_networks_of_services_are_nobodys() -> None:
    made = ranges(config(cluster_cidr="10.42.0.0/21", service_cluster_ip_range="10.42.2.0/23,fd00::/112"))
    given = [made.allocate(name) for name in "abcdef"]
    assert given == [(f"10.42.{part}.0/24",) for part in (1, 4, 5, 6, 7)] + [None]


@pytest.mark.parametrize(
    "settings",
    [
        {"cluster_cidr": "10.42.0.0/24"},
        {"node_cidr_mask_size": 40},
        {"cluster_cidr": "nonsense"},
        {"cluster_cidr": ""},
        {"cluster_cidr": "10.42.0.0/16,10.43.0.0/16"},
        {"cluster_cidr": "10.42.0.0/16,fd00::/48,10.43.0.0/16"},
        {"cluster_cidr": "10.42.0.0/16,fd00::/48", "node_cidr_mask_size": 24},
        {"service_cluster_ip_range": "nonsense"},
    ],
)
def test_impossible_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ranges(config(**settings))


def test_five_thousand_nodes_have_networks_of_their_own_after_a_restart_too() -> None:
    wide = config(cluster_cidr="10.0.0.0/11,fd00::/48")
    first, again = ranges(wide), ranges(wide)
    for number in range(5000):
        again.holds(f"n{number}", first.allocate(f"n{number}") or ())
    given = [again.allocate(f"n{number}") for number in range(5100)]
    assert None not in given
    assert len({cidr for each in given for cidr in each or ()}) == 2 * 5100


_MOVES = st.lists(
    st.tuples(st.sampled_from(["come", "go", "restart", "brings"]), st.integers(0, 9), st.integers(0, 40)), max_size=60
)


@given(_MOVES)
def test_networks_never_overlap(moves: list[tuple[str, int, int]]) -> None:
    """Nodes come and go, some bring networks of their own, and the manager is started anew in between."""
    setting = config(cluster_cidr="10.42.0.0/20,fd00::/60", service_cluster_ip_range="10.42.4.0/23")
    made: Ranges = ranges(setting)
    held: dict[str, tuple[str, ...]] = {}
    brought: set[str] = set()
    for what, number, part in moves:
        name = f"n{number}"
        if what == "come" and name not in held:
            cidrs = made.allocate(name)
            if cidrs is not None:
                theirs = {ipaddress.ip_network(cidr) for each in brought for cidr in held[each]}
                assert theirs.isdisjoint(map(ipaddress.ip_network, cidrs))
                held[name] = cidrs
            else:
                taken = {int(cidr.split(".")[2]) for cidrs in held.values() for cidr in cidrs if "." in cidr}
                six = {cidrs[1] for cidrs in held.values() if len(cidrs) > 1}
                assert len(taken - {0, 4, 5}) == 13 or len(six) == 15
        elif what == "go":
            made.release(name)
            held.pop(name, None)
            brought.discard(name)
        elif what == "brings" and name not in held:
            held[name] = (f"10.42.{part % 16}.0/24",)
            brought.add(name)
            made.holds(name, held[name])
        elif what == "restart":
            made = ranges(setting)
            for each, cidrs in held.items():
                made.holds(each, cidrs)
        ours = [ipaddress.ip_network(cidr) for each in held.keys() - brought for cidr in held[each]]
        assert len(set(ours)) == len(ours)
        assert not any(mine.overlaps(services) for mine in ours for services in _NOBODYS[mine.version])


_NOBODYS = {
    4: [ipaddress.ip_network("10.42.4.0/23"), ipaddress.ip_network("10.42.0.0/24")],
    6: [ipaddress.ip_network("fd00::/64")],
}
