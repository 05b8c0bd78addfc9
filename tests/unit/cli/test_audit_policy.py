"""What a new cluster records."""

from __future__ import annotations

import pytest

from k8slite.apiserver.audit.policy import Level, parse
from k8slite.apiserver.authn.base import ANONYMOUS, User
from k8slite.apiserver.authz.base import Attributes
from k8slite.cli.cluster import audit
from k8slite.cli.cluster.configs import apiserver
from k8slite.cli.cluster.spec import ClusterSpec

PERSON = User("alice", groups=("developers", "system:authenticated"))
ADMIN = User("kubernetes-admin", groups=("system:masters", "system:authenticated"))
NODE = User("system:node:n1", groups=("system:nodes", "system:authenticated"))
SCHEDULER = User("system:kube-scheduler", groups=("system:authenticated",))
CONTROLLER = User(
    "system:serviceaccount:kube-system:deployment-controller",
    groups=("system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"),
)
STRANGER = User("")
DECIDE = parse(audit.default_policy(), origin="the default").decide


def level(user: User, verb: str, what: str, group: str = "") -> Level:
    if what.startswith("/"):
        return DECIDE(Attributes(user, verb, what)).level
    resource, _, subresource = what.partition("/")
    return DECIDE(Attributes(user, verb, "/x", group, "v1", resource, subresource, "default", "x")).level


@pytest.mark.parametrize(
    ("user", "verb", "what", "group"),
    [
        (ADMIN, "create", "clusterrolebindings", "rbac.authorization.k8s.io"),
        (CONTROLLER, "update", "clusterroles", "rbac.authorization.k8s.io"),
        (PERSON, "get", "secrets", ""),
        (NODE, "list", "secrets", ""),
        (NODE, "create", "serviceaccounts/token", ""),
        (PERSON, "list", "configmaps", ""),
        (PERSON, "create", "pods/exec", ""),
        (PERSON, "get", "pods/exec", ""),
        (PERSON, "get", "services/proxy", ""),
        (PERSON, "get", "nodes/proxy", ""),
        (PERSON, "patch", "pods/ephemeralcontainers", ""),
        (PERSON, "create", "tokenreviews", "authentication.k8s.io"),
        (NODE, "create", "certificatesigningrequests", "certificates.k8s.io"),
        (ADMIN, "update", "certificatesigningrequests/approval", "certificates.k8s.io"),
        (ADMIN, "create", "validatingwebhookconfigurations", "admissionregistration.k8s.io"),
        (ADMIN, "create", "namespaces", ""),
        (PERSON, "delete", "deployments", "apps"),
        (PERSON, "deletecollection", "pods", ""),
        (ANONYMOUS, "list", "pods", ""),
        (ANONYMOUS, "get", "leases", "coordination.k8s.io"),
        (ANONYMOUS, "get", "/apis", ""),
        (STRANGER, "list", "pods", ""),
        (STRANGER, "create", "events", ""),
        (STRANGER, "get", "/api", ""),
    ],
)
def test_what_matters_is_recorded_without_bodies(user: User, verb: str, what: str, group: str) -> None:
    assert level(user, verb, what, group) is Level.METADATA


@pytest.mark.parametrize(
    ("user", "verb", "what", "group"),
    [
        (NODE, "update", "leases", "coordination.k8s.io"),
        (CONTROLLER, "patch", "events", ""),
        (PERSON, "create", "events", "events.k8s.io"),
        (NODE, "patch", "pods/status", ""),
        (NODE, "patch", "nodes/status", ""),
        (NODE, "watch", "configmaps", ""),
        (SCHEDULER, "create", "pods/binding", ""),
        (CONTROLLER, "update", "endpointslices", "discovery.k8s.io"),
        (CONTROLLER, "create", "pods", ""),
        (PERSON, "list", "pods", ""),
        (PERSON, "watch", "deployments", "apps"),
        (PERSON, "get", "/openapi/v3", ""),
        (ANONYMOUS, "get", "/readyz", ""),
        (STRANGER, "get", "/livez/ping", ""),
        (ANONYMOUS, "get", "/version", ""),
    ],
)
def test_what_goes_on_all_the_time_is_not(user: User, verb: str, what: str, group: str) -> None:
    assert level(user, verb, what, group) is Level.NONE


def test_a_cluster_is_configured_as_the_cis_benchmark_wants_it() -> None:
    config = apiserver(ClusterSpec()).audit
    assert config.policy_file is not None
    assert config.log.path
    assert (config.log.max_age >= 30, config.log.max_backups >= 10, config.log.max_size >= 100) == (True, True, True)


def test_a_policy_that_was_changed_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("K8SLITE_HOME", str(tmp_path))
    spec = ClusterSpec()
    audit.ensure_policy(spec)
    file = audit.policy_file(spec)
    assert file.read_text() == audit.default_policy()
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("changed")
    audit.ensure_policy(spec)
    assert file.read_text() == "changed"
