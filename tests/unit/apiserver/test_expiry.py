"""Events end some time after they were written last: by what a server saw, or by what stands in them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8slite.apiserver.expiry import Expiry
from k8slite.apiserver.storage.memory import MemoryStore
from k8slite.apiserver.watching.cache import WatchCache
from k8slite.clock import VirtualClock, micro_timestamp, timestamp

TTL = 3600.0
EVENTS = "/core/events/default/"


class World:
    def __init__(self) -> None:
        self.store, self.cache, self.clock = MemoryStore(), WatchCache(), VirtualClock()
        self.expiry = self.server()

    def server(self) -> Expiry:
        return Expiry(ttl=TTL, objects=self.cache, store=self.store, clock=self.clock)

    async def write(self, name: str, **fields: Any) -> None:
        """An event as it is now, or again."""
        metadata = {"resourceVersion": "", "name": name, "namespace": "default", "uid": f"uid-{name}"}
        value = orjson.dumps({"kind": "Event", "apiVersion": "v1", "metadata": metadata, **fields})
        known = await self.store.get(EVENTS + name)
        if known is None:
            await self.store.create(EVENTS + name, value)
        else:
            await self.store.update(known.key, value, expected=known.revision)

    async def passes(self, seconds: float) -> None:
        """Time passes; the server looks when it would."""
        await self.cache.consistent()
        left = seconds
        while left > 0:
            step = min(left, 60.0)
            await self.clock.advance(step)
            await self.cache.consistent()
            left -= step

    async def names(self) -> set[str]:
        return {record.key.removeprefix(EVENTS) for record in (await self.store.range(EVENTS)).records}


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    made = World()
    await made.store.open()
    await made.cache.start(made.store)
    try:
        yield made
    finally:
        await made.expiry.stop()
        await made.cache.stop()
        await made.store.close()


async def test_an_event_goes_an_hour_after_it_was_last_written() -> None:
    async with world() as w:
        w.expiry.start()
        await w.write("once")
        await w.write("twice")
        await w.store.create("/core/configmaps/default/stays", b'{"metadata":{"resourceVersion":""}}')
        await w.passes(TTL / 2)
        await w.write("twice")
        await w.passes(TTL / 2 - 60)
        assert await w.names() == {"once", "twice"}
        await w.passes(180)
        assert await w.names() == {"twice"}
        await w.passes(TTL / 2)
        assert await w.names() == set()
        assert await w.store.get("/core/configmaps/default/stays") is not None


@pytest.mark.parametrize(
    "field",
    [
        lambda moment: {"lastTimestamp": timestamp(moment)},
        lambda moment: {"eventTime": micro_timestamp(moment), "lastTimestamp": None},
        lambda moment: {"eventTime": "2020-01-01T00:00:00Z", "series": {"lastObservedTime": micro_timestamp(moment)}},
    ],
)
async def test_of_events_before_its_time_a_server_believes_what_stands_in_them(field: Any) -> None:
    async with world() as w:
        now = w.clock.now()
        await w.write("old", **field(now - timedelta(seconds=TTL + 1)))
        await w.write("young", **field(now - timedelta(seconds=TTL - 600)))
        await w.write("ahead", **field(now + timedelta(days=1)))
        await w.write("timeless", lastTimestamp="never")
        await w.cache.consistent()
        w.expiry.start()
        await w.passes(60)
        assert await w.names() == {"young", "ahead", "timeless"}
        await w.passes(660)
        assert await w.names() == {"ahead", "timeless"}
        await w.passes(TTL)
        assert await w.names() == set()


async def test_an_old_event_that_is_written_again_lives_anew() -> None:
    async with world() as w:
        await w.write("old", lastTimestamp="2020-01-01T00:00:00Z")
        await w.cache.consistent()
        w.expiry.start()
        await w.write("old", lastTimestamp="2020-01-01T00:00:00Z", count=2)
        await w.passes(TTL - 60)
        assert await w.names() == {"old"}
        await w.passes(180)
        assert await w.names() == set()


_MOVES = st.lists(st.tuples(st.sampled_from(["write", "wait", "restart"]), st.integers(0, 5), st.integers(1, 40)))


@given(_MOVES)
def test_no_event_goes_early_or_stays_late(moves: list[tuple[str, int, int]]) -> None:
    """Two servers look, one of which is started anew now and then; events say when they were written."""

    async def history() -> None:
        async with world() as w:
            other = w.server()
            w.expiry.start()
            other.start()
            written: dict[str, float] = {}
            try:
                for what, number, amount in moves:
                    match what:
                        case "write":
                            await w.write(f"e{number}", lastTimestamp=timestamp(w.clock.now()))
                            written[f"e{number}"] = w.clock.monotonic()
                        case "wait":
                            await w.passes(60.0 * amount)
                        case _:
                            await w.cache.consistent()
                            await other.stop()
                            other = w.server()
                            other.start()
                    now, left = w.clock.monotonic(), await w.names()
                    assert {name for name, moment in written.items() if now - moment < TTL - 1} <= left
                    assert not {name for name, moment in written.items() if now - moment > TTL + 180} & left
                    written = {name: moment for name, moment in written.items() if name in left}
            finally:
                await other.stop()

    with asyncio.Runner() as runner:
        runner.run(history())
