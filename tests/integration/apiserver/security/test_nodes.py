"""A node with its certificate, against the real server: what is its own it may have, and nothing else, by no path.

RELIABILITY: a node cannot read unrelated Secrets, change protected labels and taints, own or delete itself.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import pytest_asyncio

from k8slite.testing import RunningServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

MERGE = {"content-type": "application/merge-patch+json"}
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}
NODES, NS = "/api/v1/nodes", "/api/v1/namespaces/default"
MIRROR = "kubernetes.io/config.mirror"


def pod(name: str, node: str, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "c", "image": "i", "envFrom": [{"secretRef": {"name": f"{name}-secret"}}]}]
    return {"metadata": {"name": name}, "spec": {"nodeName": node, "containers": containers, **spec}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(server: RunningServer, http: httpx.AsyncClient) -> dict[str, Any]:
    """The nodes n1 and n2 with a pod each, own and theirs, and the Secrets that these name."""
    made: dict[str, Any] = {}
    for node in ("n1", "n2"):
        made[node] = (await http.post(NODES, json={"metadata": {"name": node}})).json()
    for name, node in (("own", "n1"), ("theirs", "n2")):
        for secret in (f"{name}-secret", f"{name}-other"):
            body = {"metadata": {"name": secret}, "stringData": {"k": "v"}}
            assert (await http.post(f"{NS}/secrets", json=body)).status_code == 201
        answer = await http.post(f"{NS}/pods", json=pod(name, node))
        assert answer.status_code == 201, answer.text
        made[name] = answer.json()
    lease = {"metadata": {"name": "n2", "namespace": "kube-node-lease"}}
    await http.post("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", json=lease)
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kubelet(server: RunningServer, cluster: dict[str, Any]) -> Any:
    async with server.http(server.client_config("system:node:n1", ["system:nodes"])) as client:
        yield client


ALLOWED: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", f"{NODES}/n1", {}),
    ("GET", NODES, {"params": {"fieldSelector": "metadata.name=n1"}}),
    ("GET", "/api/v1/pods", {"params": {"fieldSelector": "spec.nodeName=n1"}}),
    ("GET", f"{NS}/pods/own", {}),
    ("GET", f"{NS}/secrets/own-secret", {}),
    ("GET", f"{NS}/secrets", {"params": {"fieldSelector": "metadata.name=own-secret"}}),
    ("GET", "/api/v1/services", {}),
    ("PATCH", f"{NODES}/n1", {"headers": MERGE, "json": {"metadata": {"labels": {"example.org/zone": "a"}}}}),
    ("PATCH", f"{NODES}/n1/status", {"headers": MERGE, "json": {"status": {"phase": "Running"}}}),
    ("PATCH", f"{NS}/pods/own/status", {"headers": MERGE, "json": {"status": {"phase": "Running"}}}),
]


@pytest.mark.parametrize(("method", "path", "options"), ALLOWED, ids=lambda value: str(value)[:60])
async def test_its_own(kubelet: httpx.AsyncClient, method: str, path: str, options: dict[str, Any]) -> None:
    answer = await kubelet.request(method, path, **options)
    assert answer.status_code == 200, answer.text


LABELS = {"node-role.kubernetes.io/control-plane": "", "node-restriction.kubernetes.io/x": "y"}
OWNERS = [{"apiVersion": "v1", "kind": "Pod", "name": "gone", "uid": "0"}]
TAINTS = {"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}}
LEASES = "/apis/coordination.k8s.io/v1/namespaces"
REFUSED: list[tuple[str, str, dict[str, Any]]] = [
    # others' objects
    ("GET", f"{NODES}/n2", {}),
    ("GET", NODES, {}),
    ("GET", NODES, {"params": {"fieldSelector": "metadata.name=n2"}}),
    ("GET", f"{NODES}?watch=true", {}),
    ("GET", "/api/v1/pods", {}),
    ("GET", "/api/v1/watch/pods", {}),
    ("GET", "/api/v1/pods", {"params": {"fieldSelector": "spec.nodeName=n2"}}),
    ("GET", "/api/v1/pods", {"params": {"fieldSelector": "spec.nodeName!=n1"}}),
    ("GET", f"{NS}/pods/theirs", {}),
    ("GET", f"{NS}/pods", {"params": {"fieldSelector": "metadata.name=theirs"}}),
    ("GET", f"{NS}/pods/own/log", {}),
    ("POST", f"{NS}/pods/own/exec?command=sh&stdout=1", {}),
    ("GET", f"{NS}/secrets/theirs-secret", {}),
    ("GET", f"{NS}/secrets/own-other", {}),
    ("GET", f"{NS}/secrets", {}),
    ("GET", "/api/v1/secrets", {}),
    ("GET", "/api/v1/secrets", {"params": {"fieldSelector": "metadata.name=own-secret"}}),
    ("GET", f"{NS}/secrets", {"params": {"fieldSelector": "metadata.name=theirs-secret"}}),
    ("GET", f"{NS}/secrets", {"params": {"labelSelector": "a=b"}}),
    ("PUT", f"{NS}/secrets/own-secret", {"json": {"metadata": {"name": "own-secret"}}}),
    ("DELETE", f"{NS}/secrets/own-secret", {}),
    ("DELETE", f"{NS}/pods/theirs", {}),
    ("DELETE", f"{NS}/pods", {}),
    ("DELETE", f"{NS}/pods", {"params": {"fieldSelector": "spec.nodeName=n1"}}),
    ("PATCH", f"{NS}/pods/theirs/status", {"headers": MERGE, "json": {"status": {"phase": "Failed"}}}),
    ("POST", f"{NS}/pods/theirs/eviction", {"json": {"metadata": {"name": "theirs"}}}),
    ("PATCH", f"{LEASES}/kube-node-lease/leases/n2", {"headers": MERGE, "json": {"spec": {}}}),
    ("POST", f"{LEASES}/kube-node-lease/leases", {"json": {"metadata": {"name": "n3"}}}),
    ("POST", f"{LEASES}/default/leases", {"json": {"metadata": {"name": "n1"}}}),
    ("POST", "/apis/storage.k8s.io/v1/csinodes", {"json": {"metadata": {"name": "n2"}, "spec": {"drivers": []}}}),
    # itself
    ("DELETE", f"{NODES}/n1", {}),
    ("DELETE", NODES, {}),
    ("DELETE", NODES, {"params": {"fieldSelector": "metadata.name=n1"}}),
    ("PATCH", f"{NODES}/n1", {"headers": MERGE, "json": {"metadata": {"ownerReferences": OWNERS}}}),
    ("PATCH", f"{NODES}/n1/status", {"headers": MERGE, "json": {"metadata": {"ownerReferences": OWNERS}}}),
    ("PATCH", f"{NODES}/n1", {"headers": MERGE, "json": TAINTS}),
    ("PATCH", f"{NODES}/n1", {"headers": STRATEGIC, "json": TAINTS}),
    ("PATCH", f"{NODES}/n1", {"headers": MERGE, "json": {"metadata": {"labels": LABELS}}}),
    ("PATCH", f"{NODES}/n1/status", {"headers": MERGE, "json": {"metadata": {"labels": LABELS}}}),
    (
        "PATCH",
        f"{NODES}/n1?fieldManager=k&force=true",
        {
            "headers": APPLY,
            "json": {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": LABELS}},
        },
    ),
    ("GET", f"{NODES}/n1/proxy/pods", {}),
    ("POST", NODES, {"json": {"metadata": {"name": "n3"}}}),
    # its pods' secrets of state
    ("PATCH", f"{NS}/pods/own/status", {"headers": MERGE, "json": {"metadata": {"labels": {"a": "b"}}}}),
    (
        "PATCH",
        f"{NS}/pods/own/status",
        {"headers": MERGE, "json": {"status": {"resourceClaimStatuses": [{"name": "c", "resourceClaimName": "x"}]}}},
    ),
    ("PATCH", f"{NS}/pods/own", {"headers": MERGE, "json": {"metadata": {"annotations": {"a": "b"}}}}),
    ("PATCH", f"{NS}/pods/own/ephemeralcontainers", {"headers": STRATEGIC, "json": {"spec": {}}}),
    ("POST", f"{NS}/pods/own/binding", {"json": {"target": {"name": "n2"}}}),
    # pods elsewhere
    ("POST", f"{NS}/pods", {"json": pod("new", "n1")}),
    ("POST", f"{NS}/pods", {"json": pod("new", "n2")}),
    ("POST", f"{NS}/pods", {"json": pod("new", "n2") | {"metadata": {"name": "m", "annotations": {MIRROR: "x"}}}}),
    # powers
    ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles", {}),
    ("GET", f"{NS}/serviceaccounts", {}),
    ("GET", "/metrics", {}),
]


@pytest.mark.parametrize(("method", "path", "options"), REFUSED, ids=lambda value: str(value)[:60])
async def test_nothing_else(kubelet: httpx.AsyncClient, method: str, path: str, options: dict[str, Any]) -> None:
    answer = await kubelet.request(method, path, **options)
    assert answer.status_code == 403, answer.text
    assert answer.json()["reason"] == "Forbidden"


async def test_refused_changes_left_nothing(http: httpx.AsyncClient, kubelet: httpx.AsyncClient) -> None:
    node = (await http.get(f"{NODES}/n1")).json()
    assert "ownerReferences" not in node["metadata"]
    assert not LABELS.keys() & (node["metadata"].get("labels") or {}).keys()
    taints = [taint["key"] for taint in (node.get("spec") or {}).get("taints") or ()]
    assert taints == ["node.kubernetes.io/not-ready"], "as every new node has it"
    assert {item["metadata"]["name"] for item in (await http.get(NODES)).json()["items"]} == {"n1", "n2"}


def token(name: str, uid: str, **spec: Any) -> dict[str, Any]:
    return {"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": name, "uid": uid}, **spec}}


async def test_tokens_of_its_own_pods_only(
    http: httpx.AsyncClient, kubelet: httpx.AsyncClient, cluster: dict[str, Any]
) -> None:
    path = f"{NS}/serviceaccounts/default/token"
    own, theirs = cluster["own"]["metadata"]["uid"], cluster["theirs"]["metadata"]["uid"]
    assert (await kubelet.post(path, json=token("own", own))).status_code == 201
    for body in (
        {"spec": {}},
        token("theirs", theirs),
        token("own", theirs),
        token("own", ""),
        token("own", own, audiences=["https://vault.example.org"]),
        token("own", own, audiences=["", "x"]),
    ):
        refused = await kubelet.post(path, json=body)
        assert refused.status_code == 403, refused.text
    account = {"metadata": {"name": "admin"}}
    assert (await http.post(f"{NS}/serviceaccounts", json=account)).status_code == 201
    assert (await kubelet.post(f"{NS}/serviceaccounts/admin/token", json=token("own", own))).status_code == 403


async def test_a_mirror_pod_gives_its_node_nothing(kubelet: httpx.AsyncClient, cluster: dict[str, Any]) -> None:
    """CVE-2025-4563: a mirror pod that names what its node may not have."""
    uid = cluster["n1"]["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": uid, "controller": True}
    metadata = {"name": "static-n1", "annotations": {MIRROR: "x"}, "ownerReferences": [owner]}
    plain = {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}
    for spec in (
        plain | {"resourceClaims": [{"name": "gpu", "resourceClaimName": "theirs"}]},
        plain | {"volumes": [{"name": "v", "secret": {"secretName": "theirs-secret"}}]},
        plain | {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "theirs"}}]},
        plain | {"serviceAccountName": "admin"},
    ):
        refused = await kubelet.post(f"{NS}/pods", json={"metadata": metadata, "spec": spec})
        assert refused.status_code == 403, refused.text
    made = await kubelet.post(f"{NS}/pods", json={"metadata": metadata, "spec": plain})
    assert made.status_code == 201, made.text
    assert (await kubelet.delete(f"{NS}/pods/static-n1")).status_code == 200


async def test_a_certificate_without_the_group_is_no_node(server: RunningServer) -> None:
    async with server.http(server.client_config("system:node:n1", ["dev"])) as client:
        assert (await client.get(f"{NODES}/n1")).status_code == 403
    async with server.http(server.client_config("alice", ["system:nodes"])) as client:
        assert (await client.get(f"{NODES}/n1")).status_code == 403
