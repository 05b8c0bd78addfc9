"""What becomes of requests whose webhook cannot be asked, or gives an answer that is none."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio
from aiohttp import web

from k8slite.testing import RunningServer
from k8slite.testing.extension import extension

from .hooks import MUTATING, VALIDATING, Document, Hooks, allow, config_map, configure, deny, patch, rule, webhook

pytestmark = pytest.mark.asyncio(loop_scope="module")
POD = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "main", "image": "busybox"}]}}
OPERATIONS = ("CREATE", "UPDATE", "DELETE", "CONNECT")


@dataclass(frozen=True)
class Broken:
    """Servers that are no webhooks, by what is wrong with them: client configurations, and words of the message."""

    clients: dict[str, Document]
    words: dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def broken(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Broken]:
    ended = asyncio.Event()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        match request.path:
            case "/timeout":
                await ended.wait()
            case "/error":
                return web.Response(status=500, text="out of order")
            case "/html":
                return web.Response(text="<html>", content_type="text/html")
            case "/other":
                return web.json_response({"kind": "Pod", "apiVersion": "v1"})
        return web.Response(text="{nonsense", content_type="application/json")

    directory = tmp_path_factory.mktemp("broken")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        port = unused.getsockname()[1]
        async with (
            extension(handle, directory=directory / "good", hosts=["127.0.0.1"]) as server,
            extension(handle, directory=directory / "bad", hosts=["elsewhere.example.com"]) as named_otherwise,
        ):
            bundle, other = (base64.b64encode(each.bundle).decode() for each in (server, named_otherwise))
            url = f"https://127.0.0.1:{server.port}"
            answering = ("timeout", "error", "html", "other", "malformed")
            clients: dict[str, Document] = {path: {"url": f"{url}/{path}", "caBundle": bundle} for path in answering}
            clients["refused"] = {"url": f"https://127.0.0.1:{port}/", "caBundle": bundle}
            clients["impossible"] = {"url": "https://127.0.0.1:99999/", "caBundle": bundle}
            clients["untrusted"] = {"url": f"{url}/error", "caBundle": other}
            clients["misnamed"] = {"url": f"https://127.0.0.1:{named_otherwise.port}/error", "caBundle": other}
            clients["nowhere"] = {"service": {"namespace": "default", "name": "nobody"}, "caBundle": bundle}
            yield Broken(
                clients,
                {
                    "timeout": f'Post "{url}/timeout?timeout=1s": context deadline exceeded',
                    "refused": "connect: connection refused",
                    "impossible": 'Post "https://127.0.0.1:99999/?timeout=1s": dial tcp: ',
                    "untrusted": "tls: failed to verify certificate: x509",
                    "misnamed": "tls: failed to verify certificate: x509",
                    "error": 'an error on the server ("out of order") has prevented the request from succeeding',
                    "malformed": "couldn't get version/kind; json parse error",
                    "html": "couldn't get version/kind; json parse error",
                    "other": "received invalid webhook response: webhook response was absent",
                    "nowhere": 'Post "https://nobody.default.svc:443/?timeout=1s": service "nobody" not found',
                },
            )
            ended.set()


@pytest_asyncio.fixture(loop_scope="module")
async def prepared(http: httpx.AsyncClient, namespace: str) -> str:
    """A namespace with what is to be changed, deleted and connected to."""
    for name in ("change", "delete"):
        made = await http.post(f"/api/v1/namespaces/{namespace}/configmaps", json=config_map(name))
        assert made.status_code == 201, made.text
    assert (await http.post(f"/api/v1/namespaces/{namespace}/pods", json=POD)).status_code == 201
    return namespace


async def attempts(http: httpx.AsyncClient, namespace: str) -> dict[str, httpx.Response]:
    """A request of each operation."""
    maps, pods = (f"/api/v1/namespaces/{namespace}/{plural}" for plural in ("configmaps", "pods"))
    answers = await asyncio.gather(
        http.post(maps, json=config_map("new")),
        http.put(f"{maps}/change", json={**config_map("change"), "data": {"key": "other"}}),
        http.delete(f"{maps}/delete"),
        http.post(f"{pods}/web/exec?command=ls&stdout=true"),
    )
    return dict(zip(OPERATIONS, answers, strict=True))


ALL = (rule("configmaps"), rule("pods/exec", operations=["CONNECT"]))
PASSED = {"CREATE": 201, "UPDATE": 200, "DELETE": 200, "CONNECT": 400}
"""The pod is on no node: its exec fails after admission."""
KINDS = ("timeout", "refused", "impossible", "untrusted", "misnamed", "error", "malformed", "html", "other", "nowhere")


@pytest.mark.parametrize("plural", [MUTATING, VALIDATING])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_webhook_that_fails_fails_the_request(
    http: httpx.AsyncClient, prepared: str, hooks: Hooks, broken: Broken, kind: str, plural: str
) -> None:
    hook = webhook("broken", broken.clients[kind], *ALL, namespace=prepared, timeoutSeconds=1)
    await configure(http, plural, "broken", hook)
    for operation, answer in (await attempts(http, prepared)).items():
        assert (answer.status_code, answer.json()["reason"]) == (500, "InternalError"), operation
        said = answer.json()["message"]
        assert said.startswith('Internal error occurred: failed calling webhook "broken.example.com": ')
        assert broken.words[kind] in said, operation
        (cause,) = answer.json()["details"]["causes"]
        assert f"Internal error occurred: {cause['message']}" == said


@pytest.mark.parametrize("plural", [MUTATING, VALIDATING])
@pytest.mark.parametrize("kind", KINDS)
async def test_failures_that_are_ignored_let_the_request_pass(
    http: httpx.AsyncClient, prepared: str, hooks: Hooks, broken: Broken, kind: str, plural: str
) -> None:
    hook = webhook("broken", broken.clients[kind], *ALL, namespace=prepared, timeoutSeconds=1, failurePolicy="Ignore")
    await configure(http, plural, "broken", hook)
    for operation, answer in (await attempts(http, prepared)).items():
        assert answer.status_code == PASSED[operation], (operation, answer.text)
        assert "webhook" not in answer.text


async def test_a_failure_that_is_ignored_leaves_the_others_their_turn(
    http: httpx.AsyncClient, prepared: str, hooks: Hooks, broken: Broken
) -> None:
    ignored = webhook("ignored", broken.clients["refused"], *ALL, namespace=prepared, failurePolicy="Ignore")
    after = webhook("after", hooks.on("/after", deny("me first")), *ALL, namespace=prepared)
    await configure(http, MUTATING, "both", ignored, after)
    for answer in (await attempts(http, prepared)).values():
        assert answer.json()["message"] == 'admission webhook "after.example.com" denied the request: me first'


def with_uid(response: Document) -> Any:
    """A response whose members replace the right ones."""
    return lambda request: {"allowed": True, **response}


PATCHED = patch({"op": "add", "path": "/data/a", "value": "b"})({})
MALFORMED = [
    (MUTATING, {"uid": "another"}, 'expected response.uid="'),
    (MUTATING, {**PATCHED, "patchType": None}, "webhook returned response.patch but not response.patchType"),
    (MUTATING, {"patchType": "JSONPatch"}, "webhook returned response.patchType but not response.patch"),
    (MUTATING, {**PATCHED, "patchType": ""}, 'webhook returned invalid response.patchType of ""'),
    (MUTATING, {**PATCHED, "patchType": "Merge"}, 'unsupported patch type "Merge"'),
    (MUTATING, {**PATCHED, "patch": "bm9uc2Vuc2U="}, "received undecodable patch in webhook response"),
    (MUTATING, {**PATCHED, "patch": "!"}, "received invalid webhook response"),
    (VALIDATING, PATCHED, "validating webhook may not return response.patch"),
    (VALIDATING, {"patchType": "JSONPatch"}, "validating webhook may not return response.patchType"),
    (VALIDATING, {"uid": ""}, 'expected response.uid="'),
    (VALIDATING, {"allowed": "yes"}, "received invalid webhook response"),
    (VALIDATING, {"warnings": "many"}, "received invalid webhook response"),
    (VALIDATING, {"auditAnnotations": {"a": 1}}, "received invalid webhook response"),
]


@pytest.mark.parametrize(("plural", "response", "said"), MALFORMED)
@pytest.mark.parametrize("policy", ["Fail", "Ignore"])
async def test_answers_that_are_none(
    http: httpx.AsyncClient,
    namespace: str,
    hooks: Hooks,
    plural: str,
    response: Document,
    said: str,
    policy: str,
) -> None:
    client = hooks.on("/answer", with_uid(response))
    hook = webhook("answer", client, rule("configmaps"), namespace=namespace, failurePolicy=policy)
    await configure(http, plural, "answer", hook)
    answer = await http.post(f"/api/v1/namespaces/{namespace}/configmaps", json=config_map("a"))
    if policy == "Ignore":
        assert answer.status_code == 201, answer.text
        assert answer.json()["data"] == {"key": "value"}
    else:
        assert (answer.status_code, answer.json()["reason"]) == (500, "InternalError")
        assert said in answer.json()["message"]


@pytest.mark.parametrize("policy", ["Fail", "Ignore"])
@pytest.mark.parametrize("plural", [MUTATING, VALIDATING])
async def test_refusals_are_never_ignored(
    http: httpx.AsyncClient, prepared: str, hooks: Hooks, plural: str, policy: str
) -> None:
    hook = webhook("no", hooks.on("/no", deny("no")), *ALL, namespace=prepared, failurePolicy=policy)
    await configure(http, plural, "no", hook)
    for operation, answer in (await attempts(http, prepared)).items():
        assert answer.status_code == 400, operation
        assert answer.json()["message"] == 'admission webhook "no.example.com" denied the request: no'


async def test_a_short_timeout_is_the_webhooks_own_and_told_to_it(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks, broken: Broken
) -> None:
    quick = webhook("quick", hooks.on("/quick", allow), rule("configmaps"), namespace=namespace, timeoutSeconds=1)
    await configure(http, VALIDATING, "quick", quick)
    made = await http.post(f"/api/v1/namespaces/{namespace}/configmaps", json=config_map("a"))
    assert made.status_code == 201, made.text
    assert [query for query in hooks.queries if query] == ["timeout=1s"]


async def test_the_webhooks_of_a_request_have_an_end_together(
    http: httpx.AsyncClient, namespace: str, hooks: Hooks, broken: Broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("k8slite.apiserver.admission.webhooks.calling.WHOLE", 0.9)
    more: dict[str, Any] = {"timeoutSeconds": 1, "failurePolicy": "Ignore"}
    slow = [
        webhook(name, broken.clients["timeout"], rule("configmaps"), namespace=namespace, **more) for name in ("a", "b")
    ]
    await configure(http, MUTATING, "slow", *slow)
    answer = await http.post(f"/api/v1/namespaces/{namespace}/configmaps", json=config_map("a"))
    assert (answer.status_code, answer.json()["reason"]) == (504, "Timeout")
    assert answer.json()["message"] == "Timeout: request did not complete within requested timeout"


async def test_nobody_is_asked_for_a_client_that_has_left(
    server: RunningServer, http: httpx.AsyncClient, namespace: str, hooks: Hooks
) -> None:
    held = webhook("held", hooks.on("/held", allow), rule("configmaps"), namespace=namespace, timeoutSeconds=30)
    await configure(http, MUTATING, "held", held)
    hooks.hold()
    body = json.dumps(config_map("a")).encode()
    head = f"POST /api/v1/namespaces/{namespace}/configmaps HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    context = ssl.create_default_context(cafile=str(server.admin.ca_file))
    context.load_cert_chain(str(server.admin.cert_file), server.admin.key_file)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context, server_hostname="localhost")
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await hooks.arrived()
    assert await executing(http) == 2  # it, and this question
    writer.transport.abort()
    async with asyncio.timeout(20):
        while await executing(http) > 1:  # noqa: ASYNC110 - it is the server that is asked
            await asyncio.sleep(0.01)
    hooks.release()
    assert (await http.get(f"/api/v1/namespaces/{namespace}/configmaps/a")).status_code == 404


async def executing(http: httpx.AsyncClient) -> int:
    """How many requests hold a seat."""
    lines = (await http.get("/metrics")).text.splitlines()
    named = [line for line in lines if line.startswith("apiserver_flowcontrol_current_executing_requests{")]
    assert named
    return int(sum(float(line.rpartition(" ")[2]) for line in named))
