"""One real server for the tests of a module; each test uses names of its own, or a namespace."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
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


@pytest_asyncio.fixture(loop_scope="module")
async def namespace(http: httpx.AsyncClient, request: pytest.FixtureRequest) -> str:
    """A namespace of the test's own, with its service account; the name."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name.lower())[:60].strip("-")
    made = await http.post("/api/v1/namespaces", json={"metadata": {"name": name}})
    assert made.status_code == 201, made.text
    account = await http.post(f"/api/v1/namespaces/{name}/serviceaccounts", json={"metadata": {"name": "default"}})
    assert account.status_code == 201, account.text
    return name
