from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.controllers.endpoints.plan import MAX_ADDRESSES, labels, subsets, truncate

from .builders import pod, service


def ips(addresses):
    return [address.ip for address in addresses]


def test_publishing_whatever_there_is():
    svc = service(publishNotReadyAddresses=True)
    assert ips(subsets(svc, [pod(ready=False)])[0].addresses) == ["10.0.0.1"]
    assert ips(subsets(svc, [pod(deleting=True)])[0].addresses) == ["10.0.0.1"]


def test_named_ports_are_looked_up_in_each_pod():
    svc = service(ports=[{"port": 80, "targetPort": "http", "appProtocol": "http"}])
    one = pod("a", ip="10.0.0.1", containers=[{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}])
    two = pod("b", ip="10.0.0.2", containers=[{"name": "c", "ports": [{"name": "http", "containerPort": 9090}]}])
    made = subsets(svc, [one, two])
    assert {s.ports[0].port: s.addresses[0].ip for s in made} == {8080: "10.0.0.1", 9090: "10.0.0.2"}
    assert made[0].ports[0].app_protocol == "http"


def test_pods_that_ended_or_have_no_address_are_left_out():
    assert subsets(service(), [pod(phase="Failed"), pod(ip="")]) == []


def test_terminating_pods_are_not_in_endpoints():
    assert subsets(service(), [pod(deleting=True)]) == []
    assert ips(subsets(service(), [pod(ready=False)])[0].not_ready_addresses) == ["10.0.0.1"]


def test_a_headless_service_needs_no_ports_and_says_so():
    svc = service(ports=[], clusterIP="None", labels={"team": "a"})
    [only] = subsets(svc, [pod(hostname="db-0", subdomain="web")])
    assert only.ports == () and only.addresses[0].hostname == "db-0"
    assert labels(svc) == {
        "team": "a",
        "endpoints.kubernetes.io/managed-by": "endpoint-controller",
        "service.kubernetes.io/headless": "",
    }
    assert subsets(service(ports=[]), [pod()]) == []


def test_only_the_first_family_is_listed():
    svc = service(ipFamilies=["IPv6", "IPv4"])
    assert ips(subsets(svc, [pod(ip="fd00::1"), pod(ip="10.0.0.1")])[0].addresses) == ["fd00::1"]


def test_addresses_are_in_the_order_of_numbers():
    pods = [pod(ip=ip) for ip in ("10.0.0.10", "10.0.0.9", "9.255.0.1")]
    assert ips(subsets(service(), pods)[0].addresses) == ["9.255.0.1", "10.0.0.9", "10.0.0.10"]


def _ip(number: int) -> str:
    return f"10.1.{number // 250}.{number % 250 + 1}"


def test_no_more_than_a_thousand_and_ready_ones_first():
    pods = [pod(f"p{n}", ip=_ip(n), ready=n >= 300) for n in range(1200)]
    cut, over = truncate(subsets(service(), pods))
    assert over
    assert (len(cut[0].addresses), len(cut[0].not_ready_addresses)) == (900, 100)
    assert truncate(subsets(service(), pods[:1000]))[1] is False


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 700), st.integers(0, 700)), min_size=1, max_size=4))
def test_truncation_keeps_as_many_as_there_is_room_for(sizes):
    [whole] = subsets(service(), [pod("p", ip="10.0.0.1")])
    address = whole.addresses[0]
    made = [
        replace(whole, addresses=(address,) * ready, not_ready_addresses=(address,) * rest) for ready, rest in sizes
    ]
    cut, over = truncate(made)
    ready, rest = sum(size[0] for size in sizes), sum(size[1] for size in sizes)
    assert over == (ready + rest > MAX_ADDRESSES)
    assert sum(len(s.addresses) for s in cut) == min(ready, MAX_ADDRESSES)
    assert sum(len(s.addresses) + len(s.not_ready_addresses) for s in cut) == min(ready + rest, MAX_ADDRESSES)
