"""A server that is told to end, as a process: whom it has let in it answers, watches end whole, nobody holds it up."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest

from k8slite.config import StoreConfig
from tests.chaos.processes import ControlPlane, Program, control_plane

MAPS = "/api/v1/namespaces/default/configmaps"
WORKERS, PERIOD = 20, 0.1
"""200 requests a second, on connections that are kept."""


@dataclass
class Plane:
    """One server, and connections to it as the administrator."""

    plane: ControlPlane

    @property
    def server(self) -> Program:
        return self.plane.servers[0]

    def tell(self) -> None:
        assert self.server.process is not None
        self.server.process.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        assert self.server.process is not None
        return await asyncio.to_thread(self.server.process.wait, 60)

    def tls(self) -> ssl.SSLContext:
        config = self.plane.client_config("admin", user="kubernetes-admin", groups=["system:masters"])
        assert config.cert_file is not None
        context = ssl.create_default_context(cafile=str(config.ca_file))
        context.load_cert_chain(config.cert_file, config.key_file)
        return context

    async def knock(self, tls: ssl.SSLContext | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection, without a handshake if there is no `tls`."""
        return await asyncio.open_connection("127.0.0.1", int(self.plane.urls[0].rpartition(":")[2]), ssl=tls)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await self.knock(self.tls())


@contextlib.asynccontextmanager
async def running(directory: Path, **settings: float) -> AsyncIterator[Plane]:
    with control_plane(directory, StoreConfig(engine="sqlite", path=directory / "store.db")) as plane:
        server = plane.servers[0]
        server.kill()
        server.config = server.config.model_copy(update=settings)
        server.start()
        await plane.ready()
        yield Plane(plane)


def request(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


@dataclass
class Load:
    """Workers that each keep a connection, and send a request now and then until nobody lets them in any more."""

    plane: Plane
    outcomes: Counter[str] = field(default_factory=Counter)
    written: list[str] = field(default_factory=list)
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def work(self, worker: int) -> None:
        chance, number = random.Random(worker), 0
        await asyncio.sleep(PERIOD * chance.random())
        while True:
            try:
                reader, writer = await self.plane.connect()
            except OSError:  # nobody was let in: the next server's business
                return
            kept = True
            while kept and not reader.at_eof():
                number += 1
                kept = await self.ask(reader, writer, f"w-{worker}-{number}")
                await asyncio.sleep(PERIOD)
            writer.close()

    async def ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> bool:
        """Write an object; whether the connection may be used again."""
        writer.write(request("POST", MAPS, orjson.dumps({"metadata": {"name": name}})))
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
        except (OSError, asyncio.IncompleteReadError):
            self.outcomes["lost"] += 1
            return False
        self.outcomes[head.split()[1].decode()] += 1
        self.written.append(name)
        if len(self.written) > 200:
            self.enough.set()
        return b"connection: close" not in head


async def watch(plane: Plane, revision: str, seen: list[str]) -> str:
    """What a watch tells until the answer ends, whole; where it can be resumed."""
    reader, writer = await plane.connect()
    writer.write(request("GET", f"{MAPS}?watch=true&resourceVersion={revision}"))
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    while size := int(await reader.readuntil(b"\r\n"), 16):
        for line in (await reader.readexactly(size + 2))[:-2].splitlines():
            metadata = orjson.loads(line)["object"]["metadata"]
            seen.append(metadata["name"])
            revision = metadata["resourceVersion"]
    writer.close()
    return revision


async def revision_now(plane: Plane) -> str:
    async with plane.plane.admin() as client:
        found = await client.request("GET", MAPS)
    return str(found["metadata"]["resourceVersion"])


@pytest.mark.parametrize("delay", [0.0, 1.0])
async def test_no_request_is_lost_and_watches_resume_where_they_were(tmp_path: Path, delay: float) -> None:
    async with running(tmp_path, shutdown_delay=delay) as plane:
        seen: list[list[str]] = [[], [], []]
        start = await revision_now(plane)
        watches = [asyncio.create_task(watch(plane, start, each)) for each in seen]
        load = Load(plane)
        workers = [asyncio.create_task(load.work(number)) for number in range(WORKERS)]
        async with asyncio.timeout(60):
            await load.enough.wait()
        plane.tell()
        assert await plane.ended() == 0
        await asyncio.gather(*workers)
        assert set(load.outcomes) == {"201"}
        last = await asyncio.gather(*watches)
        plane.server.start()
        await plane.plane.ready()
        until = await revision_now(plane)
        for names, revision in zip(seen, last, strict=True):
            if revision != until:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(watch(plane, revision, names), 2)
            assert sorted(names) == sorted(load.written)


async def test_whoever_was_let_in_last_is_answered(tmp_path: Path) -> None:
    """His handshake had not begun when the server was told to end."""
    async with running(tmp_path) as plane:
        tls = plane.tls()
        reader, writer = await plane.knock()
        assert await revision_now(plane), "what came before this has been let in"
        plane.tell()
        with contextlib.suppress(OSError):
            while True:
                _, other = await plane.knock()
                other.transport.abort()
        await writer.start_tls(tls, server_hostname="127.0.0.1")
        writer.write(request("GET", MAPS))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head and b"connection: close" in head.lower()
        writer.close()
        assert await plane.ended() == 0


async def test_readyz_fails_first_and_a_second_signal_cuts_the_delay_short(tmp_path: Path) -> None:
    async with running(tmp_path, shutdown_delay=600.0) as plane:
        plane.tell()
        async with asyncio.timeout(30):
            status = b"200"
            while status == b"200":
                reader, writer = await plane.connect()
                writer.write(request("GET", "/readyz"))
                status = (await reader.readuntil(b"\r\n")).split()[1]
                writer.close()
        assert status == b"500"
        reader, writer = await plane.connect()
        writer.write(request("GET", MAPS))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head and b"connection: close" in head.lower()
        writer.close()
        plane.tell()
        assert await plane.ended() == 0


async def test_clients_that_hang_do_not_hold_it_up(tmp_path: Path) -> None:
    """An idle one, one in the midst of a request's head, and one that opened a connection and nothing more."""
    async with running(tmp_path) as plane:
        _, idle = await plane.connect()
        _, halfway = await plane.connect()
        halfway.write(b"GET /api HTTP/1.1\r\nHost:")
        _, bare = await plane.knock()
        assert await revision_now(plane)
        began = time.monotonic()
        plane.tell()
        assert await plane.ended() == 0
        assert time.monotonic() - began < 30, "not the minute that a request under way may take"
        for writer in (idle, halfway, bare):
            writer.close()


@pytest.mark.parametrize("moment", [0.0, 0.4, 0.8, 1.2, 1.6])
async def test_it_ends_in_the_midst_of_its_start_as_well(tmp_path: Path, moment: float) -> None:
    with control_plane(tmp_path, StoreConfig(engine="sqlite", path=tmp_path / "store.db")) as one:
        plane = Plane(one)
        await asyncio.sleep(moment)
        plane.tell()
        assert await plane.ended() in (0, -signal.SIGTERM)
        plane.server.start()
        await one.ready()
