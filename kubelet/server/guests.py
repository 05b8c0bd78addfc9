"""The connections to a kubelet: whose each is, and whether a request of it is under way.

Anybody may knock. When there are too many, those go of whom nobody knows, or who has most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

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
        self._known: WeakKeyDictionary[asyncio.BaseTransport, _Known] = WeakKeyDictionary()

    def among(self, connections: Iterable[web.RequestHandler]) -> list[Guest]:
        """The guests of these connections; who has asked nothing yet is nobody."""
        transports = (each.transport for each in connections)
        return [Guest(each, self._known.get(each) or _Known()) for each in transports if each is not None]

    @contextmanager
    def served(self, request: web.Request, *, owner: str) -> Iterator[None]:
        """A request is under way until the block ends. It was found out whose it is."""
        if request.transport is None:  # the client has left already
            yield
            return
        known = self._known.setdefault(request.transport, _Known())
        known.owner = owner
        known.requests += 1
        try:
            yield
        finally:
            known.requests -= 1
