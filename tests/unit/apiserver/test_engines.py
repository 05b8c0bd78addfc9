"""Choosing a store by configuration."""

import subprocess
import sys
from pathlib import Path

import pytest

from k8slite.apiserver.storage.engines import build
from k8slite.apiserver.storage.memory import MemoryStore
from k8slite.apiserver.storage.sqlite import SqliteStore
from k8slite.config import ConfigError, StoreConfig


def test_each_engine_is_built_from_its_settings(tmp_path: Path) -> None:
    assert isinstance(build(StoreConfig(engine="memory")), MemoryStore)
    assert isinstance(build(StoreConfig(engine="sqlite", path=tmp_path / "store.db")), SqliteStore)
    etcd = build(StoreConfig(engine="etcd", endpoints=["http://127.0.0.1:2379"]))
    assert type(etcd).__name__ == "EtcdStore"


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(ConfigError, match=r"store\.path"):
        build(StoreConfig(engine="sqlite"))
    with pytest.raises(ConfigError, match=r"store\.endpoints"):
        build(StoreConfig(engine="etcd"))


def test_grpc_is_not_loaded_unless_etcd_is_chosen() -> None:
    """A program that is forked must not have loaded it."""
    program = (
        "import sys, k8slite.apiserver.watching.cache;"
        "import k8slite.apiserver.storage.engines, k8slite.apiserver.storage.sqlite;"
        "sys.exit('grpc' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=Path(__file__).parents[3]).returncode == 0
