"""Writes over kept connections, to a server that answers what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from k8slite.connection import ClientConfig
from k8slite.errors import ApiError
from k8slite.kubelet.simulated.wire import MERGE, Wire


class Server:
    """Keeps requests, answers each with the next of `answers` (the last one again and again)."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []
        self.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"]
        self.connections = 0
        self.most = self._open = 0
        self.hold: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
                self.requests.append((head, await reader.readexactly(length)))
                self._open += 1
                self.most = max(self.most, self._open)
                await self.hold()
                self._open -= 1
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if not answer:
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    serving = Server()
    listening = await asyncio.start_server(serving.serve, "127.0.0.1", 0)
    serving.port = listening.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    yield serving
    listening.close()


def wire(server: Server, *, connections: int = 4, token: str = "", path: str = "") -> Wire:
    config = ClientConfig(server=f"http://127.0.0.1:{server.port}{path}", token=token)  # type: ignore[attr-defined]
    return Wire(config, connections=connections)


async def test_a_request_says_what_it_is_and_a_connection_is_used_again(server: Server) -> None:
    async with wire(server, token="secret", path="/clusters/one") as pool:
        for number in range(3):
            assert await pool.send("PATCH", f"/api/{number}", b'{"a":1}', media=MERGE) == b"{}"
    head, body = server.requests[2]
    assert head.startswith("PATCH /clusters/one/api/2 HTTP/1.1\r\n")
    assert "Content-Type: application/merge-patch+json\r\n" in head
    assert "Authorization: Bearer secret\r\n" in head
    assert body == b'{"a":1}'
    assert server.connections == 1


async def test_answers_in_pieces_are_put_together(server: Server) -> None:
    server.answers = [b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n']
    async with wire(server) as pool:
        assert await pool.send("POST", "/", b"{}") == b'{"a":1}'
        assert await pool.send("POST", "/", b"{}") == b'{"a":1}'
    assert server.connections == 1


async def test_a_refusal_is_raised_as_the_server_words_it(server: Server) -> None:
    told = b'{"kind":"Status","code":409,"reason":"AlreadyExists","message":"it is there"}'
    server.answers = [b"HTTP/1.1 409 Conflict\r\nContent-Length: %d\r\n\r\n%s" % (len(told), told)]
    async with wire(server) as pool:
        with pytest.raises(ApiError, match="it is there") as raised:
            await pool.send("POST", "/", b"{}")
    assert (raised.value.code, raised.value.reason) == (409, "AlreadyExists")


async def test_what_is_no_status_is_a_refusal_too(server: Server) -> None:
    server.answers = [b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 7\r\nConnection: close\r\n\r\nnothing"]
    async with wire(server) as pool:
        with pytest.raises(ApiError, match="nothing"):
            await pool.send("POST", "/", b"{}")


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n"])
async def test_a_lost_connection_is_an_error_and_the_next_request_has_a_new_one(server: Server, answer: bytes) -> None:
    server.answers = [answer, *server.answers]
    async with wire(server) as pool:
        with pytest.raises(ConnectionError):
            await pool.send("POST", "/", b"{}")
        assert await pool.send("POST", "/", b"{}") == b"{}"
    assert server.connections == 2


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used(server: Server) -> None:
    server.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"]
    async with wire(server) as pool:
        for _ in range(2):
            assert await pool.send("POST", "/", b"{}") == b"{}"
    assert server.connections == 2


async def test_no_more_requests_than_connections_are_under_way(server: Server) -> None:
    going = asyncio.Event()
    server.hold = going.wait
    async with wire(server, connections=3) as pool:
        sent = [asyncio.ensure_future(pool.send("POST", "/", b"{}")) for _ in range(9)]
        while server.most < 3:  # noqa: ASYNC110 — the server is a plain counter
            await asyncio.sleep(0)
        going.set()
        await asyncio.gather(*sent)
    assert server.most == 3
    assert server.connections == 3
