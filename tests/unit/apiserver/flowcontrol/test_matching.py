"""Which schema a request falls under."""

from __future__ import annotations

from typing import Any

import pytest

from k8slite.apiserver.authn.base import User
from k8slite.apiserver.flowcontrol import matching
from k8slite.apiserver.wire import options, request

EVERYONE = [{"kind": "Group", "group": {"name": "*"}}]


def schema(name: str = "s", *, precedence: int = 1, method: str = "", **rule: Any) -> matching.Schema:
    spec: dict[str, Any] = {"matchingPrecedence": precedence, "rules": [{"subjects": EVERYONE, **rule}]}
    if method:
        spec["distinguisherMethod"] = {"type": method}
    return matching.read({"metadata": {"name": name}, "spec": spec})


def info(path: str, method: str = "GET", query: bytes = b"") -> request.RequestInfo:
    return request.parse(method, path, options.parse(query, method))


@pytest.mark.parametrize(
    ("subject", "user", "matches"),
    [
        ({"kind": "User", "user": {"name": "a"}}, User("a"), True),
        ({"kind": "User", "user": {"name": "a"}}, User("b", groups=("a",)), False),
        ({"kind": "User", "user": {"name": "*"}}, User("b"), True),
        ({"kind": "Group", "group": {"name": "g"}}, User("b", groups=("f", "g")), True),
        ({"kind": "Group", "group": {"name": "*"}}, User("b"), True),
        (
            {"kind": "ServiceAccount", "serviceAccount": {"namespace": "n", "name": "a"}},
            User("system:serviceaccount:n:a"),
            True,
        ),
        (
            {"kind": "ServiceAccount", "serviceAccount": {"namespace": "n", "name": "*"}},
            User("system:serviceaccount:n:b"),
            True,
        ),
        (
            {"kind": "ServiceAccount", "serviceAccount": {"namespace": "n", "name": "*"}},
            User("system:serviceaccount:nn:b"),
            False,
        ),
    ],
)
def test_subjects(subject: dict[str, Any], user: User, matches: bool) -> None:
    rule = {"verbs": ["*"], "nonResourceURLs": ["*"]}
    assert schema(subjects=[subject], nonResourceRules=[rule]).match(user, info("/version")) is matches


@pytest.mark.parametrize(
    ("rule", "path", "matches"),
    [
        ({}, "/api/v1/namespaces/n/pods/p", True),
        ({"verbs": ["list"]}, "/api/v1/namespaces/n/pods", True),
        ({"verbs": ["get"]}, "/api/v1/namespaces/n/pods", False),
        ({"apiGroups": [""]}, "/apis/apps/v1/namespaces/n/deployments/d", False),
        ({"resources": ["pods"]}, "/api/v1/namespaces/n/pods/p/status", False),
        ({"resources": ["pods/status"]}, "/api/v1/namespaces/n/pods/p/status", True),
        ({"namespaces": ["n"]}, "/api/v1/namespaces/n/pods/p", True),
        ({"namespaces": ["m"]}, "/api/v1/namespaces/n/pods/p", False),
        ({"clusterScope": False}, "/api/v1/pods", False),
        ({"namespaces": [], "clusterScope": True}, "/api/v1/pods", True),
        ({}, "/version", False),
    ],
)
def test_resource_rules(rule: dict[str, Any], path: str, matches: bool) -> None:
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}
    assert schema(resourceRules=[{**everything, **rule}]).match(User("u"), info(path)) is matches


@pytest.mark.parametrize(
    ("url", "path", "matches"),
    [
        ("*", "/anything", True),
        ("/healthz", "/healthz", True),
        ("/healthz", "/healthz/etcd", True),
        ("/healthz", "/healthzz", False),
        ("/healthz/*", "/healthz/etcd", True),
        ("/healthz/*", "/healthz", False),
        ("/healthz", "/api/v1/pods", False),
    ],
)
def test_url_rules(url: str, path: str, matches: bool) -> None:
    rule = {"verbs": ["get"], "nonResourceURLs": [url]}
    assert schema(nonResourceRules=[rule]).match(User("u"), info(path)) is matches


def test_schemas_are_asked_by_precedence_and_then_by_name() -> None:
    schemas = [schema("b", precedence=5), schema("a", precedence=5), schema("c", precedence=1)]
    assert [each.name for each in matching.ordered(schemas)] == ["c", "a", "b"]


def test_a_flow_is_a_user_or_a_namespace_or_everything() -> None:
    pods = info("/api/v1/namespaces/n/pods")
    assert schema(method="ByUser").distinguisher(User("u"), pods) == "u"
    assert schema(method="ByNamespace").distinguisher(User("u"), pods) == "n"
    assert schema().distinguisher(User("u"), pods) == ""
