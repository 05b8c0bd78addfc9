"""Watches: what one client follows, and the stream of its lines.

A `Watcher` says which events its client sees and as what: an object that starts to match a selector is ADDED for it,
one that stops matching is DELETED. Each watcher holds a bounded queue; one that does not read is ended, and its client
resumes from the last revision it saw.

A `WatchStream` is the body of a response: what is queued goes out together, in pieces of a bounded size.

Source: Kubernetes API concepts, "Efficient detection of changes", "Watch bookmarks", "Streaming lists".
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING

import orjson

from k8slite.errors import ApiError, internal, too_old
from k8slite.selectors import FieldSelector, LabelSelector

from ..storage.base import Change, Compacted, StoreUnavailable
from ..storage.feed import reached
from .events import Event, Shown, Transform, Verdict, line

if TYPE_CHECKING:
    from .objects import Entry, Scope
    from .resources import ResourceCache

log = logging.getLogger(__name__)

PIECE = 64 * 1024
"""Bytes after which a piece is sent as it is. What waits in a watcher is shared with others, a piece is not."""


class Watcher:
    """What one client follows. Made by `ResourceCache.watch`; close it when the client is gone."""

    LIMIT = 1_000
    """Events queued for a client that does not read, before it is cut off."""

    def __init__(
        self,
        resource: ResourceCache,
        *,
        scope: Scope,
        namespace: str,
        name: str,
        labels: LabelSelector,
        fields: FieldSelector,
        after: int,
        bookmarks: bool,
    ) -> None:
        self.scope = scope
        self._resource = resource
        self._namespace = namespace
        self._name = name
        self._labels = labels
        self._fields = fields
        self._selective = bool(labels or fields)
        self._bookmarks = bookmarks
        self._initial: deque[Entry] = deque()
        self._initial_end = 0
        """The revision of the bookmark that ends the initial objects, while it is to be sent."""
        self._queue: deque[tuple[Event, Verdict]] = deque()
        self._limit = self.LIMIT
        self._after = after
        """Only what comes after this revision is news."""
        self._told = after
        """The revision of the last bookmark."""
        self._bookmark_due = 0
        self._sent = 0
        """The revision of the last event that was taken."""
        self._error: ApiError | None = None
        self._ended = False
        self.on_ready: Callable[[], None] | None = None
        """Called when there may be something to take. For the one reader."""
        self._catching_up: asyncio.Task[None] | None = None
        self._room = asyncio.Event()
        """Set when what was queued is taken, or nothing more will be."""
        self._position = 0
        """While catching up: the last revision that the store's history gave."""

    def sees(self, entry: Entry) -> bool:
        """Whether the object is in what the client follows."""
        if self._namespace and entry.namespace != self._namespace:
            return False
        if self._name and entry.name != self._name:
            return False
        return not self._selective or self._resource.matches(entry, self._labels, self._fields)

    def judge(self, event: Event) -> Verdict | None:
        """What the event is for this client, None if nothing."""
        if not self._selective:
            return event.type if self.sees(event.entry) else None
        was = event.old is not None and self.sees(event.old)
        if event.type != "DELETED" and self.sees(event.entry):
            return "MODIFIED" if was else "ADDED"
        if not was:
            return None
        return "DELETED" if event.type == "DELETED" else "LEFT"

    # Feeding

    def begin(self, entries: Iterable[Entry], *, initial_bookmark: bool) -> None:
        """Send these first, as ADDED."""
        self._initial.extend(entries)
        self._initial_end = self._resource.revision if initial_bookmark else 0

    def offer(self, event: Event) -> None:
        """Queue an event if the client follows its object; cut the client off if it does not read."""
        verdict = self.judge(event)
        if verdict is None or self._ended or event.revision <= self._after:
            return
        if len(self._queue) >= self._limit:
            self.end()
            return
        self._queue.append((event, verdict))
        self._wake()

    def replay(self, events: list[Event]) -> None:
        """Queue events of the past, however many: the bound is for those that come later."""
        self._limit += len(events)
        for event in events:
            self.offer(event)

    def bookmark(self, revision: int) -> None:
        """Tell the client, if it wants to know, that everything up to `revision` was sent, even if it knows already."""
        if not self._bookmarks or self._ended:
            return
        revision = revision if self._catching_up is None else self._position
        if revision >= self._told:
            self._bookmark_due = self._told = revision
            self._wake()

    def catch_up(self, changes: AsyncIterator[list[Change]], *, after: int) -> None:
        """Read the store's history until memory takes over."""
        self._position = after
        self._catching_up = asyncio.get_running_loop().create_task(self._catch_up(changes))

    async def _catch_up(self, changes: AsyncIterator[list[Change]]) -> None:
        try:
            async for batch in changes:
                if self._ended:
                    return
                self.replay([self._resource.event(change) for change in batch])
                # The store may be ahead of the cache, which then offers again what was just read.
                self._position = self._after = reached(batch)
                if self._resource.attach(self, after=self._position):
                    self._catching_up = None
                    return
                self._room.clear()
                if self._queue:
                    await self._room.wait()  # a slow client holds up its own history only
            self.end()
        except Compacted as error:
            self.fail(too_old(self._position, error.oldest))
        except StoreUnavailable:
            self.end()
        except Exception:  # its client would wait for the rest of its time
            log.exception("the history of %s could not be read", self._resource.prefix)
            self.fail(internal("the history of changes could not be read"))
        finally:
            close = getattr(changes, "aclose", None)
            if close is not None:
                await close()

    # Ending

    def expire(self) -> None:
        """End because the time is up: with a last bookmark, from which the client can resume."""
        self.bookmark(self._resource.revision)
        self.end()

    def end(self) -> None:
        """End the stream once what is queued has gone out."""
        self._ended = True
        self._room.set()
        self._resource.detach(self)
        self._wake()

    def fail(self, error: ApiError) -> None:
        """End the stream with an ERROR event."""
        self._error = error
        self.end()

    def close(self) -> None:
        """Forget the client."""
        self.end()
        self._queue.clear()
        if self._catching_up is not None:
            self._catching_up.cancel()

    # Reading

    def skip(self) -> None:
        """Forget what is to be sent: for a reader that only wants to know when to look at the cache."""
        self._initial.clear()
        self._queue.clear()
        self._room.set()

    def take(self, shown: Shown) -> bytes:
        """What is to be sent now, empty if nothing: all of it, or about `PIECE` bytes."""
        if self._initial or self._initial_end:
            lines = self._take_objects(shown)
        else:
            lines = self._take_events(shown.transform)
            if not self._queue:
                lines += self._take_last(shown)
        return lines[0] if len(lines) == 1 else b"".join(lines)

    def _take_objects(self, shown: Shown) -> list[bytes]:
        lines, size, transform = [], 0, shown.transform
        while self._initial and size < PIECE:
            value = self._initial.popleft().value
            lines.append(line("ADDED", transform(value) if transform else value))
            size += len(lines[-1])
        if not self._initial and self._initial_end:
            lines.append(shown.bookmark(self._initial_end, initial_end=True))
            self._initial_end = 0
        return lines

    def _take_events(self, transform: Transform | None) -> list[bytes]:
        lines, size = [], 0
        while self._queue and size < PIECE:
            event, verdict = self._queue.popleft()
            lines.append(event.line(verdict, transform))
            size += len(lines[-1])
            self._sent = event.revision
        if not self._queue:
            self._limit = self.LIMIT
            self._room.set()
        return lines

    def _take_last(self, shown: Shown) -> list[bytes]:
        lines = []
        if self._bookmark_due:
            # What came after the bookmark was due went out before it: it must not lead back.
            self._told = max(self._bookmark_due, self._sent)
            lines.append(shown.bookmark(self._told))
            self._bookmark_due = 0
        if self._error is not None:
            lines.append(line("ERROR", orjson.dumps(self._error.status())))
            self._error = None
        return lines

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self._ended

    @property
    def pending(self) -> bool:
        """Whether there is something to take, or an end to be seen."""
        return bool(self._initial or self._initial_end or self._queue or self._bookmark_due or self._ended)

    def _wake(self) -> None:
        if self.on_ready is not None:
            self.on_ready()


class WatchStream(AsyncIterator[bytes]):
    """The body of a watch, to be iterated, or to be taken from as `on_ready` says (`fanout.py`), until it has ended.

    It ends after `timeout` seconds at the latest. Close it with `aclose`; as this is no generator, that works before
    it was first read.
    """

    def __init__(self, watcher: Watcher, shown: Shown, *, timeout: float) -> None:
        self._watcher = watcher
        self._shown = shown
        self._expiry = asyncio.get_running_loop().call_later(timeout, watcher.expire)

    @property
    def on_ready(self) -> Callable[[], None] | None:
        """Called when there may be something to take."""
        return self._watcher.on_ready

    @on_ready.setter
    def on_ready(self, call: Callable[[], None] | None) -> None:
        self._watcher.on_ready = call

    def take(self) -> bytes:
        """What is to be sent now, empty if nothing."""
        return self._watcher.take(self._shown)

    @property
    def pending(self) -> bool:
        """Whether to take again, without waiting to be called."""
        return self._watcher.pending

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self._watcher.ended

    async def __anext__(self) -> bytes:
        while True:
            piece = self.take()
            if piece:
                return piece
            if self.ended:
                await self.aclose()
                raise StopAsyncIteration
            ready = asyncio.Event()
            self.on_ready = ready.set
            await ready.wait()

    async def aclose(self) -> None:
        """Forget the client."""
        self._expiry.cancel()
        self._watcher.close()
