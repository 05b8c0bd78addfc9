"""exec, attach, port forwarding and proxy pass admission before they reach a kubelet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from ..test_kubelet_proxy import Cluster, cluster
from .hooks import (
    MUTATING,
    VALIDATING,
    Behaviour,
    Document,
    Hooks,
    add,
    allow,
    configure,
    deny,
    hook_server,
    patch,
    rule,
    webhook,
)

__all__ = ["cluster"]


@pytest_asyncio.fixture
async def hooks(tmp_path: Path) -> AsyncIterator[Hooks]:
    async with hook_server(tmp_path / "hooks") as running:
        yield running


async def connect(cluster: Cluster, hooks: Hooks, plural: str, behaviour: Behaviour, *resources: str) -> None:
    """Configure a webhook for connections."""
    hook = webhook("connect", hooks.on("/connect", behaviour), rule(*resources, operations=["CONNECT"]))
    async with cluster.server.http() as http:
        await configure(http, plural, "connect", hook)


def seen(hooks: Hooks) -> list[tuple[str, str, Document]]:
    """Of what was asked: subresource, name and object."""
    for asked in hooks.requests("/connect"):
        assert (asked["operation"], asked["oldObject"], asked["options"]) == ("CONNECT", None, None)
        assert asked["kind"] == {"group": "", "version": "v1", "kind": asked["object"]["kind"]}
    return [(asked["subResource"], asked["name"], asked["object"]) for asked in hooks.requests("/connect")]


async def test_a_webhook_sees_what_is_to_be_run(cluster: Cluster, hooks: Hooks) -> None:
    await connect(cluster, hooks, VALIDATING, allow, "pods/exec", "pods/attach")
    result = await cluster.kubectl("exec", "-n", "ns", "web", "-c", "main", "-i", "--", "cat", "-u", stdin="hello")
    assert (result.code, result.out) == (0, "hello"), result.err
    options = {"kind": "PodExecOptions", "apiVersion": "v1", "container": "main", "command": ["cat", "-u"]}
    assert seen(hooks) == [("exec", "web", {**options, "stdin": True, "stdout": True, "stderr": True})]
    assert hooks.requests("/connect")[0]["namespace"] == "ns"


@pytest.mark.parametrize(
    ("arguments", "resource"),
    [
        (("exec", "-n", "ns", "web", "-c", "main", "--", "ls"), "pods/exec"),
        (("attach", "-n", "ns", "web", "-c", "main"), "pods/attach"),
        (("port-forward", "-n", "ns", "web", "0:8080"), "pods/portforward"),
        (("get", "--raw", "/api/v1/namespaces/ns/pods/web/proxy/x"), "pods/proxy"),
        (("get", "--raw", "/api/v1/nodes/n1/proxy/echo/x"), "nodes/proxy"),
        (("get", "--raw", "/api/v1/namespaces/ns/services/web/proxy/"), "services/proxy"),
    ],
)
async def test_a_webhook_refuses_connections(
    cluster: Cluster, hooks: Hooks, arguments: tuple[str, ...], resource: str
) -> None:
    await connect(cluster, hooks, VALIDATING, deny("not from here"), resource)
    said = 'admission webhook "connect.example.com" denied the request: not from here'
    if arguments[0] == "port-forward":  # listens first and tells of the refusal when somebody connects
        async with cluster.session.post(cluster.path("portforward"), params={"ports": "8080"}) as answer:
            assert (answer.status, (await answer.json(content_type=None))["message"]) == (400, said)
    else:
        result = await cluster.kubectl(*arguments)
        assert result.code != 0
        assert said in result.err, result.err
    # kubectl asks twice, by WebSocket and by SPDY.
    assert {name for name, _, _ in seen(hooks)} == {resource.partition("/")[2]}
    assert cluster.kubelet.requests == []


async def test_a_webhook_decides_what_is_run(cluster: Cluster, hooks: Hooks) -> None:
    change = patch({"op": "replace", "path": "/command", "value": ["cat", "-n"]}, add("/container", "main"))
    await connect(cluster, hooks, MUTATING, change, "pods/exec")
    result = await cluster.kubectl("exec", "-n", "ns", "web", "-c", "side", "-i", "--", "sh", stdin="hello")
    assert (result.code, result.out) == (0, "hello"), result.err
    (request,) = cluster.kubelet.requests
    assert request.startswith("/exec/ns/web/main?command=cat&command=-n&")


async def test_a_webhook_decides_where_a_proxy_leads(cluster: Cluster, hooks: Hooks) -> None:
    await connect(
        cluster, hooks, MUTATING, patch({"op": "replace", "path": "/path", "value": "/echo/there"}), "nodes/proxy"
    )
    url = f"{cluster.server.url}/api/v1/nodes/n1/proxy/echo/here?a=b"
    async with cluster.session.get(url) as answer:
        assert answer.headers["x-path"] == "/echo/there?a=b"
    assert seen(hooks) == [("proxy", "n1", {"kind": "NodeProxyOptions", "apiVersion": "v1", "path": "/echo/here"})]


async def test_connections_know_no_dry_runs(cluster: Cluster) -> None:
    async with cluster.session.post(cluster.path("exec"), params={"command": "ls", "dryRun": "All"}) as answer:
        assert (answer.status, (await answer.json(content_type=None))["message"]) == (400, "dryRun is not supported")
