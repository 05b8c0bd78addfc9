"""Reading the body of a request: whole, bounded, and in time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from k8slite.errors import ApiError, bad_request, request_entity_too_large

from ..calls import Receive
from .exchange import has_whole_body

LIMIT = 3 << 20
"""Bytes."""
TIMEOUT = 60.0
"""Seconds in which a body must have come."""


async def read_body(receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
    """The whole body of a request. Raises ApiError: 413 for one that is too long, 504 for one that does not come."""
    length = headers.get(b"content-length")
    if length is not None and length.isdigit() and int(length) > LIMIT:
        raise request_entity_too_large(f"limit is {LIMIT}")
    if has_whole_body(receive):  # as most are; a timer costs more than they do
        return await _whole(receive)
    try:
        async with asyncio.timeout(TIMEOUT):
            return await _whole(receive)
    except TimeoutError:
        raise ApiError(504, "Timeout", "request did not complete within the allotted timeout") from None


async def _whole(receive: Receive) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":  # what came until then must not pass for the whole
            raise bad_request("unexpected EOF")
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > LIMIT:
            raise request_entity_too_large(f"limit is {LIMIT}")
        if not message.get("more_body"):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
