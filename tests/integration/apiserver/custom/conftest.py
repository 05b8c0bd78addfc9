"""A real server over each embedded store."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from k8slite.testing import RunningServer, running_server


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["memory", "sqlite"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[RunningServer]:
    async with running_server(store=request.param) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with server.http() as client:
        yield client
