"""The other kinds of the core group: a change to a good document, and what upstream says of it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from k8slite.apiserver.defaults import core as defaults
from k8slite.apiserver.validation import claims, config, endpoints, nodes, persistent_volumes, quota, services
from k8slite.testing.causes import GONE, Expected, assert_causes, changed

SERVICE: dict[str, Any] = {
    "metadata": {"name": "web"},
    "spec": {"ports": [{"port": 80}], "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]},
}
BALANCED = {"spec.type": "LoadBalancer"}


def service(change: dict[str, Any]) -> dict[str, Any]:
    obj = changed(SERVICE, change)
    defaults.service(obj)
    return obj


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, [], id="good"),
        pytest.param(
            {"spec.ports": [{"port": 1}, {"port": 1, "name": "b"}]},
            [
                ("required", "spec.ports[0].name", ""),
                ("duplicate", "spec.ports[1]", '{"Name":"","Protocol":"TCP","AppProtocol":null,"Port":1,'),
            ],
            id="ports",
        ),
        pytest.param(
            {"spec.ports.0.nodePort": 30000},
            [("forbidden", "spec.ports[0].nodePort", "may not be used when `type` is 'ClusterIP'")],
            id="node port of a ClusterIP",
        ),
        pytest.param(
            {"spec.type": "ExternalName"},
            [
                ("forbidden", "spec.clusterIPs", "may not be set for ExternalName services"),
                ("required", "spec.externalName", ""),
            ],
            id="external name",
        ),
        pytest.param(
            {"spec.clusterIP": "10.0.0.2"},
            [("invalid", "spec.clusterIPs", 'Invalid value: ["10.0.0.1"]: first value must match `clusterIP`')],
            id="two first addresses",
        ),
        pytest.param(
            {"spec.externalIPs": ["127.0.0.1"]},
            [("invalid", "spec.externalIPs[0]", "may not be in the loopback range (127.0.0.0/8, ::1/128)")],
            id="loopback",
        ),
        pytest.param(
            {"spec.loadBalancerSourceRanges": ["10.0.0.1/8"], "spec.loadBalancerClass": "a"},
            [
                ("forbidden", "spec.LoadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'"),
                ("invalid", "spec.LoadBalancerSourceRanges[0]", "must not have bits set beyond the prefix length"),
                ("forbidden", "spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'"),
            ],
            id="a balancer's fields",
        ),
        pytest.param(
            BALANCED | {"spec.externalTrafficPolicy": "Local"},
            [("required", "spec.healthCheckNodePort", "")],
            id="health check",
        ),
        pytest.param(
            {"spec.trafficDistribution": "Far"},
            [("unsupported", "spec.trafficDistribution", '"PreferClose", "PreferSameNode", "PreferSameZone"')],
            id="traffic distribution",
        ),
        pytest.param(
            {"spec.sessionAffinity": "ClientIP", "spec.sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}},
            [
                (
                    "invalid",
                    "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
                    "must be greater than 0 and less than 86400",
                )
            ],
            id="affinity",
        ),
    ],
)
def test_services(change: dict[str, Any], expected: list[Expected]) -> None:
    assert_causes(services.validate(service(change)), expected)


def test_services_keep_their_addresses_and_classes() -> None:
    moved = service({"spec.clusterIP": "10.0.0.2", "spec.clusterIPs": ["10.0.0.2"]})
    words = 'Invalid value: ["10.0.0.2"]: may not change once set'
    assert_causes(services.validate_update(moved, service({})), [("invalid", "spec.clusterIPs[0]", words)])
    other = service(BALANCED | {"spec.loadBalancerClass": "b"})
    before = service(BALANCED | {"spec.loadBalancerClass": "a"})
    expected = [("invalid", "spec.loadBalancerClass", "may not change once set")]
    assert_causes(services.validate_update(other, before), expected)


def test_only_balanced_services_say_where_they_are_balanced() -> None:
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    words = "may only be used when `spec.type` is 'LoadBalancer'"
    found = services.validate_status(service(status), service({}))
    assert_causes(found, [("forbidden", "status.loadBalancer.ingress", words)])
    assert services.validate_status(service(BALANCED | status), service(BALANCED)) == []


def data(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("kind", "content", "expected"),
    [
        ("Opaque", {"a/b": ""}, [("invalid", "data[a/b]", "a valid config key must consist of")]),
        ("Opaque", {"a": data("x" * (1 << 20) + "y")}, [("long", "data", "may not be more than 1048576 bytes")]),
        ("kubernetes.io/tls", {"tls.crt": ""}, [("required", "data[tls.key]", "")]),
        ("kubernetes.io/basic-auth", {}, [("required", "data[username]", ""), ("required", "data[password]", "")]),
        ("kubernetes.io/ssh-auth", {"ssh-privatekey": ""}, [("required", "data[ssh-privatekey]", "")]),
        (
            "kubernetes.io/dockerconfigjson",
            {".dockerconfigjson": data("")},
            [("invalid", "data[.dockerconfigjson]", '"<secret contents redacted>": unexpected end of JSON input')],
        ),
        (
            "kubernetes.io/service-account-token",
            {},
            [("required", "metadata.annotations[kubernetes.io/service-account.name]", "")],
        ),
    ],
)
def test_secrets(kind: str, content: dict[str, str], expected: list[Expected]) -> None:
    assert_causes(config.secret({"metadata": {"name": "a"}, "type": kind, "data": content}), expected)


def test_immutable_configmaps_stay() -> None:
    old = {"metadata": {}, "immutable": True, "data": {"a": "b"}}
    words = "field is immutable when `immutable` is set"
    found = config.configmap_update({"metadata": {}, "data": {"a": "c"}}, old)
    assert_causes(found, [("forbidden", "immutable", words), ("forbidden", "data", words)])
    assert config.configmap_update({**old, "metadata": {"labels": {"a": "b"}}}, old) == []


CLAIM: dict[str, Any] = {
    "metadata": {"name": "c"},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "volumeMode": "Filesystem",
    },
}
BOUND = {"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, [], id="good"),
        pytest.param(
            {"spec.accessModes": GONE}, [("required", "spec.accessModes", "at least 1 access mode")], id="modes"
        ),
        pytest.param(
            {"spec.accessModes": ["ReadWriteOncePod", "ReadOnlyMany"]},
            [("forbidden", "spec.accessModes", "may not use ReadWriteOncePod with other access modes")],
            id="one pod and many",
        ),
        pytest.param(
            {"spec.resources.requests": {"storage": "0"}},
            [("invalid", "spec.resources[storage]", "must be greater than zero")],
            id="nothing",
        ),
        pytest.param(
            {"spec.dataSource": {"kind": "Odd", "name": "a"}},
            [("invalid", "spec.dataSource", "must be 'PersistentVolumeClaim' when referencing the default apiGroup")],
            id="source",
        ),
    ],
)
def test_claims(change: dict[str, Any], expected: list[Expected]) -> None:
    assert_causes(claims.claim(changed(CLAIM, change)), expected)


@pytest.mark.parametrize(
    ("before", "change", "expected"),
    [
        pytest.param({}, {"spec.volumeName": "v"}, [], id="binding"),
        pytest.param(BOUND, {"spec.resources.requests.storage": "2Gi"}, [], id="growing"),
        pytest.param(
            {},
            {"spec.resources.requests.storage": "2Gi"},
            [("forbidden", "spec", "spec is immutable after creation except resources.requests and volumeAttributes")],
            id="growing unbound",
        ),
        pytest.param(
            BOUND,
            {"spec.resources.requests.storage": "512Mi"},
            [("forbidden", "spec.resources.requests.storage", "field can not be less than status.capacity")],
            id="shrinking",
        ),
        pytest.param(
            {"spec.volumeName": "v"},
            {"spec.volumeName": "w"},
            [("forbidden", "spec", '- \tVolumeName: "v",\n+ \tVolumeName: "w",')],
            id="bound elsewhere",
        ),
    ],
)
def test_changes_of_claims(before: dict[str, Any], change: dict[str, Any], expected: list[Expected]) -> None:
    old = changed(CLAIM, before)
    assert_causes(claims.claim_update(changed(old, change), old), expected)


VOLUME: dict[str, Any] = {
    "metadata": {"name": "v"},
    "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/data"}},
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, [], id="good"),
        pytest.param({"spec.hostPath": GONE}, [("required", "spec", "must specify a volume type")], id="no source"),
        pytest.param(
            {"spec.capacity": {"cpu": "1"}},
            [("unsupported", "spec.capacity", '{"cpu":"1"}: supported values: "storage"')],
            id="capacity",
        ),
        pytest.param(
            {"spec.hostPath": GONE, "spec.local": {"path": "/a"}},
            [("required", "spec.nodeAffinity", "Local volume requires node affinity")],
            id="local",
        ),
        pytest.param(
            {"spec.hostPath.path": "/", "spec.persistentVolumeReclaimPolicy": "Recycle"},
            [("forbidden", "spec.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'")],
            id="recycling all",
        ),
        pytest.param(
            {"spec.hostPath": GONE, "spec.csi": {"driver": "a_b"}},
            [("invalid", "spec.csi.driver", "a lowercase RFC 1123"), ("required", "spec.csi.volumeHandle", "")],
            id="csi",
        ),
    ],
)
def test_volumes(change: dict[str, Any], expected: list[Expected]) -> None:
    assert_causes(persistent_volumes.volume(changed(VOLUME, change)), expected)


def test_volumes_keep_their_source() -> None:
    found = persistent_volumes.volume_update(changed(VOLUME, {"spec.hostPath.path": "/other"}), VOLUME)
    words = "spec.persistentvolumesource is immutable after creation\n"
    assert_causes(found, [("forbidden", "spec.persistentvolumesource", words)])


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"hard": {"pods": "10", "requests.cpu": "1", "count/jobs.batch": "2"}}, []),
        (
            {"hard": {"disk": "1"}},
            [
                ("invalid", "spec.hard[disk]", "must be a standard resource type or fully qualified"),
                ("invalid", "spec.hard[disk]", "must be a standard resource for quota"),
            ],
        ),
        ({"hard": {"pods": "1500m"}}, [("invalid", "spec.hard[pods]", "must be an integer")]),
        (
            {"hard": {"services": "1"}, "scopes": ["BestEffort"]},
            [("invalid", "spec.scopes", '["BestEffort"]: unsupported scope applied to resource')],
        ),
        (
            {"scopes": ["Terminating", "NotTerminating"]},
            [("invalid", "spec.scopes", "conflicting scopes")],
        ),
        (
            {"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In"}]}},
            [("required", "spec.scopeSelector.matchExpressions.values", "must be at least one value when")],
        ),
    ],
)
def test_quotas(spec: dict[str, Any], expected: list[Expected]) -> None:
    assert_causes(quota.resource_quota({"metadata": {}, "spec": spec}), expected)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"type": "Container", "min": {"cpu": "1"}, "max": {"cpu": "2"}}, []),
        (
            {"type": "Pod", "min": {"cpu": "2"}, "max": {"cpu": "1"}},
            [("invalid", "spec.limits[0].min[cpu]", "min value 2 is greater than max value 1")],
        ),
        (
            {"type": "PersistentVolumeClaim"},
            [("required", "spec.limits[0].limits", "either minimum or maximum storage value is required")],
        ),
        (
            {"type": "Odd"},
            [("invalid", "spec.limits[0].type", "must be a standard limit type or fully qualified")],
        ),
        (
            {"type": "Pod", "default": {"cpu": "1"}},
            [("forbidden", "spec.limits[0].default", "may not be specified when `type` is 'Pod'")],
        ),
    ],
)
def test_limit_ranges(item: dict[str, Any], expected: list[Expected]) -> None:
    assert_causes(quota.limit_range({"metadata": {}, "spec": {"limits": [item]}}), expected)


def test_nodes() -> None:
    taint = {"key": "a", "effect": "NoSchedule"}
    node = {"metadata": {"name": "n"}, "spec": {"taints": [taint, taint], "podCIDRs": ["10.0.0.1/24"]}}
    assert_causes(
        nodes.node(node),
        [
            ("duplicate", "metadata.taints[1]", "taints must be unique by key and effect pair"),
            ("invalid", "spec.podCIDRs[0]", "must not have bits set beyond the prefix length"),
        ],
    )
    old = {"metadata": {}, "spec": {"podCIDRs": ["10.0.0.0/24"], "providerID": "a"}}
    assert_causes(
        nodes.node_update({"metadata": {}, "spec": {"providerID": "b"}}, old),
        [
            ("forbidden", "spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid'),
            ("forbidden", "spec.providerID", 'node updates may not change providerID except from "" to valid'),
        ],
    )


def test_endpoints() -> None:
    subset = {"addresses": [{"ip": "127.0.0.1"}], "ports": [{"port": 0, "protocol": "TCP"}]}
    assert_causes(
        endpoints.endpoints({"metadata": {}, "subsets": [{}, subset]}),
        [
            ("required", "subsets[0]", "must specify `addresses` or `notReadyAddresses`"),
            ("invalid", "subsets[1].addresses[0].ip", "may not be in the loopback range"),
            ("invalid", "subsets[1].ports[0].port", "must be between 1 and 65535, inclusive"),
        ],
    )


def test_events() -> None:
    event = {"metadata": {"namespace": "a"}, "involvedObject": {"namespace": "b"}}
    mismatch = ("invalid", "involvedObject.namespace", 'Invalid value: "b": does not match event.namespace')
    assert_causes(endpoints.event(event), [mismatch])
    newer = {"metadata": {"namespace": "a"}, "involvedObject": {"namespace": "a"}, "eventTime": "2026-01-01T00:00:00Z"}
    assert [cause.field for cause in endpoints.event(newer)] == [
        "reportingController",
        "reportingController",
        "reportingInstance",
        "action",
        "reason",
    ]
