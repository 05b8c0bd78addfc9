"""Many watchers over outlets that a test can fill: who gets what, who waits, who is cut off."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from k8slite.apiserver.storage.base import PLACEHOLDER, Record
from k8slite.apiserver.storage.memory import MemoryStore
from k8slite.apiserver.watching.cache import ResourceCache, WatchCache
from k8slite.apiserver.watching.events import Shown
from k8slite.apiserver.watching.watch import Watcher, WatchStream
from k8slite.apiserver.wire import fanout
from k8slite.apiserver.wire.connection import Outlet
from k8slite.apiserver.wire.fanout import LEAST, TURN, Delivery, Fanout


class Client:
    """Stands for a connection: `full` as a transport with a slow client is; keeps what was written."""

    def __init__(self) -> None:
        self.full = False
        self.on_room: Callable[[], None] | None = None
        self.frames: list[bytes] = []
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True

    def write(self, frame: bytes) -> None:
        self.frames.append(frame)

    def read_on(self) -> None:
        self.full = False
        assert self.on_room is not None
        self.on_room()

    def events(self) -> list[tuple[str, str]]:
        found = []
        for frame in self.frames:
            size, _, rest = frame.partition(b"\r\n")
            assert rest[int(size, 16) :] == b"\r\n"
            for line in rest[: int(size, 16)].splitlines():
                event = json.loads(line)
                found.append((event["type"], event["object"]["metadata"].get("name", "")))
        return found


class World:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.cache = WatchCache()
        self.fanout = Fanout()

    @property
    def pods(self) -> ResourceCache:
        return self.cache.resource("", "pods")

    async def create(self, name: str) -> Record:
        value = b'{"kind":"Pod","apiVersion":"v1","metadata":{%b,"name":"%b"}}' % (PLACEHOLDER, name.encode())
        return await self.store.create(self.pods.key("a", name), value)

    def deliver(self, client: Client, watcher: Watcher, **how: Any) -> Delivery:
        pieces = WatchStream(watcher, Shown("Pod", "v1", **how), timeout=60)
        delivery = Delivery(pieces, outlet=cast(Outlet, client), fanout=self.fanout)
        delivery.start()
        return delivery


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await world.store.open()
    await world.cache.start(world.store)
    yield world
    await world.cache.stop()
    await world.store.close()


async def turns(count: int = 20) -> None:
    """Let the loop go round: nothing here waits for anything outside it."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_all_watchers_of_a_change_are_written_the_same_chunk(world: World) -> None:
    clients = [Client() for _ in range(100)]
    for client in clients:
        world.deliver(client, world.pods.watch(after=world.cache.revision))
    await world.create("x")
    await turns()
    assert all(client.events() == [("ADDED", "x")] for client in clients)
    assert len({id(client.frames[0]) for client in clients}) == 1


async def test_other_work_is_done_between_turns(world: World) -> None:
    clients = [Client() for _ in range(3 * TURN // LEAST)]
    for client in clients:
        world.deliver(client, world.pods.watch(after=world.cache.revision))
    await turns()
    creating = asyncio.create_task(world.create("x"))
    served: list[int] = []
    while not served or served[-1] < len(clients):
        await asyncio.sleep(0)
        served.append(sum(1 for client in clients if client.frames))
    await creating
    assert max(after - before for before, after in zip([0, *served], served, strict=False)) <= TURN // LEAST


async def test_watchers_of_different_forms_get_their_own(world: World) -> None:
    plain, named, again = Client(), Client(), Client()
    world.deliver(plain, world.pods.watch(after=world.cache.revision))
    world.deliver(
        named,
        world.pods.watch(after=world.cache.revision),
        transform=lambda value: b'{"metadata":{"name":"other"}}',
    )
    world.deliver(again, world.pods.watch(after=world.cache.revision))
    await world.create("x")
    await turns()
    assert plain.events() == again.events() == [("ADDED", "x")]
    assert named.events() == [("ADDED", "other")]


async def test_a_client_that_does_not_read_waits_for_room_and_others_do_not_wait_for_it(world: World) -> None:
    slow, quick = Client(), Client()
    slow.full = True
    world.deliver(slow, world.pods.watch(after=world.cache.revision))
    world.deliver(quick, world.pods.watch(after=world.cache.revision))
    for name in "xyz":
        await world.create(name)
        await turns()
    assert (len(slow.frames), len(quick.frames)) == (0, 3)
    slow.read_on()
    await turns()
    assert slow.events() == quick.events() == [("ADDED", name) for name in "xyz"]
    assert len(slow.frames) == 1


async def test_a_slow_watcher_is_cut_off_after_what_was_queued(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watcher, "LIMIT", 3)
    client = Client()
    client.full = True
    watcher = world.pods.watch(after=world.cache.revision)
    delivery = world.deliver(client, watcher)
    for index in range(5):
        await world.create(f"{index}")
    await turns()
    assert watcher.ended
    assert not delivery.over.done()
    client.read_on()
    await asyncio.wait_for(delivery.over, 5)
    assert client.events() == [("ADDED", "0"), ("ADDED", "1"), ("ADDED", "2")]


async def test_a_client_that_never_reads_is_left_once_its_watch_has_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "PATIENCE", 0.5)
    stalled, reading = Client(), Client()
    over = []
    for client in (stalled, reading):
        watcher = world.pods.watch(after=world.cache.revision)
        over.append(world.deliver(client, watcher))
        client.full = True
        await world.create(f"x{len(over)}")
        watcher.expire()
    await turns()
    assert not any(delivery.over.done() for delivery in over)
    reading.read_on()
    for delivery in over:
        await asyncio.wait_for(delivery.over, 5)
    assert (stalled.aborted, reading.aborted) == (True, False)
    assert (stalled.events(), reading.events()) == ([], [("ADDED", "x2")])


async def test_what_is_there_comes_first_and_the_end_last(world: World) -> None:
    for index in range(1200):
        await world.create(f"{index:04}")
    client = Client()
    watcher = world.pods.watch(after=None, bookmarks=True, initial_bookmark=True)
    delivery = world.deliver(client, watcher)
    await turns()
    last = await world.create("later")
    watcher.expire()
    await asyncio.wait_for(delivery.over, 5)
    events = client.events()
    assert events[:1200] == [("ADDED", f"{index:04}") for index in range(1200)]
    assert events[1200:] == [("BOOKMARK", ""), ("ADDED", "later"), ("BOOKMARK", "")]
    assert f'"resourceVersion":"{last.revision}"'.encode() in client.frames[-1]


async def test_a_broken_stream_does_not_hold_up_the_others(world: World) -> None:
    def broken(value: bytes) -> bytes:
        raise ValueError("no table of this")

    bad, good = Client(), Client()
    failed = world.deliver(bad, world.pods.watch(after=world.cache.revision), transform=broken)
    world.deliver(good, world.pods.watch(after=world.cache.revision))
    await world.create("x")
    await turns()
    assert good.events() == [("ADDED", "x")]
    with pytest.raises(ValueError, match="no table"):
        await failed.over


async def test_nothing_is_written_after_the_client_has_gone(world: World) -> None:
    client = Client()
    delivery = world.deliver(client, world.pods.watch(after=world.cache.revision))
    await turns()
    delivery.finish()
    delivery.stop()
    await world.create("x")
    await turns()
    assert client.frames == []
    assert client.on_room is None
