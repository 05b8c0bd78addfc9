"""Defaults of a schema, and the nulls that give way to them.

A null is a value only where the schema says `nullable`. Elsewhere it stands for the default, or for nothing at all.

Source: Kubernetes documentation, "Defaulting and nullable"; apiextensions-apiserver, schema/defaulting.
"""

from __future__ import annotations

from typing import Any

from .structural import Structural


def drop_nulls(value: Any, schema: Structural | None) -> None:
    """Drop members that are null, may not be, and have no default."""
    if schema is None:
        return
    if isinstance(value, dict):
        for name in list(value):
            below = schema.member(name)
            if below is None:
                continue
            if value[name] is None and not below.nullable and below.default is None:
                del value[name]
            else:
                drop_nulls(value[name], below)
    elif isinstance(value, list):
        for item in value:
            drop_nulls(item, schema.items)


def default(value: Any, schema: Structural | None) -> None:
    """Fill in what is absent, or null and may not be."""
    if schema is None:
        return
    if isinstance(value, dict):
        for name, below in schema.properties.items():
            if below.default is not None and (name not in value or (value[name] is None and not below.nullable)):
                value[name] = _copy(below.default)
        for name, item in value.items():
            inner = schema.member(name)
            if inner is None:
                continue
            if item is None and not inner.nullable and name not in schema.properties:
                item = value[name] = _copy(inner.default)
            if isinstance(item, (dict, list)):
                default(item, inner)
    elif isinstance(value, list) and schema.items is not None:
        for index, item in enumerate(value):
            if item is None and not schema.items.nullable:
                value[index] = _copy(schema.items.default)
            default(value[index], schema.items)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(item) for name, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
