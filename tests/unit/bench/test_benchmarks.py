"""The tools of the benchmarks, against a server that counts."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from benchmarks import kubeconfig, load, processes, report
from benchmarks.kube import Kube, Refused, namespace
from benchmarks.kubeconfig import Target


class Server:
    """Keeps what is created by path; fails every tenth pod; one watch of ConfigMaps."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.watches: list[web.StreamResponse] = []
        self.target = Target("")

    async def post(self, request: web.Request) -> web.Response:
        body = await request.json()
        name = body["metadata"]["name"]
        if name.endswith("0"):
            return web.json_response({"reason": "Invalid"}, status=422)
        self.objects[f"{request.path}/{name}"] = body
        return web.json_response(body, status=201)

    async def get(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response({"items": []})
        stream = web.StreamResponse()
        await stream.prepare(request)
        self.watches.append(stream)
        await asyncio.Event().wait()
        return stream

    async def delete(self, request: web.Request) -> web.Response:
        for key in [key for key in self.objects if key == request.path or key.startswith(request.path + "/")]:
            del self.objects[key]
        return web.json_response({})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    serving = Server()
    app = web.Application()
    app.add_routes(
        [
            web.post("/{path:.*}", serving.post),
            web.get("/{path:.*}", serving.get),
            web.delete("/{path:.*}", serving.delete),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    serving.target = Target(f"http://127.0.0.1:{runner.addresses[0][1]}")
    yield serving
    await runner.cleanup()


async def test_exactly_so_many_are_created(server: Server) -> None:
    body = {"metadata": {"name": f"p-{load.NUMBER}"}}
    measured = await load.create(server.target, "/pods", count=95, body=body, connections=8)
    assert measured.requests == 95
    assert measured.errors == 9
    assert len(server.objects) == 86
    assert 0 < measured.p50 <= measured.p99


async def test_every_watcher_sees_every_change(server: Server) -> None:
    process = await load.start("watchers", asdict(server.target) | {"path": "/configmaps?watch=true", "watchers": 5})
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    for stream in server.watches:
        await stream.write(b'{"type":"MODIFIED","object":{"data":{"change":"bench-change-3;"}}}\n')
    number, half, last = (await process.stdout.readline()).split()
    assert number == b"3"
    assert float(half) <= float(last)
    process.terminate()
    await process.wait()


async def test_a_namespace_is_removed_with_what_is_in_it(server: Server) -> None:
    async with Kube(server.target) as kube:
        with pytest.raises(Refused, match="422"):
            async with namespace(kube, "bench-x") as ns:
                await kube.call("POST", f"/api/v1/namespaces/{ns}/pods", {"metadata": {"name": "a"}})
                assert len(server.objects) == 3
                await kube.call("POST", f"/api/v1/namespaces/{ns}/pods", {"metadata": {"name": "a0"}})
    assert server.objects == {}


def test_kubeconfig_with_inline_data_and_relative_files(tmp_path: Path) -> None:
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://h:1/", "certificate-authority": "ca.crt"}}],
        "users": [{"name": "u", "user": {"client-certificate-data": base64.b64encode(b"cert").decode(), "token": "t"}}],
    }
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(document))
    target = kubeconfig.load(path, tmp_path)
    assert (target.server, target.host, target.port) == ("https://h:1", "h", 1)
    assert target.ca_file == str(tmp_path / "ca.crt")
    assert Path(target.cert_file).read_bytes() == b"cert"
    assert target.token == "t"
    assert "'t'" not in repr(target)


def test_table_and_numbers() -> None:
    figures = [report.Figure("a", 12345.6, "/s", "note"), report.Figure("longer", 0.01234, "s")]
    assert report.table(figures) == "a       12,346  /s  note\nlonger  0.0123  s"


def test_a_process_has_memory_and_children() -> None:
    import os

    pid = os.getpid()
    assert processes.memory([pid]) > 1_000_000
    assert processes.cpu_seconds([pid]) > 0
    assert pid in processes.with_children([os.getppid()])
