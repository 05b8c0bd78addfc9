"""Roles, leases, priorities, budgets, autoscalers: good ones, and what is said of wrong ones."""

from __future__ import annotations

import pytest

from k8slite.apiserver.defaults import certificates as certificate_defaults
from k8slite.apiserver.validation import autoscaling, coordination, node, policy, rbac, scheduling
from k8slite.testing.causes import GONE, Expected, assert_causes, changed

from .tables import META, Document, Row, Rule, cases

CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
R = "rules[0]"
MINUS = {"tolerance": "-1m"}
M = "spec.metrics[0]"

GOOD: dict[str, tuple[Rule, Document]] = {
    "pdb": (policy.pod_disruption_budget, {"spec": {"minAvailable": 1, "selector": {}}}),
    "role": (rbac.role, {"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}),
    "clusterrole": (rbac.cluster_role, {"rules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz"]}]}),
    "rolebinding": (
        rbac.role_binding,
        {
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "view"},
            "subjects": [{"kind": "ServiceAccount", "name": "robot"}],
        },
    ),
    "clusterrolebinding": (
        rbac.cluster_role_binding,
        {
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "default"}],
        },
    ),
    "lease": (coordination.lease, {"spec": {"leaseDurationSeconds": 10}}),
    "priorityclass": (scheduling.priority_class, {"value": 10}),
    "runtimeclass": (node.runtime_class, {"handler": "runc"}),
    "hpa": (
        autoscaling.horizontal_pod_autoscaler,
        {
            "spec": {
                "minReplicas": 1,
                "maxReplicas": 3,
                "scaleTargetRef": {"kind": "Deployment", "name": "web"},
                "metrics": [CPU],
            }
        },
    ),
}

TABLE: dict[str, list[Row]] = {
    "pdb": [
        (
            {"spec.maxUnavailable": "101%"},
            [
                ("invalid", "spec", "minAvailable and maxUnavailable cannot be both set"),
                ("invalid", "spec.maxUnavailable", "must not be greater than 100%"),
            ],
        ),
        (
            {"spec.unhealthyPodEvictionPolicy": "Never"},
            [("unsupported", "spec.unhealthyPodEvictionPolicy", '"AlwaysAllow", "IfHealthyBudget"')],
        ),
    ],
    "role": [
        (
            {"rules.0": {}},
            [
                ("required", f"{R}.verbs", "verbs must contain at least one value"),
                ("required", f"{R}.apiGroups", "resource rules must supply at least one api group"),
                ("required", f"{R}.resources", "resource rules must supply at least one resource"),
            ],
        ),
        (
            {"rules.0.nonResourceURLs": ["/"]},
            [
                ("invalid", f"{R}.nonResourceURLs", "namespaced rules cannot apply to non-resource URLs"),
                ("invalid", f"{R}.nonResourceURLs", "rules cannot apply to both regular resources and non-resource"),
            ],
        ),
    ],
    "clusterrole": [
        (
            {"aggregationRule": {}},
            [("required", "aggregationRule.clusterRoleSelectors", "at least one clusterRoleSelector required")],
        )
    ],
    "rolebinding": [
        (
            {"roleRef": {"apiGroup": "x", "kind": "Any", "name": "a/b"}, "subjects.0": {"kind": "User"}},
            [
                ("unsupported", "roleRef.apiGroup", '"rbac.authorization.k8s.io"'),
                ("unsupported", "roleRef.kind", '"ClusterRole", "Role"'),
                ("invalid", "roleRef.name", "may not contain '/'"),
                ("required", "subjects[0].name", ""),
                ("unsupported", "subjects[0].apiGroup", 'Unsupported value: ""'),
            ],
        )
    ],
    "clusterrolebinding": [
        (
            {"roleRef.kind": "Role", "subjects.0.namespace": GONE},
            [("unsupported", "roleRef.kind", '"ClusterRole"'), ("required", "subjects[0].namespace", "")],
        )
    ],
    "lease": [
        (
            {"spec.leaseDurationSeconds": 0, "spec.leaseTransitions": -1, "spec.preferredHolder": "me"},
            [
                ("invalid", "spec.leaseDurationSeconds", "must be greater than 0"),
                ("invalid", "spec.leaseTransitions", "must be greater than or equal to 0"),
                ("forbidden", "spec.preferredHolder", "may only be specified if `strategy` is defined"),
            ],
        )
    ],
    "priorityclass": [
        ({"value": 1_000_000_001}, [("forbidden", "value", "maximum allowed value of a user defined priority is 10")]),
        (
            {"metadata.name": "system-mine", "preemptionPolicy": "Any"},
            [
                ("forbidden", "metadata.name", "error: system-mine is not a known system priority class"),
                ("unsupported", "preemptionPolicy", '"Never", "PreemptLowerPriority"'),
            ],
        ),
    ],
    "runtimeclass": [
        ({"handler": "A"}, [("invalid", "handler", "a lowercase RFC 1123 label must consist of")]),
        (
            {
                "scheduling.tolerations": [
                    {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1},
                    {"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 2},
                    {"key": "a b", "operator": "Exists"},
                ]
            },
            [
                ("invalid", "scheduling.tolerations[2].key", "name part must consist of"),
                ("duplicate", "scheduling.tolerations[1]", "Duplicate value"),
            ],
        ),
    ],
    "hpa": [
        (
            {"spec.minReplicas": 5, "spec.scaleTargetRef": {"kind": "a/b"}},
            [
                ("invalid", "spec.maxReplicas", "must be greater than or equal to `minReplicas`"),
                ("invalid", "spec.scaleTargetRef.kind", "may not contain '/'"),
                ("required", "spec.scaleTargetRef.name", ""),
            ],
        ),
        (
            {"spec.metrics.0": {"type": "Pods", "resource": CPU["resource"]}},
            [
                ("required", f"{M}.pods", "must populate information for the given metric source"),
                ("forbidden", f"{M}.resource", "must populate the given metric source only"),
            ],
        ),
        (
            {"spec.metrics.0.resource.target": {"type": "Any", "averageUtilization": 0, "averageValue": "-1"}},
            [
                ("invalid", f"{M}.resource.target.type", "must be either Utilization, Value, or AverageValue"),
                ("invalid", f"{M}.resource.target.averageValue", "must be positive"),
                ("invalid", f"{M}.resource.target.averageUtilization", "must be greater than 0"),
                ("forbidden", f"{M}.resource.target.averageValue", "may not set both a target raw value and a target"),
            ],
        ),
        (
            {"spec.minReplicas": 0},
            [("forbidden", "spec.metrics", "must specify at least one Object or External metric to support scaling")],
        ),
        (
            {"spec.minReplicas": -1},
            [("invalid", "spec.minReplicas", "must be greater than or equal to 0")],
        ),
        (
            {"spec.behavior": {"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 1}], **MINUS}}},
            [("invalid", "spec.behavior.scaleDown.tolerance", "must be greater than or equal to 0")],
        ),
        (
            {"spec.behavior": {"scaleUp": {"selectPolicy": "Any", "stabilizationWindowSeconds": 3601}}},
            [
                (
                    "invalid",
                    "spec.behavior.scaleUp.stabilizationWindowSeconds",
                    "must be less than or equal to 3600",
                ),
                ("unsupported", "spec.behavior.scaleUp.selectPolicy", '"Disabled", "Max", "Min"'),
                ("required", "spec.behavior.scaleUp.policies", "must specify at least one Policy"),
            ],
        ),
    ],
}


@pytest.mark.parametrize("kind", GOOD)
def test_good(kind: str) -> None:
    rule, document = GOOD[kind]
    assert rule({**META, **document}) == []


@pytest.mark.parametrize(("kind", "change", "expected"), cases(TABLE))
def test_wrong(kind: str, change: Document, expected: list[Expected]) -> None:
    rule, document = GOOD[kind]
    assert_causes(rule(changed({**META, **document}, change)), expected)


def test_a_pods_certificate_lives_a_day_unless_asked_otherwise() -> None:
    for spec, seconds in (({}, 86400), ({"maxExpirationSeconds": 3600}, 3600)):
        request: dict[str, dict[str, int]] = {"spec": {**spec}}
        certificate_defaults.podcertificaterequest(request)
        assert request["spec"]["maxExpirationSeconds"] == seconds
