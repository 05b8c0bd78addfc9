"""The connections to a kubelet: whose each is, and whether a request of it is under way.

Anybody may knock. When there are too many, those go of whom nobody knows, or who has most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import web


@dataclass(slots=True)
class _Known:
    owner: str = ""
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Guest:
    """One connection."""

    transport: asyncio.Transport
    known: _Known

    @property
    def owner(self) -> str:
        """Whose it is by its last request; empty while nobody knows."""
        return self.known.owner

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return self.known.requests > 0

    def abort(self) -> None:
        """End it at once."""
        self.transport.abort()


class Guests:
    """Those of one kubelet."""

    def __init__(self) -> None:
        self._known: dict[web.RequestHandler, _Known] = {}

    def among(self, connections: Iterable[web.RequestHandler]) -> list[Guest]:
        """The guests of these connections; who has asked nothing yet is nobody."""
        return [
            Guest(each.transport, self._known.get(each) or _Known())
            for each in connections
            if each.transport is not None
        ]

    @contextmanager
    def served(self, request: web.Request, *, owner: str) -> Iterator[None]:
        """A request is under way until the block ends. It was found out whose it is."""
        if request.protocol not in self._known:
            # Neither connections nor transports of every event loop can be referred to weakly.
            self._known = {each: known for each, known in self._known.items() if each.transport is not None}
            self._known[request.protocol] = _Known()
        known = self._known[request.protocol]
        known.owner = owner
        known.requests += 1
        try:
            yield
        finally:
            known.requests -= 1
