from __future__ import annotations

from k8slite.kubelet.addresses import PodAddresses


def test_a_pod_keeps_its_address_until_it_is_gone() -> None:
    addresses = PodAddresses()
    addresses.configure("10.0.1.0/24", used={"old": "10.0.1.1", "host-network": ""})
    assert addresses.give("old") == "10.0.1.1"
    assert addresses.give("new") == addresses.give("new") == "10.0.1.2"
    addresses.release("new")
    assert addresses.give("next") == "10.0.1.3"


def test_a_node_that_gets_another_range_gives_addresses_of_that_one() -> None:
    addresses = PodAddresses()
    addresses.move("10.0.9.0/24")  # nothing runs before the first range is known
    addresses.configure("10.0.1.0/24", used={"old": "10.0.1.1"})
    addresses.move("10.0.1.0/24")
    assert addresses.give("same") == "10.0.1.2"
    addresses.move("")
    addresses.move("10.0.2.0/24")
    assert (addresses.give("old"), addresses.give("new")) == ("10.0.1.1", "10.0.2.1")
