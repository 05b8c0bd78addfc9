"""One real server for the tests of a module, and clients of whoever a test wants to be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import pytest_asyncio

from k8slite.testing import RunningServer, running_server

Act = Callable[..., httpx.AsyncClient]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[RunningServer]:
    async with running_server() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with server.http() as client:
        yield client


@pytest.fixture
def nodes(server: RunningServer) -> Callable[[str], httpx.AsyncClient]:
    """A kubelet's client, by its certificate."""
    return lambda name: server.http(server.client_config(f"system:node:{name}", ["system:nodes"]))
