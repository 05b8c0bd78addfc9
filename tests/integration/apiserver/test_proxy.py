"""`proxy` below pods and services, to a real web server that stands for a pod."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx
import pytest
import pytest_asyncio
from aiohttp import web

from k8slite.pki import Authority
from k8slite.testing.kubectl import Kubectl
from k8slite.testing.server import RunningServer, running_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMESPACE = "/api/v1/namespaces/default"
MERGE = {"content-type": "application/merge-patch+json"}
LEFT = web.AppKey("left", asyncio.Event)
PAGE = '<html><body><a href="/next?a=1">next</a><img src="//cdn/x.png"></body></html>'


def own_address() -> str:
    """An address of this machine that a pod could have."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return str(probe.getsockname()[0])


async def _echo(request: web.Request) -> web.StreamResponse:
    size = 0
    async for piece in request.content.iter_any():
        size += len(piece)
    seen = {name.lower(): value for name, value in request.headers.items()}
    return web.json_response({"method": request.method, "path": request.raw_path, "size": size, "headers": seen})


async def _page(request: web.Request) -> web.Response:
    answer = web.Response(text=PAGE, content_type="text/html")
    if "gzip" in request.query:
        answer.enable_compression(web.ContentCoding.gzip)
    return answer


async def _moved(request: web.Request) -> web.Response:
    raise web.HTTPFound("/elsewhere/", headers={"Access-Control-Allow-Origin": "*"})


async def _talk(request: web.Request) -> web.WebSocketResponse:
    conversation = web.WebSocketResponse()
    await conversation.prepare(request)
    async for message in conversation:
        await conversation.send_str(f"heard {message.data}")
    return conversation


async def _endless(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    try:
        while True:
            await answer.write(b"tick\n")
            await asyncio.sleep(0.01)
    finally:
        request.app[LEFT].set()


async def _unchanged(request: web.Request) -> web.Response:
    assert request.transport
    request.transport.write(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n")  # aiohttp would leave it out
    request.transport.close()
    return web.Response(status=304)


async def _broken(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    await answer.write(b"half")
    assert request.transport
    request.transport.abort()
    return answer


@dataclass
class Cluster:
    """The server, the pod's web server, and its ports without and with TLS."""

    server: RunningServer
    http: httpx.AsyncClient
    app: web.Application
    plain: int
    secure: int


async def _serve(authority: Authority) -> tuple[web.Application, web.AppRunner, int, int]:
    app = web.Application(client_max_size=1 << 30)
    app[LEFT] = asyncio.Event()
    app.router.add_get("/page", _page)
    app.router.add_get("/moved", _moved)
    app.router.add_get("/talk", _talk)
    app.router.add_get("/endless", _endless)
    app.router.add_get("/broken", _broken)
    app.router.add_get("/unchanged", _unchanged)
    app.router.add_route("*", "/{tail:.*}", _echo)
    runner = web.AppRunner(app, shutdown_timeout=1.0, handler_cancellation=True)
    await runner.setup()
    pair = authority.issue_server("pod", common_name="somebody-else", hosts=["example.org"])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.cert_file, pair.key_file)
    for tls in (None, context):
        await web.TCPSite(runner, own_address(), 0, ssl_context=tls).start()
    return app, runner, runner.addresses[0][1], runner.addresses[1][1]


def _slice(name: str, service: str, *, ports: list[Any], target: Any) -> Any:
    endpoint = {"addresses": [own_address()], "conditions": {"ready": True}, "targetRef": target}
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "endpoints": [{key: value for key, value in endpoint.items() if value}],
        "ports": ports,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    directory = tmp_path_factory.mktemp("proxy")
    authority = Authority.ensure(directory)
    app, runner, plain, secure = await _serve(authority)
    ports = [{"name": "http", "port": plain}, {"name": "https", "port": secure}]
    service_ports = [{"name": "http", "port": 80, "targetPort": plain}, {"name": "https", "port": 443}]
    slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    container = {"name": "main", "image": "x", "ports": [{"name": "web", "containerPort": plain}]}
    async with running_server(directory=directory) as server, server.http() as http:
        made: list[tuple[str, str, Any]] = [
            ("POST", f"{NAMESPACE}/pods", {"metadata": {"name": "web"}, "spec": {"containers": [container]}}),
            ("PATCH", f"{NAMESPACE}/pods/web/status", {"status": {"podIP": own_address()}}),
            ("POST", f"{NAMESPACE}/pods", {"metadata": {"name": "new"}, "spec": {"containers": [container]}}),
            ("POST", f"{NAMESPACE}/services", {"metadata": {"name": "web"}, "spec": {"ports": service_ports}}),
            ("POST", f"{NAMESPACE}/services", {"metadata": {"name": "fake"}, "spec": {"ports": [{"port": 80}]}}),
            ("POST", slices, _slice("web", "web", ports=ports, target={"kind": "Pod", "name": "web"})),
            ("POST", slices, _slice("fake", "fake", ports=[{"port": plain}], target=None)),
        ]
        for method, path, body in made:
            answer = await http.request(method, path, json=body, headers=MERGE if method == "PATCH" else {})
            assert answer.is_success, answer.text
        yield Cluster(server, http, app, plain, secure)
    await runner.cleanup()


async def message(cluster: Cluster, path: str) -> tuple[int, str]:
    answer = await cluster.http.get(f"{NAMESPACE}/{path}")
    return answer.status_code, answer.json()["message"]


@pytest.mark.parametrize("name", ["pods/web", "pods/web:web", "pods/http:web:", "services/web:http", "services/web:80"])
async def test_names(cluster: Cluster, name: str) -> None:
    answer = await cluster.http.get(f"{NAMESPACE}/{name}/proxy/a/b?x=1&y=%2F")
    assert answer.json()["path"] == "/a/b?x=1&y=%2F"


async def test_tls_to_a_pod_whose_certificate_nobody_knows(cluster: Cluster) -> None:
    for name in (f"pods/https:web:{cluster.secure}", "services/https:web:https", "services/https:web:443"):
        assert (await cluster.http.get(f"{NAMESPACE}/{name}/proxy/")).json()["path"] == "/"


async def test_what_is_not_there(cluster: Cluster) -> None:
    assert await message(cluster, "services/none/proxy/") == (404, 'services "none" not found')
    assert await message(cluster, "pods/none/proxy/") == (404, 'pods "none" not found')
    assert await message(cluster, "services/web:81/proxy/") == (503, 'no service port 81 found for service "web"')
    assert await message(cluster, "services/web:x/proxy/") == (503, 'no endpoints available for service "web:x"')
    assert await message(cluster, "pods/ftp:web:1/proxy/") == (400, 'invalid pod request "ftp:web:1"')
    assert await message(cluster, "services/:x/proxy/") == (400, 'invalid service request ":x"')
    assert await message(cluster, "pods/new/proxy/") == (400, "address not allowed")
    code, text = await message(cluster, "pods/web:1/proxy/")
    assert code == 503 and text.startswith("error trying to reach service: ")


async def test_endpoints_that_are_no_pods_are_no_way_out(cluster: Cluster) -> None:
    assert await message(cluster, "services/fake/proxy/") == (503, 'no endpoints available for service "fake"')


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe"])
async def test_addresses_that_are_no_pods_are_no_way_in(cluster: Cluster, address: str) -> None:
    status = {"status": {"podIP": address}}
    (await cluster.http.patch(f"{NAMESPACE}/pods/new/status", json=status, headers=MERGE)).raise_for_status()
    assert await message(cluster, "pods/new/proxy/") == (400, "address not allowed")


async def test_a_port_of_a_slice_without_a_number_is_none(cluster: Cluster) -> None:
    slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    made = _slice("all", "fake", ports=[{"name": ""}], target={"kind": "Pod", "name": "web"})
    (await cluster.http.post(slices, json=made)).raise_for_status()
    assert await message(cluster, "services/fake/proxy/") == (503, 'no endpoints available for service "fake"')


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_every_method(cluster: Cluster, method: str) -> None:
    answer = await cluster.http.request(method, f"{NAMESPACE}/pods/web/proxy/x", content=b"body")
    assert (answer.json()["method"], answer.json()["size"]) == (method, 4)
    assert (await cluster.http.head(f"{NAMESPACE}/pods/web/proxy/page")).headers["content-type"].startswith("text/html")


async def test_a_large_body_passes_in_pieces(cluster: Cluster) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(80):
            yield bytes(100_000)

    answer = await cluster.http.post(f"{NAMESPACE}/pods/web/proxy/x", content=pieces())
    assert answer.json()["size"] == 8_000_000


async def test_headers(cluster: Cluster) -> None:
    headers = {"cookie": "a=b", "x-forwarded-for": "192.0.2.7", "connection": "keep-alive", "te": "trailers"}
    seen = (await cluster.http.get(f"{NAMESPACE}/pods/web/proxy/x/", headers=headers)).json()["headers"]
    assert seen["cookie"] == "a=b"
    assert seen["x-forwarded-for"] == "192.0.2.7, 127.0.0.1"
    assert seen["x-forwarded-uri"] == f"{NAMESPACE}/pods/web/proxy/x/"
    assert "te" not in seen


async def test_headers_for_one_hop_and_tokens_stay_here(cluster: Cluster) -> None:
    headers = {"connection": "keep-alive, x-hop", "x-hop": "1", "x-kept": "2"}
    headers["sec-websocket-protocol"] = "base64url.bearer.authorization.k8s.io.c2VjcmV0, chat"
    seen = (await cluster.http.get(f"{NAMESPACE}/pods/web/proxy/x", headers=headers)).json()["headers"]
    assert ("x-hop" in seen, seen["x-kept"], seen["sec-websocket-protocol"]) == (False, "2", "chat")


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ("../../../../secrets", "/secrets"),
        ("%2e%2e/%2e%2e/x", "/x"),
        ("..%2f..%2fx", "/x"),
        ("%252e%252e/x", "/%252e%252e/x"),
        ("a//b/", "/a/b/"),
        ("a%20b/%C3%A9", "/a%20b/%C3%A9"),
        ("a%3Fb%23c", "/a%3Fb%23c"),
        ("@example.org/x", "/@example.org/x"),
        ("http:/example.org/", "/http:/example.org/"),
    ],
)
async def test_paths_stay_below_the_pod(cluster: Cluster, asked: str, got: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", cluster.server.port, ssl=_tls(cluster))
    writer.write(f"GET {NAMESPACE}/pods/web/proxy/{asked} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    assert f'"path": "{got}"' in answer, answer


def _tls(cluster: Cluster) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(cluster.server.admin.ca_file))
    assert cluster.server.admin.cert_file
    context.load_cert_chain(cluster.server.admin.cert_file, cluster.server.admin.key_file)
    return context


async def test_a_path_without_its_slash_is_redirected(cluster: Cluster) -> None:
    answer = await cluster.http.get(f"{NAMESPACE}/pods/web/proxy?a=1")
    assert (answer.status_code, answer.headers["location"]) == (301, f"{NAMESPACE}/pods/web/proxy/?a=1")


@pytest.mark.parametrize("query", ["", "?gzip=1"])
async def test_links_of_a_page_lead_through_the_proxy(cluster: Cluster, query: str) -> None:
    answer = await cluster.http.get(f"{NAMESPACE}/services/web:http/proxy/page{query}")
    prefix = f"{NAMESPACE}/services/web:http/proxy"
    assert answer.text == PAGE.replace('"/next', f'"{prefix}/next')


async def test_redirects_lead_through_the_proxy(cluster: Cluster) -> None:
    answer = await cluster.http.get(f"{NAMESPACE}/pods/web/proxy/moved")
    assert (answer.status_code, answer.headers["location"]) == (302, f"{NAMESPACE}/pods/web/proxy/elsewhere/")
    assert "access-control-allow-origin" not in answer.headers


async def test_a_websocket_through_the_proxy(cluster: Cluster) -> None:
    connector = aiohttp.TCPConnector(ssl=_tls(cluster))
    for name in ("pods/web", "services/web:http", f"pods/https:web:{cluster.secure}"):
        async with (
            aiohttp.ClientSession(connector=connector, connector_owner=False) as session,
            session.ws_connect(f"{cluster.server.url}{NAMESPACE}/{name}/proxy/talk") as talk,
        ):
            await talk.send_str("hello")
            assert await talk.receive_str() == "heard hello"
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{cluster.server.url}{NAMESPACE}/pods/web/proxy/page")
        assert refused.value.status == 503  # neither the change nor a refusal


async def test_what_a_client_says_before_the_answer_reaches_the_pod(cluster: Cluster) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", cluster.server.port, ssl=_tls(cluster))
    head = f"GET {NAMESPACE}/pods/web/proxy/talk HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    head += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n"
    unmasked = bytes([0x81, 0x82, 0, 0, 0, 0]) + b"hi"
    writer.write(head.encode() + unmasked)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    assert await asyncio.wait_for(reader.readexactly(10), 10) == b"\x81\x08heard hi"
    writer.close()


async def test_a_change_of_protocol_has_no_body(cluster: Cluster) -> None:
    headers = {"connection": "Upgrade", "upgrade": "chat"}
    answer = await cluster.http.post(f"{NAMESPACE}/pods/web/proxy/x", headers=headers, content=b"body")
    assert answer.status_code == 400
    assert answer.json()["message"] == "a request to change the protocol must not have a body"


async def test_an_answer_without_a_body_may_tell_its_length(cluster: Cluster) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", cluster.server.port, ssl=_tls(cluster))
    for _ in range(2):
        writer.write(f"GET {NAMESPACE}/pods/web/proxy/unchanged HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert answer.startswith(b"HTTP/1.1 304") and b"content-length: 1000" in answer
    writer.close()


async def test_a_client_that_leaves_ends_the_pods_answer(cluster: Cluster) -> None:
    async with cluster.http.stream("GET", f"{NAMESPACE}/pods/web/proxy/endless") as answer:
        assert await anext(answer.aiter_lines()) == "tick"
    async with asyncio.timeout(10):
        await cluster.app[LEFT].wait()


async def test_an_answer_that_breaks_off_does_not_look_whole(cluster: Cluster) -> None:
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await cluster.http.get(f"{NAMESPACE}/pods/web/proxy/broken")


async def test_kubectl_raw_and_proxy(cluster: Cluster) -> None:
    kubectl = Kubectl(cluster.server)
    raw = await kubectl("get", "--raw", f"{NAMESPACE}/services/http:web:80/proxy/hello")
    assert '"path": "/hello"' in raw.out, raw.err
    async with kubectl.running("proxy", "--port=0") as proxy:
        assert proxy.stdout
        line = (await asyncio.wait_for(proxy.stdout.readline(), 20)).decode()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        assert found, line
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{found[1]}", trust_env=False) as browser:
            answer = await browser.get(f"{NAMESPACE}/pods/web/proxy/page")
            assert f'href="{NAMESPACE}/pods/web/proxy/next?a=1"' in answer.text
