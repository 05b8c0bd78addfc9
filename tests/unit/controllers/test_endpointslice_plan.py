from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.controllers.endpointslice.desired import Memory, desired
from k8slite.controllers.endpointslice.model import EndpointSlice, endpoints_to_wire, ports_to_wire
from k8slite.controllers.endpointslice.plan import MAX_ENDPOINTS, plan, slice_labels

from .builders import pod, service


@dataclass
class World:
    """Slices as a server would keep them: what is planned is written, through the wire and back."""

    slices: dict[str, EndpointSlice] = field(default_factory=dict)
    serial: int = 0
    zones: dict[str, str] = field(default_factory=lambda: {"n1": ""})
    ratios: dict[str, float] | None = None
    limit: int = MAX_ENDPOINTS

    def put(self, name, labels, content, owner):
        metadata = {
            "name": name,
            "namespace": "default",
            "uid": name,
            "labels": labels,
            "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": owner}],
        }
        wire = {
            "metadata": metadata,
            "addressType": content.address_type,
            "ports": ports_to_wire(content.ports),
            "endpoints": endpoints_to_wire(content.endpoints),
        }
        self.slices[name] = EndpointSlice.model_validate(wire)

    def sync(self, svc, pods, **more):
        labels = slice_labels(svc)
        decided = plan(
            service=svc,
            pods=pods,
            slices=list(self.slices.values()),
            labels=labels,
            zone=self.zones.get,
            ratios=self.ratios,
            limit=self.limit,
            **more,
        )
        for content in decided.create:
            self.serial += 1
            self.put(f"web-{self.serial}", labels, content, svc.uid)
        for item, content in decided.update:
            self.put(item.name, labels, content, svc.uid)
        for item in decided.delete:
            del self.slices[item.name]
        return decided

    def endpoints(self):
        return [endpoint for item in self.slices.values() for endpoint in item.endpoints]


def counts(decided):
    return len(decided.create), len(decided.update), len(decided.delete)


def only(svc, *pods, **world):
    made = World(**world)
    made.sync(svc, pods)
    (item,) = made.slices.values()
    return item


def many(count, start=0):
    return [pod(f"p{n:04d}", ip=f"10.0.{n // 200}.{n % 200 + 1}") for n in range(start, start + count)]


def test_conditions():
    ready, starting, leaving, starting_anyway = (
        only(svc, p).endpoints[0].conditions
        for svc, p in (
            (service(), pod()),
            (service(), pod(ready=False)),
            (service(), pod(deleting=True)),
            (service(publishNotReadyAddresses=True), pod(ready=False)),
        )
    )
    assert (ready.ready, ready.serving, ready.terminating) == (True, True, False)
    assert (starting.ready, starting.serving, starting.terminating) == (False, False, False)
    assert (leaving.ready, leaving.serving, leaving.terminating) == (False, True, True)
    assert (starting_anyway.ready, starting_anyway.serving) == (True, False)


def test_an_endpoint_says_where_and_what_it_is():
    endpoint = only(service(), pod("a", node="n1"), zones={"n1": "z1"}).endpoints[0]
    target = endpoint.target_ref
    assert (endpoint.node_name, endpoint.zone, endpoint.addresses) == ("n1", "z1", ("10.0.0.1",))
    assert (target.kind, target.namespace, target.name, target.uid) == ("Pod", "default", "a", "uid-a")
    assert endpoint.hints is None


def test_named_ports_are_looked_up_in_each_pod():
    svc = service(ports=[{"port": 80, "targetPort": "http"}])
    one = pod("a", ip="10.0.0.1", containers=[{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}])
    two = pod("b", ip="10.0.0.2", containers=[{"name": "c", "ports": [{"name": "http", "containerPort": 9090}]}])
    aside = {"initContainers": [{"restartPolicy": "Always", "ports": [{"name": "http", "containerPort": 7070}]}]}
    three = pod("c", ip="10.0.0.3", **aside)
    world = World()
    world.sync(svc, [one, two, three])
    assert {item.ports[0].port: item.endpoints[0].addresses for item in world.slices.values()} == {
        8080: ("10.0.0.1",),
        9090: ("10.0.0.2",),
        7070: ("10.0.0.3",),
    }


def test_names_of_headless_pods():
    svc = service(clusterIP="None")
    endpoint = only(svc, pod(hostname="db-0", subdomain="web")).endpoints[0]
    assert endpoint.hostname == "db-0"
    assert only(svc, pod(hostname="db-0", subdomain="other")).endpoints[0].hostname is None
    assert "service.kubernetes.io/headless" in slice_labels(svc)
    assert "service.kubernetes.io/headless" not in slice_labels(service())


def test_both_families_have_slices_of_their_own():
    svc = service(ipFamilies=["IPv4", "IPv6"])
    world = World()
    both = pod("a").model_copy(
        update={
            "status": pod("a", ip="10.0.0.1").status.__class__(
                phase="Running", pod_ip="10.0.0.1", pod_ips=[{"ip": "10.0.0.1"}, {"ip": "FD00::0:1"}]
            )
        }
    )
    world.sync(svc, [both, pod("b", ip="10.0.0.2")])
    found = {item.address_type: [e.addresses for e in item.endpoints] for item in world.slices.values()}
    assert found == {"IPv4": [("10.0.0.1",), ("10.0.0.2",)], "IPv6": [("fd00::1",)]}
    assert counts(world.sync(service(), [both, pod("b", ip="10.0.0.2")])) == (0, 0, 1)


@pytest.mark.parametrize("left_out", [pod(phase="Failed"), pod(phase="Succeeded"), pod(ip=""), pod(node="gone")])
def test_pods_that_are_no_endpoints(left_out):
    assert only(service(), left_out).endpoints == []


def test_who_publishes_everything_publishes_pods_whose_node_is_gone():
    assert len(only(service(publishNotReadyAddresses=True), pod(node="gone")).endpoints) == 1


def test_an_address_that_is_none_does_not_stop_the_others():
    endpoints = only(service(), pod("a", ip="nonsense"), pod("b", ip="10.0.0.2")).endpoints
    assert [endpoint.addresses for endpoint in endpoints] == [("10.0.0.2",)]


@pytest.mark.parametrize(
    ("distribution", "zones", "nodes"),
    [
        ("PreferClose", ["z1"], []),
        ("PreferSameZone", ["z1"], []),
        ("PreferSameNode", ["z1"], ["n1"]),
        (None, None, None),
    ],
)
def test_traffic_distribution(distribution, zones, nodes):
    svc = service(trafficDistribution=distribution)
    world = World(zones={"n1": "z1"})
    world.sync(svc, [pod("a"), pod("b", ready=False)])
    (item,) = world.slices.values()
    ready, starting = sorted(item.endpoints, key=lambda e: e.target_ref.name)
    assert starting.hints is None
    if zones is None:
        assert ready.hints is None
    else:
        assert [zone.name for zone in ready.hints.for_zones] == zones
        assert [node.name for node in ready.hints.for_nodes] == nodes
    assert counts(world.sync(svc, [pod("a"), pod("b", ready=False)])) == (0, 0, 0)
    world.sync(service(), [pod("a"), pod("b", ready=False)])
    assert all(endpoint.hints is None for endpoint in world.endpoints())


def test_one_pod_that_comes_or_goes_changes_one_slice():
    pods = many(250)
    world = World()
    assert counts(world.sync(service(), pods)) == (3, 0, 0)
    assert counts(world.sync(service(), pods[1:])) == (0, 1, 0)
    assert counts(world.sync(service(), pods)) == (0, 1, 0)


def test_many_slices_with_a_hole_each_are_left_alone():
    world = World()
    world.sync(service(), many(500))
    kept = [endpoint.target_ref.name for item in world.slices.values() for endpoint in item.endpoints[1:]]
    named = {p.name: p for p in many(500)}
    assert counts(world.sync(service(), [named[name] for name in kept])) == (0, 5, 0)
    assert counts(world.sync(service(), [*(named[name] for name in kept), *many(5, start=500)])) == (1, 0, 0)


def test_what_is_left_goes_where_it_fits_best():
    world = World()
    world.sync(service(), many(130))
    assert counts(world.sync(service(), many(150))) == (0, 1, 0)
    assert sorted(len(item.endpoints) for item in world.slices.values()) == [50, 100]


def test_a_slice_that_would_go_becomes_the_one_that_would_come():
    world = World()
    world.sync(service(), [])
    (placeholder,) = world.slices.values()
    first = world.sync(service(), [pod()])
    assert counts(first) == (0, 1, 0)
    assert [item.name for item, _ in first.update] == [placeholder.name]
    moved = service(ports=[{"name": "http", "port": 80, "targetPort": 9090}])
    assert counts(world.sync(moved, [pod()])) == (0, 1, 0)
    assert counts(world.sync(moved, [])) == (0, 1, 0)
    assert counts(world.sync(moved, [])) == (0, 0, 0)


def test_labels_that_a_service_lost_leave_its_slices():
    world = World()
    world.sync(service(labels={"team": "a"}), [pod("p")])
    assert counts(world.sync(service(), [pod("p")])) == (0, 1, 0)
    assert counts(world.sync(service(), [pod("p")])) == (0, 0, 0)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.sampled_from(["n1", "n2"])), max_size=20), st.booleans())
def test_what_is_remembered_of_pods_changes_nothing(changes, named):
    ports = [{"port": 80, "targetPort": "http"}] if named else None
    pods, zones, memory = {}, {"n1": "a", "n2": "b"}, Memory()
    services = [service(ports=ports), service(ports=ports, publishNotReadyAddresses=True, ipFamilies=["IPv4", "IPv6"])]
    for turn, (number, ready, node) in enumerate(changes):
        offered = [{"name": "c", "ports": [{"name": "http", "containerPort": 8080 + number % 2}]}]
        pods[number] = pod(f"p{number}", ip=f"10.0.0.{number + 1}", ready=ready, node=node, containers=offered)
        if turn % 3 == 2:
            pods.pop(min(pods))
        zones["n1"] = "a" if turn % 4 else "c"
        svc = services[turn // 5 % 2]
        for family in ("IPv4", "IPv6"):
            about = {"family": family, "zone": zones.get, "hinted": True}
            remembered = desired(svc, list(pods.values()), memory=memory, **about)
            assert remembered == desired(svc, list(pods.values()), memory=Memory(), **about)


def test_slices_of_an_earlier_service_of_that_name_go():
    world = World()
    world.sync(service(), [pod("p")])
    again = service().model_copy(update={"metadata": service().metadata.model_copy(update={"uid": "another"})})
    assert counts(world.sync(again, [pod("p")])) == (1, 0, 1)


def test_a_service_that_goes_gets_no_new_slices():
    metadata = service().metadata.model_copy(update={"deletion_timestamp": "2026-01-01T00:00:00Z"})
    going = service().model_copy(update={"metadata": metadata})
    assert counts(World().sync(going, [pod("p")])) == (0, 0, 0)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sets(st.integers(0, 350), max_size=350), min_size=1, max_size=4),
    st.integers(0, 300),
    st.sampled_from([10, 100]),
    st.sampled_from([None, "PreferSameNode"]),
)
def test_slices_hold_every_pod_once_with_few_writes_and_a_second_sync_writes_nothing(
    rounds, extra, limit, distribution
):
    world = World(limit=limit, zones={"n1": "z1", "n2": ""})
    svc = service(trafficDistribution=distribution)
    before: dict[str, bool] = {}
    for turn, numbers in enumerate([*rounds, set(range(extra))]):
        ready = {f"p{n}": (n + turn) % 3 > 0 for n in numbers}
        pods = [
            pod(f"p{n}", ip=f"10.{n % 5}.{n // 200}.{n % 200 + 1}", ready=ready[f"p{n}"], node=f"n{n % 2 + 1}")
            for n in sorted(numbers)
        ]
        changed = {name for name in before if name in ready and ready[name] != before[name]} | (before.keys() - ready)
        touched = sum(
            any(endpoint.target_ref.name in changed for endpoint in item.endpoints) for item in world.slices.values()
        )
        decided = world.sync(svc, pods)
        arrived = len(ready.keys() - before.keys())
        # What changed has to be written; what came needs a slice more at most than it fills, placeholders one.
        assert sum(counts(decided)) <= touched + -(-arrived // limit) + 1
        assert sorted(e.target_ref.name for e in world.endpoints()) == sorted(ready)
        assert {e.target_ref.name: e.conditions.ready for e in world.endpoints()} == ready
        assert all(len(item.endpoints) <= limit for item in world.slices.values())
        assert world.slices
        assert counts(world.sync(svc, pods)) == (0, 0, 0)
        before = ready
