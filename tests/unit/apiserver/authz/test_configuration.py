"""The file that says who is asked: what it may hold, and what becomes of mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from k8slite.apiserver.authz.conditions import ConditionError, met
from k8slite.apiserver.authz.configuration import AuthorizerSettings, WebhookSettings, read
from k8slite.config import ConfigError


def webhook(**changes: Any) -> dict[str, Any]:
    settings = {
        "timeout": "3s",
        "subjectAccessReviewVersion": "v1",
        "matchConditionSubjectAccessReviewVersion": "v1",
        "failurePolicy": "Deny",
        "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": "/dev/null"},
    }
    return {"type": "Webhook", "name": "hook", "webhook": settings | changes}


def written(directory: Path, *authorizers: Any, **fields: Any) -> Path:
    path = directory / "authorization.yaml"
    document = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration"}
    path.write_text(yaml.safe_dump(document | {"authorizers": list(authorizers)} | fields))
    return path


def test_a_whole_file(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "hook.yaml"
    kubeconfig.write_text("{}")
    path = written(
        tmp_path,
        {"type": "Node", "name": "node"},
        webhook(
            connectionInfo={"type": "KubeConfigFile", "kubeConfigFile": str(kubeconfig)},
            authorizedTTL="1m30s",
            cacheUnauthorizedRequests=False,
            matchConditions=[{"expression": "request.user != 'alice'"}],
        ),
        {"type": "RBAC", "name": "rbac"},
    )
    settings = WebhookSettings(
        "hook",
        kubeconfig,
        3.0,
        denies_on_failure=True,
        authorized_ttl=90.0,
        unauthorized_ttl=0.0,
        conditions=("request.user != 'alice'",),
    )
    assert read(path) == [
        AuthorizerSettings("Node"),
        AuthorizerSettings("Webhook", settings),
        AuthorizerSettings("RBAC"),
    ]


@pytest.mark.parametrize(
    ("authorizers", "refusal"),
    [
        ([], "authorizers: Required value: at least one authorization mode must be defined"),
        ([{"name": "x"}], "authorizers[0].type: Required value"),
        ([{"type": "ABAC", "name": "x"}], 'authorizers[0].type: Unsupported value: "ABAC"'),
        ([{"type": "RBAC"}], "authorizers[0].name: Required value"),
        ([{"type": "RBAC", "name": "A"}], "authorizer name is invalid"),
        ([{"type": "RBAC", "name": "a"}, {"type": "RBAC", "name": "b"}], "authorizers[1].type: Duplicate value"),
        ([{"type": "RBAC", "name": "a"}, {"type": "Node", "name": "a"}], "authorizers[1].name: Duplicate value"),
        ([{"type": "RBAC", "name": "a", "webhook": {}}], "may only be specified when type=Webhook"),
        ([{"type": "Webhook", "name": "a"}], "authorizers[0].webhook: Required value: required when type=Webhook"),
        ([{"type": "RBAC", "name": "a", "mode": "x"}], 'unknown field "authorizers[0].mode"'),
        ([webhook(timeout="31s")], 'authorizers[0].timeout: Invalid value: "31s": must be > 0s and <= 30s'),
        ([webhook(timeout=None)], "authorizers[0].timeout: Required value"),
        ([webhook(timeout="soon")], "must be a duration"),
        ([webhook(authorizedTTL="-1s")], "must be > 0s"),
        ([webhook(subjectAccessReviewVersion="v2")], 'Unsupported value: "v2"'),
        ([webhook(failurePolicy="Fail")], 'Unsupported value: "Fail"'),
        ([webhook(connectionInfo={"type": "KubeConfigFile"})], "kubeConfigFile: Required value"),
        (
            [webhook(connectionInfo={"type": "KubeConfigFile", "kubeConfigFile": "here"})],
            "must be an absolute path",
        ),
        ([webhook()], "must be a regular file"),
        (
            [webhook(connectionInfo={"type": "InClusterConfig", "kubeConfigFile": "/x"})],
            "can only be set when type=KubeConfigFile",
        ),
        ([webhook(matchConditions=[{"expression": " "}])], "matchConditions[0].expression: Required value"),
        ([webhook(matchConditions=[{"expression": "true"}] * 2)], "matchConditions[1].expression: Duplicate value"),
        ([webhook(matchConditions=[{"expression": "request.users == ''"}])], "undefined field 'users'"),
        ([webhook(matchConditions=[{"expression": "request.user"}])], "must evaluate to bool but got string"),
        ([webhook(matchConditions=[{"expression": f"{i} == {i}"} for i in range(65)])], "must have at most 64 items"),
        (["RBAC"], "must be a mapping"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, authorizers: list[Any], refusal: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(written(tmp_path, *authorizers))
    assert refusal in str(refused.value)


def test_what_is_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read(tmp_path / "none")
    with pytest.raises(ConfigError, match="not an AuthorizationConfiguration"):
        read(written(tmp_path, kind="AdmissionConfiguration"))


SPEC = {
    "user": "bob",
    "groups": ["dev"],
    "resourceAttributes": {
        "verb": "list",
        "resource": "pods",
        "fieldSelector": {"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["n1"]}]},
    },
}


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["request.user == 'bob'"], True),
        (["'dev' in request.groups", "request.user == 'eve'"], False),
        (["has(request.resourceAttributes)"], True),
        (["has(request.nonResourceAttributes)"], False),
        (["request.resourceAttributes.resource == 'pods'"], True),
        (["request.resourceAttributes.fieldSelector.requirements.exists(r, r.values == ['n1'])"], True),
        (["!('scopes' in request.extra)"], True),
        # One that is false decides, whatever another's error.
        (["request.nonResourceAttributes.path == '/'", "request.user == 'eve'"], False),
    ],
)
def test_conditions(conditions: list[str], expected: bool) -> None:
    assert met(conditions, SPEC) is expected


def test_a_condition_that_cannot_be_evaluated() -> None:
    with pytest.raises(ConditionError, match="cel evaluation error: expression"):
        met(["request.nonResourceAttributes.path == '/'"], SPEC)
