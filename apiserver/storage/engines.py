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
            from .etcd import EtcdStore

            if not config.endpoints:
                raise ConfigError("store.endpoints: needed for the engine etcd")
            return EtcdStore(
                config.endpoints,
                ca_file=config.ca_file,
                cert_file=config.cert_file,
                key_file=config.key_file,
                compaction_age=config.compaction_age,
            )
