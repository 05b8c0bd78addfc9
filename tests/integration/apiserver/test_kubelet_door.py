"""The kubelet's own door over TLS: however a request is written, nobody gets further than he may."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from k8slite.kubelet.server import app
from k8slite.pki import KUBELET_CLIENTS, Authority

from .kubelet_server import kubelet_server

POD = {
    "metadata": {"name": "web", "namespace": "default", "uid": "u"},
    "spec": {"containers": [{"name": "main", "image": "x"}]},
}
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
EXEC = "/exec/default/web/main?command=true&output=1"
COMMANDS = (EXEC, "/attach/default/web/main?output=1", "/portForward/default/web?port=1")
READS = ("/pods", "/healthz", "/containerLogs/default/web/main", "/stats", "/stats/", "/stats/summary")
METRICS = ("/metrics", "/metrics/resource")
DISGUISED = (
    "/metrics/..{}",
    "/metrics/../..{}",
    "/metrics%2f..{}",
    "/metrics/%2e%2e{}",
    "/metrics;{}",
    "/./metrics/..{}",
    "/{}",
    "/stats/..{}",
    "https://kubelet/metrics/..{}",
    "https://kubelet{}",
)


class Api:
    """Whoever has the token `reader` may get metrics of the node, and nothing else."""

    async def request(self, method: str, path: str, *, body: dict[str, Any]) -> dict[str, Any]:
        if body["kind"] == "TokenReview":
            known = body["spec"]["token"] == "reader"
            return {"status": {"authenticated": known, "user": {"username": "reader"} if known else {}}}
        attributes = body["spec"]["resourceAttributes"]
        allowed = (attributes["verb"], attributes["subresource"]) == ("get", "metrics")
        return {"status": {"allowed": allowed and body["spec"]["user"] == "reader"}}


class Door:
    """The kubelet, spoken to byte by byte."""

    def __init__(self, authority: Authority, port: int) -> None:
        self.authority, self.port = authority, port

    def context(self, *, groups: list[str] | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.cert_file))
        if groups is not None:
            pair = self.authority.issue_client("-".join(groups).replace(":", "-"), user="somebody", groups=groups)
            context.load_cert_chain(pair.cert_file, pair.key_file)
        return context

    async def ask(self, *requests: str, context: ssl.SSLContext | None = None) -> list[int]:
        """The codes of the answers to what is sent on one connection at once."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context or self.context())
        try:
            writer.write("".join(requests).encode())
            async with asyncio.timeout(20):
                return [await code(reader) for _ in requests]
        finally:
            writer.transport.abort()


async def code(reader: asyncio.StreamReader) -> int:
    """The code of the next answer, which is read to its end."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = head.partition("content-length:")[2].partition("\r\n")[0].strip()
    await reader.readexactly(int(length or 0))
    return int(head.split()[1])


def request(target: str, *, method: str = "GET", token: str = "", headers: str = "") -> str:
    if token:
        headers += f"Authorization: Bearer {token}\r\n"
    return f"{method} {target} HTTP/1.1\r\nHost: kubelet\r\n{headers}\r\n"


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    authority = Authority.ensure(tmp_path)
    async with kubelet_server(authority, POD, api=Api()) as port:
        yield Door(authority, port)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_a_stranger_learns_nothing(door: Door, method: str) -> None:
    targets = (*COMMANDS, *READS, *METRICS, "/", "/nothing", *(each.format(EXEC) for each in DISGUISED))
    for target in targets:
        for token in ("", "wrong"):
            sent = request(target, method=method, token=token, headers=UPGRADE if target in COMMANDS else "")
            assert await door.ask(sent) == [401], (method, target, token)


async def test_who_may_read_metrics_may_do_nothing_else(door: Door) -> None:
    for target in METRICS:
        assert await door.ask(request(target, token="reader")) == [200]
        assert await door.ask(request(target, method="POST", token="reader")) == [403]
    for target in (*COMMANDS, *READS):
        assert await door.ask(request(target, token="reader", headers=UPGRADE)) == [403], target
        assert await door.ask(request(target, method="POST", token="reader")) == [403], target


@pytest.mark.parametrize("disguise", DISGUISED)
@pytest.mark.parametrize("target", [EXEC, "/pods", "/containerLogs/default/web/main"])
async def test_no_spelling_of_a_path_leads_past_the_question(door: Door, disguise: str, target: str) -> None:
    (answer,) = await door.ask(request(disguise.format(target), token="reader"))
    assert answer in (400, 403, 404), "what is asked about is what is done"


async def test_each_request_of_a_connection_is_asked_about(door: Door) -> None:
    """What came before gives what follows no name."""
    named = request("/metrics", token="reader")
    assert await door.ask(named, request("/metrics")) == [200, 401]
    assert await door.ask(named, request(EXEC, headers=UPGRADE)) == [200, 401]


async def test_a_length_that_is_told_in_two_ways_is_refused(door: Door) -> None:
    framing = "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"
    assert await door.ask(request("/metrics", token="reader", headers=framing) + "0\r\n\r\n") == [400]


async def test_who_asks_nothing_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_IDLE", 0.2)
    authority = Authority.ensure(tmp_path)
    async with kubelet_server(authority, POD, api=Api()) as port:
        context = Door(authority, port).context()
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_strangers_push_strangers_out(loop_factory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On both loops: the programs run on the second, whose connections are others."""
    monkeypatch.setattr(app, "_MOST", 8)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_strangers_push_strangers_out(Authority.ensure(tmp_path)))


async def _strangers_push_strangers_out(authority: Authority) -> None:
    async with kubelet_server(authority, POD, api=Api()) as port:
        small = Door(authority, port)
        known, writer = await asyncio.open_connection("127.0.0.1", port, ssl=small.context())
        writer.write(request("/metrics", token="reader").encode())
        assert await code(known) == 200
        strangers = [await asyncio.open_connection("127.0.0.1", port, ssl=small.context()) for _ in range(12)]
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionError):
                assert await strangers[0][0].read() == b"", "who came first has left"
        writer.write(request("/metrics", token="reader").encode())
        assert await code(known) == 200, "who is known has stayed"
        for _, each in strangers:
            each.transport.abort()
        writer.transport.abort()


@pytest.mark.parametrize(("groups", "expected"), [([], 403), (["system:nodes"], 403), ([KUBELET_CLIENTS], 200)])
async def test_a_certificate_opens_what_its_groups_may(door: Door, groups: list[str], expected: int) -> None:
    assert await door.ask(request("/pods"), context=door.context(groups=groups)) == [expected]


async def test_a_certificate_for_servers_or_of_others_opens_nothing(door: Door, tmp_path: Path) -> None:
    other = Authority.ensure(tmp_path / "other")
    pairs = [
        door.authority.issue_server("server", common_name="somebody", hosts=["127.0.0.1"]),
        other.issue_client("client", user="somebody", groups=["system:masters"]),
    ]
    for pair in pairs:
        context = door.context()
        context.load_cert_chain(pair.cert_file, pair.key_file)
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await door.ask(request("/pods"), context=context)
