"""A second way past a check: each of these once was one, in Kubernetes. Each test is named after what must hold."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from k8slite.testing import RunningServer
from k8slite.testing.extension import extension

pytestmark = pytest.mark.asyncio(loop_scope="module")

STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
MERGE = {"content-type": "application/merge-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}
RBAC = "/apis/rbac.authorization.k8s.io/v1"


async def made(http: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await http.post(path, json=body)
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def namespace(http: httpx.AsyncClient, name: str, **labels: str) -> str:
    await made(http, "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    await made(http, f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})
    return f"/api/v1/namespaces/{name}"


# CVE-2021-25735: the old object of a Node's update had taken the new one's values when webhooks saw it.


@asynccontextmanager
async def reviewed(http: httpx.AsyncClient, directory: Path) -> AsyncIterator[list[dict[str, Any]]]:
    """Reviews of updates of Nodes, each of which is refused if a protected label differs from the old one."""
    seen: list[dict[str, Any]] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        review = json.loads(await request.read())
        asked = review["request"]
        seen.append(asked)
        new, old = ((asked[key]["metadata"].get("labels") or {}).get("zone") for key in ("object", "oldObject"))
        response = {"uid": asked["uid"], "allowed": new == old}
        return web.json_response({**review, "response": response})

    async with extension(handle, directory=directory, hosts=["127.0.0.1"]) as server:
        client = {
            "url": f"https://127.0.0.1:{server.port}/",
            "caBundle": base64.b64encode(server.bundle).decode(),
        }
        hook = {
            "name": "zones.example.org",
            "clientConfig": client,
            "rules": [
                {"operations": ["UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["nodes", "nodes/*"]}
            ],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
        await made(http, path, {"metadata": {"name": "zones"}, "webhooks": [hook]})
        try:
            yield seen
        finally:
            await http.delete(f"{path}/zones")


async def test_a_webhook_sees_a_node_as_it_was(http: httpx.AsyncClient, tmp_path: Path) -> None:
    before = await made(http, "/api/v1/nodes", {"metadata": {"name": "zoned", "labels": {"zone": "a"}}})
    moved = {"metadata": {"labels": {"zone": "b"}}}
    whole = {**before, "metadata": {**before["metadata"], **moved["metadata"]}}
    applied = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "zoned", **moved["metadata"]}}
    async with reviewed(http, tmp_path) as seen:
        for attempt in (
            http.put("/api/v1/nodes/zoned", json=whole),
            http.patch("/api/v1/nodes/zoned", headers=MERGE, json=moved),
            http.patch("/api/v1/nodes/zoned", headers=STRATEGIC, json=moved),
            http.patch("/api/v1/nodes/zoned?fieldManager=m&force=true", headers=APPLY, json=applied),
            http.put("/api/v1/nodes/zoned/status", json=whole),
            http.patch("/api/v1/nodes/zoned/status", headers=MERGE, json=moved),
        ):
            count = len(seen)
            answer = await attempt
            assert answer.status_code == 400 or answer.json()["metadata"]["labels"] == {"zone": "a"}, answer.text
            assert len(seen) > count
            assert seen[-1]["oldObject"]["metadata"]["labels"] == {"zone": "a"}
            assert seen[-1]["oldObject"]["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
        after = (await http.get("/api/v1/nodes/zoned")).json()
        assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


# CVE-2023-2728, CVE-2024-3177: ephemeral containers, and `envFrom` anywhere, mounted Secrets that the account forbids.

_ENV = {"env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "k"}}}]}
_FROM = {"envFrom": [{"secretRef": {"name": "hidden"}}]}


@pytest.mark.parametrize("kind", ["containers", "initContainers", "ephemeralContainers"])
@pytest.mark.parametrize("source", [_ENV, _FROM], ids=["env", "envFrom"])
async def test_pods_name_only_the_secrets_that_their_account_lists(
    http: httpx.AsyncClient, kind: str, source: dict[str, Any]
) -> None:
    place = f"{kind}-{next(iter(source))}".lower()
    ns = await namespace(http, f"kept-{place}")
    account = {
        "metadata": {"name": "kept", "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}},
        "secrets": [{"name": "shown"}],
    }
    await made(http, f"{ns}/serviceaccounts", account)
    plain = {"name": "c", "image": "i"}
    spec: dict[str, Any] = {"serviceAccountName": "kept", "containers": [plain]}
    allowed = json.loads(json.dumps(source).replace("hidden", "shown"))
    if kind != "ephemeralContainers":
        refused = await http.post(
            f"{ns}/pods", json={"metadata": {"name": "p"}, "spec": spec | {kind: [plain | source | {"name": "x"}]}}
        )
        good = spec | {kind: [plain | allowed | {"name": "x"}]}
        passes = await http.post(f"{ns}/pods", json={"metadata": {"name": "p"}, "spec": good})
        assert passes.status_code == 201, passes.text
    else:
        pod = await made(http, f"{ns}/pods", {"metadata": {"name": "p"}, "spec": spec})
        path = f"{ns}/pods/p/ephemeralcontainers"
        added = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "i", **source}]}}
        refused = await http.patch(path, headers=STRATEGIC, json=added)
        whole = {**pod, "spec": {**pod["spec"], **added["spec"]}}
        assert (await http.put(path, json=whole)).status_code == 403
        good = json.loads(json.dumps(added).replace("hidden", "shown"))
        assert (await http.patch(path, headers=STRATEGIC, json=good)).status_code == 200
    assert refused.status_code == 403, refused.text
    assert refused.json()["message"].endswith("because service account kept does not reference that secret")


async def test_volumes_and_pull_secrets_are_kept_too(http: httpx.AsyncClient) -> None:
    ns = await namespace(http, "kept-volumes")
    metadata = {"name": "kept", "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}}
    await made(http, f"{ns}/serviceaccounts", {"metadata": metadata})
    base = {"serviceAccountName": "kept", "containers": [{"name": "c", "image": "i"}]}
    for spec, words in (
        ({"volumes": [{"name": "v", "secret": {"secretName": "hidden"}}]}, 'volume with secret.secretName="hidden"'),
        ({"imagePullSecrets": [{"name": "hidden"}]}, 'imagePullSecrets[0].name="hidden"'),
    ):
        refused = await http.post(f"{ns}/pods", json={"metadata": {"name": "p"}, "spec": base | spec})
        assert refused.status_code == 403, refused.text
        assert words in refused.json()["message"]


# CVE-2023-2727: a policy that looks at containers was not asked about those that are added to a running pod.


async def test_ephemeral_containers_pass_the_policy_that_others_pass(http: httpx.AsyncClient) -> None:
    ns = await namespace(http, "baseline", **{"pod-security.kubernetes.io/enforce": "baseline"})
    await made(http, f"{ns}/pods", {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    added = {"name": "debug", "image": "i", "securityContext": {"privileged": True}}
    path = f"{ns}/pods/p/ephemeralcontainers"
    refused = await http.patch(path, headers=STRATEGIC, json={"spec": {"ephemeralContainers": [added]}})
    assert refused.status_code == 403, refused.text
    assert "violates PodSecurity" in refused.json()["message"]


# CVE-2025-4563 and CVE-2025-5187 (what a node may write) are in test_nodes.py, CVE-2019-11247 in test_paths.py.


# Roles: every way to write one compares it with what its writer holds.


async def may(http: httpx.AsyncClient, user: str, *rules: dict[str, Any]) -> None:
    """Give a user rules, everywhere."""
    await made(http, f"{RBAC}/clusterroles", {"metadata": {"name": user}, "rules": list(rules)})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": user}
    subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}]
    await made(
        http, f"{RBAC}/clusterrolebindings", {"metadata": {"name": user}, "roleRef": reference, "subjects": subjects}
    )


ROLES = {
    "verbs": ["get", "list", "create", "update", "patch", "delete"],
    "apiGroups": ["rbac.authorization.k8s.io"],
    "resources": ["roles", "clusterroles", "rolebindings", "clusterrolebindings"],
}
SECRETS = {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}
PODS = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}


@pytest.mark.parametrize("kind", ["Role", "ClusterRole"])
async def test_no_write_of_a_role_grants_more_than_its_writer_holds(
    server: RunningServer, http: httpx.AsyncClient, kind: str
) -> None:
    user = f"writer-{kind.lower()}"
    await may(http, user, ROLES, PODS)
    path = f"{RBAC}/clusterroles" if kind == "ClusterRole" else f"{RBAC}/namespaces/default/roles"
    name = f"{user}-own"
    own = await made(http, path, {"metadata": {"name": name}, "rules": [PODS]})
    more = {"rules": [PODS, SECRETS]}
    applied = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}}
    operations = [{"op": "add", "path": "/rules/-", "value": SECRETS}]
    async with server.http(server.client_config(user)) as alice:
        for attempt in (
            alice.post(path, json={"metadata": {"name": f"{name}-2"}, **more}),
            alice.put(f"{path}/{name}", json={**own, **more}),
            alice.put(f"{path}/{name}-3", json={"metadata": {"name": f"{name}-3"}, **more}),
            alice.patch(f"{path}/{name}", headers=MERGE, json=more),
            alice.patch(f"{path}/{name}", headers=STRATEGIC, json=more),
            alice.patch(f"{path}/{name}", headers={"content-type": "application/json-patch+json"}, json=operations),
            alice.patch(f"{path}/{name}?fieldManager=m&force=true", headers=APPLY, json={**applied, **more}),
            alice.patch(
                f"{path}/{name}-4?fieldManager=m",
                headers=APPLY,
                json={**applied, "metadata": {"name": f"{name}-4"}, **more},
            ),
            alice.put(f"{path}/{name}?dryRun=All", json={**own, **more}),
        ):
            refused = await attempt
            assert refused.status_code == 403, refused.text
            assert "not currently held" in refused.json()["message"]
        assert (await alice.put(f"{path}/{name}", json={**own, "rules": [PODS]})).status_code == 200
    assert (await http.get(f"{path}/{name}")).json()["rules"] == [PODS]


async def test_no_label_makes_an_aggregated_role_take_what_its_writer_does_not_hold(
    server: RunningServer, http: httpx.AsyncClient
) -> None:
    await may(http, "labeller", ROLES, PODS)
    await made(http, f"{RBAC}/clusterroles", {"metadata": {"name": "keys"}, "rules": [SECRETS]})
    label = {"metadata": {"labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}}}
    gathering = {"metadata": {"name": "all"}, "aggregationRule": {"clusterRoleSelectors": [{}]}}
    async with server.http(server.client_config("labeller")) as alice:
        refused = await alice.patch(f"{RBAC}/clusterroles/keys", headers=MERGE, json=label)
        assert refused.status_code == 403, refused.text
        refused = await alice.post(f"{RBAC}/clusterroles", json=gathering)
        assert refused.status_code == 403, refused.text
        assert "must have cluster-admin privileges to use an aggregationRule" in refused.json()["message"]
    view = (await http.get(f"{RBAC}/clusterroles/view")).json()
    assert not any("secrets" in rule.get("resources", ()) for rule in view["rules"])


async def test_no_write_of_a_binding_grants_more_than_its_writer_holds(
    server: RunningServer, http: httpx.AsyncClient
) -> None:
    await may(http, "binder", ROLES, PODS)
    await made(http, f"{RBAC}/clusterroles", {"metadata": {"name": "pods-only"}, "rules": [PODS]})
    group = "rbac.authorization.k8s.io"
    me = [{"apiGroup": group, "kind": "User", "name": "binder"}]

    def binding(name: str, role: str, kind: str) -> dict[str, Any]:
        reference = {"apiGroup": group, "kind": "ClusterRole", "name": role}
        head = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": name}}
        return {**head, "roleRef": reference, "subjects": me}

    async with server.http(server.client_config("binder")) as alice:
        for kind, path in (
            ("ClusterRoleBinding", f"{RBAC}/clusterrolebindings"),
            ("RoleBinding", f"{RBAC}/namespaces/default/rolebindings"),
        ):
            root = binding("root", "cluster-admin", kind)
            for attempt in (
                alice.post(path, json=root),
                alice.put(f"{path}/root", json=root),
                alice.patch(f"{path}/root?fieldManager=m", headers=APPLY, json=root),
            ):
                refused = await attempt
                assert refused.status_code == 403, refused.text
                assert "not currently held" in refused.json()["message"]
            # Somebody's binding to a role that she does not hold: not even herself may she add to it.
            await made(http, path, {**root, "subjects": []})
            refused = await alice.patch(f"{path}/root", headers=MERGE, json={"subjects": me})
            assert refused.status_code == 403, refused.text
            held = await made(alice, path, binding("held", "pods-only", kind))
            changed = {**held, "roleRef": {**held["roleRef"], "name": "cluster-admin"}}
            refused = await alice.put(f"{path}/held", json=changed)
            assert refused.status_code in (403, 422), refused.text
            assert (await http.put(f"{path}/held", json=changed)).status_code == 422, "a binding is for one role"


async def test_who_may_get_may_not_run(server: RunningServer, http: httpx.AsyncClient) -> None:
    """A WebSocket begins with a GET: the right to get a pod's exec is not the right to run commands."""
    await may(http, "getter", {"verbs": ["get"], "apiGroups": [""], "resources": ["pods/exec", "pods/attach"]})
    await made(http, "/api/v1/nodes", {"metadata": {"name": "n"}})
    pod = {"metadata": {"name": "run"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}}
    await made(http, "/api/v1/namespaces/default/pods", pod)
    headers = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    headers["sec-websocket-key"] = base64.b64encode(b"0" * 16).decode()
    async with server.http(server.client_config("getter")) as alice:
        for path in ("exec?command=id&stdout=1", "attach?stdout=1"):
            answer = await alice.get(f"/api/v1/namespaces/default/pods/run/{path}", headers=headers)
            assert answer.status_code == 403, answer.text


async def test_a_put_that_creates_takes_the_right_to_create(server: RunningServer, http: httpx.AsyncClient) -> None:
    rule = {"verbs": ["get", "update", "patch"], "apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
    roles = {"verbs": ["update", "patch"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"]}
    await may(http, "changer", rule, roles, PODS)
    async with server.http(server.client_config("changer")) as alice:
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "new"}}
        leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "new"}}
        for path, body in ((f"{leases}/new", lease), (f"{RBAC}/namespaces/default/roles/new", role | {"rules": []})):
            put = await alice.put(path, json=body)
            assert put.status_code in (403, 404), put.text
            applied = await alice.patch(f"{path}?fieldManager=m", headers=APPLY, json=body)
            assert applied.status_code == 403, applied.text
            assert (await http.get(path)).status_code == 404
