import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from k8slite.kubelet.network import AddressPool, AddressPoolExhausted

CIDRS = st.sampled_from(["10.42.1.0/24", "10.42.2.0/29", "10.42.3.8/30", "fd00:42::/64", "10.0.0.0/31", "10.0.0.1/32"])


def test_first_address_follows_the_network_address():
    assert AddressPool("10.42.1.0/24", []).allocate() == "10.42.1.1"


def test_search_goes_on_behind_the_highest_address_in_use():
    assert AddressPool("10.42.1.0/24", ["10.42.1.7"]).allocate() == "10.42.1.8"


def test_released_address_rests_before_it_is_used_again():
    pool = AddressPool("10.42.1.0/24")
    pool.release(pool.allocate())
    assert pool.allocate() == "10.42.1.2"


def test_addresses_of_other_ranges_do_not_disturb():
    assert AddressPool("10.42.1.0/24", ["10.42.9.9", "192.0.2.1"]).allocate() == "10.42.1.1"


def test_exhausted_pool_says_which_range():
    pool = AddressPool("10.42.2.0/30")
    assert [pool.allocate(), pool.allocate()] == ["10.42.2.1", "10.42.2.2"]
    with pytest.raises(AddressPoolExhausted, match=r"10\.42\.2\.0/30"):
        pool.allocate()
    pool.release("10.42.2.1")
    assert pool.allocate() == "10.42.2.1"


@given(cidr=CIDRS, count=st.integers(0, 300))
def test_every_address_is_inside_and_handed_out_once(cidr: str, count: int):
    network = ipaddress.ip_network(cidr)
    pool = AddressPool(cidr)
    seen: set[str] = set()
    try:
        for _ in range(count):
            address = pool.allocate()
            assert address not in seen
            assert ipaddress.ip_address(address) in network
            seen.add(address)
    except AddressPoolExhausted:
        assert len(seen) >= network.num_addresses - 2
    rebuilt = AddressPool(cidr, seen)
    assert all(address in rebuilt for address in seen)


class Churn(RuleBasedStateMachine):
    """Pods come and go; no two living ones ever share an address."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = AddressPool("10.42.2.0/28")
        self.living: list[str] = []

    @rule()
    def start(self) -> None:
        try:
            self.living.append(self.pool.allocate())
        except AddressPoolExhausted:
            assert len(self.living) == 14

    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        if self.living:
            address = data.draw(st.sampled_from(self.living))
            self.living.remove(address)
            self.pool.release(address)

    @rule()
    def restart(self) -> None:
        self.pool = AddressPool("10.42.2.0/28", self.living)

    @invariant()
    def unique(self) -> None:
        assert len(set(self.living)) == len(self.living)


TestChurn = Churn.TestCase
