"""EventRecorder: tells users what a component did or could not do, without flooding the store.

Brakes, in this order: an object's events beyond a burst are dropped, repetitions before news (upstream's recorder makes
no difference: who fails for minutes is not heard when it succeeds); events that differ only in their message are
joined into one after ten of them; an event said before raises the count of the first instead of making another; the
few writers keep a pace, so that thousands of events are told over seconds and hold up nothing that matters.

Source: Kubernetes documentation, "Event"; client-go tools/record for aggregation.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

import aiohttp

from .client import Client
from .clock import Clock, timestamp
from .errors import ApiError
from .kinds.base import Object
from .kinds.resources import EVENTS
from .metrics import EVENTS_DROPPED
from .pace import Pace

log = logging.getLogger(__name__)

QUEUE_SIZE = 10_000
"""Events that may wait; about a kilobyte each."""
WRITERS = 8
WRITES_AT_ONCE, WRITES_PER_SECOND = 100, 200.0
BUSY, BUSY_WRITES_PER_SECOND = 100, 25.0
"""While more than so many events a second are recorded, few are written. An event costs about as much processor time as
a pod: at full pace they took a sixth of the scheduler's throughput in a burst, and after it they are as welcome."""
ATTEMPTS = 8
"""With the pace's holds, about a minute: an API server may restart meanwhile."""
CACHE_SIZE = 4096
BURST = 25
FOR_NEWS = 10
"""So many of an object's events are kept for what was not said of it lately."""
REFILL_SECONDS = 300.0
SIMILAR_LIMIT = 10
SIMILAR_SECONDS = 600.0
FLUSH_SECONDS = 2.0
_OVERLOADED = (429, 500, 502, 503, 504)

V = TypeVar("V")


class _Recent(Generic[V]):
    """A mapping that forgets what was used longest ago."""

    def __init__(self) -> None:
        self._items: OrderedDict[tuple[str, ...], V] = OrderedDict()

    def get(self, key: tuple[str, ...]) -> V | None:
        """The value, marked as used."""
        if key in self._items:
            self._items.move_to_end(key)
        return self._items.get(key)

    def put(self, key: tuple[str, ...], value: V) -> V:
        """Set the value."""
        self._items[key] = value
        self._items.move_to_end(key)
        while len(self._items) > CACHE_SIZE:
            self._items.popitem(last=False)
        return value


@dataclass(slots=True)
class _Written:
    """An event in the store, or on its way there."""

    namespace: str
    name: str
    count: int = 0


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


@dataclass(slots=True)
class _Similar:
    started_at: float
    messages: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Said:
    """One call of `record`."""

    involved: dict[str, str]
    reason: str
    message: str
    type: str
    at: datetime

    @property
    def about(self) -> tuple[str, ...]:
        """The object, whatever part of it."""
        return tuple(self.involved.get(key, "") for key in ("kind", "namespace", "name", "uid"))

    component: str = ""
    action: str = ""


class Correlator:
    """Decides what becomes of something said: a new event, a higher count, or nothing. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._buckets: _Recent[_Bucket] = _Recent()
        self._similar: _Recent[_Similar] = _Recent()
        self._written: _Recent[_Written] = _Recent()
        self._order = itertools.count()

    def admit(self, said: Said, *, now: float) -> bool:
        """Whether the object may say more: 25 at once, of them 15 repetitions, then one each five minutes."""
        key = (said.component, *said.involved.values())
        bucket = self._buckets.get(key) or self._buckets.put(key, _Bucket(float(BURST), now))
        bucket.tokens = min(float(BURST), bucket.tokens + (now - bucket.filled_at) / REFILL_SECONDS)
        bucket.filled_at = now
        if bucket.tokens < 1.0 + (FOR_NEWS if self._repeats(said) else 0):
            return False
        bucket.tokens -= 1.0
        return True

    def _repeats(self, said: Said) -> bool:
        """Whether it would raise the count of an event, rather than make one."""
        similar = self._similar.get(_group(said))
        return similar is not None and (said.message in similar.messages or len(similar.messages) >= SIMILAR_LIMIT)

    def entry(self, said: Said, *, now: float) -> tuple[_Written, str]:
        """The stored event that this belongs to (count 0: to be created), and its message."""
        group = _group(said)
        similar = self._similar.get(group)
        if similar is None or now - similar.started_at > SIMILAR_SECONDS:
            similar = self._similar.put(group, _Similar(now))
        if said.message in similar.messages or len(similar.messages) < SIMILAR_LIMIT:
            similar.messages.add(said.message)
            key, message = (*group, said.message), said.message
        else:
            key, message = (*group, ""), f"(combined from similar events): {said.message}"
        written = self._written.get(key)
        if written is None:
            name = f"{said.involved['name']}.{int(said.at.timestamp() * 1e6):x}{next(self._order) & 0xFFF:03x}"
            written = self._written.put(key, _Written(said.involved.get("namespace") or "default", name))
        return written, message


def _group(said: Said) -> tuple[str, ...]:
    """What is alike but for the message."""
    return (said.component, *said.involved.values(), said.reason, said.type)


class EventRecorder:
    """Writes `v1.Event` objects in the background; repeats raise the count of one event instead of making more.

    What is said of one object is written in the order in which it was said, beside what is said of others.
    """

    def __init__(self, client: Client, *, component: str, clock: Clock, host: str = "") -> None:
        self._client = client
        self._component = component
        self._host = host
        self._clock = clock
        self._correlator = Correlator()
        self._pace = Pace(
            clock=clock,
            rate=WRITES_PER_SECOND,
            burst=WRITES_AT_ONCE,
            busy=BUSY,
            busy_rate=BUSY_WRITES_PER_SECOND,
        )
        self._queue: deque[Said] = deque()
        self._busy: dict[tuple[str, ...], deque[Said]] = {}
        """Objects that are written about, and what more is to be said of them."""
        self._pending = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._dropping = False

    def record(
        self,
        about: Object,
        *,
        reason: str,
        message: str,
        type: Literal["Normal", "Warning"] = "Normal",
        field_path: str = "",
        component: str = "",
        action: str = "",
    ) -> None:
        """Queue an event and return at once; a full queue drops the oldest. `about` needs api_version and kind set.

        `component` is for a program of several parts: which of them speaks. `action` says what it was doing.
        """
        involved = {
            "kind": about.kind,
            "namespace": about.namespace,
            "name": about.name,
            "uid": about.uid,
            "apiVersion": about.api_version,
            "resourceVersion": about.metadata.resource_version,
            "fieldPath": field_path,
        }
        identity = {key: value for key, value in involved.items() if value and key != "resourceVersion"}
        speaker = component or self._component
        said = Said(identity, reason, message[:1024], type, self._clock.now(), speaker, action)
        if not self._correlator.admit(said, now=self._clock.monotonic()):
            return
        if len(self._queue) >= QUEUE_SIZE:
            self._drop(self._queue.popleft(), "the queue is full")
        self._pace.came()
        self._queue.append(said)
        self._idle.clear()
        self._pending.set()

    async def run(self) -> None:
        """Write queued events until cancelled, then flush for up to 2 seconds."""
        writers = [asyncio.ensure_future(self._work()) for _ in range(WRITERS)]
        try:
            await asyncio.gather(*(asyncio.shield(writer) for writer in writers))
        finally:
            flush = asyncio.ensure_future(self._idle.wait())
            deadline = asyncio.ensure_future(self._clock.sleep(FLUSH_SECONDS))
            await asyncio.wait({flush, deadline}, return_when=asyncio.FIRST_COMPLETED)
            for task in (flush, deadline, *writers):
                task.cancel()
            await asyncio.gather(flush, deadline, *writers, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            while not self._queue:
                self._pending.clear()
                await self._pending.wait()
            said = self._queue.popleft()
            if (waiting := self._busy.get(said.about)) is not None:
                waiting.append(said)  # whoever writes about this object writes this too
                continue
            waiting = self._busy[said.about] = deque([said])
            try:
                while waiting:
                    await self._deliver(waiting.popleft())
            finally:
                del self._busy[said.about]
                if not self._queue and not self._busy:
                    self._dropping = False
                    self._idle.set()

    async def _deliver(self, said: Said) -> None:
        """Write it, and hold all writers while the server is overloaded or away."""
        written, message = self._correlator.entry(said, now=self._clock.monotonic())
        for _ in range(ATTEMPTS):
            await self._pace.turn()
            try:
                await self._write(said, written, message)
            except ApiError as error:
                if error.code not in _OVERLOADED:
                    # The namespace may be on its way out; nobody will miss the event.
                    log.debug("event about %s: %s", said.involved.get("name"), error)
                    return
                self._pace.hold(error.retry_after or 0.0)
            except (aiohttp.ClientError, OSError):
                self._pace.hold()
            else:
                self._pace.go_on()
                return
        self._drop(said, "the API server takes none")

    def _drop(self, said: Said, why: str) -> None:
        EVENTS_DROPPED.inc()
        if not self._dropping:
            self._dropping = True
            log.warning("events are dropped, the first about %s: %s", said.involved.get("name"), why)

    async def _write(self, said: Said, written: _Written, message: str) -> None:
        if written.count:
            change = {"count": written.count + 1, "lastTimestamp": timestamp(said.at), "message": message}
            try:
                await self._client.patch(EVENTS, written.name, change, namespace=written.namespace)
            except ApiError as error:
                if error.code != 404:
                    raise
                written.count = 0  # it expired: begin anew
            else:
                written.count += 1
                return
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": written.name, "namespace": written.namespace},
            "involvedObject": said.involved,
            "reason": said.reason,
            "message": message,
            "type": said.type,
            "count": 1,
            "source": {"component": said.component} | ({"host": self._host} if self._host else {}),
            "firstTimestamp": timestamp(said.at),
            "lastTimestamp": timestamp(said.at),
            "reportingComponent": said.component,
            "reportingInstance": self._host or said.component,
        } | ({"action": said.action} if said.action else {})
        try:
            await self._client.create(EVENTS, body, namespace=written.namespace)
        except ApiError as error:
            if error.reason != "AlreadyExists":  # the answer to an earlier attempt was lost
                raise
        written.count = 1
