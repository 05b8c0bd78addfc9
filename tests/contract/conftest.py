"""Fixtures of the contract suites: each engine in turn, one etcd for all."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from k8slite.apiserver.storage.base import Store
from k8slite.apiserver.storage.encryption.store import Encrypting
from k8slite.apiserver.storage.etcd import EtcdStore
from k8slite.apiserver.storage.memory import MemoryStore
from k8slite.apiserver.storage.sqlite import SqliteStore

from .engines import ALL, CONFIGURATION, ENCRYPTED, NAMES, Engine
from .etcd_server import etcd

_numbers = itertools.count()


@pytest.fixture(scope="session")
def etcd_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with etcd(tmp_path_factory.mktemp("etcd")) as [server]:
        yield server.endpoint


def _make(name: str, request: pytest.FixtureRequest, directory: Path) -> Callable[[], Store]:
    if name.startswith(ENCRYPTED):
        below = _make(name.removeprefix(ENCRYPTED), request, directory)
        file = directory / "encryption.yaml"
        file.write_text(CONFIGURATION)
        return lambda: Encrypting(below(), file)
    if name == "memory":
        return MemoryStore
    if name == "sqlite":
        return lambda: SqliteStore(directory / "store.db")
    endpoint, prefix = request.getfixturevalue("etcd_endpoint"), f"/test{next(_numbers)}"
    return lambda: EtcdStore([endpoint], prefix=prefix)


@pytest.fixture(params=ALL)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    return Engine(request.param, _make(request.param, request, tmp_path))


@pytest.fixture(params=[name for name in ALL if not name.endswith(NAMES[0])])
def lasting(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """An engine whose objects outlive the store."""
    return Engine(request.param, _make(request.param, request, tmp_path))


@pytest.fixture
async def store(engine: Engine) -> AsyncIterator[Store]:
    store = engine.make()
    await store.open()
    yield store
    await store.close()
