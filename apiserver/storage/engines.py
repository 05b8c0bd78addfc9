"""Which store a configuration asks for. Engines are imported when chosen: grpc must not be loaded before a fork."""

from __future__ import annotations

from k8slite.config import ConfigError, StoreConfig

from .base import Store


def build(config: StoreConfig) -> Store:
    """The store of a configuration, not yet open. Raises ConfigError when a setting is missing."""
    match config.engine:
        case "memory":
            from .memory import MemoryStore

            return MemoryStore()
        case "sqlite":
            from .sqlite import SqliteStore

            if config.path is None:
                raise ConfigError("store.path: needed for the engine sqlite")
            return SqliteStore(config.path, compaction_age=config.compaction_age)
        case "etcd":
            raise ConfigError("store.engine: etcd is not built yet")
