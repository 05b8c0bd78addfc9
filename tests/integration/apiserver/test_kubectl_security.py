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
