"""Services to rules, walked by packets. Addresses: pods 10.42/16, Services 10.96/16, this machine 192.0.2.1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.proxy.services.flows import StaleFlow, stale_flows
from k8slite.proxy.services.model import Endpoint, Frontend, Target, frontends
from k8slite.proxy.services.render import Rules, Ruleset, rules, script
from k8slite.proxy.services.table import TableSettings, recreate

from .objects import endpoint, piece, service
from .tracer import Nft, Packet, Verdict

VIP, HERE, CLIENT, WORLD = "10.96.0.20", "192.0.2.1", "10.42.1.1", "203.0.113.9"
ONE, TWO = "10.42.1.2", "10.42.1.3"
SETTINGS = TableSettings(name="t", bridge="br0", cluster_cidr="10.42.0.0/16", service_cidr="10.96.0.0/16")


def nft_with(*pairs: tuple, settings: TableSettings = SETTINGS) -> Nft:
    ruleset = Ruleset()
    for each, *slices in pairs:
        ruleset.put(each.key, rules(frontends(each, slices, nodes=["node-1"])))
    nft = Nft(local=frozenset({HERE, "127.0.0.1"}))
    nft.run(recreate(settings) + script("t", ruleset.whole()))
    return nft


def send(nft: Nft, destination: str, port: int, *, source: str = CLIENT, **fields) -> Verdict:
    hooks = {"hooks": fields.pop("hooks")} if "hooks" in fields else {}
    return nft.send(
        Packet(source, destination, port, iif=fields.pop("iif", "br0"), oif=fields.pop("oif", "br0"), **fields), **hooks
    )


def reached(nft: Nft, destination: str, port: int, *, count: int = 12, **fields) -> set[str]:
    numbers = cycle(range(120))
    nft.draw = lambda below: next(numbers) % below
    return {send(nft, destination, port, **fields).reached for _ in range(count)}


BOTH = {f"{ONE}:8080", f"{TWO}:8080"}


def test_cluster_ip_reaches_every_endpoint_and_keeps_the_client():
    nft = nft_with((service(), piece(ONE, TWO)))
    assert reached(nft, VIP, 80) == BOTH
    assert not send(nft, VIP, 80).masqueraded


def test_pod_that_meets_itself_is_masqueraded():
    nft = nft_with((service(), piece(ONE)))
    assert send(nft, VIP, 80, source=ONE) == Verdict(f"{ONE}:8080", masqueraded=True)


def test_client_on_loopback_is_masqueraded():
    nft = nft_with((service(type="NodePort", ports=[{"name": "http", "port": 80, "nodePort": 30080}]), piece(ONE)))
    assert send(nft, "127.0.0.1", 30080, source="127.0.0.1") == Verdict(f"{ONE}:8080", masqueraded=True)


def test_node_port_from_the_world_keeps_the_client_unless_it_leaves_again():
    nft = nft_with((service(type="NodePort", ports=[{"name": "http", "port": 80, "nodePort": 30080}]), piece(ONE)))
    assert send(nft, HERE, 30080, source=WORLD) == Verdict(f"{ONE}:8080")
    assert send(nft, HERE, 30080, source=WORLD, oif="eth0").masqueraded


def test_without_bridge_filtering_pods_are_hidden_from_each_other():
    unfiltered = TableSettings(
        name="t", bridge="br0", cluster_cidr="10.42.0.0/16", service_cidr="10.96.0.0/16", bridge_filtered=False
    )
    nft = nft_with((service(), piece(ONE)), settings=unfiltered)
    assert send(nft, VIP, 80).masqueraded
    assert not send(nft, ONE, 8080).masqueraded


def test_pod_traffic_that_leaves_the_cluster_is_masqueraded():
    nft = nft_with()
    assert send(nft, WORLD, 443, oif="eth0").masqueraded
    assert not send(nft, "10.42.9.9", 443, oif="eth0").masqueraded


@pytest.mark.parametrize(("destination", "port"), [(VIP, 80), (HERE, 30080), ("198.51.100.7", 80)])
def test_every_frontend_without_endpoints_is_refused(destination: str, port: int):
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    nft = nft_with((service(type="NodePort", ports=ports, externalIPs=["198.51.100.7"]), piece()))
    assert send(nft, destination, port).reached == "reject"


def test_unknown_ports_and_addresses_of_the_service_range_are_refused():
    nft = nft_with((service(), piece(ONE)))
    assert send(nft, VIP, 81).reached == "reject"
    assert send(nft, "10.96.7.7", 80).reached == "reject"


def test_node_ports_answer_only_where_configured():
    limited = TableSettings(
        name="t",
        bridge="br0",
        cluster_cidr="10.42.0.0/16",
        service_cidr="10.96.0.0/16",
        node_port_addresses=("192.0.2.0/24",),
    )
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    nft = nft_with((service(type="NodePort", ports=ports), piece(ONE)), settings=limited)
    assert send(nft, HERE, 30080).reached == f"{ONE}:8080"
    assert send(nft, "127.0.0.1", 30080, iif="lo").reached == "127.0.0.1:30080"


def test_affinity_keeps_each_client_where_it_was():
    nft = nft_with((service(sessionAffinity="ClientIP"), piece(ONE, TWO)))
    for client in ("10.42.1.7", "10.42.1.8", "10.42.1.9"):
        assert len(reached(nft, VIP, 80, source=client)) == 1


def test_affinity_time_is_the_services():
    config = {"clientIP": {"timeoutSeconds": 60}}
    each = service(sessionAffinity="ClientIP", sessionAffinityConfig=config)
    assert {chain.clients for chain in rules(frontends(each, [piece(ONE)], nodes=[])).chains} == {60, 0}


def test_load_balancer_address_is_a_frontend():
    each = service(type="LoadBalancer")
    each = each.model_validate({**each.to_wire(), "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.77"}]}}})
    assert reached(nft_with((each, piece(ONE, TWO))), "192.0.2.77", 80) == BOTH


def balanced(*, mode: str = "VIP", **spec):
    each = service(type="LoadBalancer", **spec)
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.77", "ipMode": mode}]}}
    return each.model_validate({**each.to_wire(), "status": status})


def test_an_address_that_a_balancer_passes_on_is_no_frontend():
    nft = nft_with((balanced(mode="Proxy"), piece(ONE)))
    assert send(nft, "192.0.2.77", 80).reached == "192.0.2.77:80"


@pytest.mark.parametrize(
    ("ranges", "client", "expected"),
    [
        (["203.0.113.0/24"], WORLD, f"{ONE}:8080"),
        (["203.0.113.8/29", "203.0.113.0/24", "fd00::/8"], WORLD, f"{ONE}:8080"),
        (["198.51.100.0/24"], WORLD, "drop"),
        (["198.51.100.0/24"], CLIENT, "drop"),
        (["198.51.100.7/24"], WORLD, "drop"),
        (["0.0.0.0/0"], WORLD, f"{ONE}:8080"),
        (["fd00::/8"], WORLD, f"{ONE}:8080"),
    ],
)
def test_who_may_dial_a_load_balancer(ranges: list[str], client: str, expected: str):
    nft = nft_with((balanced(loadBalancerSourceRanges=ranges), piece(ONE)))
    assert send(nft, "192.0.2.77", 80, source=client).reached == expected
    assert send(nft, VIP, 80, source=CLIENT).reached == f"{ONE}:8080"


def test_addresses_and_ports_of_a_balancers_range_that_nobody_has_are_refused():
    settings = replace(SETTINGS, load_balancer_cidrs=("192.0.2.64/26",))
    nft = nft_with((balanced(), piece(ONE)), settings=settings)
    assert send(nft, "192.0.2.77", 80).reached == f"{ONE}:8080"
    assert {send(nft, "192.0.2.77", 81).reached, send(nft, "192.0.2.78", 80).reached} == {"reject"}


def test_a_draw_that_a_change_outran_still_reaches_an_endpoint():
    nft = nft_with((service(), piece(ONE, TWO)))
    del nft.maps["endpoints-tcp"][f"{VIP} . 80 . 1"]
    nft.draw = lambda below: below - 1
    assert send(nft, VIP, 80).reached == f"{ONE}:8080"


LOCAL = endpoint(ONE, nodeName="node-1")
REMOTE = endpoint(TWO, nodeName="node-2")


@pytest.mark.parametrize(
    ("spec", "endpoints", "expected"),
    [
        ({"internalTrafficPolicy": "Local"}, [LOCAL, REMOTE], {f"{ONE}:8080"}),
        ({"internalTrafficPolicy": "Local"}, [REMOTE], {"drop"}),
        ({"internalTrafficPolicy": "Local"}, [], {"reject"}),
        ({"externalTrafficPolicy": "Local"}, [LOCAL, REMOTE], BOTH),
    ],
)
def test_internal_traffic_policy(spec: dict, endpoints: list, expected: set[str]):
    assert reached(nft_with((service(**spec), piece(*endpoints))), VIP, 80) == expected


def test_external_traffic_policy_limits_node_ports():
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    each = service(type="NodePort", ports=ports, externalTrafficPolicy="Local")
    assert reached(nft_with((each, piece(LOCAL, REMOTE))), HERE, 30080, source=WORLD) == {f"{ONE}:8080"}
    assert reached(nft_with((each, piece(REMOTE))), HERE, 30080, source=WORLD) == {"drop"}


@pytest.mark.parametrize("affinity", ["None", "ClientIP"])
@pytest.mark.parametrize(
    ("endpoints", "outside", "inside"),
    [
        ([LOCAL, REMOTE], {f"{ONE}:8080"}, BOTH),
        ([REMOTE], {"drop"}, {f"{TWO}:8080"}),
        ([LOCAL], {f"{ONE}:8080"}, {f"{ONE}:8080"}),
        ([], {"reject"}, {"reject"}),
    ],
)
def test_external_traffic_policy_does_not_limit_who_dials_from_within(
    affinity: str, endpoints: list, outside: set[str], inside: set[str]
):
    each = balanced(externalTrafficPolicy="Local", externalIPs=["198.51.100.7"], sessionAffinity=affinity)
    nft = nft_with((each, piece(*endpoints)))
    programs = ("guard-output", "output", "filter-output", "postrouting")
    for address in ("192.0.2.77", "198.51.100.7"):
        assert reached(nft, address, 80, source=WORLD) <= outside
        fresh = {f"10.42.1.{number}" for number in range(20, 40)}
        pods = set().union(*(reached(nft, address, 80, source=client, count=3) for client in fresh))
        assert pods <= inside
        assert reached(nft, address, 80, source=HERE, hooks=programs) <= inside
        if affinity == "None":
            assert pods == reached(nft, address, 80, source=HERE, hooks=programs) == inside


def test_who_may_not_dial_a_load_balancer_may_not_from_within():
    spec = {"externalTrafficPolicy": "Local", "loadBalancerSourceRanges": ["198.51.100.0/24"]}
    nft = nft_with((balanced(**spec), piece(LOCAL, REMOTE)))
    assert send(nft, "192.0.2.77", 80).reached == "drop"


def test_machines_that_have_every_endpoint_need_nothing_more_for_those_within():
    nft = nft_with((balanced(externalTrafficPolicy="Local"), piece(LOCAL)))
    assert not nft.maps["inside-services"]


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [
        ([endpoint(ONE), endpoint(TWO, ready=False)], [ONE]),
        ([endpoint(ONE, ready=True), endpoint(TWO, ready=False, serving=True, terminating=True)], [ONE]),
        ([endpoint(TWO, ready=False, serving=True, terminating=True)], [TWO]),
        ([endpoint(TWO, ready=False, serving=False, terminating=True)], []),
        ([endpoint(TWO, ready=False, serving=True)], []),
    ],
)
def test_which_endpoints_get_connections(endpoints: list, expected: list[str]):
    found = frontends(service(), [piece(*endpoints)], nodes=[])
    assert [each.address for each in found[Frontend(VIP, "tcp", 80)].endpoints] == expected


@pytest.mark.parametrize("spec", [{"type": "ExternalName", "externalName": "x.example"}, {"clusterIP": "None"}])
def test_services_without_a_virtual_address_have_no_frontends(spec: dict):
    each = service("web", "None" if "clusterIP" in spec else "", **{k: v for k, v in spec.items() if k != "clusterIP"})
    assert not frontends(each, [piece(ONE)], nodes=[])


def test_ports_are_matched_by_name_and_protocol():
    each = service(ports=[{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53}])
    ports = [{"name": "dns", "port": 5353, "protocol": "UDP"}, {"name": "dns-tcp", "port": 5354}]
    nft = nft_with((each, piece(ONE, ports=ports)))
    assert send(nft, VIP, 53, protocol="udp").reached == f"{ONE}:5353"
    assert send(nft, VIP, 53).reached == f"{ONE}:5354"


@pytest.mark.parametrize("address", ["10.42.1.2 }; delete table ip t; #", "010.42.1.2", "fd00::1", ""])
def test_addresses_that_are_none_never_reach_a_script(address: str):
    found = frontends(service(externalIPs=[address]), [piece(address)], nodes=[])
    assert set(found) == {Frontend(VIP, "tcp", 80)}
    assert found[Frontend(VIP, "tcp", 80)].endpoints == ()


def test_of_two_services_with_one_node_port_the_first_by_name_has_it():
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    first = service("a", "10.96.0.1", type="NodePort", ports=ports), piece(ONE, name="a")
    second = service("b", "10.96.0.2", type="NodePort", ports=ports), piece(TWO, name="b")
    for pairs in ((first, second), (second, first)):
        assert reached(nft_with(*pairs), HERE, 30080) == {f"{ONE}:8080"}


def test_stale_flows_are_those_of_datagrams_to_endpoints_that_went():
    udp, tcp = Frontend(VIP, "udp", 53), Frontend(VIP, "tcp", 53)
    both = Target("x", (Endpoint(ONE, 1), Endpoint(TWO, 1)))
    assert stale_flows({udp: both, tcp: both}, {udp: Target("x", (Endpoint(TWO, 1),))}) == [StaleFlow(VIP, 53, ONE)]
    assert stale_flows({udp: both}, {}) == [StaleFlow(VIP, 53, ONE), StaleFlow(VIP, 53, TWO)]


ADDRESSES = st.lists(st.sampled_from([f"10.42.1.{number}" for number in range(2, 8)]), max_size=6, unique=True)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.one_of(st.none(), ADDRESSES),
        st.sampled_from([0, 30080, 30081]),
        st.sampled_from([0, 60, 120]),
        st.sampled_from(["TCP", "UDP"]),
    ),
    max_size=12,
)


def step_rules(name: str, addresses: list[str] | None, node_port: int, affinity: int, protocol: str) -> Rules:
    if addresses is None:
        return Rules()
    port = {"name": "p", "port": 80, "nodePort": node_port, "protocol": protocol}
    each = service(
        name,
        f"10.96.0.{ord(name)}",
        type="NodePort",
        ports=[port],
        sessionAffinity="ClientIP" if affinity else "None",
        sessionAffinityConfig={"clientIP": {"timeoutSeconds": affinity or 1}},
    )
    slices = [piece(*addresses, name=name, ports=[{"name": "p", "port": 8080, "protocol": protocol}])]
    return rules(frontends(each, slices, nodes=[]))


@settings(max_examples=200, deadline=None)
@given(steps=STEPS, together=st.integers(1, 3))
def test_changes_lead_where_a_fresh_start_leads(steps: Iterable[tuple], together: int):
    ruleset, nft, latest = Ruleset(), Nft(), {}
    nft.run(recreate(SETTINGS))
    for number, step in enumerate(steps):
        latest[step[0]] = step_rules(*step)
        ruleset.put(step[0], latest[step[0]])
        if number % together == 0:
            nft.run(script("t", ruleset.take_change()))
    nft.run(script("t", ruleset.take_change()))
    fresh, other = Ruleset(), Nft()
    for name in sorted(latest):
        fresh.put(name, latest[name])
    other.run(recreate(SETTINGS) + script("t", fresh.whole()))
    assert nft.maps == other.maps
    assert nft.chains == other.chains


def test_a_change_costs_what_changed():
    ruleset = Ruleset()
    for number in range(500):
        each = service(f"s{number}", f"10.96.{number // 250}.{number % 250 + 1}")
        ruleset.put(each.key, rules(frontends(each, [piece(ONE, TWO, name=each.name)], nodes=[])))
    ruleset.take_change()
    ruleset.put("default/s7", rules(frontends(service("s7", "10.96.0.8"), [piece(ONE, name="s7")], nodes=[])))
    change = ruleset.take_change()
    assert Counter(name for name, _ in change.elements) == {"services": 1, "endpoints-tcp": 1}
