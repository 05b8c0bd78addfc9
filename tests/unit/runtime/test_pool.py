"""Requests over kept-alive connections, to a server that does what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from k8slite.pool import Pool

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Gives the n-th request of the n-th connection to `serve`, which answers, or hangs up by saying None."""

    def __init__(self, serve: Callable[[int, int, bytes], Awaitable[bytes | None]]) -> None:
        self._serve = serve
        self.connections = 0
        self.requests: list[bytes] = []
        self.asked = asyncio.Semaphore(0)
        self.gone = asyncio.Event()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection, number = self.connections, 0
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                request = head + await reader.readexactly(int(length or 0))
                self.requests.append(request)
                self.asked.release()
                number += 1
                answer = await self._serve(connection, number, request)
                if answer is None:
                    return
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        finally:
            writer.close()


@asynccontextmanager
async def serving(
    serve: Callable[[int, int, bytes], Awaitable[bytes | None]], *, path: str = "", largest: int = 0
) -> AsyncIterator[tuple[Server, Pool]]:
    server = Server(serve)
    listening = await asyncio.start_server(server.connected, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    headers = {"Authorization": "Bearer secret"}
    pool = Pool(f"http://127.0.0.1:{port}{path}", tls=None, headers=headers, largest=largest)
    try:
        yield server, pool
    finally:
        pool.close()
        listening.close()


def always(answer: bytes) -> Callable[[int, int, bytes], Awaitable[bytes | None]]:
    async def serve(connection: int, number: int, request: bytes) -> bytes:
        return answer

    return serve


async def test_a_request_says_what_it_must_and_connections_are_used_again() -> None:
    async with serving(always(OK), path="/prefix") as (server, pool):
        assert await pool.request("GET", "/a?b=c") == (200, b"ok")
        assert await pool.request("POST", "/a", body=b"{}", content_type="application/json") == (200, b"ok")
        assert server.connections == 1
    first, second = (request.decode().split("\r\n") for request in server.requests)
    assert first[0] == "GET /prefix/a?b=c HTTP/1.1"
    assert {"Authorization: Bearer secret"} < set(first)
    assert any(line.startswith("Host: 127.0.0.1:") for line in first)
    assert {"Content-Type: application/json", "Content-Length: 2", "{}"} < set(second)


async def test_requests_at_once_have_a_connection_each() -> None:
    together = asyncio.Barrier(3)

    async def serve(connection: int, number: int, request: bytes) -> bytes:
        await together.wait()
        return OK

    async with serving(serve) as (server, pool):
        await asyncio.gather(*(pool.request("GET", "/") for _ in range(3)))
        assert server.connections == 3


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK,
    ],
)
async def test_answers_are_read_however_they_come(answer: bytes) -> None:
    async with serving(always(answer)) as (server, pool):
        for _ in range(2):
            assert await pool.request("GET", "/") == (200, b"ok")
        assert server.connections == 1


async def test_an_answer_may_be_the_last_of_its_connection() -> None:
    async with serving(always(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))) as (server, pool):
        for _ in range(2):
            assert await pool.request("GET", "/") == (200, b"ok")
        assert server.connections == 2


async def hang_up_on_the_second(connection: int, number: int, request: bytes) -> bytes | None:
    return None if (connection, number) == (1, 2) else OK


async def test_a_get_is_repeated_on_a_new_connection_if_the_kept_one_was_dropped() -> None:
    async with serving(hang_up_on_the_second) as (server, pool):
        for _ in range(2):
            assert await pool.request("GET", "/") == (200, b"ok")
        assert (server.connections, len(server.requests)) == (2, 3)


async def test_a_post_is_sent_once() -> None:
    async with serving(hang_up_on_the_second) as (server, pool):
        await pool.request("POST", "/", body=b"")
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await pool.request("POST", "/", body=b"")
        assert len(server.requests) == 2


async def test_a_get_is_not_repeated_if_the_server_hangs_up_on_a_new_connection_or_has_begun_to_answer() -> None:
    async def nobody(connection: int, number: int, request: bytes) -> None:
        return None

    async with serving(nobody) as (server, pool):
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await pool.request("GET", "/")
        assert len(server.requests) == 1

    async def half(connection: int, number: int, request: bytes) -> bytes | None:
        return OK if number == 1 else OK[:-1] if number == 2 else None

    async with serving(half) as (server, pool):
        await pool.request("GET", "/")
        cut = asyncio.ensure_future(pool.request("GET", "/"))
        for _ in range(2):
            await server.asked.acquire()
        pool.close()
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await cut
        assert len(server.requests) == 2


async def test_what_is_no_http_is_an_error_of_the_network() -> None:
    async with serving(always(b"220 mail.example ESMTP\r\n\r\n")) as (_, pool):
        with pytest.raises(aiohttp.ClientPayloadError):
            await pool.request("GET", "/")


async def test_a_server_that_is_not_there_is_an_error_of_the_network() -> None:
    pool = Pool("http://127.0.0.1:1", tls=None, headers={})
    with pytest.raises(aiohttp.ClientOSError, match=r"cannot connect to 127\.0\.0\.1:1"):
        await pool.request("GET", "/")


async def test_who_is_cancelled_takes_the_connection_along() -> None:
    async def never(connection: int, number: int, request: bytes) -> bytes:
        return OK if connection == 2 else b""

    async with serving(never) as (server, pool):
        asking = asyncio.ensure_future(pool.request("GET", "/"))
        await server.asked.acquire()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(server.gone.wait(), 10)
        assert await pool.request("GET", "/") == (200, b"ok")


async def test_an_answer_that_nobody_asked_for_is_nobodys() -> None:
    async with serving(always(OK + OK.replace(b"ok", b"no"))) as (server, pool):
        for _ in range(3):
            assert await pool.request("GET", "/") == (200, b"ok")
        assert server.connections == 3


@pytest.mark.parametrize("target", ["/a b", "/a\r\nX: y", "/a\n"])
async def test_a_target_cannot_become_a_header(target: str) -> None:
    async with serving(always(OK)) as (server, pool):
        with pytest.raises(ValueError, match=r"no path|line break"):
            await pool.request("GET", target)
        assert not server.requests


async def test_an_answer_that_is_too_large_is_an_error_and_the_next_is_none() -> None:
    bodies = [b"x" * 10, b"x" * 11, b"x" * 10]

    async def serve(connection: int, number: int, request: bytes) -> bytes:
        body = bodies.pop(0)
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    async with serving(serve, largest=10) as (server, pool):
        assert len((await pool.request("GET", "/")).body) == 10
        with pytest.raises(aiohttp.ClientPayloadError, match="more than 10 bytes"):
            await pool.request("GET", "/")
        assert len((await pool.request("GET", "/")).body) == 10
        assert server.connections == 2, "the connection of the one that was too large is not used again"
