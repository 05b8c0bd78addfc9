"""Defaults of a schema, and the nulls that give way to them.

A null is a value only where the schema says `nullable`. Elsewhere it stands for the default, or for nothing at all.

Source: Kubernetes documentation, "Defaulting and nullable"; apiextensions-apiserver, schema/defaulting.
"""

from __future__ import annotations

from typing import Any

import orjson

from k8slite.errors import object_too_large

from ..documents import LARGEST
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
    """Fill in what is absent, or null and may not be. Raises ApiError 500 if that alone is more than can be stored."""
    _fill(value, schema, _Room())


class _Room:
    """How many bytes of defaults an object may get: a short list of nothing but braces may ask for gigabytes."""

    def __init__(self) -> None:
        self._left = LARGEST

    def copy(self, value: Any) -> Any:
        """A default of its own for one place."""
        if isinstance(value, (str, dict, list)):
            self._left -= len(orjson.dumps(value))
            if self._left < 0:
                raise object_too_large()
        return _copy(value)


def _fill(value: Any, schema: Structural | None, room: _Room) -> None:
    if schema is None:
        return
    if isinstance(value, dict):
        for name, below in schema.properties.items():
            if below.default is not None and (name not in value or (value[name] is None and not below.nullable)):
                value[name] = room.copy(below.default)
        for name, item in value.items():
            inner = schema.member(name)
            if inner is None:
                continue
            if item is None and not inner.nullable and name not in schema.properties:
                item = value[name] = room.copy(inner.default)
            if isinstance(item, (dict, list)):
                _fill(item, inner, room)
    elif isinstance(value, list) and schema.items is not None:
        for index, item in enumerate(value):
            if item is None and not schema.items.nullable:
                value[index] = room.copy(schema.items.default)
            _fill(value[index], schema.items, room)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(item) for name, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
