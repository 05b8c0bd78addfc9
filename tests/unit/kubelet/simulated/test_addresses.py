"""Pod addresses of simulated nodes."""

from __future__ import annotations

import ipaddress
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.config import ConfigError
from k8slite.kubelet.simulated.addresses import Block, NoAddress, blocks


def test_each_pod_has_an_address_of_its_own_and_keeps_it() -> None:
    block = Block.of("10.1.2.0/24")
    assert [block.give("a"), block.give("b"), block.give("a")] == ["10.1.2.2", "10.1.2.3", "10.1.2.2"]
    block.release("a")
    assert block.give("c") == "10.1.2.2"


def test_addresses_that_are_out_are_not_given_again() -> None:
    block = Block.of("10.1.2.0/24")
    block.keep("old", "10.1.2.2")
    block.keep("elsewhere", "10.9.9.9")
    block.keep("broken", "")
    assert block.give("new") == "10.1.2.3"
    assert block.give("old") == "10.1.2.2"


def test_a_block_that_is_used_up_says_so() -> None:
    block = Block.of("10.1.2.0/29")
    assert [block.give(str(number)) for number in range(5)] == [f"10.1.2.{number}" for number in range(2, 7)]
    with pytest.raises(NoAddress, match=r"none of the 8 addresses from 10\.1\.2\.0 is left"):
        block.give("one more")


@given(nodes=st.integers(1, 300), pods=st.integers(1, 300))
def test_every_node_has_a_block_with_room_for_its_pods_and_none_overlap(nodes: int, pods: int) -> None:
    cut = blocks("100.64.0.0/11", nodes=nodes, pods=pods)
    networks = [ipaddress.IPv4Network(cidr) for cidr in cut]
    assert all(one.broadcast_address < two.network_address for one, two in itertools.pairwise(networks))
    assert len(cut) == nodes
    block = Block.of(cut[-1])
    given_out = {block.give(str(number)) for number in range(pods)}
    assert len(given_out) == pods
    assert all(ipaddress.ip_address(one) in networks[-1] for one in given_out)


@pytest.mark.parametrize(("cidr", "told"), [("10.0.0.0/24", "has room for 2 nodes of 110 pods"), ("here", "podCidr")])
def test_a_range_that_is_too_small_is_refused(cidr: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        blocks(cidr, nodes=3, pods=110)
