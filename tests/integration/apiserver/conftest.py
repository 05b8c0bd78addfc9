"""One real server for the tests of a module; each test uses names of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from k8slite.testing import RunningServer, running_server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with server.http() as client:
        yield client
