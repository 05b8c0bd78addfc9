from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from k8slite.client import Client, ClientConfig

from .tinyapi import TinyApi, tiny_api


@pytest.fixture
async def api() -> AsyncIterator[TinyApi]:
    async with tiny_api() as running:
        yield running


@pytest.fixture
async def client(api: TinyApi) -> AsyncIterator[Client]:
    async with Client(ClientConfig(server=api.url)) as connected:
        yield connected


async def eventually(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - the state is the server's, which signals nothing
            await asyncio.sleep(0.005)
