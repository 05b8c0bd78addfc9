"""Events as lines of a file, or of standard output.

A thread writes; the event loop only appends to a list and hands it over, a moment after the first line came, so that no
request waits for a disk and many lines share one write. What the disk is too slow for is bounded: past the buffer
events are dropped and counted. In the blocking modes an answer waits for its event instead.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import threading
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from k8slite.clock import Clock
from k8slite.config import AuditLogConfig, ConfigError

from .rotation import RotatingFile

DELAY = 0.05
"""Seconds that a line waits for others."""
PROMPT = 256 * 1024
"""Bytes that are handed over without waiting."""
ROOM = 64 << 20
"""Bytes that may wait, however few events they are."""
_END = 10.0
_log = logging.getLogger(__name__)
_Batch = tuple[list[bytes], "asyncio.Future[bool] | None"]


class Output(Protocol):
    """What takes lines."""

    def write(self, lines: Iterable[bytes]) -> None:
        """Append lines. Raises OSError."""
        ...

    def open(self) -> None:
        """Make ready. Raises OSError."""
        ...

    def close(self) -> None:
        """Release it."""
        ...


class StandardOutput:
    """The program's standard output."""

    def write(self, lines: Iterable[bytes]) -> None:
        """Write lines. Raises OSError."""
        rest = memoryview(b"".join(lines))
        while rest:
            rest = rest[os.write(1, rest) :]

    def open(self) -> None:
        """It is open."""

    def close(self) -> None:
        """It stays open."""


class LogSink:
    """Writes events to a file, or to standard output (`-`)."""

    def __init__(self, config: AuditLogConfig, *, clock: Clock, output: Output | None = None) -> None:
        self._path = config.path
        self._output = output or _output(config, clock)
        self._buffer_size = config.buffer_size
        self.waits = config.mode != "batch"
        self.strict = config.mode == "blocking-strict"
        self.max_event_size = config.max_event_size
        self.errors = {"buffered": 0, "log": 0}
        self._lines: list[bytes] = []
        self._bytes = 0
        self._scheduled = False
        self._queue: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        # What was handed over, and what the thread is done with: each has one writer, their difference waits.
        self._given, self._given_bytes = 0, 0
        self._taken, self._taken_bytes = 0, 0
        self._failing = False
        self._dropped = False
        """Whether the last line was: who put it asks for it in the same breath."""
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def check(self) -> None:
        """Raise ConfigError unless the file can be written: who starts a server hears of it before it serves."""
        try:
            self._output.open()
        except OSError as error:
            raise ConfigError(f"audit log {self._path}: {error.strerror}") from error
        self._output.close()

    async def start(self) -> None:
        """Open the file and start the thread. Raises OSError."""
        self._loop = asyncio.get_running_loop()
        self._output.open()
        self._thread = threading.Thread(target=self._run, name="audit-log", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Take a line, unless too many wait."""
        waiting = len(self._lines) + self._given - self._taken
        size = self._bytes + self._given_bytes - self._taken_bytes
        if waiting >= self._buffer_size or size + len(line) > ROOM:
            if not self.errors["buffered"]:
                _log.error("audit events are lost: they come faster than they can be written")
            self.errors["buffered"] += 1
            self._dropped = True
            return
        self._dropped = False
        self._lines.append(line)
        self._bytes += len(line)
        if self._bytes >= PROMPT:
            self._hand_over()
        elif not self._scheduled and self._loop is not None:
            self._scheduled = True
            self._loop.call_later(DELAY, self._hand_over)

    def _hand_over(self, done: asyncio.Future[bool] | None = None) -> None:
        if done is None:
            self._scheduled = False
        lines, self._lines = self._lines, []
        if not lines and done is None:
            return
        self._given += len(lines)
        self._given_bytes += self._bytes
        self._bytes = 0
        self._queue.put((lines, done))

    async def flushed(self) -> bool:
        """Wait until all lines are written; whether they could be, and the last one was taken."""
        dropped, self._dropped = self._dropped, False
        if self._thread is None or dropped:
            return False
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._hand_over(done)
        return await done

    async def stop(self) -> None:
        """Write what there is, and end the thread; a disk that hangs is not waited for."""
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        self._hand_over()
        self._queue.put(None)
        await asyncio.to_thread(thread.join, _END)

    def _run(self) -> None:
        while (batch := self._queue.get()) is not None:
            lines, done = batch
            written = self._write(lines)
            self._taken_bytes += sum(map(len, lines))
            self._taken += len(lines)
            if done is not None and self._loop is not None:
                self._loop.call_soon_threadsafe(_settle, done, written)
        self._output.close()

    def _write(self, lines: list[bytes]) -> bool:
        try:
            self._output.write(lines)
        except Exception as error:  # whatever it is, the thread goes on: answers may wait for it
            self.errors["log"] += len(lines)
            if not self._failing:
                _log.error("the audit log cannot be written: %s", error)
            self._failing = True
            self._output.close()
            return False
        self._failing = False
        return True


def _settle(done: asyncio.Future[bool], written: bool) -> None:
    if not done.done():
        done.set_result(written)


def _output(config: AuditLogConfig, clock: Clock) -> Output:
    if config.path == "-":
        return StandardOutput()
    return RotatingFile(
        Path(config.path),
        max_size=config.max_size << 20,
        max_age=timedelta(days=config.max_age),
        max_backups=config.max_backups,
        compress=config.compress,
        now=clock.now,
    )
