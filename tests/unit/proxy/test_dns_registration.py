from k8slite.kinds.core import Service
from k8slite.kinds.discovery import EndpointSlice
from k8slite.proxy.dns.registration import Registration, plan

HERE = Registration(cluster_ip="10.96.0.10", addresses=("10.42.0.1",), port=10053)


def test_both_objects_are_written_into_an_empty_cluster():
    writes = plan(HERE, service=None, piece=None)
    assert [(write.resource.kind, write.name, write.exists) for write in writes] == [
        ("Service", "kube-dns", False),
        ("EndpointSlice", "kube-dns-10-42-0-1", False),
    ]


def test_what_was_written_is_left_alone():
    service, piece = (write.body for write in plan(HERE, service=None, piece=None))
    assert not plan(HERE, service=Service.model_validate(service), piece=EndpointSlice.model_validate(piece))


def test_moved_server_corrects_its_slice_only():
    service, piece = (write.body for write in plan(HERE, service=None, piece=None))
    moved = Registration(cluster_ip="10.96.0.10", addresses=("10.42.0.1",), port=53)
    writes = plan(moved, service=Service.model_validate(service), piece=EndpointSlice.model_validate(piece))
    assert [(write.resource.kind, write.exists) for write in writes] == [("EndpointSlice", True)]
