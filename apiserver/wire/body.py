"""Reading the bodies of requests: whole, bounded, in time, and all of those that are not there yet within a budget.

Most bodies have come with their heads. The others are read as fast as their clients send them; what has come of all of
them together is counted, so that many clients who send large bodies slowly do not fill the memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from k8slite.errors import ApiError, bad_request, request_entity_too_large

from ..calls import Receive
from .exchange import whole_body

LIMIT = 3 << 20
"""Bytes of one body."""
BUDGET = 96 << 20
"""Bytes of all bodies that are on their way."""
TIMEOUT = 60.0
"""Seconds in which a body must have come."""


class Bodies:
    """The bodies that are read at the moment."""

    def __init__(self, *, budget: int = BUDGET) -> None:
        self._budget = budget
        self.held = 0
        """Bytes that have come of bodies that are not whole yet."""

    async def read(self, receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
        """The whole body of a request.

        Raises ApiError: 413 for one that is too long, 504 for one that does not come, 429 if too much is on its way.
        """
        if (body := self.ready(receive)) is not None:
            return body
        length = headers.get(b"content-length")
        if length is not None and length.isdigit() and int(length) > LIMIT:
            raise request_entity_too_large(f"limit is {LIMIT}")
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._whole(receive)
        except TimeoutError:
            raise ApiError(504, "Timeout", "request did not complete within the allotted timeout") from None

    @staticmethod
    def ready(receive: Receive) -> bytes | None:
        """The whole body of a request if it is there already, as most are. Raises ApiError 413."""
        body = whole_body(receive)
        if body is not None and len(body) > LIMIT:
            raise request_entity_too_large(f"limit is {LIMIT}")
        return body

    async def _whole(self, receive: Receive) -> bytes:
        pieces: list[bytes] = []
        size = 0
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":  # what came until then must not pass for the whole
                    raise bad_request("unexpected EOF")
                piece = message.get("body", b"")
                pieces.append(piece)
                size += len(piece)
                self.held += len(piece)
                if size > LIMIT:
                    raise request_entity_too_large(f"limit is {LIMIT}")
                if not message.get("more_body"):
                    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
                if self.held > self._budget:
                    text = "Too many requests, please try again later."
                    raise ApiError(429, "TooManyRequests", text, details={"retryAfterSeconds": 1})
        finally:
            self.held -= size
