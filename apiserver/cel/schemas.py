"""Structural schemas as CEL sees them: the declared type of a schema's values, and the values themselves.

Not visible: properties of unknown fields, of types without schema, and with names that cannot be escaped. Numbers are
doubles, strings with the formats date, date-time, duration and byte are timestamps, durations and bytes, lists of type
set or map do not care for order.

Source: Kubernetes' apiserver, pkg/cel/common/schemas.go and values.go.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from . import types
from .escaping import escape
from .types import DeclType
from .values import KeyedList, frozen, parse_date, parse_duration, parse_timestamp

Schema = Mapping[str, Any]
Convert = Callable[[Any], Any]

_REQUEST = 3 * 1024 * 1024
_DATED = {
    "byte": ("bytes", _REQUEST - 2, 2),
    "duration": ("duration", 32, 3),
    "date": ("timestamp", 12, 12),
    "date-time": ("timestamp", 32, 21),
}
_METADATA: Schema = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}},
}


def declared(schema: Schema, *, root: bool = False) -> DeclType | None:
    """The type of the schema's values; None if expressions cannot see them. `root`: of a resource, embedded or not."""
    if schema.get("x-kubernetes-int-or-string"):
        limit = schema.get("maxLength")
        return DeclType("dyn", max_elements=_REQUEST - 2 if limit is None else max(0, limit) * 4, min_size=1)
    match schema.get("type"):
        case "array":
            items = schema.get("items")
            element = _nested(items)
            return element and types.list_of(element, max_items=schema.get("maxItems"))
        case "object":
            additional = schema.get("additionalProperties")
            if isinstance(additional, Mapping) and not root:
                element = _nested(additional)
                return element and types.map_of(element, max_properties=schema.get("maxProperties"))
            return _object(schema, root=root)
        case "string":
            return _string(schema)
        case "boolean":
            return types.BOOL
        case "number":
            return types.DOUBLE
        case "integer":
            return types.INT
        case _:
            return None


def properties(schema: Schema, *, root: bool = False) -> Mapping[str, Schema]:
    """The properties that expressions may know; of a resource also its kind and its metadata's name."""
    found: Mapping[str, Schema] = schema.get("properties") or {}
    if not root:
        return found
    return {**found, "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": _METADATA}


def _nested(schema: object) -> DeclType | None:
    if not isinstance(schema, Mapping):
        return None
    return declared(schema, root=bool(schema.get("x-kubernetes-embedded-resource")))


def _object(schema: Schema, *, root: bool) -> DeclType:
    required = frozenset(schema.get("required") or ())
    fields: dict[str, DeclType] = {}
    smallest = 2
    for name, part in properties(schema, root=root).items():
        kind = _nested(part)
        if kind is None:
            continue
        escaped = escape(name)
        if escaped is not None:
            fields[escaped] = kind
        if name in required and part.get("default") is None:
            smallest += len(name) + kind.min_size + 4
    return DeclType("object", fields=fields, min_size=smallest)


def _string(schema: Schema) -> DeclType:
    limit, choices = schema.get("maxLength"), schema.get("enum")
    if schema.get("format") in _DATED:
        kind, most, least = _DATED[schema["format"]]
        if kind == "bytes" and limit is not None:
            most = max(0, limit)
        return DeclType(kind, max_elements=most, min_size=least)
    if limit is not None:
        most = max(0, limit) * 4
    elif choices:
        most = max((len(choice.encode()) for choice in choices if isinstance(choice, str)), default=0)
    else:
        most = _REQUEST - 2
    return DeclType("string", max_elements=most, min_size=2)


def converter(schema: Schema, *, root: bool = False) -> Convert | None:
    """What turns a stored value into the one that expressions see; None if it is the same."""
    if schema.get("x-kubernetes-int-or-string"):
        return None
    match schema.get("type"):
        case "number":
            return lambda value: float(value) if isinstance(value, int) and not isinstance(value, bool) else value
        case "integer":
            return lambda value: int(value) if isinstance(value, float) else value
        case "string":
            parse = _PARSERS.get(schema.get("format", ""))
            return parse and _lenient(parse)
        case "array":
            return _list_converter(schema)
        case "object":
            additional = schema.get("additionalProperties")
            if isinstance(additional, Mapping) and not root:
                return _map_converter(_nested_converter(additional))
            return _object_converter(schema, root=root)
        case _:
            return None


def _nested_converter(schema: Schema) -> Convert | None:
    return converter(schema, root=bool(schema.get("x-kubernetes-embedded-resource")))


def _lenient(parse: Convert) -> Convert:
    def convert(value: Any) -> Any:
        parsed = parse(value) if isinstance(value, str) else None
        return value if parsed is None else parsed

    return convert


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text)
    except ValueError:
        return None


_PARSERS: Mapping[str, Convert] = {
    "byte": _decoded,
    "date": parse_date,
    "date-time": parse_timestamp,
    "duration": parse_duration,
}


def _list_converter(schema: Schema) -> Convert | None:
    items = schema.get("items")
    element = _nested_converter(items) if isinstance(items, Mapping) else None
    identify = _identity(schema)
    if element is None and identify is None:
        return None

    def convert(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        converted = value if element is None else [element(item) for item in value]
        return converted if identify is None else KeyedList(converted, identify)

    return convert


def _identity(schema: Schema) -> Callable[[Any], Hashable] | None:
    kind = schema.get("x-kubernetes-list-type")
    if kind == "set":
        return frozen
    if kind != "map":
        return None
    keys = [escape(key) or key for key in schema.get("x-kubernetes-list-map-keys") or ()]
    return lambda item: tuple(frozen(item.get(key)) for key in keys) if isinstance(item, dict) else frozen(item)


def _map_converter(element: Convert | None) -> Convert | None:
    if element is None:
        return None

    def convert(value: Any) -> Any:
        return {key: element(item) for key, item in value.items()} if isinstance(value, dict) else value

    return convert


def _object_converter(schema: Schema, *, root: bool) -> Convert | None:
    changes: list[tuple[str, str, Convert | None]] = []
    for name, part in properties(schema, root=root).items():
        change, escaped = _nested_converter(part), escape(name)
        if change is not None or (escaped is not None and escaped != name):
            changes.append((name, escaped or name, change))
    if not changes:
        return None

    def convert(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        converted = dict(value)
        for name, escaped, change in changes:
            if name in converted:
                item = converted.pop(name)
                converted[escaped] = item if change is None or item is None else change(item)
        return converted

    return convert
