"""One real server and one server of webhooks for the tests of a module; configurations go after each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from k8slite.testing import RunningServer

from .hooks import Hooks, hook_server, withdraw_all


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hook_process(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hooks]:
    async with hook_server(tmp_path_factory.mktemp("hooks")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def hooks(server: RunningServer, http: httpx.AsyncClient, hook_process: Hooks) -> AsyncIterator[Hooks]:
    yield hook_process
    await withdraw_all(http)
    hook_process.clear()


@pytest_asyncio.fixture(loop_scope="module")
async def namespace(http: httpx.AsyncClient) -> str:
    """A namespace of the test's own, with its service account; the name."""
    made = await http.post("/api/v1/namespaces", json={"metadata": {"generateName": "hooked-"}})
    assert made.status_code == 201, made.text
    name: str = made.json()["metadata"]["name"]
    account = await http.post(f"/api/v1/namespaces/{name}/serviceaccounts", json={"metadata": {"name": "default"}})
    assert account.status_code == 201, account.text
    return name
