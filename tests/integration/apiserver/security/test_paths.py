"""Paths that mean something else than they look like: a user with everything in one namespace gets nothing outside it.

Alice may do everything in the namespace `hers`. Whatever she writes into a path, in whatever encoding: she sees no byte
of what lies elsewhere, and nothing there changes.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
import pytest_asyncio

from k8slite.testing import RunningServer

from .raw import Answer, connected

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOLD = "gold-bar"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
HERS, THEIRS = "/api/v1/namespaces/hers", "/api/v1/namespaces/theirs"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def gold(name: str = "gold", **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "annotations": {"holds": GOLD}}, **more}


DEFINITION = {
    "metadata": {"name": "vaults.example.org"},
    "spec": {
        "group": "example.org",
        "scope": "Cluster",
        "names": {"plural": "vaults", "kind": "Vault", "singular": "vault"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
PLACES = [
    f"{THEIRS}/secrets/gold",
    "/api/v1/nodes/gold",
    f"{RBAC}/clusterroles/gold",
    "/apis/example.org/v1/vaults/gold",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def treasure(server: RunningServer, http: httpx.AsyncClient) -> dict[str, str]:
    """What Alice must not reach: its paths, and the revisions that it must keep."""
    for name in ("hers", "theirs"):
        await http.post("/api/v1/namespaces", json={"metadata": {"name": name}})
    everything = {"kind": "ClusterRole", "name": "cluster-admin", "apiGroup": "rbac.authorization.k8s.io"}
    subjects = [{"kind": "User", "name": "alice", "apiGroup": "rbac.authorization.k8s.io"}]
    body = {"metadata": {"name": "all"}, "roleRef": everything, "subjects": subjects}
    assert (await http.post(f"{RBAC}/namespaces/hers/rolebindings", json=body)).status_code == 201
    assert (await http.post(f"{HERS}/configmaps", json={"metadata": {"name": "own"}})).status_code == 201
    await http.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", json=DEFINITION)
    while (await http.get("/apis/example.org/v1/vaults")).status_code != 200:
        pass
    kinds = {"/apis/example.org/v1/vaults": {"apiVersion": "example.org/v1", "kind": "Vault"}}
    for place in PLACES:
        collection = place.removesuffix("/gold")
        made = await http.post(collection, json={**kinds.get(collection, {}), **gold()})
        assert made.status_code == 201, made.text
    return {place: (await http.get(place)).json()["metadata"]["resourceVersion"] for place in PLACES}


async def ask(server: RunningServer, method: str, target: str, body: Any = None) -> Answer:
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    content = json.dumps(body).encode() if body is not None and method not in ("GET", "HEAD") else b""
    async with connected(server.client_config("alice"), server.port) as connection:
        return await connection.send(method, target, body=content, headers=(f"content-type: {kind}",))


async def unharmed(http: httpx.AsyncClient, treasure: dict[str, str]) -> bool:
    now = {place: (await http.get(place)).json()["metadata"].get("resourceVersion") for place in treasure}
    return now == treasure


ELSEWHERE = [
    # the parent directory, plain and encoded
    f"{HERS}/../theirs/secrets/gold",
    f"{HERS}/configmaps/../../theirs/secrets/gold",
    f"{HERS}/configmaps/..%2f..%2ftheirs%2fsecrets%2fgold",
    f"{HERS}/configmaps/%2e%2e/%2e%2e/theirs/secrets/gold",
    f"{HERS}/configmaps/%252e%252e/gold",
    f"{HERS}/secrets/..%2f..%2ftheirs%2fgold",
    "/api/v1/namespaces/hers%2f..%2ftheirs/secrets/gold",
    "/api/v1/namespaces/hers%2Ftheirs/secrets/gold",
    "/api/v1/namespaces/../nodes/gold",
    "/api/v1/namespaces/hers/../../nodes/gold",
    "/api/v1/namespaces/./nodes/gold",
    "/api/v1/namespaces/%2e/nodes/gold",
    "/api/v1/./nodes/gold",
    "/api/v1/../v1/nodes/gold",
    "/apis/../api/v1/nodes/gold",
    f"{HERS}/configmaps/own/../../../../nodes/gold",
    # empty segments and slashes at the end
    "/api/v1/namespaces//secrets/gold",
    "/api/v1/namespaces//theirs/secrets/gold",
    "//api/v1/nodes/gold",
    "/api//v1/nodes/gold",
    "/api/v1//nodes/gold",
    "/api/v1/nodes//gold",
    "/api/v1/nodes/gold/",
    "/api/v1/nodes/gold//",
    f"{HERS}//secrets/gold",
    f"{THEIRS}/secrets/gold/",
    # other letters
    f"{HERS}/secrets/gold%00",
    "/api/v1/namespaces/theirs%00/secrets/gold",
    "/api/v1/namespaces/hers%00theirs/secrets/gold",
    "/api/v1/nodes/gold%0d%0ax-remote-user:%20root",
    "/api/v1/namespaces/THEIRS/secrets/gold",
    "/api/v1/Nodes/gold",
    "/API/v1/nodes/gold",
    "/api/v1/namespaces/theirs%20/secrets/gold",
    "/api/v1/namespaces/%ef%bd%94heirs/secrets/gold",
    "/api/v1/namespaces/hers%e2%80%ae/secrets/gold",
    "/api/v1/namespaces/hers%ff/secrets/gold",
    "/api/v1\\namespaces\\theirs\\secrets\\gold",
    f"{HERS}/..;/theirs/secrets/gold",
    f"{HERS};namespace=theirs/secrets/gold",
    # cluster-scoped objects through a namespace (CVE-2019-11247)
    f"{HERS}/nodes/gold",
    f"{HERS}/nodes",
    f"{HERS}/nodes/gold/status",
    f"{HERS}/nodes/gold/proxy/pods",
    f"{HERS}/namespaces/theirs",
    f"{HERS}/namespaces/theirs/finalize",
    f"{HERS}/namespaces",
    f"{HERS}/persistentvolumes",
    f"{RBAC}/namespaces/hers/clusterroles/gold",
    f"{RBAC}/namespaces/hers/clusterroles",
    f"{RBAC}/namespaces/hers/clusterrolebindings",
    "/apis/example.org/v1/namespaces/hers/vaults/gold",
    "/apis/example.org/v1/namespaces/hers/vaults",
    "/api/v1/watch/namespaces/hers/nodes/gold",
    "/api/v1/watch/namespaces/hers/nodes",
    "/apis/example.org/v1/watch/namespaces/hers/vaults",
    # the query does not move a request
    f"{HERS}/secrets/gold?namespace=theirs",
    f"{THEIRS}/secrets/gold?namespace=hers",
    f"{THEIRS}/secrets?fieldSelector=metadata.namespace=hers",
    "/api/v1/secrets?fieldSelector=metadata.namespace=hers",
    "/api/v1/secrets?fieldSelector=metadata.namespace%3Dtheirs",
    f"{HERS}/secrets/gold#{THEIRS}/secrets/gold",
    # proxies and subresources
    f"{HERS}/pods/..%2f..%2ftheirs%2fpods%2fgold/log",
    f"{HERS}/pods/../../theirs/pods/gold/exec",
    f"{HERS}/services/../../nodes/gold/proxy",
    f"{HERS}/services/https:gold.theirs:443/proxy/",
    f"{HERS}/pods/own/proxy/../../../../../../nodes/gold",
    "/api/v1/proxy/nodes/gold",
    "/api/v1/proxy/namespaces/theirs/pods/gold",
    "/api/v1/redirect/nodes/gold",
]


@pytest.mark.parametrize("target", ELSEWHERE)
async def test_nothing_outside_is_reached(
    server: RunningServer, http: httpx.AsyncClient, treasure: dict[str, str], target: str
) -> None:
    for method in METHODS:
        answer = await ask(server, method, target, gold())
        assert GOLD.encode() not in answer.body, (method, answer.body[:200])
        assert 400 <= answer.status < 500, (method, answer.status, answer.body[:200])
    assert await unharmed(http, treasure)


async def test_what_is_made_stays_where_it_was_allowed(
    server: RunningServer, http: httpx.AsyncClient, treasure: dict[str, str]
) -> None:
    """The body does not move a request either."""
    for body in (
        gold("moved") | {"metadata": {"name": "moved", "namespace": "theirs"}},
        gold("../../theirs/secrets/gold"),
        gold(".."),
        gold("."),
        gold("a/b"),
        gold("a%2fb"),
        gold("a\x00b"),
        gold("GOLD"),
        {"metadata": {"generateName": "../x-"}},
    ):
        answer = await ask(server, "POST", f"{HERS}/configmaps", body)
        assert answer.status in (400, 422), answer.body
    for body in ({"metadata": {"namespace": "theirs"}}, {"metadata": {"name": "other"}}):
        for method in ("PUT", "PATCH"):
            whole = body if method == "PATCH" else {"metadata": {"name": "own", **body["metadata"]}}
            answer = await ask(server, method, f"{HERS}/configmaps/own", whole)
            assert answer.status in (400, 422), answer.body
    listed = (await http.get("/api/v1/configmaps")).json()["items"]
    found = {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in listed}
    assert {place for place in found if place[0] in ("hers", "theirs")} == {("hers", "own")}
    assert await unharmed(http, treasure)


async def test_a_selector_widens_nothing(server: RunningServer, treasure: dict[str, str]) -> None:
    answer = await ask(server, "GET", f"{HERS}/secrets?fieldSelector=metadata.namespace=theirs")
    assert (answer.status, json.loads(answer.body)["items"]) == (200, [])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/nodes/gold?watch=true", 403),
        (f"{HERS}/configmaps/own?watch=true", 200),
        (f"{HERS}/configmaps?watch=false", 200),
        (f"{HERS}/configmaps/own/", 200),
        (f"{HERS}/configmaps/own/status", 404),
    ],
)
async def test_a_path_means_one_thing(
    server: RunningServer, treasure: dict[str, str], path: str, expected: int
) -> None:
    assert (await ask(server, "GET", path)).status == expected


@pytest.mark.parametrize("method", ["get", "Get", "LIST", "WATCH", "IMPERSONATE", "CONNECT", "TRACE", "*", "ESCALATE"])
async def test_no_method_is_a_verb_of_its_own(
    server: RunningServer, http: httpx.AsyncClient, treasure: dict[str, str], method: str
) -> None:
    """A rule for the verb `list` or `impersonate` is not met by a method of that name."""
    rules = [{"verbs": [method.lower()], "apiGroups": [""], "resources": ["nodes"]}]
    metadata = {"name": f"m-{sum(map(ord, method))}"}
    await http.post(f"{RBAC}/clusterroles", json={"metadata": metadata, "rules": rules})
    bound = {"kind": "ClusterRole", "apiGroup": "rbac.authorization.k8s.io", **metadata}
    subjects = [{"kind": "User", "name": "bob", "apiGroup": "rbac.authorization.k8s.io"}]
    binding = {"metadata": metadata, "roleRef": bound, "subjects": subjects}
    await http.post(f"{RBAC}/clusterrolebindings", json=binding)
    async with connected(server.client_config("bob"), server.port) as connection:
        answer = await connection.send(method, "/api/v1/nodes/gold")
    assert GOLD.encode() not in answer.body
    assert answer.status in (400, 403, 404, 405)


async def test_a_right_to_one_name_is_no_right_to_delete_many(server: RunningServer, http: httpx.AsyncClient) -> None:
    """A selector makes a list or a watch one of a name, as in Kubernetes, but not the deletion of a collection."""
    rules = [{"verbs": ["*"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["one"]}]
    metadata = {"name": "only-one"}
    await http.post(f"{RBAC}/clusterroles", json={"metadata": metadata, "rules": rules})
    bound = {"kind": "ClusterRole", "apiGroup": "rbac.authorization.k8s.io", **metadata}
    subjects = [{"kind": "User", "name": "carol", "apiGroup": "rbac.authorization.k8s.io"}]
    binding = {"metadata": metadata, "roleRef": bound, "subjects": subjects}
    await http.post(f"{RBAC}/clusterrolebindings", json=binding)
    selected = {"params": {"fieldSelector": "metadata.name=one"}}
    async with server.http(server.client_config("carol")) as carol:
        path = "/api/v1/namespaces/default/configmaps"
        assert (await carol.get(path, **selected)).status_code == 200
        assert (await carol.delete(path, **selected)).status_code == 403
        assert (await carol.get(path)).status_code == 403


async def test_refused_websockets_are_no_errors_of_ours(
    server: RunningServer, treasure: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    headers = ("connection: Upgrade", "upgrade: websocket", "sec-websocket-version: 13")
    key = "sec-websocket-key: MDAwMDAwMDAwMDAwMDAwMA=="
    async with connected(server.client_config("alice"), server.port) as connection:
        answer = await connection.send("GET", f"{THEIRS}/secrets?watch=true", headers=(*headers, key))
        assert answer.status == 403
        with pytest.raises(asyncio.IncompleteReadError):  # the server has closed, and so has logged what it would
            await connection.reader.readexactly(1)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
