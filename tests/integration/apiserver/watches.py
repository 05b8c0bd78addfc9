"""Watches as tests read them: an event at a time, each awaited for a while and no longer."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

_PATIENCE = 10.0


class Watch:
    """A watch that is open."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def next(self) -> tuple[str, dict[str, Any]]:
        """The next event: its type and its object."""
        async with asyncio.timeout(_PATIENCE):
            event = json.loads(await anext(self._lines))
        return event["type"], event["object"]


@contextlib.asynccontextmanager
async def watching(http: httpx.AsyncClient, url: str, **query: Any) -> AsyncIterator[Watch]:
    """Watch a collection for the length of the block."""
    async with http.stream("GET", url, params={"watch": "1", "timeoutSeconds": "20", **query}) as answer:
        assert answer.status_code == 200, await answer.aread()
        yield Watch(answer.aiter_lines())
