"""The configuration of admission plugins: one file that holds, or leads to, what each plugin is told.

An `AdmissionConfiguration` lists plugins by name; each has its configuration in place, or a `path` to a file of its
own, relative to the list's. Plugins read their own part and know what may stand in it.

Source: Kubernetes documentation, "kube-apiserver Admission (v1)"; apiserver's server/options, admission/config.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from k8slite.config import ConfigError

from ..strategies.base import Document

_VERSIONS = frozenset({"apiserver.config.k8s.io/v1", "apiserver.k8s.io/v1alpha1"})
_KIND = "AdmissionConfiguration"


class Configurations:
    """What the file says, by plugin; without a file nothing."""

    def __init__(self, by_name: Mapping[str, Document] | None = None) -> None:
        self._by_name = dict(by_name or {})

    @property
    def names(self) -> frozenset[str]:
        """The plugins that are told something."""
        return frozenset(self._by_name)

    def of(self, plugin: str, *, kind: str, versions: frozenset[str]) -> Document:
        """A plugin's configuration, empty if it has none. Raises ConfigError for another kind or version."""
        found = self._by_name.get(plugin)
        if found is None:
            return {}
        if found.get("kind") != kind or found.get("apiVersion") not in versions:
            given = f"{found.get('apiVersion') or 'no apiVersion'}, {found.get('kind') or 'no kind'}"
            raise ConfigError(f"admission plugin {plugin}: the configuration is no {kind} ({given})")
        return found


def read(path: Path | None) -> Configurations:
    """Read the file and those that it leads to. Raises ConfigError."""
    if path is None:
        return Configurations()
    document = _mapping(path)
    if document.get("kind") != _KIND or document.get("apiVersion") not in _VERSIONS:
        raise ConfigError(f"{path}: not an {_KIND} of {' or '.join(sorted(_VERSIONS))}")
    found: dict[str, Document] = {}
    plugins = document.get("plugins") or []
    if not isinstance(plugins, list):
        raise ConfigError(f"{path}: plugins: must be a list")
    for index, plugin in enumerate(plugins):
        where = f"{path}: plugins[{index}]"
        if not isinstance(plugin, dict) or not isinstance(plugin.get("name"), str):
            raise ConfigError(f"{where}: a plugin needs a name")
        if unknown := sorted(plugin.keys() - {"name", "path", "configuration"}):
            raise ConfigError(f"{where}: unknown field {unknown[0]}")
        if plugin["name"] in found:
            raise ConfigError(f"{where}: {plugin['name']} is configured twice")
        found[plugin["name"]] = _own(plugin, where, path.parent)
    return Configurations(found)


def _own(plugin: Document, where: str, directory: Path) -> Document:
    inline, path = plugin.get("configuration"), plugin.get("path")
    if inline is not None:
        if not isinstance(inline, dict):
            raise ConfigError(f"{where}.configuration: must be a mapping")
        return inline
    if not isinstance(path, str) or not path:
        raise ConfigError(f"{where}: needs a configuration or a path")
    return _mapping(directory / path)


def _mapping(path: Path) -> Document:
    try:
        document: Any = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: must be a mapping")
    return document
