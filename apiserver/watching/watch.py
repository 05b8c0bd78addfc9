"""Watches: what one client follows, and its stream of lines.

A change is one `Event` for everybody, and its line is encoded once per form in which it is wanted (a type, a
transformation). A `Watcher` says which events its client sees and as what: an object that starts to match a selector
is ADDED for it, one that stops matching is DELETED. Each watcher holds a bounded queue; one that does not read is
ended, and its client resumes from the last revision it saw.

`stream` turns a watcher into the body of a response: everything queued goes out as one piece.

Source: Kubernetes API concepts, "Efficient detection of changes", "Watch bookmarks", "Streaming lists".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import orjson

from k8slite.errors import ApiError, too_old
from k8slite.selectors import FieldSelector, LabelSelector

from ..storage.base import Change, Compacted, StoreUnavailable
from ..storage.batch import restamp

if TYPE_CHECKING:
    from .objects import Entry, Scope
    from .resources import ResourceCache


Transform: TypeAlias = Callable[[bytes], bytes]
"""From the stored document to what the client wants (a table, another version). Pass the same function object for the
same transformation: what it makes of a change is shared by all watchers that pass it."""

Verdict: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED", "LEFT"]
"""What an event is for a watcher; LEFT goes out as DELETED, with the object as it was when it still matched."""

INITIAL_END = "k8s.io/initial-events-end"
"""The annotation of the bookmark that ends the initial objects."""
INITIAL = 500
"""Initial objects sent in one piece."""


def line(kind: str, document: bytes) -> bytes:
    """One line of a watch."""
    return b'{"type":"%b","object":%b}\n' % (kind.encode(), document)


def parts_of(text: bytes) -> tuple[bytes, bytes]:
    """The kind and the document of such a line."""
    kind, _, document = text.removeprefix(b'{"type":"').partition(b'","object":')
    return kind, document[:-2]


@lru_cache(maxsize=64)
def bookmark_line(
    kind: str, api_version: str, revision: int, initial_end: bool, transform: Transform | None = None
) -> bytes:
    """A bookmark: everything up to `revision` was sent; `initial_end` marks the end of the initial objects."""
    metadata: dict[str, Any] = {"resourceVersion": str(revision)}
    if initial_end:
        metadata["annotations"] = {INITIAL_END: "true"}
    document = orjson.dumps({"kind": kind, "apiVersion": api_version, "metadata": metadata})
    return line("BOOKMARK", transform(document) if transform else document)


@dataclass(frozen=True, slots=True)
class Shown:
    """How a watch shows objects: the kind that was asked for, and the transformation of each object.

    Bookmarks are of that kind, and go through `mark` (a table's bookmark is a table too).
    """

    kind: str
    api_version: str
    transform: Transform | None = None
    mark: Transform | None = None

    def bookmark(self, revision: int, *, initial_end: bool = False) -> bytes:
        """The line of a bookmark."""
        return bookmark_line(self.kind, self.api_version, revision, initial_end, self.mark)


class Event:
    """One change of one object. For DELETED `entry` is the last document with the deletion's revision."""

    __slots__ = ("_lines", "entry", "old", "revision", "type")

    def __init__(self, kind: Literal["ADDED", "MODIFIED", "DELETED"], entry: Entry, old: Entry | None) -> None:
        self.type = kind
        self.entry = entry
        self.old = old
        self.revision = entry.revision
        self._lines: dict[tuple[Verdict, Transform | None], bytes] = {}

    def line(self, verdict: Verdict, transform: Transform | None) -> bytes:
        """The line for a watcher with that verdict."""
        known = self._lines.get((verdict, transform))
        if known is None:
            if verdict == "LEFT" and self.old is not None:
                document = restamp(self.old.value, self.old.revision, self.revision)
            else:
                document = self.entry.value
            shown = transform(document) if transform else document
            known = self._lines[verdict, transform] = line("DELETED" if verdict == "LEFT" else verdict, shown)
        return known

    def forget_lines(self) -> None:
        """Free the encoded lines; they are made again if a late reader needs them."""
        self._lines.clear()


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
        self._initial: list[Entry] = []
        self._initial_end = 0
        """The revision of the bookmark that ends the initial objects, while it is to be sent."""
        self._queue: list[tuple[Event, Verdict]] = []
        self._limit = self.LIMIT
        self._after = after
        """Only what comes after this revision is news."""
        self._told = after
        """The revision of the last bookmark."""
        self._bookmark_due = 0
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

    def begin(self, entries: list[Entry], *, initial_bookmark: bool) -> None:
        """Send these first, as ADDED."""
        self._initial = entries
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
                if not batch:
                    continue
                self.replay([self._resource.event(change) for change in batch])
                # The store may be ahead of the cache, which then offers again what was just read.
                self._position = self._after = batch[-1].revision
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
        self._initial = []
        self._queue.clear()
        self._room.set()

    def take(self, shown: Shown) -> bytes:
        """Everything that is to be sent now, empty if nothing (of many initial objects, some)."""
        transform = shown.transform
        if self._initial:
            entries, self._initial = self._initial[:INITIAL], self._initial[INITIAL:]
            return b"".join([line("ADDED", transform(e.value) if transform else e.value) for e in entries])
        lines = []
        if self._initial_end:
            lines.append(shown.bookmark(self._initial_end, initial_end=True))
            self._initial_end = 0
        if self._queue:
            lines += [event.line(verdict, transform) for event, verdict in self._queue]
            self._queue.clear()
            self._limit = self.LIMIT
            self._room.set()
        if self._bookmark_due:
            lines.append(shown.bookmark(self._bookmark_due))
            self._bookmark_due = 0
        if self._error is not None:
            lines.append(line("ERROR", orjson.dumps(self._error.status())))
            self._error = None
        return lines[0] if len(lines) == 1 else b"".join(lines)

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

    A class and not a generator, so that closing it works before it was first read.
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


def stream(watcher: Watcher, shown: Shown, *, timeout: float) -> WatchStream:
    """The lines of a watch as they come, joined where several are ready; ends after `timeout` seconds.

    Close it with `aclose`.
    """
    return WatchStream(watcher, shown, timeout=timeout)
