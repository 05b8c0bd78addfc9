"""The thread that writes: nothing waits for it, nothing is lost but what is counted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import Any

from k8slite.apiserver.audit.log import LogSink
from k8slite.clock import SystemClock
from k8slite.config import AuditLogConfig


class Disk:
    """Keeps lines; hangs until `free` is set, and fails while `full`."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.free = threading.Event()
        self.free.set()
        self.full = self.broken = False
        self.writes = 0

    def write(self, lines: Iterable[bytes]) -> None:
        self.free.wait(20)
        if self.full:
            raise OSError(28, "No space left on device")
        if self.broken:
            raise ValueError("nobody expected this")
        self.writes += 1
        self.lines += lines

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass


def sink(disk: Disk, **settings: Any) -> LogSink:
    return LogSink(AuditLogConfig(path="-", **settings), clock=SystemClock(), output=disk)


async def test_lines_are_written_in_order_and_many_at_a_time() -> None:
    disk = Disk()
    log = sink(disk)
    await log.start()
    lines = [b"%d\n" % number for number in range(5000)]
    for line in lines:
        log.put(line)
    await log.stop()
    assert disk.lines == lines
    assert disk.writes < 10


async def test_what_a_slow_disk_cannot_take_is_dropped_and_counted() -> None:
    disk = Disk()
    disk.free.clear()
    log = sink(disk, buffer_size=100)
    await log.start()
    for number in range(150):
        log.put(b"%d\n" % number)
    assert log.errors == {"buffered": 50, "log": 0}
    disk.free.set()
    assert not await log.flushed()  # the last one is not
    assert await log.flushed()
    log.put(b"again\n")
    await log.stop()
    assert disk.lines == [*(b"%d\n" % number for number in range(100)), b"again\n"]


async def test_what_was_dropped_is_not_called_written() -> None:
    disk = Disk()
    disk.free.clear()
    log = sink(disk, mode="blocking-strict", buffer_size=1)
    await log.start()
    log.put(b"waits\n")
    waiting = asyncio.create_task(log.flushed())
    await asyncio.sleep(0)
    log.put(b"dropped\n")
    async with asyncio.timeout(20):
        assert not await log.flushed()  # at once: there is nothing to wait for
        disk.free.set()
        assert await waiting
        log.put(b"again\n")
        assert await log.flushed()
    await log.stop()
    assert disk.lines == [b"waits\n", b"again\n"]


async def test_large_events_are_bounded_by_their_bytes() -> None:
    disk = Disk()
    disk.free.clear()
    log = sink(disk)
    await log.start()
    large = bytes(8 << 20)
    for _ in range(20):
        log.put(large)
    assert log.errors["buffered"] == 12
    disk.free.set()
    await log.stop()


async def test_a_full_disk_is_survived() -> None:
    disk = Disk()
    log = sink(disk, mode="blocking")
    await log.start()
    disk.full = True
    log.put(b"lost\n")
    assert not await log.flushed()
    disk.full = False
    log.put(b"kept\n")
    assert await log.flushed()
    await log.stop()
    assert (disk.lines, log.errors) == ([b"kept\n"], {"buffered": 0, "log": 1})


async def test_an_error_that_nobody_expected_ends_no_thread() -> None:
    disk = Disk()
    log = sink(disk, mode="blocking")
    await log.start()
    disk.broken = True
    log.put(b"lost\n")
    async with asyncio.timeout(20):
        assert not await log.flushed()
        disk.broken = False
        log.put(b"kept\n")
        assert await log.flushed()
    await log.stop()
    assert (disk.lines, log.errors) == ([b"kept\n"], {"buffered": 0, "log": 1})


async def test_nobody_waits_for_a_log_that_has_ended() -> None:
    log = sink(Disk(), mode="blocking")
    await log.start()
    await log.stop()
    log.put(b"late\n")
    async with asyncio.timeout(20):
        assert not await log.flushed()
