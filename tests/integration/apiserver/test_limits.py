"""Every limit tried at one under and one over, with Kubernetes' words for what is too much."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from k8slite.apiserver.documents import LARGEST
from k8slite.apiserver.wire.limits import MOST_VALUES
from k8slite.config import StoreConfig
from k8slite.testing import RunningServer, running_server
from tests.contract.etcd_server import etcd

from .custom.definitions import definition, establish, path, version

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
BODY = 3 << 20
JSON = {"content-type": "application/json"}
OPEN: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["memory", "sqlite", "etcd"])
async def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningServer]:
    if request.param != "etcd":
        async with running_server(store=request.param) as running:
            yield running
        return
    with etcd(tmp_path_factory.mktemp("etcd")) as [member]:
        async with running_server(store=StoreConfig(engine="etcd", endpoints=[member.endpoint])) as running:
            yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with server.http() as client:
        yield client


def configmap(name: str, data: dict[str, str] | None = None, **metadata: Any) -> dict[str, Any]:
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name, **metadata}, "data": data or {}}


def message(answer: httpx.Response, code: int) -> str:
    assert answer.status_code == code, answer.text[:500]
    status = answer.json()
    assert (status["kind"], status["code"]) == ("Status", code)
    return str(status["message"])


# Bodies


async def test_a_body_has_three_mebibytes(http: httpx.AsyncClient) -> None:
    body = orjson.dumps(configmap("padded"))
    assert (await http.post(CONFIGMAPS, content=body.ljust(BODY), headers=JSON)).status_code == 201
    over = await http.post(CONFIGMAPS, content=body.ljust(BODY + 1), headers=JSON)
    assert message(over, 413) == f"Request entity too large: limit is {BODY}"
    assert over.json()["reason"] == "RequestEntityTooLarge"
    for method, media in (("PUT", "application/json"), ("PATCH", "application/merge-patch+json")):
        headers = {"content-type": media}
        kept = await http.request(method, f"{CONFIGMAPS}/padded", content=body.ljust(BODY), headers=headers)
        assert kept.status_code == 200, kept.text
        refused = await http.request(method, f"{CONFIGMAPS}/padded", content=body.ljust(BODY + 1), headers=headers)
        assert refused.status_code == 413


async def test_a_body_that_is_too_long_is_not_read_to_its_end(http: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 1 << 30:
            sent += 1 << 16
            yield b" " * (1 << 16)

    try:
        answer = await http.post(CONFIGMAPS, content=endless(), headers=JSON)
        assert answer.status_code == 413
    except httpx.TransportError:
        pass  # the server closed while the client went on sending
    assert sent < 64 << 20


async def test_a_body_that_says_that_it_is_too_long_is_not_waited_for(server: RunningServer) -> None:
    context = ssl.create_default_context(cafile=str(server.admin.ca_file))
    assert server.admin.cert_file is not None
    context.load_cert_chain(server.admin.cert_file, server.admin.key_file)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    lines = [f"POST {CONFIGMAPS} HTTP/1.1", "host: a", "content-type: application/json", f"content-length: {10 << 30}"]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"Request entity too large: limit is 3145728" in answer


async def test_a_body_holds_a_hundred_thousand_values(http: httpx.AsyncClient) -> None:
    def body(count: int) -> bytes:
        return b'{"metadata":{"name":"n","finalizers":[' + b",".join([b'"a.b/c"'] * count) + b"]}}"

    outside = 5  # the maps, the list and what stands before the first finalizer
    within = await http.post(f"{CONFIGMAPS}?dryRun=All", content=body(MOST_VALUES - outside), headers=JSON)
    assert within.status_code == 201, within.text[:300]
    over = await http.post(f"{CONFIGMAPS}?dryRun=All", content=body(MOST_VALUES), headers=JSON)
    assert message(over, 413) == f"Request entity too large: limit is {MOST_VALUES} values"
    commas = configmap("commas", {"text": ",[{" * (MOST_VALUES + 1)})
    assert (await http.post(CONFIGMAPS, json=commas)).status_code == 201, "what stands in strings is no value"


# Objects


async def test_an_object_has_a_mebibyte_and_a_half(http: httpx.AsyncClient) -> None:
    leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"

    async def make(name: str, length: int) -> httpx.Response:
        body = {"metadata": {"name": name}, "spec": {"holderIdentity": "x" * length}}
        return await http.post(leases, json=body)

    probe = await make("probe", LARGEST - 400)  # too much with the entries of its managers: they are left out
    assert probe.status_code == 201, probe.text[:300]
    assert "managedFields" not in probe.json()["metadata"]
    rest = len(probe.content) - (LARGEST - 400) - len(probe.json()["metadata"]["resourceVersion"])
    assert (await make("small", LARGEST - rest)).status_code == 201
    assert message(await make("large", LARGEST - rest + 1), 500) == "etcdserver: request is too large"
    grown = {"spec": {"holderIdentity": "x" * (LARGEST - rest + 1)}}
    headers = {"content-type": "application/merge-patch+json"}
    assert message(await http.patch(f"{leases}/small", json=grown, headers=headers), 500).startswith("etcdserver")
    assert len((await http.get(f"{leases}/small")).json()["spec"]["holderIdentity"]) == LARGEST - rest


async def test_annotations_have_256_kibibytes_together(http: httpx.AsyncClient) -> None:
    def annotations(size: int) -> dict[str, str]:
        return {"a": "x" * 1000, "b": "x" * (size - 1002)}

    limit = 256 << 10
    assert (await http.post(CONFIGMAPS, json=configmap("a0", annotations=annotations(limit)))).status_code == 201
    over = await http.post(CONFIGMAPS, json=configmap("a1", annotations=annotations(limit + 1)))
    text = f'ConfigMap "a1" is invalid: metadata.annotations: Too long: may not be more than {limit} bytes'
    assert message(over, 422) == text
    patch = {"metadata": {"annotations": {"c": ""}}}
    headers = {"content-type": "application/merge-patch+json"}
    assert (await http.patch(f"{CONFIGMAPS}/a0", json=patch, headers=headers)).status_code == 422
    two_bytes = configmap("a2", annotations={"a": "é" * (limit // 2)})
    assert (await http.post(CONFIGMAPS, json=two_bytes)).status_code == 422, "bytes count, not characters"


async def test_the_data_of_a_configmap_or_secret_has_a_mebibyte(http: httpx.AsyncClient) -> None:
    limit, secrets = 1 << 20, "/api/v1/namespaces/default/secrets"
    assert (await http.post(CONFIGMAPS, json=configmap("d0", {"k": "x" * limit}))).status_code == 201
    over = await http.post(CONFIGMAPS, json=configmap("d1", {"k": "x" * (limit + 1)}))
    assert message(over, 422) == f'ConfigMap "d1" is invalid: []: Too long: may not be more than {limit} bytes'

    def secret(name: str, size: int) -> dict[str, Any]:
        return {"metadata": {"name": name}, "data": {"k": base64.b64encode(b"x" * size).decode()}}

    assert (await http.post(secrets, json=secret("s0", limit))).status_code == 201
    over = await http.post(secrets, json=secret("s1", limit + 1))
    assert message(over, 422) == f'Secret "s1" is invalid: data: Too long: may not be more than {limit} bytes'


# Patches


async def test_a_json_patch_has_ten_thousand_operations(http: httpx.AsyncClient) -> None:
    await http.post(CONFIGMAPS, json=configmap("patched"))
    headers = {"content-type": "application/json-patch+json"}
    operation = {"op": "test", "path": "/metadata/name", "value": "patched"}

    async def patch(count: int) -> httpx.Response:
        return await http.patch(f"{CONFIGMAPS}/patched", content=orjson.dumps([operation] * count), headers=headers)

    assert (await patch(10_000)).status_code == 200
    words = "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"
    assert message(await patch(10_001), 413) == words


async def test_what_a_json_patch_copies_has_three_mebibytes(http: httpx.AsyncClient) -> None:
    await http.post(CONFIGMAPS, json=configmap("copied", {"k": "x" * 99_998}))
    headers = {"content-type": "application/json-patch+json"}

    async def copies(count: int) -> httpx.Response:
        operations: list[dict[str, str]] = [{"op": "copy", "from": "/data/k", "path": "/data/c"}] * count
        return await http.patch(f"{CONFIGMAPS}/copied", content=orjson.dumps(operations), headers=headers)

    assert (await copies(BODY // 100_000)).status_code == 200
    refused = message(await copies(BODY // 100_000 + 1), 422)
    words = "Unable to complete the copy, the accumulated size increase of copy is 3200000, exceeding the limit"
    assert f"{words} {BODY}" in refused


# Depth


async def test_what_can_be_stored_can_be_read_in_every_form(http: httpx.AsyncClient) -> None:
    made = definition("deeps", "limits.example.com", version(schema=OPEN))
    await establish(http, made)
    url = path(made)
    head = '{"apiVersion":"limits.example.com/v1","kind":"%s","metadata":{"name":"d%d"},"spec":'

    async def store(depth: int) -> httpx.Response:
        body = head % (made["spec"]["names"]["kind"], depth) + '{"a":' * depth + "1" + "}" * depth + "}"
        return await http.post(url, content=body, headers=JSON)

    codes = {depth: (await store(depth)).status_code for depth in range(200, 260)}
    deepest = max(depth for depth, code in codes.items() if code == 201)
    assert deepest >= 240
    assert codes == {depth: 201 if depth <= deepest else 400 for depth in codes}
    assert "exceeded max depth" in message(await store(deepest + 1), 400)
    assert (await store(1500)).status_code == 400
    table = {"accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}
    for answer in (
        await http.get(url, params={"pretty": "true"}),
        await http.get(f"{url}/d{deepest}", params={"pretty": "true"}),
        await http.get(url, params={"includeObject": "Object", "pretty": "true"}, headers=table),
        await http.get(url, headers={"accept": "application/yaml"}),
        await http.get(url, params={"watch": "true", "timeoutSeconds": "1"}),
    ):
        assert answer.status_code == 200, answer.text[:300]
        assert '"a"' in answer.text or "a:" in answer.text
    deeper = {"spec": orjson.loads(b'{"a":' * 200 + b"1" + b"}" * 200)}
    grow = [{"op": "add", "path": "/spec" + "/a" * 199, "value": deeper}]
    for media, patch in (
        ("application/merge-patch+json", '{"spec":' + '{"a":' * 250 + "{}" + "}" * 250 + "}"),
        ("application/json-patch+json", orjson.dumps(grow).decode()),
        ("application/json-patch+json", '[{"op":"add","path":"/spec","value":' + "[" * 1000 + "]" * 1000 + "}]"),
    ):
        answer = await http.patch(f"{url}/d200", content=patch, headers={"content-type": media})
        assert answer.status_code in (400, 422), answer.text[:300]
        assert "exceeded max depth" in answer.text


# Heads


async def test_a_head_has_a_mebibyte(http: httpx.AsyncClient) -> None:
    assert (await http.get("/readyz", headers={"x-much": "a" * (1 << 19)})).status_code == 200
    over = await http.get("/readyz", headers={"x-much": "a" * (1 << 20)})
    assert (over.status_code, over.text) == (431, "431 Request Header Fields Too Large")


@pytest.mark.parametrize(
    "query",
    [
        {"labelSelector": ",".join(f"a{number}=b" for number in range(5000))},
        {"labelSelector": "a in (" + ",".join(f"b{number}" for number in range(5000)) + ")"},
        {"fieldSelector": ",".join(f"metadata.name!=n{number}" for number in range(2000))},
        {"limit": str(2**63 - 1)},
        {"limit": "-1"},
        {"timeoutSeconds": "9223372036854775807"},
        {
            "watch": "true",
            "timeoutSeconds": "1",
            "allowWatchBookmarks": "true",
            "sendInitialEvents": "true",
            "resourceVersionMatch": "NotOlderThan",
        },
    ],
)
async def test_absurd_queries_are_answered(http: httpx.AsyncClient, query: dict[str, str]) -> None:
    assert (await http.get(CONFIGMAPS, params=query)).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        {"labelSelector": "(" * 20_000},
        {"labelSelector": "a" * 50_000},
        {"fieldSelector": "a" * 50_000},
        {"limit": "9" * 5000},
        {"timeoutSeconds": "9" * 20},
        {"resourceVersion": "9" * 5000},
        {"resourceVersion": "-1"},
        {"continue": "A" * 50_000},
        {"continue": base64.urlsafe_b64encode(b"[" * 30_000).decode()},
        {"watch": "true", "resourceVersion": "9" * 400},
    ],
)
async def test_absurd_queries_are_refused(http: httpx.AsyncClient, query: dict[str, str]) -> None:
    answer = await http.get(CONFIGMAPS, params=query)
    assert answer.status_code == 400, answer.text[:300]
