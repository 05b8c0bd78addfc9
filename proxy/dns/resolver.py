"""From query bytes to response bytes: what is known at once, what has to be asked for, and what was asked before.

A query is the key of its response, but for the two bytes of its identity: name, spelling, type, flags and EDNS options
are all in it. So an answer given before costs a dictionary look-up, and whatever has been said stays right until the
zone changes or, for the answers of others, until their time is up.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

import dns.message

from k8slite.clock import Clock

from . import wire
from .answer import Answer, Question, answer
from .cache import Cache
from .upstream import NoAnswer, Upstream
from .zone import Zone

log = logging.getLogger(__name__)

LONGEST_LIFETIME = 30.0
"""Seconds for which answers of others are kept at most; their TTLs are passed on as they came."""
ROTATIONS = 8
"""So many orders of the same addresses are told in turn, so that clients that take the first spread out."""


@dataclass(frozen=True, slots=True)
class Later:
    """A query that others have to be asked about; `found` is what is known of it already."""

    query: bytes
    message: dns.message.Message
    question: Question
    found: Answer | None


class Resolver:
    """Answers queries from the zone, from the cache, or from upstream servers."""

    def __init__(self, zone: Zone, upstream: Upstream, *, clock: Clock) -> None:
        self._zone = zone
        self._upstream = upstream
        self._clock = clock
        self._generation = 0
        self._local: tuple[Cache[list[bytes]], Cache[list[bytes]]] = (Cache(), Cache())
        self._foreign: Cache[tuple[float, bytes]] = Cache()
        self._asked: dict[bytes, asyncio.Future[bytes]] = {}
        self._turn = 0

    def at_once(self, query: bytes, *, stream: bool) -> bytes | Later | None:
        """The response, if it can be given without waiting; None if there had better be none.

        `stream` is TCP, where long answers are no problem.
        """
        if (known := self._known(query, stream=stream)) is not None:
            return known
        try:
            message = wire.parse(query)
        except wire.Malformed:
            return wire.refusal(query, "FORMERR" if _opcode(query) == 0 else "NOTIMP")
        question = wire.question(message)
        if question is None:
            return wire.failure(message, "REFUSED")
        if not self._zone.covers(question.name):
            return Later(query, message, question, None)
        found = answer(question, self._zone)
        if found.elsewhere:
            return Later(query, message, question, found)
        count = min(max(len(found.records), 1), ROTATIONS)
        variants = [wire.encode(message, found, stream=stream, rotation=turn)[2:] for turn in range(count)]
        self._local[stream].put(query[2:], variants, size=sum(map(len, variants)))
        return query[:2] + variants[0]

    async def ask(self, later: Later, *, stream: bool) -> bytes:
        """The response to a query that cannot be answered at once."""
        if later.found is not None:
            found = await self._complete(later.found, later.question.type)
            return wire.encode(later.message, found, stream=stream)
        try:
            return wire.fit(await self._ask(later.query), later.message, stream=stream)
        except NoAnswer as error:
            log.debug("%s: %s", later.question.name, error)
            return wire.failure(later.message, "SERVFAIL")

    def _known(self, query: bytes, *, stream: bool) -> bytes | None:
        if self._generation != self._zone.generation:
            self._generation = self._zone.generation
            for cache in self._local:
                cache.clear()
        variants = self._local[stream].get(query[2:])
        if variants is not None:
            self._turn += 1
            return query[:2] + variants[self._turn % len(variants)]
        kept = self._foreign.get(query[2:])
        # What is longer than any client takes over UDP has to be cut for this one.
        if kept is not None and kept[0] > self._clock.monotonic() and (stream or len(kept[1]) <= wire.SMALLEST_LIMIT):
            return query[:2] + kept[1][2:]
        return None

    async def _complete(self, found: Answer, kind: str) -> Answer:
        """Follow a CNAME out of the zone: stub resolvers expect the addresses in the same answer."""
        try:
            response = await self._ask(wire.query(found.elsewhere, kind))
        except NoAnswer:
            return found
        rcode, records = wire.records(response)
        return Answer("NXDOMAIN" if rcode == "NXDOMAIN" else "NOERROR", (*found.records, *records))

    async def _ask(self, query: bytes) -> bytes:
        """Ask upstream, once for all who want the same at the same time. Raises NoAnswer."""
        key = query[2:]
        if (kept := self._foreign.get(key)) is not None and kept[0] > self._clock.monotonic():
            return query[:2] + kept[1][2:]
        pending = self._asked.get(key)
        if pending is None:
            pending = self._asked[key] = asyncio.ensure_future(self._upstream.ask(query))
            pending.add_done_callback(lambda done: self._keep(key, done))
        return query[:2] + (await asyncio.shield(pending))[2:]

    def _keep(self, key: bytes, done: asyncio.Future[bytes]) -> None:
        self._asked.pop(key, None)
        if done.cancelled() or done.exception() is not None:
            return
        lifetime = min(wire.lifetime(done.result()), LONGEST_LIFETIME)
        if lifetime > 0:
            kept = (self._clock.monotonic() + lifetime, done.result())
            self._foreign.put(key, kept, size=len(done.result()))


def _opcode(query: bytes) -> int:
    return (query[2] >> 3) & 0x0F if len(query) > 2 else 0
