"""Who may do what, as kubectl sees it: against the real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from k8slite.connection import ClientConfig
from k8slite.testing.kubectl import Kubectl
from k8slite.testing.server import RunningServer, running_server


@dataclass
class Cluster:
    server: RunningServer
    admin: Kubectl

    def user(self, name: str, *groups: str) -> Kubectl:
        return Kubectl(self.server, self.server.client_config(name, groups))


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with running_server() as server:
        yield Cluster(server, Kubectl(server, server.admin))


async def test_who_am_i_and_what_may_i_do(cluster: Cluster) -> None:
    alice = cluster.user("alice", "dev")
    shown = await alice("auth", "whoami", "-o", "jsonpath={.status.userInfo.username} {.status.userInfo.groups}")
    assert shown.out == 'alice ["dev","system:authenticated"]'
    assert (await alice("auth", "can-i", "list", "pods")).out == "no"
    bound = await cluster.admin("create", "rolebinding", "b", "--clusterrole=view", "--group=dev")
    assert bound.code == 0, bound.err
    assert (await alice("auth", "can-i", "list", "pods")).out == "yes"
    assert (await alice("auth", "can-i", "list", "pods", "-n", "kube-system")).out == "no"
    assert (await alice("auth", "can-i", "get", "secrets")).out == "no"
    assert (await cluster.admin("auth", "can-i", "get", "pods", "--as=alice", "--as-group=dev")).out == "yes"
    assert (await cluster.admin("auth", "can-i", "*", "*")).out == "yes"


async def test_refusals_read_as_kubernetes_writes_them(cluster: Cluster) -> None:
    alice = cluster.user("alice")
    assert (await alice("get", "pods")).err == (
        'Error from server (Forbidden): pods is forbidden: User "alice" cannot list resource "pods" in API group "" in'
        ' the namespace "default"'
    )
    assert (await alice("get", "node", "n")).err == (
        'Error from server (Forbidden): nodes "n" is forbidden: User "alice" cannot get resource "nodes" in API group'
        ' "" at the cluster scope'
    )
    assert (await alice("get", "--raw", "/metrics")).err == (
        'Error from server (Forbidden): forbidden: User "alice" cannot get path "/metrics"'
    )


async def test_nobody_grants_what_they_do_not_hold(cluster: Cluster) -> None:
    alice = cluster.user("alice")
    await cluster.admin("create", "rolebinding", "b", "--clusterrole=admin", "--user=alice")
    assert (await alice("create", "role", "reader", "--verb=get", "--resource=pods")).code == 0
    refused = await alice("create", "role", "taker", "--verb=delete", "--resource=nodes")
    assert "attempting to grant RBAC permissions not currently held" in refused.err
    refused = await alice("create", "rolebinding", "root", "--clusterrole=cluster-admin", "--user=alice")
    assert "attempting to grant RBAC permissions not currently held" in refused.err


async def test_service_account_token(cluster: Cluster) -> None:
    await cluster.admin("create", "serviceaccount", "bot")
    token = (await cluster.admin("create", "token", "bot")).out
    config = ClientConfig(server=cluster.server.url, ca_file=cluster.server.authority.cert_file, token=token)
    bot = Kubectl(cluster.server, config)
    shown = await bot("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
    assert shown.out == "system:serviceaccount:default:bot"
    assert token not in repr(config)
    await cluster.admin("delete", "serviceaccount", "bot")
    assert "You must be logged in to the server" in (await bot("get", "pods")).err


async def test_kubelets_write_their_own_node_only(cluster: Cluster) -> None:
    kubelet = cluster.user("system:node:n1", "system:nodes")
    for name in ("n1", "n2"):
        node = f'{{"kind":"Node","apiVersion":"v1","metadata":{{"name":"{name}"}}}}'
        made = await kubelet("create", "-f", "-", stdin=node)
        assert (made.code == 0) == (name == "n1"), made.err
    assert 'is not allowed to modify node "n2"' in made.err
    refused = await kubelet("label", "node", "n1", "node-role.kubernetes.io/control-plane=")
    assert "is not allowed to modify labels: node-role.kubernetes.io/control-plane" in refused.err
    assert (await kubelet("label", "node", "n1", "example.org/zone=a")).code == 0
    secret = await kubelet("get", "secret", "s")
    assert "no relationship found between node 'n1' and this object" in secret.err


async def test_token_of_a_pods_account_must_be_bound_to_the_pod(cluster: Cluster) -> None:
    await cluster.admin("run", "web", "--image=x", "--overrides", '{"spec":{"nodeName":"n1"}}')
    config = cluster.server.client_config("system:node:n1", ["system:nodes"])
    path = "/api/v1/namespaces/default/serviceaccounts/default/token"
    async with cluster.server.http(config) as http:
        unbound = await http.post(path, json={"spec": {}})
        uid = (await http.get("/api/v1/namespaces/default/pods/web")).json()["metadata"]["uid"]
        reference = {"kind": "Pod", "apiVersion": "v1", "name": "web", "uid": uid}
        bound = await http.post(path, json={"spec": {"boundObjectRef": reference}})
    assert unbound.status_code == 403, unbound.text
    assert bound.status_code == 201, bound.text


async def test_anonymous_users_see_health_and_version_only(cluster: Cluster) -> None:
    config = ClientConfig(server=cluster.server.url, ca_file=cluster.server.authority.cert_file)
    async with cluster.server.http(config) as http:
        seen = {path: (await http.get(path)).status_code for path in ("/readyz", "/version", "/api", "/metrics")}
    assert seen == {"/readyz": 200, "/version": 200, "/api": 403, "/metrics": 403}


async def test_what_one_may_is_listed(cluster: Cluster) -> None:
    alice = cluster.user("alice", "dev")
    await cluster.admin("create", "role", "reader", "--verb=get,list", "--resource=pods,deployments.apps")
    await cluster.admin("create", "role", "one", "--verb=get", "--resource=secrets", "--resource-name=mine")
    for role in ("reader", "one"):
        await cluster.admin("create", "rolebinding", role, f"--role={role}", "--group=dev")
    listed = await alice("auth", "can-i", "--list")
    assert listed.code == 0, listed.err
    rows = [" ".join(line.split()) for line in listed.out.splitlines()]
    assert "pods [] [] [get list]" in rows
    assert "deployments.apps [] [] [get list]" in rows
    assert "secrets [] [mine] [get]" in rows
    assert "selfsubjectaccessreviews.authorization.k8s.io [] [] [create]" in rows
    assert "[/healthz] [] [get]" in rows
    elsewhere = await alice("auth", "can-i", "--list", "-n", "kube-system")
    assert "pods" not in elsewhere.out
    assert "*.* [] [] [*]" in [
        " ".join(line.split()) for line in (await cluster.admin("auth", "can-i", "--list")).out.splitlines()
    ]
    for question, answer in (
        (("get", "secrets/mine"), "yes"),
        (("get", "secrets/other"), "no"),
        (("get", "pods", "--subresource=log"), "no"),
        (("get", "/healthz"), "yes"),
        (("get", "/metrics"), "no"),
        (("list", "deployments.apps", "--all-namespaces"), "no"),
    ):
        assert (await alice("auth", "can-i", *question)).out == answer, question


RECONCILED = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: things}
rules: [{verbs: [get, list], apiGroups: [example.org], resources: [things]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: things}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: things}
subjects: [{kind: Group, apiGroup: rbac.authorization.k8s.io, name: dev}]
"""


async def test_reconcile_adds_what_is_missing_and_binds_another_role_anew(cluster: Cluster) -> None:
    made = await cluster.admin("auth", "reconcile", "-f", "-", stdin=RECONCILED)
    assert made.code == 0, made.err
    more = RECONCILED.replace("[get, list]", "[watch]").replace("name: dev", "name: ops")
    added = await cluster.admin("auth", "reconcile", "-f", "-", stdin=more)
    assert "reconciled" in added.out, added.err
    rules = await cluster.admin("get", "clusterrole", "things", "-o", "jsonpath={.rules[*].verbs[*]}")
    assert sorted(rules.out.split()) == ["get", "list", "watch"]
    subjects = await cluster.admin("get", "clusterrolebinding", "things", "-o", "jsonpath={.subjects[*].name}")
    assert sorted(subjects.out.split()) == ["dev", "ops"]
    other = RECONCILED.replace("kind: ClusterRole, name: things", "kind: ClusterRole, name: view")
    assert (await cluster.admin("auth", "reconcile", "-f", "-", stdin=other)).code == 0
    role = await cluster.admin("get", "clusterrolebinding", "things", "-o", "jsonpath={.roleRef.name}")
    assert role.out == "view"


async def test_apply_of_a_role_is_refused_with_the_reason(cluster: Cluster) -> None:
    alice = cluster.user("alice")
    await cluster.admin("create", "rolebinding", "b", "--clusterrole=admin", "--user=alice")
    role = """{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r"},
    "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["nodes"]}]}"""
    for flags in ((), ("--server-side",)):
        refused = await alice("apply", *flags, "-f", "-", stdin=role)
        assert refused.code == 1
        assert "attempting to grant RBAC permissions not currently held" in refused.err
        assert '{APIGroups:[""], Resources:["nodes"], Verbs:["get"]}' in refused.err
