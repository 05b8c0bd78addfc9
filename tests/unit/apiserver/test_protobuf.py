"""Bodies in protobuf: what a Go client would send, and what the API makes of it."""

import struct

import orjson
import pytest

from k8slite.apiserver.wire.protobuf import decode
from k8slite.catalogue import builtin
from k8slite.errors import ApiError
from k8slite.schema import Schemas, builtin_facts

#: Types that speak JSON only here, and fields that are younger than the numbers.
JSON_ONLY = {"APIService", "CustomResourceDefinition", "NodeMetrics", "PodMetrics"}


def varint(number):
    number &= (1 << 64) - 1
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, value):
    """One field: an integer, or text, or the fields of a message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, str):
        value = value.encode()
    elif isinstance(value, list):
        value = b"".join(field(*each) for each in value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def body(api_version, kind, *fields):
    return b"k8s\x00" + field(1, [(1, api_version), (2, kind)]) + field(2, list(fields))


def read(*args):
    return decode(body(*args))


def test_a_config_map():
    document = read(
        *("v1", "ConfigMap"),
        (1, [(1, "x"), (2, ""), (3, "default"), (7, 0), (8, []), (11, [(1, "a"), (2, "b")])]),
        (2, [(1, "key"), (2, "value")]),
        (2, [(1, "empty"), (2, "")]),
        (3, [(1, "raw"), (2, b"\x00\xff")]),
    )
    assert document == {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": "x", "namespace": "default", "labels": {"a": "b"}},
        "data": {"key": "value", "empty": ""},
        "binaryData": {"raw": "AP8="},
    }


def test_zeros_count_behind_pointers_only():
    document = read("apps/v1", "Deployment", (2, [(1, 0), (5, 0), (7, 0), (6, 0)]))
    assert document["spec"] == {"replicas": 0, "revisionHistoryLimit": 0}


def test_embedded_types_lie_flat():
    volume = [(1, "v"), (2, [(2, []), (19, [(1, [(1, "settings")]), (3, 0o644)])])]
    probe = [(1, [(2, [(1, "/"), (2, [(1, 1), (2, 0), (3, "http")])])]), (2, 5)]
    container = [(1, "c"), (10, probe), (7, [(1, "A"), (3, [(3, [(1, [(1, "cm")]), (2, "k")])])])]
    document = read("v1", "Pod", (2, [(1, volume), (2, container)]))
    assert document["spec"] == {
        "volumes": [{"name": "v", "emptyDir": {}, "configMap": {"name": "settings", "defaultMode": 0o644}}],
        "containers": [
            {
                "name": "c",
                "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "initialDelaySeconds": 5},
                "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "k"}}}],
            }
        ],
    }


def test_scalars_with_a_form_of_their_own():
    quota = read("v1", "ResourceQuota", (2, [(1, [(1, "cpu"), (2, [(1, "1500m")])])]))
    assert quota["spec"] == {"hard": {"cpu": "1500m"}}
    lease = read("coordination.k8s.io/v1", "Lease", (2, [(4, [(1, 1767225600), (2, 123456000)])]))
    assert lease["spec"] == {"renewTime": "2026-01-01T00:00:00.123456Z"}
    service = read("v1", "Service", (2, [(1, [(3, 80), (4, [(1, 0), (2, 8080), (3, "")])])]))
    assert service["spec"] == {"ports": [{"port": 80, "targetPort": 8080}]}
    unset = read("v1", "Service", (2, [(1, [(3, 80), (4, [(1, 0), (2, 0), (3, "")])])]))
    assert unset["spec"] == {"ports": [{"port": 80}]}
    below = read("v1", "Pod", (2, [(25, -5)]))
    assert below["spec"] == {"priority": -5}
    revision = read("apps/v1", "ControllerRevision", (2, [(1, '{"a":null}')]), (3, 1))
    assert (revision["data"], revision["revision"]) == ({"a": None}, 1)


def test_maps_of_lists():
    review = read("authorization.k8s.io/v1", "SubjectAccessReview", (2, [(5, [(1, "k"), (2, [(1, "a"), (1, "b")])])]))
    assert review["spec"]["extra"] == {"k": ["a", "b"]}


@pytest.mark.parametrize("packed", [True, False])
def test_repeated_numbers_come_in_both_forms(packed):
    values = [(4, varint(7) + varint(300))] if packed else [(4, 7), (4, 300)]
    pod = read("v1", "Pod", (2, [(14, values)]))
    assert pod["spec"]["securityContext"] == {"supplementalGroups": [7, 300]}


def test_the_result_goes_through_the_schema_like_any_other():
    document = read("v1", "Pod", (1, [(1, "p")]), (2, [(2, [(1, "c"), (2, "busybox")])]))
    decoded = Schemas().decode(orjson.dumps(document), group="", version="v1", kind="Pod", strictness="Strict")
    assert decoded.object["spec"]["containers"] == [{"name": "c", "image": "busybox"}]
    assert decoded.causes == []


def test_delete_options_of_any_group():
    for api_version in ("v1", "apps/v1", "policy/v1"):
        document = read(api_version, "DeleteOptions", (1, 0), (4, "Foreground"))
        assert document["gracePeriodSeconds"] == 0
        assert document["propagationPolicy"] == "Foreground"


def test_unknown_numbers_are_skipped():
    known = struct.pack("<d", 1.5)
    payload = field(900, "future") + varint(901 << 3 | 1) + known + field(1, [(1, "x")])
    document = decode(b"k8s\x00" + field(1, [(1, "v1"), (2, "ConfigMap")]) + field(2, payload))
    assert document["metadata"] == {"name": "x"}


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"{}",
        b"k8s\x00\xff",
        b"k8s\x00" + b"\xff" * 20,
        body("v1", "ConfigMap", (1, 5)),
        body("v1", "ConfigMap", (1, [(1, "x")]))[:-1],
        body("v1", "ConfigMap", (1, [(1, b"\xff\xfe")])),
        body("v1", "ConfigMap", (1, [(8, [(1, (1 << 62))])])),
        body("v1", "ConfigMap", (2, b"\x0b")),
        body("apps/v1", "ControllerRevision", (2, [(1, "{")])),
        b"k8s\x00" + varint(1 << 3) + varint(5),
    ],
)
def test_broken_bytes_are_bad_requests(broken):
    with pytest.raises(ApiError) as caught:
        decode(broken)
    assert caught.value.code == 400


@pytest.mark.parametrize("kind", ["CustomResourceDefinition", "Nonsense"])
def test_kinds_without_numbers_are_refused(kind):
    with pytest.raises(ApiError) as caught:
        decode(body("apiextensions.k8s.io/v1", kind))
    assert caught.value.code == 400


def test_every_served_kind_can_be_read():
    facts = builtin_facts()
    for row in builtin():
        if row.kind in JSON_ONLY:
            continue
        document = decode(body(row.api_version, row.kind, (1, [(1, "x")])))
        if "metadata" in facts.by_kind(row.group, row.version, row.kind).fields:
            assert document["metadata"] == {"name": "x"}, row
