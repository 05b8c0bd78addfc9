"""Writes to the API server at a few microseconds each: requests and answers as bytes.

`k8slite.client` serves whoever writes now and then. A program that plays thousands of nodes writes hundreds of times a
second for ever, and what it does is nearly all of it this: bodies are bytes, answers are not read beyond their status.
Nothing that is not idempotent is repeated here: who writes is level-triggered and comes again.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from urllib.parse import urlsplit

import aiohttp
import orjson

from k8slite.client import REQUEST_TIMEOUT
from k8slite.connection import ClientConfig, pool
from k8slite.errors import ApiError
from k8slite.metrics import CLIENT_REQUESTS

JSON, MERGE, STRATEGIC = (f"application/{kind}" for kind in ("json", "merge-patch+json", "strategic-merge-patch+json"))


class Wire:
    """Writes to one server; `connections` bounds how many are under way at once."""

    def __init__(self, config: ClientConfig, *, connections: int) -> None:
        self._host = urlsplit(config.server).hostname or ""
        self._pool = pool(config)
        self._slots = asyncio.Semaphore(connections)

    async def __aenter__(self) -> Wire:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._pool.close()

    async def send(self, method: str, path: str, body: bytes, *, media: str = JSON) -> bytes:
        """One request; the answer's body. Raises ApiError, OSError, TimeoutError."""
        async with self._slots, asyncio.timeout(REQUEST_TIMEOUT):
            try:
                code, answer = await self._pool.request(method, path, body=body, content_type=media)
            except aiohttp.ClientError as error:
                raise ConnectionError(str(error)) from error
        CLIENT_REQUESTS.labels(code, method, self._host).inc()
        if code >= 400:
            raise _refused(code, answer)
        return answer


def _refused(code: int, answer: bytes) -> ApiError:
    try:
        status = orjson.loads(answer)
    except orjson.JSONDecodeError:
        status = {"message": answer[:300].decode(errors="replace").strip()}
    return ApiError.from_status(code, status if isinstance(status, dict) else {})
