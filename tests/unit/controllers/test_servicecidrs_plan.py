from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.controllers.servicecidrs.plan import needed, plan
from k8slite.kinds.networking import IPAddress, ServiceCIDR

from .builders import T0, at

FINALIZER = "networking.k8s.io/service-cidr-finalizer"


def cidr(name="more", *ranges, deleting=False, finalizers=(FINALIZER,), ready=None):
    metadata = {"name": name, "uid": name, "finalizers": list(finalizers)}
    if deleting:
        metadata["deletionTimestamp"] = T0
    conditions = [{"type": "Ready", "status": ready, "reason": "Terminating"}] if ready else []
    return ServiceCIDR.model_validate(
        {"metadata": metadata, "spec": {"cidrs": list(ranges)}, "status": {"conditions": conditions}}
    )


def address(ip, manager="ipallocator.k8s.io"):
    return IPAddress.model_validate(
        {"metadata": {"name": ip, "labels": {"ipaddress.kubernetes.io/managed-by": manager}}}
    )


def test_a_new_range_gets_its_finalizer_and_is_ready():
    decided = plan(cidr(finalizers=["a/b"]), others=[], addresses=[], now=T0)
    assert decided.finalizers == ("a/b", FINALIZER)
    assert (decided.condition["type"], decided.condition["status"]) == ("Ready", "True")
    settled = plan(cidr(ready="True"), others=[], addresses=[], now=T0)
    assert (settled.finalizers, settled.condition, settled.after) == (None, None, None)


def test_a_range_with_addresses_stays_and_says_why():
    going = cidr("more", "10.1.0.0/24", deleting=True, ready="True")
    decided = plan(going, others=[going], addresses=[address("10.1.0.7")], now=at(60))
    assert decided.finalizers is None and decided.after is None
    assert (
        decided.condition["reason"] == "Terminating" and "There are still IPAddresses" in decided.condition["message"]
    )
    told = cidr("more", "10.1.0.0/24", deleting=True, ready="False")
    assert plan(told, others=[told], addresses=[address("10.1.0.7")], now=at(60)).condition is None


def test_a_range_that_nobody_needs_goes_after_a_while():
    going = cidr("more", "10.1.0.0/24", deleting=True, finalizers=["a/b", FINALIZER])
    assert plan(going, others=[going], addresses=[], now=at(4)).after == 6.0
    assert plan(going, others=[going], addresses=[], now=at(10)).finalizers == ("a/b",)
    assert plan(cidr(deleting=True, finalizers=["a/b"]), others=[], addresses=[], now=at(60)).finalizers is None


@pytest.mark.parametrize(
    ("others", "addresses", "outcome"),
    [
        ([], ["10.1.0.7"], True),
        ([], ["10.2.0.7"], False),
        ([cidr("wide", "10.1.0.0/16")], ["10.1.0.7"], False),
        ([cidr("same", "10.1.0.0/24")], ["10.1.0.7"], False),
        ([cidr("wide", "10.1.0.0/16", deleting=True)], ["10.1.0.7"], True),
        ([cidr("narrow", "10.1.0.0/28")], ["10.1.0.7"], False),
        ([cidr("narrow", "10.1.0.0/28")], ["10.1.0.7", "10.1.0.77"], True),
    ],
)
def test_who_needs_a_range(others, addresses, outcome):
    going = cidr("more", "10.1.0.0/24", deleting=True)
    assert needed(going, others=[going, *others], addresses=[address(ip) for ip in addresses]) is outcome
    assert not needed(going, others=[going], addresses=[address("10.1.0.7", manager="me")])


_RANGES = st.lists(
    st.builds(
        lambda start, length: f"10.0.0.{start << (32 - length) & 255}/{length}",
        st.integers(0, 255),
        st.integers(26, 31),
    ),
    min_size=1,
    max_size=5,
)


@given(_RANGES, st.sets(st.integers(0, 5)), st.lists(st.integers(0, 255), max_size=8))
def test_no_address_is_ever_left_without_a_range(ranges, going, numbers):
    ranges = [text for text in ranges if _valid(text)]
    cidrs = [cidr(str(n), text, deleting=n in going) for n, text in enumerate(ranges)]
    inside = [
        f"10.0.0.{n}"
        for n in numbers
        if any(ipaddress.ip_address(f"10.0.0.{n}") in ipaddress.ip_network(r) for r in ranges)
    ]
    there = list(cidrs)
    for item in cidrs:
        addresses = [address(ip) for ip in inside]
        if item.deleting and plan(item, others=there, addresses=addresses, now=at(60)).finalizers == ():
            there.remove(item)
    for ip in inside:
        assert any(ipaddress.ip_address(ip) in ipaddress.ip_network(text) for item in there for text in item.spec.cidrs)


def _valid(text):
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True
