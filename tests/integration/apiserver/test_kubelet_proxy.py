"""Logs, exec, attach and proxy through the real server, by kubectl and by a WebSocket client, to a fake kubelet."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import WSMsgType

from k8slite.pki import Authority
from k8slite.testing.kubectl import Kubectl
from k8slite.testing.kubelet import FakeKubelet
from k8slite.testing.server import RunningServer, running_server

PODS = "/api/v1/namespaces/ns/pods"
MAIN = {"name": "main", "image": "x", "ports": [{"name": "http", "containerPort": 8080}]}
POD = {
    "kind": "Pod",
    "apiVersion": "v1",
    "metadata": {"name": "web"},
    "spec": {
        "nodeName": "n1",
        "containers": [MAIN, {"name": "side", "image": "x"}],
        "initContainers": [{"name": "init", "image": "x"}],
    },
}
ROLE = {
    "kind": "Role",
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "metadata": {"name": "getter"},
    "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "pods/exec"]}],
}
BINDING = {
    "kind": "RoleBinding",
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "metadata": {"name": "getter"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "getter"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bob"}],
}
NODE_ROLE = {
    "metadata": {"name": "node-getter"},
    "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["nodes/proxy"]}],
}
NODE_BINDING = {
    "metadata": {"name": "node-getter"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "node-getter"},
    "subjects": BINDING["subjects"],
}


@dataclass
class Cluster:
    """The pod `ns/web` on the node `n1`, whose kubelet is a fake; `session` is the administrator's."""

    server: RunningServer
    kubelet: FakeKubelet
    kubectl: Kubectl
    session: aiohttp.ClientSession

    def path(self, subresource: str) -> str:
        return f"{self.server.url}{PODS}/web/{subresource}"


async def _populate(server: RunningServer, port: int) -> None:
    addresses = [{"type": "InternalIP", "address": "127.0.0.1"}]
    status = {"addresses": addresses, "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}
    roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/ns"
    running = {"status": {"phase": "Running", "podIP": "127.0.0.1"}}
    made: list[tuple[str, str, Any]] = [
        ("POST", "/api/v1/namespaces", {"metadata": {"name": "ns"}}),
        ("POST", "/api/v1/namespaces/ns/serviceaccounts", {"metadata": {"name": "default"}}),
        ("POST", "/api/v1/nodes", {"metadata": {"name": "n1"}}),
        ("PATCH", "/api/v1/nodes/n1/status", {"status": status}),
        ("POST", PODS, POD),
        ("PATCH", f"{PODS}/web/status", running),
        ("POST", f"{roles}/roles", ROLE),
        ("POST", f"{roles}/rolebindings", BINDING),
        ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", NODE_ROLE),
        ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", NODE_BINDING),
    ]
    async with server.http() as http:
        for method, path, body in made:
            headers = {"content-type": "application/merge-patch+json"} if method == "PATCH" else {}
            answer = await http.request(method, path, json=body, headers=headers)
            assert answer.is_success, answer.text


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    authority = Authority.ensure(tmp_path)
    client = authority.issue_client("kubelet-client", user="kube-apiserver-kubelet-client", groups=["system:masters"])
    kubelet = FakeKubelet()
    await kubelet.start(authority)
    async with running_server(
        directory=tmp_path,
        kubelet_ca_file=authority.cert_file,
        kubelet_client_cert_file=client.cert_file,
        kubelet_client_key_file=client.key_file,
    ) as server:
        await _populate(server, kubelet.port)
        async with _session(server) as session:
            yield Cluster(server, kubelet, Kubectl(server), session)
    await kubelet.stop()


def _session(server: RunningServer, user: str = "kubernetes-admin", group: str = "system:masters") -> Any:
    config = server.client_config(user, [group])
    context = ssl.create_default_context(cafile=str(config.ca_file))
    assert config.cert_file
    context.load_cert_chain(config.cert_file, config.key_file)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))


async def get(cluster: Cluster, subresource: str, **query: str) -> tuple[int, str]:
    async with cluster.session.get(cluster.path(subresource), params=query) as answer:
        text = await answer.text()
        return answer.status, orjson.loads(text)["message"] if answer.status >= 400 else text


async def test_logs(cluster: Cluster) -> None:
    assert await get(cluster, "log", container="main", tailLines="5", timestamps="true") == (200, "one\n")
    assert cluster.kubelet.requests == ["/containerLogs/ns/web/main?timestamps=true&tailLines=5"]


async def test_logs_of_one_stream(cluster: Cluster) -> None:
    assert await get(cluster, "log", container="main", stream="Stderr") == (200, "one\n")
    assert cluster.kubelet.requests == ["/containerLogs/ns/web/main?stream=Stderr"]


async def test_followed_logs_come_as_they_are_written(cluster: Cluster) -> None:
    async with cluster.session.get(cluster.path("log"), params={"container": "main", "follow": "true"}) as answer:
        assert await answer.content.readline() == b"one\n"
        cluster.kubelet.more.set()
        assert await answer.content.readline() == b"two\n"
        assert await answer.content.read() == b""


@pytest.mark.parametrize(
    ("offered", "frames"),
    [
        ([], [b"one\n", b"two\n"]),
        (["binary.k8s.io"], [b"one\n", b"two\n"]),
        (["base64.binary.k8s.io"], ["b25lCg==", "dHdvCg=="]),
    ],
)
async def test_logs_over_a_websocket(cluster: Cluster, offered: list[str], frames: list[Any]) -> None:
    query = {"container": "main", "follow": "true"}
    async with cluster.session.ws_connect(cluster.path("log"), params=query, protocols=offered) as socket:
        assert (await socket.receive()).data == frames[0]
        cluster.kubelet.more.set()
        assert [message.data async for message in socket] == frames[1:]
        assert socket.close_code == 1000


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
        (
            {"container": "main", "stream": "x"},
            422,
            'PodLogOptions "web" is invalid: stream: Unsupported value: "x": supported values: "All", "Stderr", '
            '"Stdout"',
        ),
        (
            {"container": "main", "stream": "Stdout", "tailLines": "1"},
            422,
            'PodLogOptions "web" is invalid: Forbidden: `tailLines` and specific `stream` are mutually exclusive for'
            " now",
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


async def refusal(cluster: Cluster, query: list[tuple[str, str]], *, user: str = "") -> int:
    async with _session(cluster.server, user, "") if user else _session(cluster.server) as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(cluster.path("exec"), params=query, protocols=["v5.channel.k8s.io"])
        return refused.value.status


async def test_exec_that_is_refused_before_the_handshake(cluster: Cluster) -> None:
    assert await refusal(cluster, EXEC[1:]) == 400  # which container?
    assert await refusal(cluster, [("container", "main"), ("stdin", "1")]) == 400  # which command?
    assert await refusal(cluster, EXEC, user="bob") == 403  # may get, may not create
    assert cluster.kubelet.requests == []
    assert await refusal(cluster, [("container", "side"), *EXEC[1:]]) == 404  # says the kubelet


@pytest.mark.parametrize(
    ("subresource", "methods"),
    [
        ("log", ["POST", "PUT", "PATCH", "DELETE"]),
        ("exec", ["PUT", "PATCH", "DELETE"]),
        ("eviction", ["GET", "PUT", "PATCH", "DELETE"]),
        ("binding", ["GET", "PUT", "PATCH", "DELETE"]),
    ],
)
async def test_a_subresource_knows_its_verbs_only(cluster: Cluster, subresource: str, methods: list[str]) -> None:
    """The request was authorized for its own verb: whoever may delete evictions must not evict."""
    body = {"metadata": {"name": "web"}, "target": {"name": "n1"}}
    for method in methods:
        async with cluster.session.request(method, cluster.path(subresource), json=body) as answer:
            assert (answer.status, (await answer.json())["reason"]) == (405, "MethodNotAllowed"), method
    async with cluster.session.get(cluster.path(f"{subresource}/more")) as answer:
        assert answer.status == 404
    assert (await get(cluster, "log", container="main"))[0] == 200
    assert len(cluster.kubelet.requests) == 1


async def test_exec_without_upgrade(cluster: Cluster) -> None:
    assert await get(cluster, "exec", container="main", command="ls", stdout="1") == (400, "Upgrade request required")
    assert await get(cluster, "portforward", ports="80") == (400, "Upgrade request required")


async def test_node_proxy_passes_request_and_answer_but_no_credentials(cluster: Cluster) -> None:
    url = f"{cluster.server.url}/api/v1/nodes/n1/proxy/echo/a%20b/?x=1"
    headers = {"Authorization": "Bearer ", "X-Mine": "1"}
    headers |= {"Impersonate-User": "somebody", "Impersonate-Group": "system:masters"}
    async with cluster.session.post(url, data=b"body", headers=headers) as answer:
        assert answer.status == 418
        assert await answer.read() == b"body"
        assert answer.headers["X-Path"] == "/echo/a%20b/?x=1"
        seen = answer.headers["X-Seen"].split(",")
    assert "x-mine" in seen
    assert not {"authorization", "impersonate-user", "impersonate-group"} & set(seen)


async def test_who_may_get_a_nodes_proxy_runs_no_commands_there(cluster: Cluster) -> None:
    url = f"{cluster.server.url}/api/v1/nodes/n1/proxy/exec/ns/web/main"
    async with _session(cluster.server, "bob", "") as session:
        async with session.get(f"{cluster.server.url}/api/v1/nodes/n1/proxy/healthz") as answer:
            assert answer.status != 403
        cluster.kubelet.requests.clear()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(url, params=EXEC[1:], protocols=["v4.channel.k8s.io"])
        assert refused.value.status == 403
    assert cluster.kubelet.requests == []
    async with cluster.session.ws_connect(url, params=EXEC[1:], protocols=["v4.channel.k8s.io"]) as socket:
        await socket.send_bytes(b"\x00hello")
        assert await socket.receive_bytes() == b"\x01hello"


async def test_pods_are_no_way_to_the_machines_loopback(cluster: Cluster) -> None:
    assert await get(cluster, "proxy/metrics") == (400, "address not allowed")


async def test_kubelet_that_does_not_answer(cluster: Cluster) -> None:
    await cluster.kubelet.stop()
    status, message = await get(cluster, "log", container="main")
    assert status == 500
    assert 'error dialing backend: kubelet of node "n1"' in message


async def test_kubectl_logs(cluster: Cluster) -> None:
    assert (await cluster.kubectl("-n", "ns", "logs", "web", "-c", "main", "--tail=1")).out == "one"
    cluster.kubelet.more.set()
    assert (await cluster.kubectl("-n", "ns", "logs", "-f", "web", "-c", "main")).out == "one\ntwo"
    waiting = await cluster.kubectl("-n", "ns", "logs", "web", "-c", "side")
    assert waiting.err == (
        'Error from server (BadRequest): container "side" in pod "web" is waiting to start: ContainerCreating'
    )


async def test_kubectl_exec(cluster: Cluster) -> None:
    echoed = await cluster.kubectl("-n", "ns", "exec", "-i", "web", "-c", "main", "--", "cat", stdin="hello\n")
    assert (echoed.code, echoed.out) == (0, "hello"), echoed.err
    failed = await cluster.kubectl("-n", "ns", "exec", "web", "-c", "main", "--", "false")
    assert failed.code == 3
    assert "command terminated with exit code 3" in failed.err
    refused = await cluster.kubectl("-n", "ns", "exec", "web", "-c", "side", "--", "ls")
    assert refused.code == 1
    assert 'container not found ("side")' in refused.err


async def test_kubectl_exec_that_is_refused(cluster: Cluster) -> None:
    bob = Kubectl(cluster.server, cluster.server.client_config("bob"))
    refused = await bob("-n", "ns", "exec", "web", "-c", "main", "--", "ls")
    assert 'pods "web" is forbidden: User "bob" cannot create resource "pods/exec"' in refused.err


async def test_kubectl_attach(cluster: Cluster) -> None:
    attached = await cluster.kubectl("-n", "ns", "attach", "-i", "web", "-c", "main", stdin="hello\n")
    assert "hello" in attached.out
