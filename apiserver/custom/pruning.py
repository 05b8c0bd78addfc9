"""Unknown fields are dropped: what the schema does not name is not stored.

Source: Kubernetes documentation, "Field pruning"; apiextensions-apiserver, schema/pruning.
"""

from __future__ import annotations

from typing import Any

from .structural import Structural

_META = ("apiVersion", "kind", "metadata")


def prune(document: dict[str, Any], schema: Structural) -> list[str]:
    """Drop what the schema of a whole object does not know: the paths of what was dropped, sorted.

    apiVersion, kind and metadata stay: they are known without a schema.
    """
    return sorted(path.removeprefix(".") for path in _prune(document, schema, embedded=True))


def _prune(value: Any, schema: Structural | None, *, embedded: bool) -> list[str]:
    """The dropped paths below a value, each with the dot or bracket that leads to it."""
    if schema is not None and schema.preserves:
        return _keep(value, schema, embedded=embedded)
    found: list[str] = []
    if isinstance(value, dict):
        for name in list(value):
            if schema is not None and embedded and name in _META:
                continue
            below = schema.properties.get(name) if schema is not None else None
            if below is not None:
                found += _named(name, _prune(value[name], below, embedded=below.embedded))
            elif schema is not None and (schema.additional is not None or schema.open):
                inner = schema.additional
                found += _named(name, _prune(value[name], inner, embedded=inner is not None and inner.embedded))
            else:
                del value[name]
                found.append(f".{name}")
    elif isinstance(value, list):
        items = schema.items if schema is not None else None
        for index, item in enumerate(value):
            if isinstance(item, (dict, list)):
                dropped = _prune(item, items, embedded=items is not None and items.embedded)
                found += [f"[{index}]{path}" for path in dropped]
    return found


def _keep(value: Any, schema: Structural, *, embedded: bool) -> list[str]:
    """The same where unknown fields are kept: the known ones are pruned all the same."""
    found: list[str] = []
    if isinstance(value, dict):
        for name, item in value.items():
            if embedded and name in _META:
                continue
            below = schema.properties.get(name) or schema.additional
            if below is not None or (schema.open and name not in schema.properties):
                found += _named(name, _prune(item, below, embedded=below is not None and below.embedded))
    elif isinstance(value, list) and schema.items is not None:
        for index, item in enumerate(value):
            found += [f"[{index}]{path}" for path in _keep(item, schema.items, embedded=schema.items.embedded)]
    return found


def _named(name: str, paths: list[str]) -> list[str]:
    return [f".{name}{path}" for path in paths]
