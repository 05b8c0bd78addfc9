"""One watch of a key range, across lost connections and failing servers, until its store closes."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Literal

import grpc
import grpc.aio

from ..base import Change, Compacted, stamp
from ..feed import Batch
from .connection import TIMEOUT, Connection
from .protocol import EVENT_DELETE, WatchCreateRequest, WatchRequest

log = logging.getLogger(__name__)

BACKOFF = (0.05, 2.0)
"""First and longest pause, in seconds, between attempts to reach a server."""


class EtcdWatch:
    """An iterator over batches of changes; it resumes by itself after the last revision that it handed out.

    Keys in the range that do not start with `data` are the store's own: they only move the batch's revision.
    """

    def __init__(self, connection: Connection, *, key: bytes, end: bytes, data: str, strip: int, after: int) -> None:
        self._connection = connection
        self._key = key
        self._end = end
        self._data = data
        self._strip = strip
        self._after = after
        self._call: Any = None
        self._position = 0
        self._closed = False
        self._pause = BACKOFF[0]
        self._closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __aiter__(self) -> EtcdWatch:
        return self

    async def __anext__(self) -> list[Change]:
        while not self._closed:
            answer = await self._read()
            if answer is None:
                continue
            if answer.canceled:
                self._hang_up()
                if answer.compact_revision:
                    await self.aclose()
                    raise Compacted(answer.compact_revision)
                await self._rest(answer.cancel_reason)
                continue
            if answer.created:
                self._pause = BACKOFF[0]
                continue
            if answer.events:
                changes = self._changes(answer.events)
                self._after = answer.events[-1].kv.mod_revision
                return Batch(changes, self._after)
            self._after = max(self._after, answer.header.revision)  # progress: nothing happened until then
            return Batch((), self._after)
        raise StopAsyncIteration

    async def _read(self) -> Any:
        """The next answer; None after a failure or when closed, to try again."""
        try:
            if self._call is None and not await self._connect():
                return None
            answer = await self._call.read()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            answer = grpc.aio.EOF  # the call was cancelled, by aclose or by the channel
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError) as error:
            self._hang_up()
            await self._rest(str(error))
            return None
        if answer is grpc.aio.EOF:
            self._hang_up()
            await self._rest("the stream ended")
            return None
        return answer

    async def _connect(self) -> bool:
        """Ask for the watch; whether the request went out."""
        self._call, self._position = self._connection.watch()
        create = WatchCreateRequest(
            key=self._key,
            range_end=self._end,
            start_revision=self._after + 1,
            progress_notify=True,
            prev_kv=True,
        )
        # Raced by hand: a call that is cancelled before it is set up leaves its writer waiting for ever.
        writing: asyncio.Future[None] = asyncio.ensure_future(self._call.write(WatchRequest(create_request=create)))
        try:
            await asyncio.wait([writing, self._closing], timeout=TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sent: bool = writing.done()
            if not sent:
                writing.cancel()
                self._hang_up()
        if sent:
            await writing
        else:
            await self._rest("no answer")
        return sent

    def _changes(self, events: Any) -> list[Change]:
        changes = []
        for event in events:
            key = event.kv.key.decode()
            if key.startswith(self._data):
                changes.append(_change(event, key[self._strip :]))
        return changes

    async def _rest(self, reason: str) -> None:
        if self._closed:
            return
        log.info("etcd: a watch broke (%s); resuming after revision %d", reason, self._after)
        self._connection.avoid(self._position)
        pause, self._pause = self._pause, min(self._pause * 2, BACKOFF[1])
        await asyncio.wait([self._closing], timeout=pause)

    def _hang_up(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None

    async def aclose(self) -> None:
        """End the iteration."""
        self._closed = True
        if not self._closing.done():
            self._closing.set_result(None)
        self._hang_up()


def _change(event: Any, key: str) -> Change:
    kv, revision = event.kv, event.kv.mod_revision
    before = event.prev_kv
    previous = stamp(before.value, before.mod_revision) if before.mod_revision else None
    if event.type == EVENT_DELETE:
        if previous is None:  # compacted between the deletion and its delivery: the last document is lost
            raise Compacted(revision)
        return Change("DELETED", key, stamp(before.value, revision), revision, previous, before.mod_revision)
    kind: Literal["ADDED", "MODIFIED"] = "ADDED" if kv.create_revision == revision else "MODIFIED"
    return Change(kind, key, stamp(kv.value, revision), revision, previous, before.mod_revision)
