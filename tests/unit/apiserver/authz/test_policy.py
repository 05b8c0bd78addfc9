"""The default roles: all that upstream has, and nothing that they must not grant."""

from __future__ import annotations

from typing import Any

import pytest

from k8slite.apiserver.authz import rules
from k8slite.apiserver.policy import binding_documents, role_documents
from k8slite.apiserver.policy.controllers import RUN
from k8slite.apiserver.validation import rbac as validation

NAMED = """
admin cluster-admin edit view system:aggregate-to-admin system:aggregate-to-edit system:aggregate-to-view
system:aggregated-metrics-reader system:auth-delegator system:basic-user
system:certificates.k8s.io:certificatesigningrequests:nodeclient
system:certificates.k8s.io:certificatesigningrequests:selfnodeclient
system:certificates.k8s.io:kube-apiserver-client-approver
system:certificates.k8s.io:kube-apiserver-client-kubelet-approver system:certificates.k8s.io:kubelet-serving-approver
system:certificates.k8s.io:legacy-unknown-approver system:cluster-trust-bundle-discovery system:discovery
system:heapster system:kube-aggregator system:kube-controller-manager system:kube-dns system:kube-scheduler
system:kubelet-api-admin system:monitoring system:node system:node-bootstrapper system:node-problem-detector
system:node-proxier system:persistent-volume-provisioner system:public-info-viewer
system:service-account-issuer-discovery system:volume-scheduler
"""
"""The ClusterRoles of Kubernetes and metrics-server, without those of controllers."""


def cluster_roles() -> dict[str, dict[str, Any]]:
    return {role["metadata"]["name"]: role for plural, role in role_documents() if plural == "clusterroles"}


def grants(role: str, verb: str, resource: str, group: str = "") -> bool:
    plural, _, subresource = resource.partition("/")
    return any(
        rule.allows_kind(verb=verb, group=group, resource=plural, subresource=subresource)
        for rule in rules.parse(cluster_roles()[role]["rules"])
    )


def test_every_role_of_upstream_is_there() -> None:
    known = {name for name in cluster_roles() if not name.startswith(("system:controller:", "k8slite:"))}
    assert known == set(NAMED.split())


def test_every_controller_has_a_role_and_its_account_holds_it() -> None:
    controllers = {name for name in cluster_roles() if name.startswith("system:controller:")}
    assert len(controllers) >= 39
    bound = {
        document["roleRef"]["name"]: document["subjects"]
        for plural, document in binding_documents()
        if plural == "clusterrolebindings" and "subjects" in document
    }
    for role in controllers:
        name = role.removeprefix("system:controller:")
        assert {"kind": "ServiceAccount", "name": name, "namespace": "kube-system"} in bound[role]
        manager = any(subject["name"] == "system:kube-controller-manager" for subject in bound[role])
        assert manager == (name in RUN.split()), name


def test_the_names_that_run_are_those_of_roles() -> None:
    assert {f"system:controller:{name}" for name in RUN.split()} <= cluster_roles().keys()


def test_all_are_valid_and_every_binding_has_its_role() -> None:
    roles = {(plural, r["metadata"].get("namespace", ""), r["metadata"]["name"]): r for plural, r in role_documents()}
    for (plural, _, name), role in roles.items():
        assert (validation.role if plural == "roles" else validation.cluster_role)(role) == [], name
    for plural, binding in binding_documents():
        check = validation.role_binding if plural == "rolebindings" else validation.cluster_role_binding
        assert check(binding) == []
        wanted = binding["roleRef"]
        namespace = binding["metadata"].get("namespace", "") if wanted["kind"] == "Role" else ""
        assert ("roles" if namespace else "clusterroles", namespace, wanted["name"]) in roles


@pytest.mark.parametrize(
    ("role", "verb", "resource", "group", "expected"),
    [
        ("view", "get", "pods/log", "", True),
        ("view", "get", "secrets", "", False),
        ("view", "get", "roles", "rbac.authorization.k8s.io", False),
        ("view", "create", "pods", "", False),
        ("edit", "create", "pods", "", True),
        ("edit", "get", "pods", "", True),
        ("edit", "get", "secrets", "", True),
        ("edit", "create", "serviceaccounts/token", "", True),
        ("edit", "update", "endpoints", "", False),
        ("edit", "create", "endpointslices", "discovery.k8s.io", False),
        ("edit", "update", "pods/status", "", False),
        ("edit", "create", "roles", "rbac.authorization.k8s.io", False),
        ("edit", "update", "resourcequotas", "", False),
        ("admin", "create", "roles", "rbac.authorization.k8s.io", True),
        ("admin", "update", "resourcequotas", "", False),
        ("admin", "update", "namespaces", "", False),
        ("admin", "escalate", "roles", "rbac.authorization.k8s.io", False),
        ("admin", "bind", "clusterroles", "rbac.authorization.k8s.io", False),
        ("system:kube-scheduler", "get", "secrets", "", False),
        ("system:kube-controller-manager", "create", "pods", "", False),
        ("system:node-proxier", "list", "secrets", "", False),
    ],
)
def test_what_a_role_grants(role: str, verb: str, resource: str, group: str, expected: bool) -> None:
    assert grants(role, verb, resource, group) is expected


def test_nobody_is_given_the_role_of_nodes() -> None:
    [binding] = [document for _, document in binding_documents() if document["roleRef"]["name"] == "system:node"]
    assert "subjects" not in binding
