"""Logs, exec, attach and proxy through a real server to a kubelet that is played by aiohttp."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import WSMsgType, web

from k8slite import catalogue
from k8slite.apiserver import kubelet_proxy, negotiation, options, request, respond, server
from k8slite.apiserver.authn.base import User
from k8slite.apiserver.authz.base import Attributes, Decision
from k8slite.apiserver.authz.chain import Chain
from k8slite.apiserver.calls import Answer, Call
from k8slite.apiserver.proxying.kubelets import Kubelets
from k8slite.config import ApiServerConfig
from k8slite.errors import ApiError
from k8slite.pki import Authority, ensure_signing_key

POD = {
    "metadata": {"name": "web", "namespace": "ns"},
    "spec": {
        "nodeName": "n1",
        "containers": [{"name": "main", "ports": [{"name": "http", "containerPort": 8080}]}, {"name": "side"}],
        "initContainers": [{"name": "init"}],
    },
    "status": {"phase": "Running", "podIP": "127.0.0.1"},
}


class FakeKubelet:
    """Answers as a kubelet does; `exec` echoes standard input and ends with a Status."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.more = asyncio.Event()
        self.runner: web.AppRunner | None = None
        self.port = 0

    async def start(self, authority: Authority) -> None:
        pair = authority.issue_server("kubelet", common_name="kubelet", hosts=["127.0.0.1"])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.cert_file))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(pair.cert_file, pair.key_file)
        app = web.Application()
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self.logs)
        app.router.add_get("/exec/{namespace}/{pod}/{container}", self.exec)
        app.router.add_get("/attach/{namespace}/{pod}/{container}", self.exec)
        app.router.add_route("*", "/echo/{tail:.*}", self.echo)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        self.port = self.runner.addresses[0][1]

    async def logs(self, incoming: web.Request) -> web.StreamResponse:
        self.requests.append(incoming.path_qs)
        if incoming.match_info["container"] == "side":
            raise web.HTTPBadRequest(text='container "side" in pod "web" is waiting to start: ContainerCreating')
        answer = web.StreamResponse()
        await answer.prepare(incoming)
        await answer.write(b"one\n")
        if "follow" in incoming.query:
            await self.more.wait()
            await answer.write(b"two\n")
        return answer

    async def exec(self, incoming: web.Request) -> web.StreamResponse:
        self.requests.append(incoming.path_qs)
        if incoming.match_info["container"] == "side":
            raise web.HTTPNotFound(text='container not found ("side")')
        socket = web.WebSocketResponse(protocols=["v5.channel.k8s.io", "v4.channel.k8s.io"])
        await socket.prepare(incoming)
        async for message in socket:
            assert message.type is WSMsgType.BINARY
            if message.data == b"\xff\x00":  # v5: standard input ends
                break
            await socket.send_bytes(b"\x01" + message.data[1:])
        await socket.send_bytes(b"\x03" + orjson.dumps({"status": "Success"}))
        await socket.close()
        return socket

    async def echo(self, incoming: web.Request) -> web.Response:
        headers = {"X-Path": incoming.path_qs, "X-Seen": ",".join(sorted(name.lower() for name in incoming.headers))}
        return web.Response(status=418, body=await incoming.read(), headers=headers)


class Objects:
    """The pod `ns/web` and its node."""

    changed = 0
    key = ""
    revision = 1

    def __init__(self, port: int) -> None:
        self.documents: dict[tuple[str, str], Any] = {
            ("pods", "web"): POD,
            ("nodes", "n1"): {
                "status": {
                    "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                    "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
                }
            },
        }
        self.plural = ""
        self.document: Any = None

    def resource(self, group: str, plural: str) -> Objects:
        view = Objects(0)
        view.documents, view.plural = self.documents, plural
        return view

    def get(self, namespace: str, name: str) -> Objects | None:
        self.document = self.documents.get((self.plural, name))
        return self if self.document else None

    def select(self, **_: Any) -> list[Any]:
        return []


class Rules:
    """Allows `alice` to create, nothing else."""

    async def authorize(self, attributes: Attributes) -> tuple[Decision, str]:
        return (Decision.ALLOW if attributes.user.name == "alice" else Decision.NO_OPINION), ""


class App:
    """As much of the pipeline as these handlers need: the user comes from a header."""

    def __init__(self, handlers: Any) -> None:
        self.handlers = handlers

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                message = await receive()
                await send({"type": message["type"] + ".complete"})
            return

        async def sending(message: Any) -> None:
            if scope["type"] == "websocket" and message["type"].startswith("http."):
                message = {**message, "type": "websocket." + message["type"]}
            await send(message)

        parsed = options.parse(scope["query_string"])
        info = request.parse(scope.get("method", "GET"), scope["path"], parsed)
        resource = catalogue.builtin().by_path(info.group, info.version, info.plural)
        assert resource
        body = b""
        if scope["type"] == "http":
            body = (await receive())["body"]
        user = User(dict(scope["headers"]).get(b"x-user", b"alice").decode())
        accept = negotiation.OBJECT
        call = Call(info, parsed, user, resource, accept, "", body, scope, receive, sending)
        try:
            outcome = await self.handlers[info.group, info.plural, info.subresource](call)
        except ApiError as error:
            outcome = respond.error_answer(error)
        if isinstance(outcome, Answer):
            await respond.send_answer(sending, outcome, accept=accept, accepts_gzip=False, extra=[])
        elif outcome is not None:
            await respond.send_stream(receive, sending, outcome, extra=[])


class Cluster:
    def __init__(self) -> None:
        self.kubelet = FakeKubelet()
        self.url = ""
        self.session: Any = None

    def path(self, subresource: str) -> str:
        return f"{self.url}/api/v1/namespaces/ns/pods/web/{subresource}"


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    authority = Authority.ensure(tmp_path)
    serving = authority.issue_server("server", common_name="s", hosts=["127.0.0.1"])
    client = authority.issue_client("client", user="kube-apiserver-kubelet-client", groups=["system:masters"])
    config = ApiServerConfig(
        port=0,
        cert_file=serving.cert_file,
        key_file=serving.key_file,
        client_ca_file=authority.cert_file,
        service_account_key_file=ensure_signing_key(tmp_path / "sa.key"),
        kubelet_ca_file=authority.cert_file,
        kubelet_client_cert_file=client.cert_file,
        kubelet_client_key_file=client.key_file,
    )
    running = Cluster()
    await running.kubelet.start(authority)
    objects = Objects(running.kubelet.port)
    kubelets = Kubelets(config, lookup=lambda group, plural, namespace, name: objects.documents.get((plural, name)))
    app = App(kubelet_proxy.handlers(kubelets, objects=objects, authorizer=Chain([Rules()])))
    ready = asyncio.Event()

    def listening(addresses: Any) -> None:
        running.url = f"https://127.0.0.1:{addresses[0][1]}"
        ready.set()

    task = asyncio.create_task(server.serve_app(app, config=config, ready=listening))
    await ready.wait()
    context = ssl.create_default_context(cafile=str(authority.cert_file))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as running.session:
        yield running
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await kubelets.close()
    assert running.kubelet.runner
    await running.kubelet.runner.cleanup()


async def get(cluster: Cluster, subresource: str, **query: str) -> tuple[int, str]:
    async with cluster.session.get(cluster.path(subresource), params=query) as answer:
        text = await answer.text()
        return answer.status, orjson.loads(text)["message"] if answer.status >= 400 else text


async def test_logs(cluster: Cluster) -> None:
    assert await get(cluster, "log", container="main", tailLines="5", timestamps="true") == (200, "one\n")
    assert cluster.kubelet.requests == ["/containerLogs/ns/web/main?timestamps=true&tailLines=5"]


async def test_followed_logs_come_as_they_are_written(cluster: Cluster) -> None:
    async with cluster.session.get(cluster.path("log"), params={"container": "main", "follow": "true"}) as answer:
        assert await answer.content.readline() == b"one\n"
        cluster.kubelet.more.set()
        assert await answer.content.readline() == b"two\n"
        assert await answer.content.read() == b""


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        (
            {},
            400,
            "a container name must be specified for pod web, choose one of: [main side] or one of the init containers:"
            " [init]",
        ),
        ({"container": "x"}, 400, "container x is not valid for pod web"),
        ({"container": "side"}, 400, 'container "side" in pod "web" is waiting to start: ContainerCreating'),
        (
            {"container": "main", "tailLines": "-1"},
            422,
            'PodLogOptions "web" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0',
        ),
    ],
)
async def test_refused_logs(cluster: Cluster, query: dict[str, str], code: int, message: str) -> None:
    assert await get(cluster, "log", **query) == (code, message)


EXEC = [("container", "main"), ("command", "cat"), ("command", "a b"), ("stdin", "true"), ("stdout", "1")]


@pytest.mark.parametrize("offered", [["v5.channel.k8s.io", "v4.channel.k8s.io"], ["v4.channel.k8s.io"]])
async def test_exec(cluster: Cluster, offered: list[str]) -> None:
    async with cluster.session.ws_connect(cluster.path("exec"), params=EXEC, protocols=offered) as socket:
        assert socket.protocol == offered[0]
        await socket.send_bytes(b"\x00hello")
        assert await socket.receive_bytes() == b"\x01hello"
        big = b"\x00" + bytes(1 << 20)
        await socket.send_bytes(big)
        assert len(await socket.receive_bytes()) == len(big)
        await socket.send_bytes(b"\xff\x00")
        assert orjson.loads((await socket.receive_bytes())[1:]) == {"status": "Success"}
        assert (await socket.receive()).type is WSMsgType.CLOSE
        assert socket.close_code == 1000
    assert cluster.kubelet.requests == ["/exec/ns/web/main?command=cat&command=a+b&stdin=1&stdout=1"]


async def test_a_client_that_leaves_ends_the_kubelets_stream(cluster: Cluster) -> None:
    async with cluster.session.ws_connect(cluster.path("exec"), params=EXEC, protocols=["v4.channel.k8s.io"]) as socket:
        await socket.send_bytes(b"\x00hello")
        await socket.receive_bytes()
    assert await get(cluster, "log", container="main") == (200, "one\n")


async def test_kubelets_refusal_comes_on_the_error_channel(cluster: Cluster) -> None:
    query = [("container", "side"), *EXEC[1:]]
    async with cluster.session.ws_connect(
        cluster.path("exec"), params=query, protocols=["v5.channel.k8s.io"]
    ) as socket:
        frame = await socket.receive_bytes()
    assert frame[0] == 3
    assert orjson.loads(frame[1:])["message"] == 'container not found ("side")'


async def refusal(cluster: Cluster, query: list[tuple[str, str]], **headers: str) -> int:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await cluster.session.ws_connect(
            cluster.path("exec"), params=query, protocols=["v5.channel.k8s.io"], headers=headers
        )
    return refused.value.status


async def test_exec_that_is_refused_before_the_handshake(cluster: Cluster) -> None:
    assert await refusal(cluster, EXEC[1:]) == 400  # which container?
    assert await refusal(cluster, [("container", "main"), ("stdin", "1")]) == 400  # which command?
    assert await refusal(cluster, EXEC, **{"X-User": "bob"}) == 403  # may get, may not create
    assert cluster.kubelet.requests == []


async def test_exec_without_websocket(cluster: Cluster) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1"}
    async with cluster.session.post(cluster.path("exec"), params=EXEC, headers=headers) as answer:
        assert answer.status == 400
        assert "use a client that speaks WebSocket" in (await answer.json())["message"]
    assert await get(cluster, "exec", container="main", command="ls", stdout="1") == (400, "Upgrade request required")
    status, message = await get(cluster, "portforward", ports="80")
    assert (status, message) == (501, "port forwarding is not supported by this server")


async def test_node_proxy_passes_request_and_answer_but_no_credentials(cluster: Cluster) -> None:
    url = f"{cluster.url}/api/v1/nodes/n1/proxy/echo/a%20b/?x=1"
    headers = {"Authorization": "Bearer s3cret", "X-Mine": "1"}
    async with cluster.session.post(url, data=b"body", headers=headers) as answer:
        assert answer.status == 418
        assert await answer.read() == b"body"
        assert answer.headers["X-Path"] == "/echo/a%20b/?x=1"
        seen = answer.headers["X-Seen"].split(",")
    assert "x-mine" in seen
    assert "authorization" not in seen


async def test_pods_are_no_way_to_the_machines_loopback(cluster: Cluster) -> None:
    assert await get(cluster, "proxy/metrics") == (400, "address not allowed: 127.0.0.1")


async def test_kubelet_that_does_not_answer(cluster: Cluster) -> None:
    assert cluster.kubelet.runner
    await cluster.kubelet.runner.cleanup()
    status, message = await get(cluster, "log", container="main")
    assert status == 500
    assert 'error dialing backend: kubelet of node "n1"' in message
