"""Pods and their templates: a fragment of a document, and what upstream says of it."""

from __future__ import annotations

from typing import Any

import pytest

from k8slite.apiserver.defaults import pods as defaults
from k8slite.apiserver.validation import pod_changes, pod_status
from k8slite.apiserver.validation import pods as rules
from k8slite.testing.causes import GONE, Expected, assert_causes, changed

POD: dict[str, Any] = {
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"containers": [{"name": "main", "image": "web:1"}], "serviceAccountName": "default"},
}
MAIN = "spec.containers[0]"


def made(change: dict[str, Any]) -> dict[str, Any]:
    pod = changed(POD, change)
    defaults.pod(pod)
    return pod


def container(**members: Any) -> dict[str, Any]:
    return {"spec.containers.0": {"name": "main", "image": "web:1", **members}}


ROWS: list[tuple[str, dict[str, Any], list[Expected]]] = [
    ("good", {}, []),
    ("no containers", {"spec.containers": []}, [("required", "spec.containers", "")]),
    ("no image", {"spec.containers.0.image": GONE}, [("required", f"{MAIN}.image", "Required value")]),
    (
        "two faults of one container",
        container(name="A_b", terminationMessagePolicy="x"),
        [
            ("invalid", f"{MAIN}.name", "a lowercase RFC 1123 label must consist of"),
            ("unsupported", f"{MAIN}.terminationMessagePolicy", 'values: "File", "FallbackToLogsOnError"'),
        ],
    ),
    (
        "dots in a name",
        container(name="a.b"),
        [("invalid", f"{MAIN}.name", 'Invalid value: "a.b": must not contain dots')],
    ),
    (
        "ports",
        container(ports=[{"containerPort": 0}, {"containerPort": 70000, "name": "a", "protocol": "X"}]),
        [
            ("required", f"{MAIN}.ports[0].containerPort", ""),
            ("invalid", f"{MAIN}.ports[1].containerPort", "must be between 1 and 65535, inclusive"),
            ("unsupported", f"{MAIN}.ports[1].protocol", 'supported values: "SCTP", "TCP", "UDP"'),
        ],
    ),
    (
        "host ports twice",
        container(ports=[{"containerPort": 1, "hostPort": 5}, {"containerPort": 2, "hostPort": 5}]),
        [("duplicate", f"{MAIN}.ports[1].hostPort", 'Duplicate value: "TCP//5"')],
    ),
    (
        "request above limit",
        container(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
        [("invalid", f"{MAIN}.resources.requests", 'Invalid value: "2": must be less than or equal to cpu limit of 1')],
    ),
    (
        "unknown resource",
        container(resources={"limits": {"disk": "1"}}),
        [
            ("invalid", f"{MAIN}.resources.limits[disk]", "must be a standard resource type or fully qualified"),
            ("invalid", f"{MAIN}.resources.limits[disk]", "must be a standard resource for containers"),
            ("invalid", f"{MAIN}.resources.requests[disk]", "must be a standard resource type or fully qualified"),
            ("invalid", f"{MAIN}.resources.requests[disk]", "must be a standard resource for containers"),
        ],
    ),
    (
        "half a device",
        container(resources={"limits": {"example.com/gpu": "500m"}}),
        [
            ("invalid", f"{MAIN}.resources.limits[example.com/gpu]", 'Invalid value: "500m": must be an integer'),
            ("invalid", f"{MAIN}.resources.requests[example.com/gpu]", "must be an integer"),
        ],
    ),
    (
        "huge pages alone",
        container(resources={"limits": {"hugepages-2Mi": "4Mi"}}),
        [("forbidden", f"{MAIN}.resources", "HugePages require cpu or memory")],
    ),
    (
        "unknown claim",
        container(resources={"claims": [{"name": "gpu"}]}),
        [("missing", f"{MAIN}.resources.claims[0]", "pod.spec.resourceClaims which is empty")],
    ),
    (
        "probe without a handler",
        container(livenessProbe={"successThreshold": 2}),
        [
            ("required", f"{MAIN}.livenessProbe", "must specify a handler type"),
            ("invalid", f"{MAIN}.livenessProbe.successThreshold", "must be 1"),
        ],
    ),
    (
        "two handlers",
        container(readinessProbe={"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}}),
        [("forbidden", f"{MAIN}.readinessProbe.tcpSocket", "may not specify more than 1 handler type")],
    ),
    (
        "sleep beyond the grace",
        container(lifecycle={"preStop": {"sleep": {"seconds": 31}}}),
        [("invalid", f"{MAIN}.lifecycle.preStop.sleep", "less than terminationGracePeriodSeconds (30)")],
    ),
    (
        "environment",
        container(env=[{"name": ""}, {"name": "A", "value": "b", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]),
        [
            ("required", f"{MAIN}.env[0].name", ""),
            ("invalid", f"{MAIN}.env[1].valueFrom.fieldRef.fieldPath", "field label not supported: x"),
            ("invalid", f"{MAIN}.env[1].valueFrom", "may not be specified when `value` is not empty"),
        ],
    ),
    (
        "a field that only volumes may tell",
        container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels"}}}]),
        [("unsupported", f"{MAIN}.env[0].valueFrom.fieldRef.fieldPath", '"metadata.labels": supported values: "metad')],
    ),
    ("one label", container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a']"}}}]), []),
    (
        "mounts",
        container(volumeMounts=[{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a", "subPath": "../b"}]),
        [
            ("missing", f"{MAIN}.volumeMounts[0].name", 'Not found: "v"'),
            ("missing", f"{MAIN}.volumeMounts[1].name", 'Not found: "v"'),
            ("invalid", f"{MAIN}.volumeMounts[1].mountPath", "must be unique"),
            ("invalid", f"{MAIN}.volumeMounts.subPath", "must not contain '..'"),
        ],
    ),
    (
        "security contexts",
        container(securityContext={"runAsUser": -1, "privileged": True, "allowPrivilegeEscalation": False})
        | {"spec.securityContext": {"seccompProfile": {"type": "Localhost"}, "sysctls": [{"name": "a..b"}]}},
        [
            ("invalid", f"{MAIN}.securityContext.runAsUser", "must be between 0 and 2147483647, inclusive"),
            ("invalid", f"{MAIN}.securityContext", "cannot set `allowPrivilegeEscalation` to false and `privileged`"),
            ("invalid", "spec.securityContext.sysctls[0].name", "must have at most 253 characters and match regex"),
            ("required", "spec.securityContext.seccompProfile.localhostProfile", "must be set when seccomp type is"),
        ],
    ),
    (
        "restart rules without a policy",
        container(restartPolicyRules=[{"action": "Restart", "exitCodes": {"operator": "Is", "values": [1]}}]),
        [
            ("required", f"{MAIN}.restartPolicy", "must specify restartPolicy when restart rules are used"),
            ("unsupported", f"{MAIN}.restartPolicyRules[0].exitCodes.operator", 'supported values: "In", "NotIn"'),
        ],
    ),
    (
        "a probe of what runs first",
        {"spec.initContainers": [{"name": "first", "image": "a", "livenessProbe": {"exec": {"command": ["a"]}}}]},
        [("forbidden", "spec.initContainers[0].livenessProbe", "without restartPolicy=Always")],
    ),
    (
        "a sidecar's name twice",
        {"spec.initContainers": [{"name": "main", "image": "a", "restartPolicy": "Always"}]},
        [("duplicate", "spec.initContainers[0].name", 'Duplicate value: "main"')],
    ),
    (
        "volumes",
        {
            "spec.volumes": [
                {"name": "a", "emptyDir": {}, "hostPath": {"path": "/a"}},
                {"name": "b", "hostPath": {"path": "/../x", "type": "Odd"}},
                {"name": "c", "configMap": {"items": [{"key": "k", "path": "/p"}], "defaultMode": 512}},
            ]
        },
        [
            ("forbidden", "spec.volumes[0].hostPath", "may not specify more than 1 volume type"),
            ("invalid", "spec.volumes[1].hostPath.path", "must not contain '..'"),
            ("unsupported", "spec.volumes[1].hostPath.type", 'Unsupported value: "Odd": supported values: ""'),
            ("required", "spec.volumes[2].configMap.name", ""),
            ("invalid", "spec.volumes[2].configMap.defaultMode", "between 0 and 0777 (octal), both inclusive"),
            ("invalid", "spec.volumes[2].configMap.items[0].path", "must be a relative path"),
        ],
    ),
    (
        "a token that ends too soon",
        {
            "spec.volumes": [
                {
                    "name": "t",
                    "projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 5}}]},
                }
            ]
        },
        [
            (
                "invalid",
                "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds",
                "may not specify a duration less than 10 minutes",
            )
        ],
    ),
    (
        "an ephemeral claim",
        {"spec.volumes": [{"name": "e", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}]},
        [
            (
                "required",
                "spec.volumes[0].ephemeral.volumeClaimTemplate.spec.accessModes",
                "at least 1 access mode is required",
            ),
            ("required", "spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources[storage]", ""),
        ],
    ),
    (
        "policies",
        {"spec.restartPolicy": "Sometimes", "spec.dnsPolicy": "None"},
        [
            ("unsupported", "spec.restartPolicy", 'supported values: "Always", "OnFailure", "Never"'),
            ("required", "spec.dnsConfig", "must provide `dnsConfig` when `dnsPolicy` is None"),
        ],
    ),
    (
        "affinity",
        {
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []},
            "spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 0, "podAffinityTerm": {"topologyKey": "zone"}}
            ],
        },
        [
            (
                "required",
                "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms",
                "must have at least one node selector term",
            ),
            (
                "invalid",
                "spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight",
                "must be in the range 1-100",
            ),
        ],
    ),
    (
        "tolerations",
        {"spec.tolerations": [{"operator": "Equal"}, {"key": "a", "operator": "Exists", "value": "x"}]},
        [
            ("invalid", "spec.tolerations[0].operator", "operator must be Exists when `key` is empty"),
            ("invalid", "spec.tolerations[1].operator", "value must be empty when `operator` is 'Exists'"),
        ],
    ),
    (
        "host aliases and names",
        {"spec.hostAliases": [{"ip": "1.2.3", "hostnames": ["a b"]}], "spec.hostname": "A"},
        [
            ("invalid", "spec.hostname", "a lowercase RFC 1123 label"),
            ("invalid", "spec.hostAliases[0].ip", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
            ("invalid", "spec.hostAliases[0].hostnames[0]", "a lowercase RFC 1123 subdomain"),
        ],
    ),
    (
        "users of its own beside the host's network",
        {"spec.hostUsers": False, "spec.hostNetwork": True},
        [("forbidden", "spec.hostNetwork", "when `pod.Spec.HostUsers` is false")],
    ),
    (
        "windows",
        {"spec.os": {"name": "windows"}, "spec.securityContext": {"runAsUser": 1}},
        [("forbidden", "spec.securityContext.runAsUser", "cannot be set for a windows pod")],
    ),
    (
        "annotations with a meaning",
        {"metadata.annotations": {"controller.kubernetes.io/pod-deletion-cost": "x"}},
        [
            (
                "invalid",
                "metadata.annotations[controller.kubernetes.io/pod-deletion-cost]",
                "must be a 32bit integer",
            )
        ],
    ),
]


@pytest.mark.parametrize(("change", "expected"), [pytest.param(*row[1:], id=row[0]) for row in ROWS])
def test_pods(change: dict[str, Any], expected: list[Expected]) -> None:
    assert_causes(rules.validate(made(change)), expected)


def test_new_pods_have_no_ephemeral_containers_and_wait_for_their_gates_without_a_node() -> None:
    change = {
        "spec.ephemeralContainers": [{"name": "debug", "image": "a"}],
        "spec.nodeName": "n",
        "spec.schedulingGates": [{"name": "example.com/wait"}],
    }
    assert_causes(
        rules.validate_create(made(change)),
        [
            ("forbidden", "spec.ephemeralContainers", "cannot be set on create"),
            ("forbidden", "spec.nodeName", "cannot be set until all schedulingGates have been cleared"),
        ],
    )


GATED = {"spec.schedulingGates": [{"name": "example.com/wait"}]}


@pytest.mark.parametrize(
    ("before", "change", "expected"),
    [
        pytest.param({}, {"spec.containers.0.image": "web:2"}, [], id="another image"),
        pytest.param(
            {}, {"spec.nodeName": "n"}, [("forbidden", "spec", '+ \tNodeName: "n",')], id="what changed is shown"
        ),
        pytest.param(
            {},
            {"spec.containers": [*POD["spec"]["containers"], {"name": "b", "image": "c"}]},
            [("forbidden", "spec.containers", "pod updates may not add or remove containers")],
            id="more containers",
        ),
        pytest.param(
            {"spec.activeDeadlineSeconds": 5},
            {"spec.activeDeadlineSeconds": 6},
            [("invalid", "spec.activeDeadlineSeconds", "must be less than or equal to previous value")],
            id="later deadline",
        ),
        pytest.param(
            {"spec.tolerations": [{"key": "a", "operator": "Exists"}]},
            {"spec.tolerations": []},
            [("forbidden", "spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")],
            id="lost toleration",
        ),
        pytest.param(
            {},
            GATED,
            [
                (
                    "forbidden",
                    "spec.schedulingGates[0].name",
                    "only deletion is allowed, but found new scheduling gate 'example.com/wait'",
                )
            ],
            id="new gate",
        ),
        pytest.param(GATED, {"spec.nodeSelector": {"a": "b"}}, [], id="gated pods are narrowed"),
        pytest.param(
            GATED | {"spec.nodeSelector": {"a": "b"}},
            {"spec.nodeSelector": {"a": "c"}},
            [("invalid", "spec.nodeSelector", "only additions to spec.nodeSelector are allowed")],
            id="gated pods are not turned",
        ),
        pytest.param(
            {},
            {"spec.nodeSelector": {"a": "b"}},
            [("forbidden", "spec", "pod updates may not")],
            id="others are neither",
        ),
    ],
)
def test_changes(before: dict[str, Any], change: dict[str, Any], expected: list[Expected]) -> None:
    old = made(before)
    assert_causes(pod_changes.validate_update(made(before | change), old), expected)


def test_what_is_over_stays_over() -> None:
    over = {"containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 0}}}], "qosClass": "BestEffort"}
    again = {"containerStatuses": [{"name": "main", "state": {"running": {}}}], "qosClass": "BestEffort"}
    never = {"spec.restartPolicy": "Never"}
    old, new = made(never | {"status": over}), made(never | {"status": again})
    field = "status.containerStatuses[0].state"
    assert_causes(
        pod_status.validate_status(new, old),
        [("forbidden", field, "may not be transitioned to non-terminated state")],
    )
    assert pod_status.validate_status(made({"status": again}), made({"status": over})) == []


def test_status_has_one_address_of_each_family() -> None:
    old = made({"status": {}})
    twice = made({"status": {"podIPs": [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]}})
    detail = "may specify no more than one IP for each IP family"
    assert_causes(pod_status.validate_status(twice, old), [("invalid", "status.podIPs", detail)])
    both = made({"status": {"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}})
    assert pod_status.validate_status(both, old) == []
