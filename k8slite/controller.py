"""The one worker loop: keys from a queue to `sync`, results to done, later, or again with back-off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from .clock import Clock
from .errors import ApiError
from .workqueue import WorkQueue

log = logging.getLogger(__name__)

GRACE = 5.0
"""Seconds that a sync under way may take to finish when the program stops."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a sync ended: done, or to be looked at again after `requeue_after` seconds."""

    requeue_after: float | None = None


DONE = Result()


class TryAgain(Exception):
    """Raised by a sync that cannot decide yet, which is no fault: again later, with back-off."""


Sync = Callable[[str], Awaitable[Result]]


class Controller:
    """Runs `sync(key)` with a number of workers; an exception means again later, with back-off."""

    def __init__(self, name: str, sync: Sync, *, clock: Clock, workers: int = 4, rest: float = 0.0) -> None:
        self.name = name
        self.queue = WorkQueue(clock=clock, rest=rest, name=name)
        self._sync = sync
        self._clock = clock
        self._workers = workers
        self._busy: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def run(self) -> None:
        """Work until cancelled; a sync under way is let finish for up to 5 seconds."""
        self._stopping = False
        tasks = [asyncio.create_task(self._work(), name=f"{self.name}-{number}") for number in range(self._workers)]
        try:
            await asyncio.gather(*(asyncio.shield(task) for task in tasks))
        finally:
            self._stopping = True
            self.queue.close()
            for task in tasks:
                if task not in self._busy:
                    task.cancel()
            await self._let_finish()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _let_finish(self) -> None:
        if not self._busy:
            return
        deadline = asyncio.create_task(self._clock.sleep(GRACE))
        try:
            while self._busy and not deadline.done():
                await asyncio.wait({*self._busy, deadline}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            deadline.cancel()

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # a coroutine of ours always runs in a task
        while not self._stopping:
            key = await self.queue.get()
            self._busy.add(task)
            try:
                await self._once(key)
            finally:
                self._busy.discard(task)
                self.queue.done(key)

    async def _once(self, key: str) -> None:
        at_least = 0.0
        try:
            result = await self._sync(key)
        except ApiError as error:
            at_least = error.retry_after or 0.0
            expected = error.reason in ("Conflict", "AlreadyExists", "NotFound")
            log.log(logging.DEBUG if expected else logging.WARNING, "%s %s: %s", self.name, key, error)
        except (aiohttp.ClientError, OSError) as error:
            log.warning("%s %s: %s: %s", self.name, key, type(error).__name__, error)
        except TryAgain as reason:
            log.debug("%s %s: %s", self.name, key, reason)
        except Exception:
            log.exception("%s %s", self.name, key)
        else:
            self.queue.forget(key)
            if result.requeue_after is not None and not self._stopping:
                self.queue.add_after(key, result.requeue_after)
            return
        if not self._stopping:
            self.queue.add_rate_limited(key, at_least=at_least)
