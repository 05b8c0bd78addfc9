"""exec, attach and port forwarding through the real API server and the kubelet's real server, by every protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
import pytest_asyncio
from kubernetes import client, config
from kubernetes.stream import portforward

from k8slite.pki import Authority
from k8slite.spdy import Session
from k8slite.testing.kubectl import Kubectl
from k8slite.testing.server import RunningServer, running_server

from .kubelet_server import kubelet_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

PODS = "/api/v1/namespaces/default/pods"
CONTAINERS = [{"name": "main", "image": "x", "stdin": True}, {"name": "side", "image": "x"}]
MERGE = {"content-type": "application/merge-patch+json"}
GREETING = b"hello from the pod\n"


@dataclass
class Cluster:
    """The pod `web` on a real kubelet server, and the port of something that answers inside it."""

    server: RunningServer
    kubectl: Kubectl
    port: int

    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.server.admin.ca_file))
        assert self.server.admin.cert_file
        context.load_cert_chain(self.server.admin.cert_file, self.server.admin.key_file)
        return context

    @contextlib.asynccontextmanager
    async def websocket(
        self, subresource: str, query: Any, *protocols: str
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        connector = aiohttp.TCPConnector(ssl=self.tls())
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.ws_connect(
                f"{self.server.url}{PODS}/web/{subresource}", params=query, protocols=protocols
            ) as socket,
        ):
            yield socket


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greet, echo until the end of input, then say goodbye."""
    writer.write(GREETING)
    while data := await reader.read(65536):
        writer.write(data)
    writer.write(b"bye\n")
    await writer.drain()
    writer.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    directory = tmp_path_factory.mktemp("streams")
    authority = Authority.ensure(directory)
    pair = authority.issue_client("kubelet-client", user="kube-apiserver-kubelet-client", groups=["system:masters"])
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default", "uid": "u1", "labels": {"app": "web"}},
        "spec": {"nodeName": "n1", "containers": CONTAINERS},
    }
    listening = await asyncio.start_server(_answer, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with (
        kubelet_server(authority, pod) as kubelet_port,
        running_server(
            directory=directory,
            kubelet_ca_file=authority.cert_file,
            kubelet_client_cert_file=pair.cert_file,
            kubelet_client_key_file=pair.key_file,
        ) as server,
    ):
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
        }
        ports = [{"port": 80, "targetPort": port}]
        running = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        async with server.http() as http:
            for method, path, body in (
                ("POST", "/api/v1/nodes", {"metadata": {"name": "n1"}}),
                ("PATCH", "/api/v1/nodes/n1/status", {"status": status}),
                ("POST", PODS, {**pod, "metadata": {"name": "web", "labels": {"app": "web"}}}),
                ("PATCH", f"{PODS}/web/status", {"status": running}),
                (
                    "POST",
                    "/api/v1/namespaces/default/services",
                    {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": ports}},
                ),
            ):
                answer = await http.request(method, path, json=body, headers=MERGE if method == "PATCH" else {})
                assert answer.is_success, answer.text
        yield Cluster(server, Kubectl(server), port)
    listening.close()


# --- SPDY on the bare connection, as clients from before WebSockets speak it


class Link:
    """The client's end of a connection that was upgraded."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def receive(self) -> bytes:
        return await self._reader.read(65536)

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


class Refused(Exception):
    """The upgrade was answered otherwise."""


@contextlib.asynccontextmanager
async def spdy(cluster: Cluster, subresource: str, query: Any, *protocols: str) -> AsyncIterator[tuple[str, Session]]:
    """The protocol that was chosen, and the streams."""
    reader, writer = await asyncio.open_connection("127.0.0.1", cluster.server.port, ssl=cluster.tls())
    versions = "".join(f"X-Stream-Protocol-Version: {name}\r\n" for name in protocols)
    head = f"POST {PODS}/web/{subresource}?{urlencode(query, doseq=True)} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
    writer.write(f"{head}Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n{versions}\r\n".encode())
    try:
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
        if not answer.startswith("HTTP/1.1 101"):
            raise Refused(answer + (await reader.read()).decode())
        chosen = re.search(r"(?i)x-stream-protocol-version: (\S+)", answer)
        session = Session(Link(reader, writer), server=False)
        running = asyncio.ensure_future(session.run())
        try:
            yield chosen.group(1) if chosen else "", session
        finally:
            running.cancel()
    finally:
        writer.close()


async def whole(stream: Any) -> bytes:
    found = b""
    while piece := await stream.read():
        found += piece
    return found


async def opened(session: Session, *names: str) -> Mapping[str, Any]:
    return {name: await session.open({"streamType": name}) for name in names}


@pytest.mark.parametrize("protocols", [["v5.channel.k8s.io", "v4.channel.k8s.io"], ["v4.channel.k8s.io"]])
async def test_exec_over_spdy(cluster: Cluster, protocols: list[str]) -> None:
    query = {"container": "main", "command": "cat", "stdin": "true", "stdout": "true"}
    async with spdy(cluster, "exec", query, *protocols) as (chosen, session):
        assert chosen == "v4.channel.k8s.io"
        streams = await opened(session, "error", "stdin", "stdout")
        big = bytes(range(256)) * 8192
        await streams["stdin"].write(big)
        await streams["stdin"].close()
        assert await whole(streams["stdout"]) == big
        assert json.loads(await whole(streams["error"])) == {"metadata": {}, "status": "Success"}


async def test_exec_over_spdy_tells_the_exit_code(cluster: Cluster) -> None:
    query = {"container": "main", "command": ["exit", "3"], "stdout": "1", "stderr": "1"}
    async with spdy(cluster, "exec", query, "v4.channel.k8s.io") as (_, session):
        streams = await opened(session, "error", "stdout", "stderr")
        assert await whole(streams["stdout"]) == b"out\n"
        assert await whole(streams["stderr"]) == b"err\n"
        status = json.loads(await whole(streams["error"]))
    assert (status["reason"], status["details"]["causes"]) == (
        "NonZeroExitCode",
        [{"reason": "ExitCode", "message": "3"}],
    )


@pytest.mark.parametrize("protocols", [["v2.channel.k8s.io"], ["channel.k8s.io"], []])
async def test_old_versions_tell_the_outcome_as_text(cluster: Cluster, protocols: list[str]) -> None:
    query = {"container": "main", "command": ["exit", "3"], "stdout": "1"}
    async with spdy(cluster, "exec", query, *protocols) as (chosen, session):
        assert chosen == "".join(protocols)
        streams = await opened(session, "error", "stdout")
        assert (await whole(streams["error"])).startswith(b"command terminated with non-zero exit code")


async def test_a_terminals_size_over_spdy(cluster: Cluster) -> None:
    query = {"container": "main", "stdin": "1", "stdout": "1", "stderr": "1", "tty": "1"}
    async with spdy(cluster, "attach", query, "v4.channel.k8s.io") as (_, session):
        streams = await opened(session, "error", "stdin", "stdout", "resize")
        await streams["resize"].write(b'{"Width":80,"Height":24}\n')
        assert await streams["stdout"].read() == b"80x24\n"
        await streams["stdin"].close()
        assert json.loads(await whole(streams["error"]))["status"] == "Success"


async def test_an_upgrade_that_is_refused_is_explained(cluster: Cluster) -> None:
    query = {"container": "side", "command": "ls", "stdout": "1"}
    with pytest.raises(Refused, match=r'400(.|\s)*container \\"side\\" in pod \\"web\\" is waiting to start'):
        async with spdy(cluster, "exec", query, "v4.channel.k8s.io"):
            pass
    query = {"container": "main", "command": "ls", "stdout": "1"}
    with pytest.raises(Refused, match=r"403(.|\s)*unable to negotiate protocol: client supports"):
        async with spdy(cluster, "exec", query, "v9.channel.k8s.io"):
            pass


# --- WebSockets


@pytest.mark.parametrize("protocol", ["v4.base64.channel.k8s.io", "base64.channel.k8s.io"])
async def test_exec_in_text(cluster: Cluster, protocol: str) -> None:
    query = {"container": "main", "command": "cat", "stdin": "1", "stdout": "1"}
    async with cluster.websocket("exec", query, protocol) as socket:
        assert socket.protocol == protocol
        assert await socket.receive_str() == "1"
        await socket.send_str("0aGVsbG8=")
        assert await socket.receive_str() == "1aGVsbG8="


async def test_exec_in_the_oldest_version(cluster: Cluster) -> None:
    query = {"container": "main", "command": "ls", "stdout": "1", "stderr": "1"}
    async with cluster.websocket("exec", query) as socket:
        frames = [message.data async for message in socket]
    assert frames == [b"\x01", b"\x01out\n", b"\x02err\n"]


async def test_a_token_among_the_subprotocols_ends_at_the_server(cluster: Cluster) -> None:
    async with cluster.server.http() as http:
        answer = await http.post("/api/v1/namespaces/default/serviceaccounts/default/token", json={"spec": {}})
        grant = {
            "metadata": {"name": "streams"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
        }
        (await http.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", json=grant)).raise_for_status()
    text = base64.urlsafe_b64encode(answer.json()["status"]["token"].encode()).decode().rstrip("=")
    query = {"container": "main", "command": "ls", "stdout": "1"}
    context = ssl.create_default_context(cafile=str(cluster.server.admin.ca_file))
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.ws_connect(
            f"{cluster.server.url}{PODS}/web/exec",
            params=query,
            protocols=[f"base64url.bearer.authorization.k8s.io.{text}", "v4.channel.k8s.io"],
        ) as socket,
    ):
        assert socket.protocol == "v4.channel.k8s.io"
        assert await socket.receive_bytes() == b"\x01"


# --- port forwarding


async def test_port_forward_over_spdy(cluster: Cluster) -> None:
    async with spdy(cluster, "portforward", {}, "portforward.k8s.io") as (chosen, session):
        assert chosen == "portforward.k8s.io"

        async def one(number: int) -> bytes:
            names = {"port": str(cluster.port), "requestID": str(number)}
            error = await session.open({"streamType": "error", **names})
            await error.close()
            data = await session.open({"streamType": "data", **names})
            await data.write(b"%d\n" % number)
            await data.close()
            answer = await whole(data)
            assert await whole(error) == b""
            return answer

        assert await asyncio.gather(*map(one, range(3))) == [GREETING + b"%d\nbye\n" % n for n in range(3)]


async def test_port_forward_to_a_closed_port_says_so(cluster: Cluster) -> None:
    async with spdy(cluster, "portforward", {}, "portforward.k8s.io") as (_, session):
        names = {"port": "1", "requestID": "0"}
        error = await session.open({"streamType": "error", **names})
        data = await session.open({"streamType": "data", **names})
        assert (await whole(error)).startswith(b"error forwarding port 1 to pod web, uid u1:")
        assert await whole(data) == b""


async def test_port_forward_over_a_websockets_channels(cluster: Cluster) -> None:
    async with cluster.websocket("portforward", {"ports": f"{cluster.port},1"}, "v4.channel.k8s.io") as socket:
        port = cluster.port.to_bytes(2, "little")
        greetings = [await socket.receive_bytes() for _ in range(4)]
        assert greetings == [b"\x00" + port, b"\x01" + port, b"\x02\x01\x00", b"\x03\x01\x00"]
        await socket.send_bytes(b"\x00hello\n")
        seen = {0: b"", 3: b""}
        while not seen[0].endswith(b"hello\n") or not seen[3]:
            frame = await socket.receive_bytes()
            seen[frame[0]] += frame[1:]
    assert seen[0] == GREETING + b"hello\n"
    assert seen[3].startswith(b"error forwarding port 1 to pod web")


async def test_many_ports_over_a_websockets_text(cluster: Cluster) -> None:
    """A channel is one character, also past the ninth."""
    async with cluster.websocket("portforward", {"ports": ["1"] * 6}, "v4.base64.channel.k8s.io") as socket:
        greetings = [await socket.receive_str() for _ in range(12)]
    assert [greeting[0] for greeting in greetings] == list("0123456789:;")


async def test_a_message_too_large_to_hold_ends_the_stream(cluster: Cluster) -> None:
    query = {"container": "main", "command": "cat", "stdin": "1", "stdout": "1"}
    async with cluster.websocket("exec", query, "v4.channel.k8s.io") as socket:
        assert await socket.receive_bytes() == b"\x01"
        # The head of a masked message of a gigabyte: nothing of it needs to be sent.
        assert socket._writer.transport is not None
        socket._writer.transport.write(bytes([0x82, 0xFF]) + (1 << 30).to_bytes(8, "big") + bytes(4))
        assert (await asyncio.wait_for(socket.receive(), 10)).type in (
            aiohttp.WSMsgType.CLOSE,
            aiohttp.WSMsgType.CLOSED,
        )


@pytest.mark.parametrize(
    ("ports", "message"),
    [
        ("", 'query parameter "port" cannot be empty'),
        ("0", 'port "0" must be > 0'),
        ("x", 'unable to parse "x" as a port'),
    ],
)
async def test_ports_that_are_none(cluster: Cluster, ports: str, message: str) -> None:
    async with cluster.server.http() as http:
        headers = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
        headers |= {"sec-websocket-key": "x3JJHMbDL1EzLkh9GBhXDw==", "sec-websocket-protocol": "v4.channel.k8s.io"}
        answer = await http.get(f"{PODS}/web/portforward", params={"ports": ports}, headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (400, message)


async def test_the_official_client_forwards_a_port(cluster: Cluster) -> None:
    def ask() -> bytes:
        api = client.CoreV1Api(config.new_client_from_config(config_file=str(cluster.server.kubeconfig())))
        forward = portforward(api.connect_get_namespaced_pod_portforward, "web", "default", ports=str(cluster.port))
        socket = forward.socket(cluster.port)
        socket.setblocking(True)
        socket.sendall(b"from python\n")
        found = b""
        while not found.endswith(b"python\n"):
            found += socket.recv(1024)
        socket.close()
        return found

    assert await asyncio.to_thread(ask) == GREETING + b"from python\n"


@pytest.mark.parametrize("websockets", ["true", "false"])
@pytest.mark.parametrize("place", ["pod/web", "service/web"])
async def test_kubectl_port_forward(cluster: Cluster, place: str, websockets: str) -> None:
    """Over a WebSocket that tunnels SPDY, and over SPDY itself."""
    ports = f":{cluster.port}" if place.startswith("pod") else ":80"
    async with cluster.kubectl.running(
        "port-forward", place, ports, environment={"KUBECTL_PORT_FORWARD_WEBSOCKETS": websockets}
    ) as kubectl:
        line = (await asyncio.wait_for(kubectl.stdout.readline(), 20)).decode()
        found = re.search(r"Forwarding from 127.0.0.1:(\d+)", line)
        assert found, line + (await kubectl.stderr.read()).decode()

        async def ask(text: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(found.group(1)))
            writer.write(text)
            writer.write_eof()
            answer = await asyncio.wait_for(reader.read(), 20)
            writer.close()
            return answer

        big = bytes(range(256)) * 4096
        assert await asyncio.gather(ask(b"one\n"), ask(big)) == [GREETING + b"one\nbye\n", GREETING + big + b"bye\n"]


@pytest.mark.parametrize("websockets", ["true", "false"])
async def test_kubectl_exec_and_attach(cluster: Cluster, websockets: str) -> None:
    environment = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": websockets}
    kubectl = cluster.kubectl
    echoed = await kubectl("exec", "-i", "web", "-c", "main", "--", "cat", stdin="hello\n", environment=environment)
    assert (echoed.code, echoed.out) == (0, "hello"), echoed.err
    failed = await kubectl("exec", "web", "-c", "main", "--", "exit", "3", environment=environment)
    assert (failed.code, failed.out) == (3, "out"), failed.err
    attached = await kubectl("attach", "-i", "web", "-c", "main", stdin="hello\n", environment=environment)
    assert "hello" in attached.out
    unknown = await kubectl("exec", "web", "-c", "main", "--", "vanish", environment=environment)
    assert (unknown.code, unknown.out) == (1, "out")
    assert "the engine has forgotten it" in unknown.err
    refused = await kubectl("exec", "web", "-c", "side", "--", "ls", environment=environment)
    assert refused.code == 1
    assert 'container "side" in pod "web" is waiting to start' in refused.err
