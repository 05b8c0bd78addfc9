"""A connection taken from the protocol that holds it."""

from __future__ import annotations

import asyncio

from k8slite.takeover import take_over


class Former(asyncio.Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.made: asyncio.Future[asyncio.Transport] = asyncio.get_running_loop().create_future()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.made.set_result(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


async def test_both_protocols_learn_that_the_connection_is_gone() -> None:
    former = Former()
    async with await asyncio.get_running_loop().create_server(lambda: former, "127.0.0.1", 0) as server:
        peer_reader, peer_writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        reader, writer = take_over(await former.made, former=former)
        peer_writer.write(b"question")
        assert await reader.read(100) == b"question"
        writer.write(b"answer")
        assert await peer_reader.read(100) == b"answer"
        peer_writer.close()
        assert await reader.read(100) == b""
        writer.close()
        await asyncio.wait_for(former.lost.wait(), 10)


async def test_what_came_before_is_read_first() -> None:
    former = Former()
    async with await asyncio.get_running_loop().create_server(lambda: former, "127.0.0.1", 0) as server:
        _, peer_writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        reader, writer = take_over(await former.made, former=former, early=b"early, ")
        peer_writer.write(b"late")
        assert await reader.readexactly(11) == b"early, late"
        peer_writer.close()
        writer.close()
        await asyncio.wait_for(former.lost.wait(), 10)


async def test_a_peer_that_has_left_already_has_ended_its_input() -> None:
    former = Former()
    async with await asyncio.get_running_loop().create_server(lambda: former, "127.0.0.1", 0) as server:
        _, peer_writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        transport = await former.made
        peer_writer.close()
        await asyncio.wait_for(former.lost.wait(), 10)
        reader, _ = take_over(transport, former=former)
        assert await asyncio.wait_for(reader.read(100), 10) == b""
