"""Handing changes on: from the one place where writes become true to everyone who watches the store.

Two ways, on purpose. A *follower* is a plain function, called on the event loop before the writer learns that its
write succeeded: that is how the watch cache gives read-your-writes. A *subscription* is the asynchronous iterator of
the contract: it keeps a bounded queue, and if its reader lags, it forgets the queue and reads on from the journal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol
from weakref import WeakSet

from .base import Change

log = logging.getLogger(__name__)


class Batch(list[Change]):
    """Changes in order, with the revision up to which the stream is complete; may be empty (progress only)."""

    __slots__ = ("revision",)

    def __init__(self, changes: Iterable[Change], revision: int) -> None:
        super().__init__(changes)
        self.revision = revision


def reached(batch: list[Change]) -> int:
    """The revision up to which a stream is complete after a batch."""
    return batch.revision if isinstance(batch, Batch) else batch[-1].revision


Follower = Callable[[Batch], None]
Replay = Callable[[str, int, int], Awaitable[list[Change]]]
"""`replay(prefix, after, until)`: the journal's changes, possibly only the first part of them. Raises Compacted."""


class Embedded(Protocol):
    """A store that lives in this process."""

    def follow(self, follower: Follower) -> Callable[[], None]:
        """Call `follower` with every batch from now on, before its writers are answered; returns how to stop."""
        ...


class Feed:
    """The followers and subscriptions of one embedded store."""

    def __init__(self) -> None:
        self._followers: list[Follower] = []
        self._subscriptions: WeakSet[Subscription] = WeakSet()

    def follow(self, follower: Follower) -> Callable[[], None]:
        """Add a follower; returns what removes it."""
        self._followers.append(follower)
        return lambda: self._followers.remove(follower)

    def subscribe(self, subscription: Subscription) -> None:
        """Add a subscription; it leaves when it is closed or forgotten."""
        self._subscriptions.add(subscription)

    def publish(self, batch: Batch) -> None:
        """Hand a batch on to all."""
        for follower in tuple(self._followers):
            try:
                follower(batch)
            except Exception:  # the write is true already; its writer must be answered
                log.exception("a follower of the store failed")
        if self._subscriptions:
            for subscription in tuple(self._subscriptions):
                subscription.offer(batch)

    def close(self) -> None:
        """End every subscription."""
        for subscription in tuple(self._subscriptions):
            subscription.close()
        self._subscriptions.clear()


class Subscription:
    """A watch of an embedded store: first the journal up to where it stood at the start, then what is published."""

    LIMIT = 10_000
    """Changes held for a reader that lags, before it is sent back to the journal."""

    def __init__(self, prefix: str, *, after: int, until: int, replay: Replay) -> None:
        self._prefix = prefix
        self._seen = after
        """Everything up to here was handed out."""
        self._replay_until = until
        """Below this only the journal knows; above, the queue."""
        self._replay = replay
        self._queue: list[Change] = []
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False

    def offer(self, batch: Batch) -> None:
        """Take a batch from the feed."""
        if len(self._queue) + len(batch) > self.LIMIT:
            self._queue.clear()
            self._replay_until = batch.revision
        else:
            prefix = self._prefix
            wanted = [change for change in batch if change.revision > self._seen and change.key.startswith(prefix)]
            if not wanted:
                return
            self._queue += wanted
        self._wake()

    def close(self) -> None:
        """End the iteration."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> list[Change]:
        while not self._closed:
            if self._seen < self._replay_until:
                until = self._replay_until
                changes = await self._replay(self._prefix, self._seen, until)
                self._seen = changes[-1].revision if changes else until
                return Batch(changes, self._seen)
            if self._queue:
                changes, self._queue = self._queue, []
                changes = [change for change in changes if change.revision > self._seen]
                if changes:
                    self._seen = changes[-1].revision
                    return changes
            else:
                self._waiter = asyncio.get_running_loop().create_future()
                await self._waiter
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the iteration (as asynchronous generators are ended)."""
        self.close()
