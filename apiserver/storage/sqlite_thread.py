"""A thread that owns one SQLite connection and runs jobs on it, one after the other.

A job is a function of the connection; its result, or what it raised, comes back on the event loop. The thread sleeps
while there is nothing to do.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import TypeVar

from .base import StoreError, StoreUnavailable

T = TypeVar("T")


class SqliteThread:
    """One connection, one thread. Made and used on an event loop."""

    def __init__(self, name: str, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[Callable[[sqlite3.Connection], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._opened: asyncio.Future[None] = self._loop.create_future()

    async def start(self) -> None:
        """Start, and connect. Raises StoreUnavailable."""
        self._thread.start()
        await self._opened

    def submit(self, job: Callable[[sqlite3.Connection], T], done: Callable[[T | StoreError], None]) -> None:
        """Run a job; `done` gets what it returned, or the error."""

        def work(connection: sqlite3.Connection) -> None:
            result: T | StoreError
            try:
                result = job(connection)
            except StoreError as error:
                result = error
            except Exception as error:  # whatever it is: without an answer somebody would wait for ever
                result = StoreUnavailable(f"SQLite: {error}")
            self._report(lambda: done(result))

        self._jobs.put(work)

    async def run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a job and wait for its result. Raises StoreError."""
        future: asyncio.Future[T] = self._loop.create_future()

        def done(result: T | StoreError) -> None:
            if future.done():
                return
            if isinstance(result, StoreError):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.submit(job, done)
        return await future

    async def stop(self) -> None:
        """Finish what was submitted, close the connection, end the thread."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _report(self, callback: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback)

    def _run(self) -> None:
        try:
            connection = self._connect()
        except Exception as error:
            failure = error if isinstance(error, StoreError) else StoreUnavailable(f"SQLite: {error}")
            self._report(lambda: self._opened.set_exception(failure))
            return
        self._report(lambda: self._opened.set_result(None))
        while (job := self._jobs.get()) is not None:
            job(connection)
        connection.close()
