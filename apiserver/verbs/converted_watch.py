"""Watches of a version that only a webhook can make: the lines of a plain watch, converted on their way out.

Other watches convert at once, while a piece is put together; a webhook has to be waited for. The lines that come
together are converted together, and order is kept: the next piece is taken when this one has been sent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import orjson

from k8slite.errors import ApiError

from ..documents import Document, decode
from ..registry import Served
from ..storage.base import revision_of
from ..watching.events import line, parts_of
from ..watching.watch import WatchStream

Render = Callable[[Document], bytes]
"""From a document of the version asked for to what the client wants."""
_OBJECTS = (b"ADDED", b"MODIFIED", b"DELETED")


class ConvertedWatch(AsyncIterator[bytes]):
    """The pieces of a watch with each object converted. A failure to convert is the last line: an ERROR event.

    `keeps_plain` says that an object which needs no conversion leaves as it is stored.
    """

    def __init__(self, stream: WatchStream, *, served: Served, render: Render, keeps_plain: bool) -> None:
        self._stream = stream
        self._served = served
        self._render = render
        self._keeps_plain = keeps_plain
        self._failed = False

    async def __anext__(self) -> bytes:
        if self._failed:
            await self.aclose()
            raise StopAsyncIteration
        piece = await anext(self._stream)
        try:
            return await self._converted(piece)
        except ApiError as error:
            self._failed = True
            return line("ERROR", orjson.dumps(error.status()))

    async def aclose(self) -> None:
        """Forget the client."""
        await self._stream.aclose()

    async def _converted(self, piece: bytes) -> bytes:
        lines = piece.splitlines(keepends=True)
        events = [(index, *parts_of(each)) for index, each in enumerate(lines)]
        events = [event for event in events if event[1] in _OBJECTS]
        plain = [self._served.is_plain(revision_of(value)) for _, _, value in events]
        documents = [decode(value) for _, _, value in events]
        stale = [index for index, kept in enumerate(plain) if not kept]
        converted = await self._served.present([documents[index] for index in stale])
        for index, document in zip(stale, converted, strict=True):
            documents[index] = document
        for (index, kind, _), document, kept in zip(events, documents, plain, strict=True):
            if not (kept and self._keeps_plain):
                lines[index] = line(kind.decode(), self._render(document))
        return b"".join(lines)
