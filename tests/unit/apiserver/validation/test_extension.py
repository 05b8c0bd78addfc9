"""What extends or guards the server (webhooks, policies, APIServices, flow control): good ones and wrong ones."""

from __future__ import annotations

import pytest

from k8slite.apiserver.validation import admission_policies, apiregistration, certificates, flowcontrol, webhooks
from k8slite.testing.causes import GONE, Expected, assert_causes, changed

from .tables import META, Document, Row, Rule, cases

RULE = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}
HOOK = {
    "name": "hook.example.com",
    "clientConfig": {"url": "https://example.com/hook"},
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
    "rules": [RULE],
}
MATCH = {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}, "resourceRules": [RULE]}
H = "webhooks[0]"
S = "spec.rules[0]"

GOOD: dict[str, tuple[Rule, Document]] = {
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
                "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{}]"}}],
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

TABLE: dict[str, list[Row]] = {
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
        *(
            ({"webhooks.0.clientConfig": {"url": url}}, [("required", f"{H}.clientConfig.url", said)])
            for url, said in (
                (
                    "https://a:b/",
                    'url must be a valid URL: parse "https://a:b/": invalid port ":b" after host;',
                ),
                ("https://[::1]b/", 'invalid port "b" after host'),
                ("https://[::1/", "missing ']' in host"),
                ("https://{host}/", 'invalid character "{" in host name'),
                ("https://a/\r\nX: y", "net/url: invalid control character in URL"),
                ("https://a/%x", 'invalid URL escape "%x"'),
            )
        ),
        ({"webhooks.0.clientConfig": {"url": "https://[::1]:8443/a%20b"}}, []),
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
                ("invalid", f"{H}.matchConditions[0].expression", '"1": must evaluate to bool but got int'),
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
        (
            {
                "spec.variables": [
                    {"name": "in", "expression": "variables.count"},
                    {"name": "count", "expression": "[1]"},
                ],
                "spec.matchConditions": [
                    {"name": "a", "expression": "object.x"},
                    {"name": "b", "expression": "variables.count == [1]"},
                    {"name": "c", "expression": "params == null"},
                ],
                "spec.validations": [
                    {"expression": "variables.count"},
                    {"expression": "variables.count == [1] && authorizer.path('/x').check('get').allowed()"},
                    {"expression": "object.x = 1"},
                    {"expression": "true", "messageExpression": "1"},
                    {"expression": "true", "messageExpression": "authorizer.path('/x').check('get').reason()"},
                    {"expression": "params.x == 1", "messageExpression": " "},
                ],
                "spec.auditAnnotations": [{"key": "a", "valueExpression": " 1 "}],
            },
            [
                ("invalid", "spec.matchConditions[0].expression", "must evaluate to bool but got dyn"),
                ("invalid", "spec.matchConditions[1].expression", "undeclared reference to 'variables'"),
                ("invalid", "spec.matchConditions[2].expression", "undeclared reference to 'params'"),
                ("invalid", "spec.variables[0].name", "name is not a valid CEL identifier"),
                ("invalid", "spec.variables[0].expression", "undefined field 'count'"),
                ("invalid", "spec.validations[0].expression", "must evaluate to bool but got list(int)"),
                ("invalid", "spec.validations[2].expression", "compilation failed: ERROR: <input>:1:10: Syntax error"),
                ("invalid", "spec.validations[3].messageExpression", "must evaluate to string but got int"),
                ("invalid", "spec.validations[4].messageExpression", "undeclared reference to 'authorizer'"),
                ("invalid", "spec.validations[5].expression", "undeclared reference to 'params'"),
                ("invalid", "spec.validations[5].messageExpression", "must be non-empty if specified"),
                (
                    "invalid",
                    "spec.auditAnnotations[0].valueExpression",
                    "must evaluate to one of [string null_type] but got int",
                ),
            ],
        ),
    ],
    "mutatingpolicy": [
        (
            {"spec.mutations.0.jsonPatch.expression": "Object{}"},
            [("invalid", "spec.mutations[0].jsonPatch.expression", "must evaluate to list(JSONPatch) but got Object")],
        ),
        (
            {
                "spec.variables": [{"name": "o", "expression": "Object{}"}],
                "spec.mutations": [
                    {
                        "patchType": "ApplyConfiguration",
                        "applyConfiguration": {"expression": "Object{data: variables.later}"},
                    },
                    {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "{'a': 1}"}},
                    {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{"}},
                ],
            },
            [
                ("invalid", "spec.variables[0].expression", "undeclared reference to 'Object'"),
                ("invalid", "spec.mutations[0].applyConfiguration.expression", "undefined field 'later'"),
                (
                    "invalid",
                    "spec.mutations[1].applyConfiguration.expression",
                    "must evaluate to Object but got map(string, int)",
                ),
                (
                    "invalid",
                    "spec.mutations[2].applyConfiguration.expression",
                    "compilation failed: ERROR: <input>:1:8: Syntax error",
                ),
            ],
        ),
        (
            {"spec.mutations.0": {"patchType": "JSONPatch", "applyConfiguration": {}}, "spec.reinvocationPolicy": "x"},
            [
                ("required", "spec.mutations[0].jsonPatch", "must be specified when patchType is JSONPatch"),
                ("forbidden", "spec.mutations[0].applyConfiguration", "must not be specified when patchType is"),
                ("unsupported", "spec.reinvocationPolicy", '"IfNeeded", "Never"'),
            ],
        ),
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


@pytest.mark.parametrize(("kind", "change", "expected"), cases(TABLE))
def test_wrong(kind: str, change: Document, expected: list[Expected]) -> None:
    rule, document = GOOD[kind]
    assert_causes(rule(changed({**META, **document}, change)), expected)


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
