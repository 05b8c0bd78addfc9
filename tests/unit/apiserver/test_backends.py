"""How the API server reaches webhooks: Services, trust, failures in Kubernetes' words. Over real TLS."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from k8slite.apiserver.backends import Backends, Target, target_of
from k8slite.apiserver.webhooks import WebhookFailure, Webhooks
from k8slite.errors import ApiError
from k8slite.selectors import FieldSelector
from k8slite.testing.extension import Extension, extension

NOTHING = FieldSelector(())


@dataclass
class Row:
    document: dict[str, Any]
    key: str = ""
    revision: int = 1

    @property
    def labels(self) -> dict[str, str]:
        return self.document["metadata"].get("labels") or {}


@dataclass
class Rows:
    rows: list[Row] = field(default_factory=list)
    changed: int = 1

    def get(self, namespace: str, name: str) -> Row | None:
        return next((row for row in self.select(namespace=namespace) if row.document["metadata"]["name"] == name), None)

    def select(self, *, namespace: str = "", fields: FieldSelector = NOTHING) -> Sequence[Row]:
        return [row for row in self.rows if row.document["metadata"]["namespace"] == namespace]


class Objects(dict[tuple[str, str], Rows]):
    def resource(self, group: str, plural: str) -> Rows:
        return self.setdefault((group, plural), Rows())

    def add_service(self, *, ports: list[dict[str, Any]], **spec: Any) -> None:
        metadata = {"namespace": "system", "name": "hook"}
        self.resource("", "services").rows = [Row({"metadata": metadata, "spec": {"ports": ports, **spec}})]

    def add_slice(self, address: str, port: int, *, ready: bool = True, name: str = "") -> None:
        metadata = {"namespace": "system", "name": "hook-1", "labels": {"kubernetes.io/service-name": "hook"}}
        endpoints = [{"addresses": [address], "conditions": {"ready": ready}}]
        document = {"metadata": metadata, "endpoints": endpoints, "ports": [{"name": name, "port": port}]}
        self.resource("discovery.k8s.io", "endpointslices").rows.append(Row(document))


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    body = await request.json()
    seen = {"path": request.path_qs, "host": request.host, "echo": body}
    match body.get("want"):
        case "html":
            return web.Response(text="<p>", content_type="text/html")
        case "untyped":
            return web.Response(text='{"said": "yes"}', content_type="text/html")
        case "redirect":
            return web.Response(status=307, headers={"Location": "https://elsewhere.example.com/"})
        case "unreadable":
            return web.Response(body=b"nonsense", headers={"Content-Encoding": "gzip"})
        case "nothing":
            return web.Response(text="{")
        case "refusal":
            return web.Response(status=500, text="out of order")
        case "status":
            return web.json_response({"kind": "Status", "message": "no such luck"}, status=409)
        case "long":
            return web.json_response({"long": "x" * 10_000})
        case "hang":
            await asyncio.Event().wait()
    return web.json_response(seen)


@pytest.fixture
async def hook(tmp_path: Path) -> AsyncIterator[Extension]:
    async with extension(echo, directory=tmp_path, hosts=["hook.system.svc", "localhost"]) as running:
        yield running


@pytest.fixture
def objects(hook: Extension) -> Objects:
    known = Objects()
    known.add_service(ports=[{"port": 443}])
    known.add_slice("127.0.0.1", hook.port)
    return known


@pytest.fixture
async def backends(objects: Objects) -> AsyncIterator[Backends]:
    made = Backends(objects=objects, source=random.Random(1))
    yield made
    await made.close()


@pytest.fixture
def webhooks(backends: Backends) -> Webhooks:
    return Webhooks(backends)


def service(hook: Extension, **changes: Any) -> Target:
    reference = {"namespace": "system", "name": "hook", "path": "/convert"} | changes
    return target_of({"service": reference, "caBundle": base64.b64encode(hook.bundle).decode()})


async def test_a_service_is_called_by_its_name(webhooks: Webhooks, hook: Extension) -> None:
    answer = await webhooks.post(service(hook), {"a": 1})
    assert answer == {"path": "/convert?timeout=30s", "host": "hook.system.svc:443", "echo": {"a": 1}}


async def test_a_url_is_called(webhooks: Webhooks, hook: Extension) -> None:
    bundle = base64.b64encode(hook.bundle).decode()
    target = target_of({"url": f"https://localhost:{hook.port}/here", "caBundle": bundle})
    assert (await webhooks.post(target, {}, timeout=5))["path"] == "/here?timeout=5s"


async def test_an_external_name_is_followed(webhooks: Webhooks, hook: Extension, objects: Objects) -> None:
    objects.add_service(ports=[], type="ExternalName", externalName="localhost")
    assert (await webhooks.post(service(hook, port=hook.port), {}))["path"] == "/convert?timeout=30s"


async def test_a_certificate_of_another_authority_is_refused(webhooks: Webhooks, hook: Extension) -> None:
    target = target_of({"service": {"namespace": "system", "name": "hook"}})
    with pytest.raises(
        WebhookFailure, match=r'Post "https://hook.system.svc:443/\?timeout=30s": tls: failed to verify'
    ):
        await webhooks.post(target, {})


async def test_a_certificate_for_another_name_is_refused(webhooks: Webhooks, hook: Extension, objects: Objects) -> None:
    for rows in objects.values():
        for row in rows.rows:
            metadata = row.document["metadata"]
            metadata["namespace"] = "other"
    with pytest.raises(WebhookFailure, match=r"hook\.other\.svc.* failed to verify certificate.*[Hh]ostname"):
        await webhooks.post(service(hook, namespace="other"), {})


async def test_a_service_without_endpoints_is_said_to_have_none(backends: Backends, objects: Objects) -> None:
    wanted = service(Extension(0, b"")).service
    assert wanted is not None
    objects.resource("discovery.k8s.io", "endpointslices").rows.clear()
    objects.add_slice("127.0.0.1", 1, ready=False)
    with pytest.raises(ApiError, match=r'^no endpoints available for service "hook"$') as caught:
        backends.resolve(wanted)
    assert caught.value.code == 503
    objects.add_service(ports=[{"port": 80}])
    with pytest.raises(ApiError, match=r'^no service port 443 found for service "hook"$'):
        backends.resolve(wanted)
    objects.resource("", "services").rows.clear()
    with pytest.raises(ApiError, match=r'^service "hook" not found$'):
        backends.resolve(wanted)


async def test_only_endpoints_of_the_named_port_count(backends: Backends, objects: Objects) -> None:
    wanted = service(Extension(0, b"")).service
    assert wanted is not None
    objects.add_service(ports=[{"port": 443, "name": "https"}, {"port": 80, "name": "http"}])
    objects.resource("discovery.k8s.io", "endpointslices").rows.clear()
    objects.add_slice("10.0.0.1", 8080, name="http")
    objects.add_slice("10.0.0.2", 8443, name="https")
    found = {backends.resolve(wanted).base for _ in range(20)}
    assert found == {"https://10.0.0.2:8443"}


@pytest.mark.parametrize(
    ("want", "message"),
    [
        ("html", "couldn't get version/kind; json parse error"),
        ("redirect", r"redirect \(307\), which is not followed"),
        ("unreadable", r"Can not decode content-encoding: gzip$"),
        ("nothing", "couldn't get version/kind; json parse error"),
        ("refusal", r'an error on the server \("out of order"\) has prevented the request from succeeding'),
        ("status", "no such luck"),
        ("long", "longer than 5000 bytes"),
        ("hang", r'Post "https://hook.system.svc:443/convert\?timeout=0.5s": context deadline exceeded'),
    ],
)
async def test_an_answer_that_is_none_is_a_failure(
    webhooks: Webhooks, hook: Extension, want: str, message: str
) -> None:
    with pytest.raises(WebhookFailure, match=message):
        await webhooks.post(service(hook), {"want": want}, timeout=0.5 if want == "hang" else 10, limit=5_000)


async def test_an_answer_counts_whatever_type_it_is_said_to_be_of(webhooks: Webhooks, hook: Extension) -> None:
    assert await webhooks.post(service(hook), {"want": "untyped"}) == {"said": "yes"}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://127.0.0.1:99999/", "dial tcp: Port out of range"),
        ("https://..example.com/", "dial tcp: "),
        ("https://nowhere.invalid/", "dial tcp: lookup nowhere.invalid: no such host$"),
    ],
)
async def test_a_url_that_leads_nowhere(webhooks: Webhooks, url: str, message: str) -> None:
    with pytest.raises(WebhookFailure, match=message):
        await webhooks.post(target_of({"url": url}), {})


async def test_a_server_without_tls(webhooks: Webhooks) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(WebhookFailure, match=r'\?timeout=30s": tls: [a-z ]+$'):
            await webhooks.post(target_of({"url": f"https://127.0.0.1:{port}/"}), {})


async def test_nobody_there(webhooks: Webhooks, objects: Objects, hook: Extension, unused_tcp_port: int) -> None:
    objects.resource("discovery.k8s.io", "endpointslices").rows.clear()
    objects.add_slice("127.0.0.1", unused_tcp_port)
    with pytest.raises(WebhookFailure, match=f"dial tcp 127.0.0.1:{unused_tcp_port}: connect: connection refused"):
        await webhooks.post(service(hook), {})
