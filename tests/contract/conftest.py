"""Fixtures of the contract suites: each engine in turn."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from k8slite.apiserver.storage.base import Store

from .engines import ENGINES, Engine


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    return ENGINES[request.param](tmp_path)


@pytest.fixture(params=[name for name in ENGINES if name != "memory"])
def lasting(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    return ENGINES[request.param](tmp_path)


@pytest.fixture
async def store(engine: Engine) -> AsyncIterator[Store]:
    store = engine.make()
    await store.open()
    yield store
    await store.close()
