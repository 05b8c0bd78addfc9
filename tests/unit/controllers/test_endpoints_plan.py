from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.controllers.endpoints.plan import subsets
from k8slite.controllers.endpointslice.plan import MAX_ENDPOINTS, plan, slice_labels, to_wire
from k8slite.kinds.discovery import EndpointSlice

from .builders import pod, service


@dataclass
class World:
    slices: dict[str, EndpointSlice]
    serial: int = 0

    def sync(self, svc, pods):
        labels = slice_labels(svc)
        decided = plan(service=svc, pods=pods, slices=list(self.slices.values()), labels=labels, zone=lambda node: None)
        for content in decided.create:
            self.serial += 1
            name = f"web-{self.serial}"
            metadata = {"name": name, "labels": labels}
            self.slices[name] = EndpointSlice.model_validate({"metadata": metadata, **to_wire(content)})
        for item, content in decided.update:
            metadata = {"name": item.name, "labels": labels}
            self.slices[item.name] = EndpointSlice.model_validate({"metadata": metadata, **to_wire(content)})
        for item in decided.delete:
            del self.slices[item.name]
        return decided

    def endpoints(self):
        return [endpoint for item in self.slices.values() for endpoint in item.endpoints]


def only(svc, *pods):
    world = World({})
    world.sync(svc, pods)
    (item,) = world.slices.values()
    return item


def test_conditions():
    ready, starting, leaving = (
        only(service(), p).endpoints[0].conditions for p in (pod(), pod(ready=False), pod(deleting=True))
    )
    assert (ready.ready, ready.serving, ready.terminating) == (True, True, False)
    assert (starting.ready, starting.serving, starting.terminating) == (False, False, False)
    assert (leaving.ready, leaving.serving, leaving.terminating) == (False, True, True)


def test_publishing_whatever_there_is():
    svc = service(publishNotReadyAddresses=True)
    assert only(svc, pod(ready=False)).endpoints[0].conditions.ready
    assert [a.ip for a in subsets(svc, [pod(ready=False)])[0].addresses] == ["10.0.0.1"]


def test_named_ports_are_looked_up_in_each_pod():
    svc = service(ports=[{"port": 80, "targetPort": "http"}])
    one = pod("a", ip="10.0.0.1", containers=[{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}])
    two = pod("b", ip="10.0.0.2", containers=[{"name": "c", "ports": [{"name": "http", "containerPort": 9090}]}])
    world = World({})
    world.sync(svc, [one, two])
    assert {item.ports[0].port: item.endpoints[0].addresses for item in world.slices.values()} == {
        8080: ["10.0.0.1"],
        9090: ["10.0.0.2"],
    }
    assert {s.ports[0].port: s.addresses[0].ip for s in subsets(svc, [one, two])} == {
        8080: "10.0.0.1",
        9090: "10.0.0.2",
    }


def test_names_of_headless_pods():
    svc = service(clusterIP="None")
    endpoint = only(svc, pod(hostname="db-0", subdomain="web")).endpoints[0]
    assert endpoint.hostname == "db-0"
    assert only(svc, pod(hostname="db-0", subdomain="other")).endpoints[0].hostname is None
    assert "service.kubernetes.io/headless" in slice_labels(svc)


def test_pods_that_ended_or_have_no_address_are_left_out():
    item = only(service(), pod(phase="Failed"), pod(ip=""))
    assert item.endpoints == []
    assert subsets(service(), [pod(phase="Failed"), pod(ip="")]) == []


def test_terminating_pods_are_not_in_endpoints():
    assert subsets(service(), [pod(deleting=True)]) == []
    assert [a.ip for a in subsets(service(), [pod(ready=False)])[0].not_ready_addresses] == ["10.0.0.1"]


def test_one_pod_that_comes_or_goes_changes_one_slice():
    pods = [pod(f"p{n:03d}", ip=f"10.0.{n // 200}.{n % 200 + 1}") for n in range(250)]
    world = World({})
    assert len(world.sync(service(), pods).create) == 3
    gone = world.sync(service(), pods[1:])
    assert (len(gone.create), len(gone.update), len(gone.delete)) == (0, 1, 0)
    back = world.sync(service(), pods)
    assert (len(back.create), len(back.update), len(back.delete)) == (0, 1, 0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sets(st.integers(0, 350), max_size=350), min_size=1, max_size=4), st.integers(0, 300))
def test_slices_hold_every_pod_once_and_a_second_sync_writes_nothing(rounds, extra):
    world = World({})
    for numbers in [*rounds, set(range(extra))]:
        pods = [pod(f"p{n}", ip=f"10.{n % 5}.{n // 200}.{n % 200 + 1}", ready=n % 3 > 0) for n in sorted(numbers)]
        world.sync(service(), pods)
        assert sorted(e.target_ref.name for e in world.endpoints()) == sorted(p.name for p in pods)
        assert all(len(item.endpoints) <= MAX_ENDPOINTS for item in world.slices.values())
        assert world.slices
        again = world.sync(service(), pods)
        assert not (again.create or again.update or again.delete)


def test_a_slice_that_would_go_becomes_the_one_that_would_come():
    world = World({})
    world.sync(service(), [])
    (placeholder,) = world.slices.values()
    first = world.sync(service(), [pod()])
    assert (len(first.create), len(first.delete)) == (0, 0)
    assert [item.name for item, _ in first.update] == [placeholder.name]
    moved = service(ports=[{"name": "http", "port": 80, "targetPort": 9090}])
    changed = world.sync(moved, [pod()])
    assert (len(changed.create), len(changed.update), len(changed.delete)) == (0, 1, 0)


def test_labels_that_a_service_lost_leave_its_slices():
    world = World({})
    world.sync(service(labels={"team": "a"}), [pod("p")])
    decided = world.sync(service(), [pod("p")])
    assert len(decided.update) == 1
    assert not world.sync(service(), [pod("p")]).update


def test_an_address_that_is_none_does_not_stop_the_others():
    endpoints = only(service(), pod("a", ip="nonsense"), pod("b", ip="10.0.0.2")).endpoints
    assert ["10.0.0.2"] in [endpoint.addresses for endpoint in endpoints]
