from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from k8slite.controllers.endpoints.model import Endpoints
from k8slite.controllers.endpointslice.model import EndpointSlice, endpoints_to_wire, ports_to_wire
from k8slite.controllers.endpointslicemirroring.plan import mirrored, plan, slice_annotations, slice_labels

from .builders import service


def endpoints(*subsets, labels=None, annotations=None):
    metadata = {"name": "web", "namespace": "default", "uid": "uid-ep"}
    metadata |= {"labels": labels or {}, "annotations": annotations or {}}
    return Endpoints.model_validate({"metadata": metadata, "subsets": list(subsets)})


def subset(*ips, starting=(), port=80, **fields):
    return {
        "addresses": [{"ip": ip, **fields} for ip in ips],
        "notReadyAddresses": [{"ip": ip} for ip in starting],
        "ports": [{"name": "http", "port": port, "appProtocol": "http"}],
    }


class World:
    def __init__(self, limit=1000):
        self.slices: dict[str, EndpointSlice] = {}
        self.serial = 0
        self.limit = limit

    def put(self, name, made, content):
        wire = {
            "metadata": {"name": name, "labels": slice_labels(made), "annotations": slice_annotations(made)},
            "addressType": content.address_type,
            "ports": ports_to_wire(content.ports),
            "endpoints": endpoints_to_wire(content.endpoints),
        }
        self.slices[name] = EndpointSlice.model_validate(wire)

    def sync(self, made):
        decided = plan(endpoints=made, slices=list(self.slices.values()), limit=self.limit)
        for content in decided.create:
            self.serial += 1
            self.put(f"web-{self.serial}", made, content)
        for item, content in decided.update:
            self.put(item.name, made, content)
        for item in decided.delete:
            del self.slices[item.name]
        return decided


def writes(decided):
    return len(decided.create) + len(decided.update) + len(decided.delete)


def test_what_is_mirrored():
    bare = service(selector=None)
    assert mirrored(endpoints(), bare)
    assert not mirrored(endpoints(), service())
    assert not mirrored(endpoints(), None) and not mirrored(None, bare)
    assert not mirrored(endpoints(labels={"endpointslice.kubernetes.io/skip-mirror": "true"}), bare)
    assert mirrored(endpoints(labels={"endpointslice.kubernetes.io/skip-mirror": "no"}), bare)
    assert not mirrored(endpoints(annotations={"control-plane.alpha.kubernetes.io/leader": "{}"}), bare)


def test_each_set_of_ports_and_each_family_has_a_slice():
    world = World()
    target = {"kind": "Pod", "name": "p", "namespace": "default", "uid": "u"}
    made = endpoints(
        subset("10.0.0.1", "FD00::0:1", starting=["10.0.0.2"], hostname="h", nodeName="n1", targetRef=target),
        subset("10.0.0.3", port=81),
    )
    world.sync(made)
    found = {(s.address_type, s.ports[0].port): s for s in world.slices.values()}
    assert set(found) == {("IPv4", 80), ("IPv6", 80), ("IPv4", 81)}
    first, second = found["IPv4", 80].endpoints
    assert (first.addresses, first.hostname, first.node_name, first.target_ref.name) == (("10.0.0.1",), "h", "n1", "p")
    assert (first.conditions.ready, second.conditions.ready) == (True, False)
    assert found["IPv6", 80].endpoints[0].addresses == ("fd00::1",)
    assert found["IPv4", 80].ports[0].app_protocol == "http"
    assert writes(world.sync(made)) == 0


def test_labels_and_annotations_follow():
    world = World()
    applied = {
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "endpoints.kubernetes.io/last-change-trigger-time": "t",
    }
    world.sync(endpoints(subset("10.0.0.1"), labels={"a": "b"}, annotations={"c": "d", **applied}))
    [item] = world.slices.values()
    assert item.metadata.annotations == {"c": "d"}
    assert item.metadata.labels == {
        "a": "b",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io",
    }
    assert len(world.sync(endpoints(subset("10.0.0.1"))).update) == 1
    assert "a" not in next(iter(world.slices.values())).metadata.labels


def test_a_slice_of_other_ports_is_used_again():
    world = World()
    world.sync(endpoints(subset("10.0.0.1")))
    decided = world.sync(endpoints(subset("10.0.0.1", port=81)))
    assert (len(decided.create), len(decided.update), len(decided.delete)) == (0, 1, 0)
    assert len(world.sync(endpoints()).delete) == 1


def test_what_is_left_out_is_counted():
    many = [f"10.1.{n // 250}.{n % 250 + 1}" for n in range(1003)]
    decided = plan(endpoints=endpoints(subset("nonsense", *many), subset("10.9.9.9", port=81)), slices=[], limit=1000)
    assert (decided.invalid, decided.too_many) == (1, 3)
    assert sorted(len(content.endpoints) for content in decided.create) == [1, 1000]


_ADDRESSES = st.lists(st.sampled_from([f"10.0.0.{n}" for n in range(1, 9)] + ["fd00::1", "fd00::2"]), max_size=6)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.tuples(_ADDRESSES, _ADDRESSES, st.integers(80, 82)), max_size=4), min_size=1, max_size=4))
def test_slices_are_what_the_endpoints_are(rounds):
    world = World()
    for subsets in rounds:
        made = endpoints(*(subset(*ready, starting=rest, port=port) for ready, rest, port in subsets))
        world.sync(made)
        wanted = {(ip, port, True) for ready, _, port in subsets for ip in ready}
        wanted |= {(ip, port, False) for _, rest, port in subsets for ip in rest}
        listed = [
            (e.addresses[0], s.ports[0].port, e.conditions.ready) for s in world.slices.values() for e in s.endpoints
        ]
        assert len(listed) == len(set(listed)) and set(listed) == wanted
        keys = [(s.address_type, s.ports[0].port) for s in world.slices.values()]
        assert len(keys) == len(set(keys))
        assert all(
            (":" in e.addresses[0]) == (s.address_type == "IPv6") for s in world.slices.values() for e in s.endpoints
        )
        assert writes(world.sync(made)) == 0
