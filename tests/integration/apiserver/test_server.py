from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from k8slite.apiserver.wire import connection, server
from k8slite.config import ApiServerConfig
from k8slite.pki import Authority, KeyPair, ensure_signing_key


class App:
    """Answers every request with the length of the peer's certificate; /slow waits for `release`."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.release = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                message = await receive()
                await send({"type": message["type"] + ".complete"})
            return
        certificate = scope["state"][connection.CERTIFICATE]
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": str(len(certificate))})
            await send({"type": "websocket.close"})
            return
        if scope["path"] == "/slow":
            self.started.set()
            await self.release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"%04d" % len(certificate)})


class Running:
    def __init__(self, tmp_path: Path, addresses: list[str]) -> None:
        self.authority = Authority.ensure(tmp_path)
        pair = self.authority.issue_server("server", common_name="apiserver", hosts=["127.0.0.1", "::1"])
        self.config = ApiServerConfig(
            bind_addresses=addresses,
            port=0,
            cert_file=pair.cert_file,
            key_file=pair.key_file,
            client_ca_file=self.authority.cert_file,
            service_account_key_file=ensure_signing_key(tmp_path / "sa.key"),
        )
        self.app = App()
        self.drained = False
        self.addresses: list[server.Address] = []
        self.task: asyncio.Task[None] | None = None

    def url(self, path: str, index: int = 0) -> str:
        host, port = self.addresses[index]
        return f"https://{f'[{host}]' if ':' in host else host}:{port}{path}"

    def tls(self, client: KeyPair | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.cert_file))
        if client:
            context.load_cert_chain(client.cert_file, client.key_file)
        return context

    async def __aenter__(self) -> Running:
        ready = asyncio.Event()

        def listening(addresses: Any) -> None:
            self.addresses = list(addresses)
            ready.set()

        def drain() -> None:
            self.drained = True

        self.task = asyncio.create_task(server.serve_app(self.app, config=self.config, ready=listening, drain=drain))
        await asyncio.wait_for(ready.wait(), 5)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.task
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with Running(tmp_path, ["127.0.0.1", "::1", "192.0.2.77"]) as started:
        yield started


async def fetch(running: Running, url: str, client: KeyPair | None = None) -> str:
    async with aiohttp.ClientSession() as session, session.get(url, ssl=running.tls(client)) as answer:
        assert answer.status == 200
        assert "Date" in answer.headers
        return await answer.text()


async def test_certificate_reaches_the_application(running: Running) -> None:
    pair = running.authority.issue_client("alice", user="alice")
    der = ssl.PEM_cert_to_DER_cert(pair.cert_file.read_text())
    assert await fetch(running, running.url("/"), pair) == f"{len(der):04d}"
    assert await fetch(running, running.url("/")) == "0000"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(running.url("/"), ssl=running.tls(pair)) as websocket,
    ):
        assert await websocket.receive_str() == str(len(der))


async def test_ipv6_and_an_address_that_no_interface_has(running: Running) -> None:
    assert await fetch(running, running.url("/", 1)) == "0000"
    assert running.addresses[2][0] == "192.0.2.77"
    assert len({port for _, port in running.addresses}) == 1


async def test_certificate_of_a_stranger_is_refused(running: Running, tmp_path: Path) -> None:
    stranger = Authority.ensure(tmp_path / "other").issue_client("mallory", user="system:admin")
    with pytest.raises(aiohttp.ClientError):
        await fetch(running, running.url("/"), stranger)


async def test_oversized_headers_are_refused(running: Running) -> None:
    async with aiohttp.ClientSession() as session:
        with contextlib.suppress(aiohttp.ClientOSError):  # the refusal may come while we still send
            async with session.get(running.url("/"), ssl=running.tls(), headers={"X-Big": "x" * 1_500_000}) as answer:
                assert answer.status == 431


async def test_request_under_way_finishes_when_the_server_ends(tmp_path: Path) -> None:
    async with Running(tmp_path, ["127.0.0.1"]) as running:
        slow = asyncio.create_task(fetch(running, running.url("/slow")))
        await running.app.started.wait()
        assert running.task
        running.task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert running.drained
        running.app.release.set()
        assert await slow == "0000"


def test_taken_port_is_named(tmp_path: Path) -> None:
    first = server.bind(["127.0.0.1"], 0)[0]
    first.listen()
    port = first.getsockname()[1]
    with pytest.raises(OSError, match=f"127.0.0.1 port {port}"):
        server.bind(["127.0.0.1"], port)
    first.close()
