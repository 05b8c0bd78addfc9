"""Proxies, redirects and changes of protocol: what another server answers, or claims to be, leads past no check."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from aiohttp import web

from k8slite.apiserver.proxying.locations import Locations
from k8slite.apiserver.wire.options import DEFAULT
from k8slite.apiserver.wire.request import parse
from k8slite.pki import KUBELET_CLIENTS, Authority
from k8slite.testing import RunningServer, running_server

from .raw import connected

PROXY = "/api/v1/nodes/n1/proxy"
MERGE = {"content-type": "application/merge-patch+json"}
UPGRADE = ("connection: Upgrade", "upgrade: websocket", "sec-websocket-version: 13")
KEY = f"sec-websocket-key: {base64.b64encode(b'0' * 16).decode()}"


@dataclass
class Kubelet:
    """A kubelet's address where somebody answers as a test wants; `asked` are the requests that came."""

    port: int = 0
    answer: web.Response = field(default_factory=lambda: web.Response(text="hello"))
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)


@dataclass
class World:
    server: RunningServer
    http: httpx.AsyncClient
    kubelet: Kubelet

    async def move(self, host: str, port: int, kind: str = "InternalIP") -> None:
        """Let the node say that its kubelet is somewhere else."""
        endpoint = {"kubeletEndpoint": {"Port": port}}
        status = {"addresses": [{"type": kind, "address": host}], "daemonEndpoints": endpoint}
        answer = await self.http.patch("/api/v1/nodes/n1/status", headers=MERGE, json={"status": status})
        assert answer.status_code == 200, answer.text

    async def may(self, user: str, *rules: dict[str, Any]) -> None:
        path, group = "/apis/rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io"
        await self.http.post(f"{path}/clusterroles", json={"metadata": {"name": user}, "rules": list(rules)})
        reference = {"apiGroup": group, "kind": "ClusterRole", "name": user}
        subjects = [{"apiGroup": group, "kind": "User", "name": user}]
        body = {"metadata": {"name": user}, "roleRef": reference, "subjects": subjects}
        answer = await self.http.post(f"{path}/clusterrolebindings", json=body)
        assert answer.status_code == 201, answer.text


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    authority = Authority.ensure(tmp_path)
    client = authority.issue_client("kubelet-client", user="kube-apiserver-kubelet-client", groups=[KUBELET_CLIENTS])
    pair = authority.issue_server("kubelet", common_name="kubelet", hosts=["127.0.0.1", "localhost"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.cert_file))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(pair.cert_file, pair.key_file)
    kubelet = Kubelet()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        kubelet.asked.append((f"{request.method} {request.path_qs}", headers))
        answer = kubelet.answer
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    runner = web.ServerRunner(web.Server(handler=handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    kubelet.port = runner.addresses[0][1]
    try:
        async with (
            running_server(
                directory=tmp_path,
                kubelet_ca_file=authority.cert_file,
                kubelet_client_cert_file=client.cert_file,
                kubelet_client_key_file=client.key_file,
            ) as server,
            server.http() as http,
        ):
            world = World(server, http, kubelet)
            await http.post("/api/v1/nodes", json={"metadata": {"name": "n1"}})
            await world.move("127.0.0.1", kubelet.port)
            yield world
    finally:
        await runner.cleanup()


# CVE-2022-3294, CVE-2020-8562: a node says where its kubelet is, and says something else.


async def test_a_node_that_says_it_is_the_api_server_gains_nothing(world: World) -> None:
    """Requests to it carry a certificate that is nobody to the API server."""
    await world.may("prober", {"verbs": ["*"], "apiGroups": [""], "resources": ["nodes/proxy"]})
    await world.http.post("/api/v1/namespaces/default/secrets", json={"metadata": {"name": "gold"}})
    await world.move("127.0.0.1", world.server.port)
    async with world.server.http(world.server.client_config("prober")) as prober:
        for path in ("/api/v1/secrets", "/api/v1/namespaces/default/secrets/gold", "/metrics"):
            answer = await prober.get(f"{PROXY}{path}")
            assert answer.status_code == 403, answer.text
            assert answer.json()["message"].startswith(("secrets", "forbidden")), "it says who may not"
        made = await prober.post(f"{PROXY}/api/v1/namespaces/default/configmaps", json={"metadata": {"name": "x"}})
        assert made.status_code == 403, made.text


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "0.0.0.0",
        "224.0.0.1",
        "::",
        "fe80::1",
        "::ffff:169.254.169.254",
        "ff02::1",
        "no-such-host.invalid",
        "127.0.0.1:80",
        "127.0.0.1/",
        "user@127.0.0.1",
    ],
)
async def test_addresses_that_no_kubelet_has_are_not_dialled(world: World, host: str) -> None:
    kind = "Hostname" if host[0].isalpha() and ":" not in host else "InternalIP"
    await world.move(host, world.kubelet.port, kind)
    answer = await world.http.get(f"{PROXY}/pods")
    assert answer.status_code == 400, answer.text
    assert world.kubelet.asked == []


async def test_loopback_is_no_kubelet_of_a_cluster_that_is_elsewhere(world: World) -> None:
    world.server.app.kubelets._config = world.server.config.model_copy(update={"advertise_address": "192.0.2.1"})
    for host in ("127.0.0.1", "::1", "127.1.2.3"):
        await world.move(host, world.kubelet.port)
        assert (await world.http.get(f"{PROXY}/pods")).status_code == 400
    assert world.kubelet.asked == []


async def test_a_name_is_looked_up_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """CVE-2020-8562: between the look that is judged and the one that is dialled a name may come to lead elsewhere."""
    loop, asked = asyncio.get_running_loop(), []

    async def lookup(host: str, port: Any, **options: Any) -> list[Any]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "169.254.169.254"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 0))]

    await world.move("localhost", world.kubelet.port, "Hostname")
    monkeypatch.setattr(loop, "getaddrinfo", lookup, raising=False)
    locations = Locations(world.server.app.kubelets, objects=world.server.app.cache)
    location = await locations.of(SimpleNamespace(info=parse("GET", f"{PROXY}/x", DEFAULT)))  # type: ignore[arg-type]
    assert (location.host, location.server_name, asked) == ("127.0.0.1", "localhost", ["localhost"])


# CVE-2020-8559: a kubelet answers an upgrade with a redirect; CVE-2018-1002105: with an error, and stays connected.


@pytest.mark.parametrize("status", [200, 301, 302, 307, 308])
async def test_an_upgrade_is_answered_by_a_change_or_an_error(world: World, status: int) -> None:
    elsewhere = "https://127.0.0.1:1/exec/kube-system/root/c"
    world.kubelet.answer = web.Response(status=status, headers={"Location": elsewhere})
    async with connected(world.server.admin, world.server.port) as connection:
        answer = await connection.send("GET", f"{PROXY}/run", headers=(*UPGRADE, KEY))
    assert answer.status == 503
    assert "location" not in answer.headers
    assert f"invalid upgrade response: status code {status}".encode() in answer.body
    assert len(world.kubelet.asked) == 1


async def test_after_a_refused_upgrade_the_connection_is_the_api_servers_again(world: World) -> None:
    await world.may("upgrader", {"verbs": ["get", "create"], "apiGroups": [""], "resources": ["nodes/proxy"]})
    world.kubelet.answer = web.Response(status=400, text="no")
    config = world.server.client_config("upgrader")
    async with connected(config, world.server.port) as connection:
        refused = await connection.send("GET", f"{PROXY}/exec/kube-system/etcd/c", headers=(*UPGRADE, KEY))
        assert refused.status == 400
        asked = len(world.kubelet.asked)
        try:
            second = await connection.send("GET", "/api/v1/secrets")
        except (asyncio.IncompleteReadError, ConnectionError):
            second = None  # closed: as good
        assert second is None or second.status == 403
        assert len(world.kubelet.asked) == asked
    assert len(world.kubelet.asked) == 1


async def test_a_request_inside_an_upgrade_is_not_smuggled(world: World) -> None:
    """What follows the head of an upgrade is the new protocol's: it may hold no request that somebody else reads."""
    world.kubelet.answer = web.Response(status=400, text="no")
    inner = b"GET /runningpods/ HTTP/1.1\r\nhost: kubelet\r\n\r\n"
    async with connected(world.server.admin, world.server.port) as connection:
        answer = await connection.send("POST", f"{PROXY}/exec/a/b/c", body=inner, headers=(*UPGRADE, KEY))
    assert answer.status == 400
    assert world.kubelet.asked == []


@pytest.mark.parametrize(
    "framing",
    [
        ("transfer-encoding: chunked", "content-length: 4"),
        ("content-length: 4", "transfer-encoding: chunked"),
        ("transfer-encoding: chunked", "connection: transfer-encoding", "content-length: 4"),
        ("content-length: 4", "content-length: 60"),
        ("transfer-encoding: identity", "content-length: 4"),
        ("transfer-encoding: xchunked", "content-length: 4"),
        ("transfer_encoding: chunked", "content-length: 4"),
        ("connection: content-length", "content-length: 60"),
    ],
)
async def test_a_body_holds_no_request_to_the_kubelet(world: World, framing: tuple[str, ...]) -> None:
    """The connection to the kubelet may do everything: what a user's body begins with must not become a request."""
    inner = b"GET /exec/kube-system/etcd/c HTTP/1.1\r\nhost: kubelet\r\nx: 1\r\n\r\n"
    head = "\r\n".join([f"POST {PROXY}/x HTTP/1.1", "host: localhost", *framing]).encode() + b"\r\n\r\n"
    async with connected(world.server.admin, world.server.port) as connection:
        connection.writer.write(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(inner), inner))
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            async with asyncio.timeout(5):
                await connection._answer("POST")
    await world.http.get(f"{PROXY}/after")
    assert [target for target, _ in world.kubelet.asked if "exec" in target] == []


async def test_redirects_of_plain_requests_lead_through_the_proxy_or_nowhere(world: World) -> None:
    for location in ("https://127.0.0.1:1/api", "//evil.example/x", "http://169.254.169.254/latest"):
        world.kubelet.answer = web.Response(status=302, headers={"Location": location})
        answer = await world.http.get(f"{PROXY}/x")
        assert answer.status_code == 302
        assert len(world.kubelet.asked) == 1, "nobody follows it here"
        world.kubelet.asked.clear()


async def test_credentials_do_not_reach_the_other_server(world: World) -> None:
    async with connected(world.server.admin, world.server.port) as connection:
        headers = ("authorization: Basic c2VjcmV0", "impersonate-user: root", "impersonate-group: system:masters")
        elsewhere = "X-Forwarded-URI: /api/v1/nodes/n2/proxy/x"
        answer = await connection.send("GET", f"{PROXY}/x", headers=(*headers, elsewhere))
    assert answer.status == 200
    [(_, seen)] = world.kubelet.asked
    assert seen["x-forwarded-uri"] == f"{PROXY}/x", "simulated nodes, which share a port, know by it who is asked"
    assert not seen.keys() & {"authorization", "impersonate-user", "impersonate-group"}
    assert "c2VjcmV0" not in str(seen)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("n1:10255", 400),
        ("https:n1:22", 400),
        ("ftp:n1:21", 400),
        ("n1:0", 400),
        ("n1:99999", 400),
        ("n1:%2f", 404),
        ("n1@127.0.0.1", 404),
        ("n1%2f..%2fn2", 404),
        ("..", 404),
        ("n1:80:80:80", 400),
    ],
)
async def test_a_name_leads_to_no_other_server(world: World, name: str, expected: int) -> None:
    async with connected(world.server.admin, world.server.port) as connection:
        answer = await connection.send("GET", f"/api/v1/nodes/{name}/proxy/x")
    assert answer.status == expected, answer.body
    assert world.kubelet.asked == []


async def test_the_right_to_a_nodes_subresource_is_not_the_right_to_its_proxy(world: World) -> None:
    await world.may("reader", {"verbs": ["*"], "apiGroups": [""], "resources": ["nodes", "nodes/metrics", "pods/*"]})
    async with world.server.http(world.server.client_config("reader")) as reader:
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
            assert (await reader.request(method, f"{PROXY}/x")).status_code == 403
    assert world.kubelet.asked == []


async def test_the_right_to_watch_is_not_the_right_to_a_proxy(world: World) -> None:
    """Below `/watch/` every GET has the verb `watch`, whatever it asks for."""
    await world.may("watcher", {"verbs": ["watch"], "apiGroups": [""], "resources": ["*"]})
    async with world.server.http(world.server.client_config("watcher")) as watcher:
        for path in ("nodes/n1", "namespaces/default/pods/n1", "namespaces/default/services/n1"):
            answer = await watcher.get(f"/api/v1/watch/{path}/proxy/pods")
            assert answer.status_code == 404, answer.text
            assert answer.json()["message"] == "the server could not find the requested resource"
        assert (await watcher.get(f"{PROXY}/pods")).status_code == 403
    assert not world.kubelet.asked
