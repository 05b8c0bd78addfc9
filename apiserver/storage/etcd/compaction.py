"""Forgetting history in an etcd that several API servers share: one of them compacts, the others find it done.

A record in etcd holds the revision at which the last round took place, and its version counts the rounds. Each server
tries to write the next round with the version that it knows; the one that succeeds compacts to where the revision
stood a round ago, the others learn the new version and wait. So history is kept for one to two periods.

Source: the method of Kubernetes' apiserver (storage/etcd3, compact).
"""

from __future__ import annotations

import contextlib
from typing import Any

from k8slite.clock import Clock

from ..base import StoreUnavailable
from .connection import CompactedAnswer, Connection
from .protocol import (
    COMPARE_EQUAL,
    TARGET_VERSION,
    CompactionRequest,
    Compare,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)


class Compaction:
    """One server's part in it."""

    def __init__(self, connection: Connection, *, record: bytes, period: float, clock: Clock) -> None:
        self._connection = connection
        self._record = record
        self._period = period
        self._clock = clock
        self._version = 0
        self._revision = 0
        """Where the revision stood at the last round that this server saw."""

    async def run(self) -> None:
        """Do a round each period, for ever. An etcd without writes is left alone."""
        while True:
            await self._clock.sleep(self._period)
            with contextlib.suppress(StoreUnavailable):  # the next round tries again
                await self.round()

    async def round(self) -> None:
        """Try to be the one who compacts now. Raises StoreUnavailable."""
        answer = await self._connection.read("Range", RangeRequest(key=self._record))
        version = answer.kvs[0].version if answer.kvs else 0
        if answer.header.revision == self._revision:
            return  # nothing was written since
        if version == self._version:
            answer = await self._next_round()
            if answer.succeeded:
                if self._revision:
                    await self._compact(self._revision)
                self._version += 1
                self._revision = answer.header.revision
                return
            version = answer.responses[0].response_range.kvs[0].version
        self._version = version
        self._revision = answer.header.revision

    async def _next_round(self) -> Any:
        compare = Compare(result=COMPARE_EQUAL, target=TARGET_VERSION, key=self._record, version=self._version)
        put = RequestOp(request_put=PutRequest(key=self._record, value=b"%d" % self._revision))
        read = RequestOp(request_range=RangeRequest(key=self._record))
        request = TxnRequest(compare=[compare], success=[put], failure=[read])
        return await self._connection.write("Txn", request)

    async def _compact(self, revision: int) -> None:
        with contextlib.suppress(CompactedAnswer):
            await self._connection.read("Compact", CompactionRequest(revision=revision))
