"""One connection to a real server, byte by byte: answers, watches, and what comes after a watch."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from typing import Any

import httpx
import pytest

from k8slite.apiserver.watching.watch import Watcher
from k8slite.testing import RunningServer, running_server

pytestmark = pytest.mark.asyncio(loop_scope="module")
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


class Connection:
    """A keep-alive connection of the administrator, without any HTTP library."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, server: RunningServer, **options: Any) -> Connection:
        context = ssl.create_default_context(cafile=str(server.admin.ca_file))
        assert server.admin.cert_file is not None
        context.load_cert_chain(server.admin.cert_file, server.admin.key_file)
        return cls(*await asyncio.open_connection("127.0.0.1", server.port, ssl=context, **options))

    def send(self, method: str, path: str, version: str = "1.1") -> None:
        self.writer.write(f"{method} {path} HTTP/{version}\r\nHost: test\r\n\r\n".encode())

    async def head(self) -> tuple[int, dict[str, str]]:
        lines = (await self._soon(self.reader.readuntil(b"\r\n\r\n"))).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split()[1]), headers

    async def answer(self) -> tuple[int, bytes]:
        status, headers = await self.head()
        return status, await self._soon(self.reader.readexactly(int(headers["content-length"])))

    async def chunk(self) -> bytes:
        """A chunk of a stream; empty at its end."""
        size = int(await self._soon(self.reader.readuntil(b"\r\n")), 16)
        return (await self._soon(self.reader.readexactly(size + 2)))[:-2]

    async def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (await self.chunk()).splitlines()]

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()

    async def _soon(self, reading: Any) -> bytes:
        data: bytes = await asyncio.wait_for(reading, 10)
        return data


async def change(http: httpx.AsyncClient, name: str, data: str) -> str:
    answer = await http.patch(
        f"{CONFIGMAPS}/{name}",
        json={"data": {"change": data}},
        headers={"content-type": "application/merge-patch+json"},
    )
    assert answer.status_code == 200
    return str(answer.json()["metadata"]["resourceVersion"])


async def create(http: httpx.AsyncClient, name: str) -> str:
    answer = await http.post(CONFIGMAPS, json={"metadata": {"name": name}})
    assert answer.status_code == 201
    return str(answer.json()["metadata"]["resourceVersion"])


async def watches(http: httpx.AsyncClient) -> int:
    """How many watches of ConfigMaps the server has open."""
    lines = (await http.get("/metrics")).text.splitlines()
    counted = [line for line in lines if line.startswith("apiserver_longrunning_requests") and '"configmaps"' in line]
    return sum(int(float(line.rpartition(" ")[2])) for line in counted)


async def until_no_watches(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(10):
        while await watches(http):  # noqa: ASYNC110 — the count of the server is all that tells
            await asyncio.sleep(0)


async def test_a_connection_serves_on_after_a_watch_has_ended(server: RunningServer, http: httpx.AsyncClient) -> None:
    revision = await create(http, "after-a-watch")
    connection = await Connection.open(server)
    connection.send("GET", f"{CONFIGMAPS}?watch=1&timeoutSeconds=1&resourceVersion={revision}&allowWatchBookmarks=1")
    status, headers = await connection.head()
    assert (status, headers["transfer-encoding"]) == (200, "chunked")
    await change(http, "after-a-watch", "one")
    assert [event["type"] for event in await connection.events()] == ["MODIFIED"]
    while (piece := await connection.chunk()) != b"":
        assert json.loads(piece)["type"] == "BOOKMARK"
    for method, path in (("GET", f"{CONFIGMAPS}/after-a-watch"), ("GET", f"{CONFIGMAPS}/missing")):
        connection.send(method, path)
        status, body = await connection.answer()
        assert status == (404 if path.endswith("missing") else 200)
        assert json.loads(body)["kind"] in ("ConfigMap", "Status")
    connection.send("GET", f"{CONFIGMAPS}?watch=1&fieldSelector=metadata.name=after-a-watch")
    assert (await connection.head())[0] == 200
    assert [event["type"] for event in await connection.events()] == ["ADDED"]
    await connection.close()
    await until_no_watches(http)


async def test_requests_in_a_row_are_answered_in_their_order(server: RunningServer, http: httpx.AsyncClient) -> None:
    await create(http, "in-a-row")
    connection = await Connection.open(server)
    for path in ("/version", f"{CONFIGMAPS}/in-a-row", "/livez"):
        connection.send("GET", path)
    assert "gitVersion" in json.loads((await connection.answer())[1])
    assert json.loads((await connection.answer())[1])["metadata"]["name"] == "in-a-row"
    assert (await connection.answer())[1] == b"ok"
    await connection.close()


async def test_head_has_the_length_and_no_body(server: RunningServer, http: httpx.AsyncClient) -> None:
    await create(http, "only-a-head")
    whole = (await http.get(f"{CONFIGMAPS}/only-a-head")).content
    connection = await Connection.open(server)
    connection.send("HEAD", f"{CONFIGMAPS}/only-a-head")
    status, headers = await connection.head()
    assert (status, int(headers["content-length"])) == (200, len(whole))
    connection.send("GET", "/livez")
    assert (await connection.answer())[1] == b"ok"
    await connection.close()


async def test_head_of_a_watch_ends_with_its_head(server: RunningServer, http: httpx.AsyncClient) -> None:
    connection = await Connection.open(server)
    connection.send("HEAD", f"{CONFIGMAPS}?watch=1")
    assert (await connection.head())[0] == 200
    connection.send("GET", "/livez")
    assert (await connection.answer())[1] == b"ok"
    await connection.close()
    await until_no_watches(http)


async def test_a_stranger_is_refused_before_the_query_is_read(server: RunningServer, http: httpx.AsyncClient) -> None:
    query = {"labelSelector": "a in ("}
    assert (await http.get(CONFIGMAPS, params=query)).status_code == 400
    stranger = {"authorization": "Bearer nobody"}
    context = ssl.create_default_context(cafile=str(server.admin.ca_file))
    async with httpx.AsyncClient(base_url=str(http.base_url), verify=context) as other:
        assert (await other.get(CONFIGMAPS, params=query, headers=stranger)).status_code == 401
    counted = [line for line in (await http.get("/metrics")).text.splitlines() if 'code="401"' in line]
    assert any('resource="configmaps"' in line for line in counted)


async def test_half_a_body_is_none(
    server: RunningServer, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deletion whose conditions got lost would be one without conditions."""
    await create(http, "kept")
    begun = f"DELETE {CONFIGMAPS}/kept HTTP/1.1\r\nHost: test\r\nContent-Length: 90\r\n\r\n"
    for body in ("", '{"preconditions":'):
        leaving = await Connection.open(server)
        leaving.writer.write(f"{begun}{body}".encode())
        await leaving.writer.drain()
        await leaving.close()
    monkeypatch.setattr("k8slite.apiserver.wire.body.TIMEOUT", 0.2)
    stalled = await Connection.open(server)
    stalled.writer.write(begun.encode())
    status, answer = await stalled.answer()
    assert (status, json.loads(answer)["reason"]) == (504, "Timeout")
    await stalled.close()
    assert (await http.get(f"{CONFIGMAPS}/kept")).status_code == 200
    await http.delete(f"{CONFIGMAPS}/kept")


async def test_a_head_that_does_not_come_is_not_waited_for(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("k8slite.apiserver.wire.connection.HEAD_TIMEOUT", 0.2)
    silent, slow, served = [await Connection.open(server) for _ in range(3)]
    slow.writer.write(b"GET /livez HTTP/1.1\r\n")
    served.send("GET", "/livez")
    assert (await served.answer())[1] == b"ok"
    for connection in (silent, slow):
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(connection.reader.read(), 5) == b""
    served.send("GET", "/livez")  # an idle connection is kept, the rest of a second head is not waited for
    assert (await served.answer())[1] == b"ok"
    served.writer.write(b"GET /livez HTTP/1.1\r\n")
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(served.reader.read(), 5) == b""
    for connection in (silent, slow, served):
        with contextlib.suppress(OSError):
            await connection.close()


async def test_an_old_client_is_answered_and_left(server: RunningServer) -> None:
    connection = await Connection.open(server)
    connection.send("GET", "/livez", version="1.0")
    status, headers = await connection.head()
    assert (status, headers["connection"]) == (200, "close")
    assert await connection.reader.read() == b"ok"
    await connection.close()


async def test_a_long_body_arrives_whole(server: RunningServer, http: httpx.AsyncClient) -> None:
    text = "".join(f"{index:07}" for index in range(100_000))
    assert (await http.post(CONFIGMAPS, json={"metadata": {"name": "long"}, "data": {"text": text}})).status_code == 201
    connection = await Connection.open(server)
    connection.send("GET", f"{CONFIGMAPS}/long")
    assert json.loads((await connection.answer())[1])["data"]["text"] == text
    await connection.close()
    await http.delete(f"{CONFIGMAPS}/long")


async def test_a_client_that_leaves_ends_its_watch(server: RunningServer, http: httpx.AsyncClient) -> None:
    connections = [await Connection.open(server) for _ in range(3)]
    for connection in connections:
        connection.send("GET", f"{CONFIGMAPS}?watch=1")
        assert (await connection.head())[0] == 200
    assert await watches(http) == 3
    for connection in connections:
        connection.writer.transport.abort()
    await until_no_watches(http)


async def test_a_client_that_stops_reading_is_cut_off_with_all_it_was_owed(
    server: RunningServer, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watcher, "LIMIT", 5)
    revision = await create(http, "much")
    path = f"{CONFIGMAPS}?watch=1&resourceVersion={revision}&fieldSelector=metadata.name=much"
    slow, quick = await Connection.open(server, limit=1 << 22), await Connection.open(server, limit=1 << 22)
    for connection in (slow, quick):
        connection.send("GET", path)
        assert (await connection.head())[0] == 200
    slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
    following = server.app.cache.resource("", "configmaps")
    changes = 0
    seen: list[str] = []
    async with asyncio.timeout(60):
        while following.watchers == 2:  # until the buffers between us are full, and then the watcher's own queue
            changes += 1
            await change(http, "much", f"{changes}" + "x" * 900_000)
            seen += [event["object"]["metadata"]["resourceVersion"] for event in await quick.events()]
    slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
    owed: list[str] = []
    while piece := await slow.chunk():
        owed += [json.loads(line)["object"]["metadata"]["resourceVersion"] for line in piece.splitlines()]
    assert owed == seen[:-1]
    slow.send("GET", "/livez")
    assert (await slow.answer())[1] == b"ok"
    for connection in (slow, quick):
        await connection.close()
    await http.delete(f"{CONFIGMAPS}/much")
    await until_no_watches(http)


async def test_a_watch_ends_whole_when_the_server_ends() -> None:
    async with running_server() as ending:
        connection = await Connection.open(ending)
        connection.send("GET", f"{CONFIGMAPS}?watch=1&resourceVersion=1&fieldSelector=metadata.name=none")
        assert (await connection.head())[0] == 200
        reading = asyncio.create_task(connection.chunk())
    assert await reading == b""
    assert await connection.reader.read() == b""
    connection.writer.close()
