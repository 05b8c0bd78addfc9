"""Whether the defaults of a schema are values that the schema itself admits, without unknown fields.

Source: Kubernetes' apiextensions-apiserver, schema/defaulting/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from k8slite.errors import Cause, invalid_value

from ..custom import validating
from ..custom.rules import Rules

Schema = Mapping[str, Any]

_META = ("apiVersion", "kind", "metadata")


def check(schema: Schema, field: str) -> list[Cause]:
    """What is wrong with the defaults anywhere in a version's schema."""
    return list(_defaults(schema, field, resource=True))


def _defaults(schema: Schema, field: str, *, resource: bool) -> Iterator[Cause]:
    resource = resource or bool(schema.get("x-kubernetes-embedded-resource"))
    default = schema.get("default")
    if default is not None:
        yield from _default(schema, default, f"{field}.default", resource=resource)
    if isinstance(schema.get("items"), Mapping):
        yield from _defaults(schema["items"], f"{field}.items", resource=False)
    for name, part in (schema.get("properties") or {}).items():
        yield from _defaults(part, f"{field}.properties[{name}]", resource=False)


def _default(schema: Schema, default: Any, field: str, *, resource: bool) -> Iterator[Cause]:
    if _has_unknown(default, schema, resource=resource):
        yield invalid_value(field, default, "must not have unknown fields")
    values = validating.Rules(schema).check(default, prefix=field)
    if values:
        yield from values
        return
    rules = Rules.compile(schema, root=resource)
    # As an unchanged value first, then as a new one: rules with an optional oldSelf see both.
    yield from rules.check(default, default, path=field) or rules.check(default, None, path=field)


def _has_unknown(value: Any, schema: Schema, *, resource: bool = False) -> bool:
    """Whether pruning would take anything away."""
    if isinstance(value, list):
        items = schema.get("items")
        return isinstance(items, Mapping) and any(_inner(item, items) for item in value)
    if not isinstance(value, dict):
        return False
    properties, additional = schema.get("properties") or {}, schema.get("additionalProperties")
    for name, part in value.items():
        if resource and name in _META:
            continue
        if name in properties:
            unknown = _inner(part, properties[name])
        elif isinstance(additional, Mapping):
            unknown = _inner(part, additional)
        else:
            unknown = additional is not True and not schema.get("x-kubernetes-preserve-unknown-fields")
        if unknown:
            return True
    return False


def _inner(value: Any, schema: Schema) -> bool:
    return _has_unknown(value, schema, resource=bool(schema.get("x-kubernetes-embedded-resource")))
