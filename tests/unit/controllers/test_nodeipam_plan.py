import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.config import ConfigError
from k8slite.controllers.nodeipam.plan import Blocks


def test_the_first_block_is_nobodys_and_each_block_is_given_once():
    blocks = Blocks("10.42.0.0/22", 24)
    assert [blocks.allocate() for _ in range(4)] == ["10.42.1.0/24", "10.42.2.0/24", "10.42.3.0/24", None]
    blocks.give_back("10.42.2.0/24")
    assert blocks.allocate() == "10.42.2.0/24"


def test_what_nodes_have_already_is_respected():
    blocks = Blocks("10.42.0.0/22", 24)
    blocks.take("10.42.0.0/23")
    blocks.take("192.168.0.0/16")
    blocks.take("not a network")
    assert blocks.allocate() == "10.42.2.0/24"


@pytest.mark.parametrize(("cidr", "mask"), [("10.42.0.0/24", 24), ("10.42.0.0/16", 40), ("nonsense", 24)])
def test_impossible_settings(cidr, mask):
    with pytest.raises(ConfigError):
        Blocks(cidr, mask)


@given(st.lists(st.one_of(st.none(), st.integers(0, 20)), max_size=60))
def test_blocks_never_overlap(moves):
    blocks = Blocks("fd00::/59", 64)
    held = []
    for move in moves:
        if move is None:
            if block := blocks.allocate():
                held.append(block)
        elif held:
            blocks.give_back(held.pop(move % len(held)))
        networks = [ipaddress.ip_network(block) for block in held]
        assert len(set(networks)) == len(networks)
        assert ipaddress.ip_network("fd00::/64") not in networks
