"""The one worker loop: keys from a queue to `sync`, results to done, later, or again with back-off."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .clock import Clock
from .workqueue import WorkQueue


@dataclass(frozen=True, slots=True)
class Result:
    """How a sync ended: done, or to be looked at again after `requeue_after` seconds."""

    requeue_after: float | None = None


DONE = Result()

Sync = Callable[[str], Awaitable[Result]]


class Controller:
    """Runs `sync(key)` with a number of workers; an exception means again later, with back-off."""

    def __init__(self, name: str, sync: Sync, *, clock: Clock, workers: int = 4) -> None:
        self.name = name
        self.queue = WorkQueue(clock=clock)

    async def run(self) -> None:
        """Work until cancelled; a sync under way is let finish for up to 5 seconds."""
        raise NotImplementedError
