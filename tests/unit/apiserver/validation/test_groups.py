"""A good object of each kind, and what is said of it when something is wrong: all of it, each at its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from k8slite.apiserver.validation import (
    admission_policies,
    apiregistration,
    autoscaling,
    certificates,
    coordination,
    device_claims,
    device_slices,
    discovery,
    flowcontrol,
    ingresses,
    networking,
    node,
    policy,
    rbac,
    scheduling,
    storage,
    webhooks,
)
from k8slite.errors import Cause
from k8slite.testing.causes import GONE, Expected, assert_causes, changed

Document = dict[str, Any]
Rule = Callable[[Document], list[Cause]]
Row = tuple[Document, list[Expected]]

META = {"metadata": {"name": "one", "namespace": "default"}}
RULE = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}
HOOK = {
    "name": "hook.example.com",
    "clientConfig": {"url": "https://example.com/hook"},
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
    "rules": [RULE],
}
MATCH = {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}, "resourceRules": [RULE]}
BACKEND = {"service": {"name": "web", "port": {"number": 80}}}
PATH = {"path": "/", "pathType": "Prefix", "backend": BACKEND}
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
DEVICE = {"name": "gpu-0", "attributes": {"model": {"string": "a"}}}

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
    "ingress": (ingresses.ingress, {"spec": {"rules": [{"host": "a.example.com", "http": {"paths": [PATH]}}]}}),
    "ingressclass": (ingresses.ingress_class, {"spec": {"controller": "example.com/ingress"}}),
    "networkpolicy": (
        networking.network_policy,
        {"spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}], "policyTypes": ["Ingress"]}},
    ),
    "servicecidr": (networking.service_cidr, {"spec": {"cidrs": ["10.0.0.0/16"]}}),
    "ipaddress": (networking.ip_address, {"spec": {"parentRef": {"resource": "services", "name": "web"}}}),
    "endpointslice": (
        discovery.endpoint_slice,
        {
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"]}],
            "ports": [{"name": "http", "protocol": "TCP", "port": 80}],
        },
    ),
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
    "storageclass": (
        storage.storage_class,
        {"provisioner": "example.com/p", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"},
    ),
    "csidriver": (
        storage.csi_driver,
        {"spec": {"attachRequired": True, "podInfoOnMount": False, "storageCapacity": False, "seLinuxMount": False}},
    ),
    "csinode": (storage.csi_node, {"spec": {"drivers": [{"name": "d.example.com", "nodeID": "n"}]}}),
    "volumeattachment": (
        storage.volume_attachment,
        {"spec": {"attacher": "d.example.com", "nodeName": "n", "source": {"persistentVolumeName": "v"}}},
    ),
    "attributesclass": (storage.attributes_class, {"driverName": "d.example.com", "parameters": {"a": "b"}}),
    "webhooks": (webhooks.webhook_configuration, {"webhooks": [HOOK]}),
    "policy": (
        admission_policies.validating_policy,
        {"spec": {"failurePolicy": "Fail", "matchConstraints": MATCH, "validations": [{"expression": "true"}]}},
    ),
    "mutatingpolicy": (
        admission_policies.mutating_policy,
        {
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": MATCH,
                "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[]"}}],
                "reinvocationPolicy": "Never",
            }
        },
    ),
    "binding": (
        admission_policies.validating_binding,
        {"spec": {"policyName": "p", "validationActions": ["Deny"]}},
    ),
    "apiservice": (
        apiregistration.api_service,
        {
            "metadata": {"name": "v1.example.com"},
            "spec": {
                "group": "example.com",
                "version": "v1",
                "groupPriorityMinimum": 100,
                "versionPriority": 10,
                "service": {"name": "s", "namespace": "default", "port": 443},
            },
        },
    ),
    "flowschema": (
        flowcontrol.flow_schema,
        {"spec": {"matchingPrecedence": 1000, "priorityLevelConfiguration": {"name": "global-default"}}},
    ),
    "prioritylevel": (
        flowcontrol.priority_level,
        {"spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}},
    ),
    "claim": (
        device_claims.resource_claim,
        {
            "spec": {
                "devices": {
                    "requests": [
                        {
                            "name": "gpu",
                            "exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1},
                        }
                    ]
                }
            }
        },
    ),
    "deviceclass": (device_claims.device_class, {"spec": {"selectors": [{"cel": {"expression": "true"}}]}}),
    "slice": (
        device_slices.resource_slice,
        {
            "spec": {
                "driver": "d.example.com",
                "nodeName": "n",
                "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
                "devices": [DEVICE],
            }
        },
    ),
    "taintrule": (device_slices.device_taint_rule, {"spec": {"taint": {"key": "a", "effect": "NoSchedule"}}}),
    "request": (
        certificates.pod_certificate_request,
        {
            "spec": {
                "signerName": "example.com/signer",
                **dict.fromkeys(("podName", "serviceAccountName", "nodeName"), "a"),
                **dict.fromkeys(("podUID", "serviceAccountUID", "nodeUID"), "u"),
            }
        },
    ),
}

R, H, M, S = "rules[0]", "webhooks[0]", "spec.metrics[0]", "spec.rules[0]"
P = f"{S}.http.paths[0]"

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
    "ingress": [
        ({"spec": {}}, [("invalid", "spec", "either `defaultBackend` or `rules` must be specified")]),
        (
            {"spec.rules.0.host": "192.0.2.1", "spec.tls": [{"hosts": ["*.*.a"]}]},
            [
                ("invalid", f"{S}.host", "must be a DNS name, not an IP address"),
                ("invalid", "spec.tls[0].hosts[0]", "a wildcard DNS-1123 subdomain must start with '*.'"),
            ],
        ),
        (
            {"spec.rules.0.http.paths.0": {"path": "a//b/..", "pathType": "Exact", "backend": {}}},
            [
                ("invalid", f"{P}.path", "must be an absolute path"),
                ("invalid", f"{P}.path", "must not contain '//'"),
                ("invalid", f"{P}.path", "cannot end with '/..'"),
                ("invalid", f"{P}.backend", "resource or service backend is required"),
            ],
        ),
        (
            {"spec.rules.0.http.paths.0.pathType": GONE},
            [("required", f"{P}.pathType", "pathType must be specified")],
        ),
        (
            {"spec.defaultBackend": {"service": {"name": "A", "port": {"name": "a", "number": 1}}}},
            [
                ("invalid", "spec.defaultBackend.service.name", "a DNS-1035 label must consist of"),
                ("invalid", "spec.defaultBackend", "cannot set both port name & port number"),
            ],
        ),
    ],
    "ingressclass": [
        (
            {"spec": {"controller": "me", "parameters": {"kind": "K", "scope": "Namespace"}}},
            [
                ("invalid", "spec.controller", 'must be a domain-prefixed path (such as "acme.io/foo")'),
                ("required", "spec.parameters.name", "name is required"),
                ("required", "spec.parameters.namespace", "`parameters.scope` is set to 'Namespace'"),
            ],
        )
    ],
    "networkpolicy": [
        (
            {"spec.ingress.0": {"from": [{}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}}]}},
            [
                ("required", "spec.ingress[0].from[0]", "must specify a peer"),
                ("invalid", "spec.ingress[0].from[1].ipBlock.except[0]", "must be a strict subset of `cidr`"),
            ],
        ),
        (
            {
                "spec.egress": [{"ports": [{"protocol": "ICMP", "port": 80, "endPort": 79}]}],
                "spec.policyTypes": ["Any"],
            },
            [
                ("unsupported", "spec.egress[0].ports[0].protocol", '"SCTP", "TCP", "UDP"'),
                ("invalid", "spec.egress[0].ports[0].endPort", "must be greater than or equal to `port`"),
                ("unsupported", "spec.policyTypes[0]", '"Egress", "Ingress"'),
            ],
        ),
    ],
    "servicecidr": [
        ({"spec.cidrs": []}, [("required", "spec.cidrs", "at least one CIDR required")]),
        ({"spec.cidrs": ["x"]}, [("invalid", "spec.cidrs[0]", "must be a valid CIDR value")]),
        (
            {"spec.cidrs": ["10.0.0.0/16", "10.1.0.0/16"]},
            [("invalid", "spec.cidrs", "may specify no more than one IP for each IP family")],
        ),
    ],
    "ipaddress": [
        ({"spec.parentRef": GONE}, [("required", "spec.parentRef", "")]),
        ({"spec.parentRef.name": ""}, [("required", "spec.parentRef.name", "")]),
    ],
    "endpointslice": [
        (
            {"endpoints": [{"addresses": []}, {"addresses": ["fd00::1", "127.0.0.1"], "hostname": "A"}]},
            [
                ("required", "endpoints[0].addresses", "must contain at least 1 address"),
                ("invalid", "endpoints[1].addresses[0]", "must be an IPv4 address"),
                ("invalid", "endpoints[1].addresses[1]", "may not be in the loopback range"),
                ("invalid", "endpoints[1].hostname", "a lowercase RFC 1123 label"),
            ],
        ),
        (
            {"ports": [{"name": "a", "protocol": "TCP"}, {"name": "a", "protocol": "ICMP"}], "addressType": "DNS"},
            [
                ("unsupported", "addressType", '"FQDN", "IPv4", "IPv6"'),
                ("duplicate", "ports[1].name", '"a"'),
                ("unsupported", "ports[1].protocol", '"SCTP", "TCP", "UDP"'),
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
    "storageclass": [
        (
            {"provisioner": "", "reclaimPolicy": "Recycle", "volumeBindingMode": "Later", "parameters": {"": "a"}},
            [
                ("required", "provisioner", ""),
                ("invalid", "parameters", "field can not be empty."),
                ("unsupported", "reclaimPolicy", '"Delete", "Retain"'),
                ("unsupported", "volumeBindingMode", '"Immediate", "WaitForFirstConsumer"'),
            ],
        )
    ],
    "csidriver": [
        (
            {
                "spec.attachRequired": GONE,
                "spec.fsGroupPolicy": "Any",
                "spec.tokenRequests": [{"audience": "a", "expirationSeconds": 1}, {"audience": "a"}],
            },
            [
                ("required", "spec.attachRequired", ""),
                ("unsupported", "spec.fsGroupPolicy", '"File", "None", "ReadWriteOnceWithFSType"'),
                ("invalid", "spec.tokenRequests[0].expirationSeconds", "may not specify a duration less than 10 min"),
                ("duplicate", "spec.tokenRequests[1].audience", '"a"'),
            ],
        )
    ],
    "csinode": [
        (
            {"spec.drivers": [{"name": "d", "nodeID": "n"}, {"name": "d", "nodeID": ""}]},
            [("required", "spec.drivers[1].nodeID", ""), ("duplicate", "spec.drivers[1].name", '"d"')],
        )
    ],
    "volumeattachment": [
        (
            {"spec.attacher": "", "spec.source": {}},
            [
                ("required", "spec.attacher", ""),
                ("required", "spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName"),
            ],
        )
    ],
    "attributesclass": [
        ({"parameters": {}}, [("required", "parameters", "must contain at least one key/value pair")]),
    ],
    "webhooks": [
        (
            {
                "webhooks.0.name": "hook",
                "webhooks.0.sideEffects": GONE,
                "webhooks.0.timeoutSeconds": 31,
                "webhooks.0.clientConfig": {},
                "webhooks.0.admissionReviewVersions": ["v2"],
            },
            [
                ("invalid", f"{H}.name", "should be a domain with at least three segments separated by dots"),
                ("required", f"{H}.sideEffects", "must specify one of None, NoneOnDryRun"),
                ("invalid", f"{H}.timeoutSeconds", "the timeout value must be between 1 and 30 seconds"),
                ("required", f"{H}.clientConfig", "exactly one of url or service is required"),
                ("invalid", f"{H}.admissionReviewVersions", "must include at least one of v1, v1beta1"),
            ],
        ),
        (
            {"webhooks.0.clientConfig": {"url": "http://u@example.com/?a=b"}},
            [
                ("invalid", f"{H}.clientConfig.url", "'https' is the only allowed URL scheme"),
                ("invalid", f"{H}.clientConfig.url", "user information is not permitted in the URL"),
                ("invalid", f"{H}.clientConfig.url", "query parameters are not permitted in the URL"),
            ],
        ),
        (
            {"webhooks.0.rules.0": {"operations": ["*", "GET"], "apiGroups": ["*", "a"], "resources": ["*/*", "pods"]}},
            [
                ("invalid", f"{H}.rules[0].operations", "if '*' is present, must not specify other operations"),
                ("unsupported", f"{H}.rules[0].operations[1]", '"CONNECT"'),
                ("invalid", f"{H}.rules[0].apiGroups", "if '*' is present, must not specify other API groups"),
                ("required", f"{H}.rules[0].apiVersions", ""),
                ("invalid", f"{H}.rules[0].resources", "if '*/*' is present, must not specify other resources"),
            ],
        ),
        (
            {"webhooks.0.matchConditions": [{"name": "a", "expression": "1"}, {"name": "a", "expression": " "}]},
            [
                ("required", f"{H}.matchConditions[1].expression", ""),
                ("duplicate", f"{H}.matchConditions[1].name", '"a"'),
            ],
        ),
        ({"webhooks": [HOOK, HOOK]}, [("duplicate", "webhooks[1].name", '"hook.example.com"')]),
    ],
    "policy": [
        (
            {"spec.matchConstraints": GONE, "spec.validations": []},
            [
                ("required", "spec.matchConstraints", ""),
                ("required", "spec.validations", "validations or auditAnnotations must contain at least one item"),
                ("required", "spec.auditAnnotations", "validations or auditAnnotations must contain at least one"),
            ],
        ),
        (
            {
                "spec.paramKind": {"apiVersion": "a/b/c"},
                "spec.variables": [{"name": "1a"}],
                "spec.validations.0.message": "a\nb",
                "spec.validations.0.reason": "Any",
            },
            [
                ("invalid", "spec.paramKind.apiVersion", "unexpected GroupVersion string: a/b/c"),
                ("required", "spec.paramKind.kind", ""),
                ("invalid", "spec.variables[0].name", "name is not a valid CEL identifier"),
                ("required", "spec.variables[0].expression", "expression is not specified"),
                ("invalid", "spec.validations[0].message", "message must not contain line breaks"),
                ("unsupported", "spec.validations[0].reason", '"Forbidden", "Invalid"'),
            ],
        ),
    ],
    "mutatingpolicy": [
        (
            {"spec.mutations.0": {"patchType": "JSONPatch", "applyConfiguration": {}}, "spec.reinvocationPolicy": "x"},
            [
                ("required", "spec.mutations[0].jsonPatch", "must be specified when patchType is JSONPatch"),
                ("forbidden", "spec.mutations[0].applyConfiguration", "must not be specified when patchType is"),
                ("unsupported", "spec.reinvocationPolicy", '"IfNeeded", "Never"'),
            ],
        )
    ],
    "binding": [
        (
            {"spec.policyName": "", "spec.validationActions": ["Deny", "Warn"], "spec.paramRef": {}},
            [
                ("required", "spec.policyName", ""),
                ("required", "spec.paramRef", "one of name or selector must be specified"),
                ("required", "spec.paramRef.parameterNotFoundAction", ""),
                ("invalid", "spec.validationActions", "must not contain both Deny and Warn"),
            ],
        )
    ],
    "apiservice": [
        (
            {"metadata.name": "one", "spec.versionPriority": 0, "spec.service": GONE, "spec.caBundle": "YQ=="},
            [
                ("invalid", "metadata.name", 'must be `spec.version+"."+spec.group`: "v1.example.com"'),
                ("invalid", "spec.versionPriority", "must be positive and less than 1000"),
                ("invalid", "spec.caBundle", "local APIServices may not have a caBundle"),
            ],
        )
    ],
    "flowschema": [
        (
            {"metadata": {"name": "catch-all"}},
            [("invalid", "spec", "spec of 'catch-all' must equal the fixed value")],
        ),
        (
            {"spec.matchingPrecedence": 1, "spec.priorityLevelConfiguration": {}, "spec.rules": [{"subjects": []}]},
            [
                ("invalid", "spec.matchingPrecedence", "only the schema named 'exempt' may have matchingPrecedence 1"),
                ("required", "spec.priorityLevelConfiguration.name", "must reference a priority level"),
                ("required", f"{S}.subjects", "subjects must contain at least one value"),
                ("required", S, "at least one of resourceRules and nonResourceRules has to be non-empty"),
            ],
        ),
        (
            {
                "spec.rules": [
                    {
                        "subjects": [{"kind": "User", "group": {"name": "g"}}],
                        "nonResourceRules": [{"verbs": ["*", "get"], "nonResourceURLs": ["a", "/a//b"]}],
                    }
                ]
            },
            [
                ("required", f"{S}.subjects[0].user", "user is required when subject kind is 'User'"),
                ("forbidden", f"{S}.subjects[0].group", "group is forbidden when subject kind is not 'Group'"),
                ("invalid", f"{S}.nonResourceRules[0].verbs", "if '*' is present, must not specify other verbs"),
                ("invalid", f"{S}.nonResourceRules[0].nonResourceURLs[0]", "must start with slash"),
                ("invalid", f"{S}.nonResourceRules[0].nonResourceURLs[1]", "must not contain double slash"),
            ],
        ),
    ],
    "prioritylevel": [
        (
            {"metadata": {"name": "catch-all"}},
            [("invalid", "spec", "spec of 'catch-all' must equal the fixed value")],
        ),
        (
            {"metadata": {"name": "exempt"}},
            [
                ("invalid", "spec.type", "type must be 'Exempt' if and only if name is 'exempt'"),
                ("invalid", "spec", "spec of 'exempt' except the 'spec.exempt' field must equal the fixed value"),
            ],
        ),
        ({"spec": {"type": "Exempt"}}, [("invalid", "spec.type", "type must be 'Exempt' if and only if name is")]),
        (
            {"spec.limited.limitResponse": {"type": "Queue", "queuing": {"queues": 2, "handSize": 3}}},
            [
                ("invalid", "spec.limited.limitResponse.queuing.queueLengthLimit", "must be positive"),
                ("invalid", "spec.limited.limitResponse.queuing.handSize", "should not be greater than queues (2)"),
            ],
        ),
        (
            {
                "spec.limited.limitResponse": {
                    "type": "Queue",
                    "queuing": {"queues": 512, "handSize": 8, "queueLengthLimit": 1},
                }
            },
            [("invalid", "spec.limited.limitResponse.queuing.handSize", "required entropy bits of deckSize 512")],
        ),
    ],
    "claim": [
        (
            {"spec.devices.requests.0": {"name": "gpu"}, "spec.devices.constraints": [{"requests": ["cpu"]}]},
            [
                ("required", "spec.devices.requests[0]", "exactly one of `exactly` or `firstAvailable` is required"),
                ("invalid", "spec.devices.constraints[0].requests[0]", "must be the name of a request in the claim"),
                ("required", "spec.devices.constraints[0].matchAttribute", ""),
            ],
        ),
        (
            {"spec.devices.requests.0.exactly": {"allocationMode": "All", "count": 2, "tolerations": [{"key": "a"}]}},
            [
                ("required", "spec.devices.requests[0].exactly.deviceClassName", ""),
                ("invalid", "spec.devices.requests[0].exactly.count", "must not be specified when allocationMode is"),
                ("required", "spec.devices.requests[0].exactly.tolerations[0].operator", ""),
            ],
        ),
        (
            {"spec.devices.requests": [{"name": "gpu"}] * 33},
            [("many", "spec.devices.requests", "Too many: 33: must have at most 32 items")],
        ),
    ],
    "deviceclass": [
        (
            {"spec.selectors": [{}], "spec.extendedResourceName": "gpu"},
            [
                ("required", "spec.selectors[0].cel", ""),
                ("invalid", "spec.extendedResourceName", "must be a valid extended resource name"),
            ],
        )
    ],
    "slice": [
        (
            {"spec.allNodes": True, "spec.pool.resourceSliceCount": 0, "spec.devices": [DEVICE, DEVICE]},
            [
                ("invalid", "spec.pool.resourceSliceCount", "must be greater than zero"),
                ("invalid", "spec", "`perDeviceNodeSelection` is required, but multiple fields are set"),
                ("duplicate", "spec.devices[1]", '"gpu-0"'),
            ],
        ),
        (
            {"spec.devices.0": {"name": "A", "attributes": {"1a": {}}, "taints": [{"key": "a"}], "nodeName": "n"}},
            [
                ("invalid", "spec.devices[0].name", "a lowercase RFC 1123 label"),
                ("invalid", "spec.devices[0].attributes[1a]", "a valid C identifier must start with"),
                ("invalid", "spec.devices[0].attributes[1a]", "exactly one value must be specified"),
                ("required", "spec.devices[0].taints[0].effect", ""),
                ("invalid", "spec.devices[0]", "can only be set if `perDeviceNodeSelection` is set to true"),
            ],
        ),
    ],
    "taintrule": [
        (
            {"spec.taint.effect": "Any", "spec.deviceSelector": {"driver": "A B"}},
            [
                ("invalid", "spec.deviceSelector.driver", "a lowercase RFC 1123 subdomain"),
                ("unsupported", "spec.taint.effect", '"NoExecute", "NoSchedule"'),
            ],
        )
    ],
    "request": [
        (
            {"spec.signerName": "me", "spec.podUID": "", "spec.maxExpirationSeconds": 10},
            [
                ("invalid", "spec.signerName", "must be a fully qualified domain and path of the form"),
                ("required", "spec.podUID", "must not be empty"),
                ("invalid", "spec.maxExpirationSeconds", "must be in the range [3600, 7862400]"),
            ],
        )
    ],
}


@pytest.mark.parametrize("kind", GOOD)
def test_good(kind: str) -> None:
    rule, document = GOOD[kind]
    assert rule({**META, **document}) == []


@pytest.mark.parametrize(
    ("kind", "change", "expected"),
    [
        pytest.param(kind, change, expected, id=f"{kind}-{number}")
        for kind, rows in TABLE.items()
        for number, (change, expected) in enumerate(rows)
    ],
)
def test_wrong(kind: str, change: Document, expected: list[Expected]) -> None:
    rule, document = GOOD[kind]
    assert_causes(rule(changed({**META, **document}, change)), expected)


IMMUTABLE = "field is immutable"


@pytest.mark.parametrize(
    ("rule", "field", "reason", "words"),
    [
        (networking.service_cidr_update, "spec.cidrs", "invalid", IMMUTABLE),
        (networking.ip_address_update, "spec.parentRef", "invalid", IMMUTABLE),
        (ingresses.ingress_class_update, "spec.controller", "invalid", IMMUTABLE),
        (node.runtime_class_update, "handler", "invalid", IMMUTABLE),
        (discovery.endpoint_slice_update, "addressType", "invalid", IMMUTABLE),
        (scheduling.priority_class_update, "value", "forbidden", "may not be changed in an update."),
        (scheduling.priority_class_update, "preemptionPolicy", "invalid", IMMUTABLE),
        (storage.storage_class_update, "parameters", "forbidden", "updates to parameters are forbidden."),
        (storage.storage_class_update, "provisioner", "forbidden", "updates to provisioner are forbidden."),
        (storage.storage_class_update, "volumeBindingMode", "invalid", IMMUTABLE),
        (storage.attributes_class_update, "driverName", "forbidden", "updates to driverName are forbidden."),
        (storage.volume_attachment_update, "spec", "invalid", IMMUTABLE),
        (storage.storage_capacity_update, "storageClassName", "invalid", IMMUTABLE),
        (rbac.role_ref_immutable, "roleRef", "invalid", "cannot change roleRef"),
        (device_claims.resource_claim_update, "spec", "invalid", IMMUTABLE),
        (device_claims.resource_claim_template_update, "spec", "invalid", IMMUTABLE),
        (device_slices.resource_slice_update, "spec.driver", "invalid", IMMUTABLE),
        (certificates.trust_bundle_update, "spec.signerName", "invalid", IMMUTABLE),
    ],
)
def test_what_is_for_ever(rule: Any, field: str, reason: str, words: str) -> None:
    old, new = changed(META, {field: {"a": 1}}), changed(META, {field: {"a": 2}})
    assert rule(old, old) == []
    assert_causes(rule(new, old), [(reason, field, words)])


RULE_FOR_ALL = {
    "resourceRules": [
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
    ],
    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
}


def test_the_mandatory_objects_of_flow_control_are_right_as_kubernetes_makes_them() -> None:
    everyone = ("system:unauthenticated", "system:authenticated")
    for name, precedence, groups in (("exempt", 1, ("system:masters",)), ("catch-all", 10000, everyone)):
        subjects = [{"kind": "Group", "group": {"name": group}} for group in groups]
        spec: Document = {"matchingPrecedence": precedence, "priorityLevelConfiguration": {"name": name}}
        spec["rules"] = [{"subjects": subjects, **RULE_FOR_ALL}]
        if name == "catch-all":
            spec["distinguisherMethod"] = {"type": "ByUser"}
        assert flowcontrol.flow_schema({"metadata": {"name": name}, "spec": spec}) == []
    limited = {"nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": {"type": "Reject"}}
    for name, level in (
        ("exempt", {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 10, "lendablePercent": 50}}),
        ("catch-all", {"type": "Limited", "limited": limited}),
    ):
        assert flowcontrol.priority_level({"metadata": {"name": name}, "spec": level}) == []
