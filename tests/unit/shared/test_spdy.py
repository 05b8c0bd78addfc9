"""SPDY's frames, and streams over them."""

from __future__ import annotations

import asyncio
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.spdy import Session, SpdyError
from k8slite.spdy.frames import DICTIONARY, Codec, Data, Frame, GoAway, Ping, Reset, SynReply, SynStream

FRAMES: list[Frame] = [
    SynStream(1, {"streamtype": "error", "port": "80"}),
    SynStream(3, {"streamtype": "data", "port": "80"}, True),
    SynReply(1, {}),
    Data(1, b"hello"),
    Data(3, b"", True),
    Data(1, bytes(70_000), True),
    Reset(1, 5),
    Ping(7),
    GoAway(3, 0),
]


def test_the_dictionary_is_spdys() -> None:
    """Its checksum stands in every first header block on the wire."""
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


@given(st.lists(st.integers(1, 400), min_size=1, max_size=200))
def test_frames_survive_the_wire_however_it_cuts_them(cuts: list[int]) -> None:
    sender, receiver = Codec(), Codec()
    wire = b"".join(sender.encode(frame) for frame in FRAMES)
    found: list[Frame] = []
    for cut in cuts:
        found += receiver.feed(wire[:cut])
        wire = wire[cut:]
    found += receiver.feed(wire)
    assert [f for f in found if not isinstance(f, Data)] == [f for f in FRAMES if not isinstance(f, Data)]
    for stream in (1, 3):
        sent = [f for f in FRAMES if isinstance(f, Data) and f.stream == stream]
        came = [f for f in found if isinstance(f, Data) and f.stream == stream]
        assert b"".join(f.payload for f in came) == b"".join(f.payload for f in sent)
        assert [f.fin for f in came].count(True) == 1 and came[-1].fin


def test_names_of_headers_are_lower_case() -> None:
    frame = SynStream(1, {"streamType": "stdin"})
    assert Codec().feed(Codec().encode(frame)) == [SynStream(1, {"streamtype": "stdin"})]


@pytest.mark.parametrize(
    "wire",
    [
        struct.pack(">HHI", 0x8002, 1, 0),  # another version
        struct.pack(">HHI", 0x8003, 1, 0xFFFFFF),  # too long
        struct.pack(">HHI", 0x8003, 3, 2) + b"ab",  # cut off
        struct.pack(">HHI", 0x8003, 2, 8) + b"\0\0\0\1junk",  # not compressed
    ],
)
def test_nonsense_is_refused(wire: bytes) -> None:
    with pytest.raises(SpdyError):
        Codec().feed(wire)


def test_headers_that_unpack_to_very_much_are_refused() -> None:
    block = zlib.compressobj(zdict=DICTIONARY)
    packed = block.compress(bytes(1 << 20)) + block.flush(zlib.Z_SYNC_FLUSH)
    body = struct.pack(">IIH", 1, 0, 0) + packed
    with pytest.raises(SpdyError):
        Codec().feed(struct.pack(">HHI", 0x8003, 1, len(body)) + body)


class Pipe:
    """A link that a queue carries."""

    def __init__(self, incoming: asyncio.Queue[bytes], outgoing: asyncio.Queue[bytes]) -> None:
        self.incoming, self.outgoing = incoming, outgoing

    async def receive(self) -> bytes:
        return await self.incoming.get()

    async def send(self, data: bytes) -> None:
        await self.outgoing.put(data)


class Ends:
    """A client and a server session, both running."""

    def __init__(self) -> None:
        up: asyncio.Queue[bytes] = asyncio.Queue()
        down: asyncio.Queue[bytes] = asyncio.Queue()
        self.up = up
        self.client = Session(Pipe(down, up), server=False)
        self.server = Session(Pipe(up, down), server=True)
        self.tasks = [asyncio.ensure_future(end.run()) for end in (self.client, self.server)]

    async def __aenter__(self) -> Ends:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_a_stream_carries_bytes_both_ways_and_closes_each_way_alone() -> None:
    async with Ends() as ends:
        mine = await ends.client.open({"streamType": "data"})
        theirs = await ends.server.accept()
        assert theirs is not None and theirs.headers == {"streamtype": "data"}
        await mine.write(b"question")
        await mine.close()
        assert [await theirs.read(), await theirs.read()] == [b"question", b""]
        await theirs.write(b"answer")
        await theirs.close()
        assert [await mine.read(), await mine.read()] == [b"answer", b""]


async def test_a_reset_ends_both_ways() -> None:
    async with Ends() as ends:
        mine = await ends.client.open({})
        theirs = await ends.server.accept()
        assert theirs is not None
        await mine.reset()
        assert await theirs.read() == b""
        await theirs.write(b"dropped")
        assert await mine.read() == b""


async def test_a_peers_reset_is_told_from_its_end() -> None:
    async with Ends() as ends:
        mine, other = await ends.client.open({}), await ends.client.open({})
        theirs, others = await ends.server.accept(), await ends.server.accept()
        assert theirs is not None and others is not None
        await mine.reset()
        await other.close()
        assert [await theirs.read(), await others.read()] == [b"", b""]
        assert (theirs.gone, others.gone) == (True, False)


async def test_streams_that_are_reset_before_they_are_accepted_do_not_pile_up() -> None:
    async with Ends() as ends:
        codec = Codec()
        for number in range(1, 3000, 2):
            await ends.up.put(codec.encode(SynStream(number, {})) + codec.encode(Reset(number)))
        with pytest.raises(SpdyError):
            await asyncio.wait_for(ends.tasks[1], 10)


async def test_a_stream_that_nobody_reads_holds_the_connection_up() -> None:
    async with Ends() as ends:
        mine = await ends.client.open({})
        theirs = await ends.server.accept()
        assert theirs is not None
        for _ in range(100):
            await mine.write(bytes(10_000))
        await mine.close()
        assert await theirs.read() == bytes(10_000)
        assert ends.up.qsize() > 80
        assert sum([len(await theirs.read()) for _ in range(100)]) == 99 * 10_000


async def test_the_connections_end_ends_its_streams() -> None:
    async with Ends() as ends:
        await ends.client.open({})
        theirs = await ends.server.accept()
        assert theirs is not None
        await ends.up.put(b"")
        assert await theirs.read() == b""
        assert await ends.server.accept() is None
        assert ends.server.over.is_set()


async def test_a_slow_reader_loses_nothing() -> None:
    async with Ends() as ends:
        mine = await ends.client.open({})
        theirs = await ends.server.accept()
        assert theirs is not None
        pieces = [bytes([number]) * 10 for number in range(100)]
        for piece in pieces:
            await mine.write(piece)
        await mine.close()
        assert [await theirs.read() for _ in range(101)] == [*pieces, b""]
