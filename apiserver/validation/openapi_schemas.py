"""What a version's `openAPIV3Schema` may say beyond being structural: unsupported words, list and map types, CEL rules.

Source: Kubernetes' apiextensions-apiserver, validation.go (ValidateCustomResourceDefinitionOpenAPISchema).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value, not_supported, required

from .rule_costs import Costs, rule_causes
from .sequences import repeats

Schema = Mapping[str, Any]

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_UNSUPPORTED = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")
_META = ("metadata", "kind", "apiVersion")
_SET = "must be atomic as item of a list with x-kubernetes-list-type=set"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a schema we are.

    `no_default` says why defaults are forbidden here, empty if they are not. `uncorrelated` is the nearest list or map
    whose old and new elements cannot be matched. `occurrences` is how often a value can stand here, None if unbounded.
    """

    field: str
    root: bool = False
    in_meta: bool = False
    no_default: str = ""
    uncorrelated: str = ""
    occurrences: int | None = 1
    rules: bool = True

    def child(self, step: str, **changes: Any) -> Place:
        """A place below this one."""
        return replace(self, field=f"{self.field}.{step}", root=False, **changes)


def check(schema: Schema, field: str, *, rules: bool) -> list[Cause]:
    """All that is wrong; CEL rules are compiled only if `rules`, which needs a structural schema."""
    costs = Costs()
    causes = _check(schema, Place(field, root=True, rules=rules), costs)
    return causes + costs.causes(field)


def _check(schema: Schema, place: Place, costs: Costs) -> list[Cause]:
    plain = [*_words(schema, place), *_extensions(schema, place.field)]
    below = [cause for part, inner in _parts(schema, place) for cause in _check(part, inner, costs)]
    plain_only = [*plain, *below]
    if schema.get("x-kubernetes-validations"):
        plain_only += rule_causes(schema, place.field, costs=None)
        if place.rules and not plain_only:
            embedded = bool(schema.get("x-kubernetes-embedded-resource"))
            return rule_causes(
                schema,
                place.field,
                costs=costs,
                root=place.root or embedded,
                occurrences=place.occurrences,
                uncorrelated=place.uncorrelated,
            )
    return plain_only


def _parts(schema: Schema, place: Place) -> Iterator[tuple[Schema, Place]]:
    """The schemas below, with their places."""
    additional, items = schema.get("additionalProperties"), schema.get("items")
    count = _occurrences(schema, place)
    if isinstance(additional, Mapping):
        reason = "must not be set inside additionalProperties applying to object metadata" if place.in_meta else ""
        yield additional, place.child("additionalProperties", no_default=reason or place.no_default, occurrences=count)
    correlated = schema.get("x-kubernetes-map-type") in (None, "granular", "atomic")
    resource = place.root or schema.get("x-kubernetes-embedded-resource")
    for name, part in (schema.get("properties") or {}).items():
        inner = place.child(
            f"properties[{name}]",
            occurrences=count,
            uncorrelated=place.uncorrelated or ("" if correlated else place.field),
        )
        if resource and name in _META:
            inner = replace(inner, in_meta=True)
            if place.root:
                inner = replace(inner, no_default=f"must not be set in top-level {name}")
        yield part, inner
    if isinstance(schema.get("not"), Mapping):
        yield schema["not"], place.child("not", rules=False)
    for operator in ("allOf", "oneOf", "anyOf"):
        for index, part in enumerate(schema.get(operator) or ()):
            yield part, place.child(f"{operator}[{index}]", rules=False)
    if isinstance(items, Mapping):
        mapped = schema.get("x-kubernetes-list-type") == "map"
        uncorrelated = place.uncorrelated or ("" if mapped else place.field)
        yield items, place.child("items", occurrences=count, uncorrelated=uncorrelated)


def _occurrences(schema: Schema, place: Place) -> int | None:
    limit: int | None = 1
    if schema.get("type") == "array":
        limit = schema.get("maxItems")
    elif schema.get("type") == "object" and schema.get("additionalProperties") is not None:
        limit = schema.get("maxProperties")
    if place.occurrences is None or limit is None:
        return None
    return place.occurrences * max(0, limit)


def _words(schema: Schema, place: Place) -> Iterator[Cause]:
    field, kind = place.field, schema.get("type") or ""
    if kind and kind not in _TYPES:
        yield not_supported(f"{field}.type", kind, _TYPES)
    if schema.get("default") is not None and place.no_default:
        yield forbidden_field(f"{field}.default", place.no_default)
    for word in _UNSUPPORTED:
        if schema.get(word) not in (None, "", {}, []):
            yield forbidden_field(f"{field}.{word}", f"{word} is not supported")
    if kind == "null":
        yield forbidden_field(f"{field}.type", "type cannot be set to null, use nullable as an alternative")
    if isinstance(schema.get("items"), list):
        yield forbidden_field(f"{field}.items", "items must be a schema object and not an array")
    if place.in_meta and schema.get("x-kubernetes-embedded-resource"):
        yield forbidden_field(f"{field}.x-kubernetes-embedded-resource", "must not be used inside of resource meta")
    if schema.get("uniqueItems"):
        detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden_field(f"{field}.uniqueItems", detail)
    additional = schema.get("additionalProperties")
    if schema.get("properties") and additional is not None and additional is not True:
        detail = "additionalProperties and properties are mutual exclusive"
        yield forbidden_field(f"{field}.additionalProperties", detail)


def _extensions(schema: Schema, field: str) -> Iterator[Cause]:
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        name = f"{field}.x-kubernetes-preserve-unknown-fields"
        yield invalid_value(name, False, "must be true or undefined")
    kind = schema.get("type") or ""
    for word, needed, allowed in (
        ("x-kubernetes-map-type", "object", ("atomic", "granular")),
        ("x-kubernetes-list-type", "array", ("atomic", "set", "map")),
    ):
        value = schema.get(word)
        if value is None:
            continue
        if kind != needed:
            detail = f"must be {needed} if {word} is specified"
            yield invalid_value(f"{field}.type", kind, detail) if kind else required(f"{field}.type", detail)
        if value not in allowed:
            yield not_supported(f"{field}.{word}", value, allowed)
    yield from _lists(schema, field)


def _lists(schema: Schema, field: str) -> Iterator[Cause]:
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys") or []
    items = schema.get("items")
    if keys and kind != "map":
        detail = "must be map if x-kubernetes-list-map-keys is non-empty"
        name = f"{field}.x-kubernetes-list-type"
        yield required(name, detail) if kind is None else invalid_value(name, kind, detail)
    if kind == "set" and isinstance(items, Mapping):
        inner, word = items.get("type"), {"array": "list", "object": "map"}
        name = f"x-kubernetes-{word.get(str(inner), '')}-type"
        value = items.get(name)
        if (inner == "array" and value not in (None, "atomic")) or (inner == "object" and value != "atomic"):
            yield invalid_value(f"{field}.items.{name}", value, _SET)
    if kind == "map":
        yield from _map_list(keys, items, field)
    if kind in ("set", "map") and isinstance(items, Mapping):
        if items.get("nullable"):
            yield forbidden_field(
                f"{field}.items.nullable", f"cannot be nullable when x-kubernetes-list-type is {kind}"
            )
        if kind == "map":
            yield from _keys_are_set(keys, items, field)


def _map_list(keys: list[str], items: object, field: str) -> Iterator[Cause]:
    if not keys:
        detail = "must not be empty if x-kubernetes-list-type is map"
        yield required(f"{field}.x-kubernetes-list-map-keys", detail)
    if not isinstance(items, Mapping):
        yield required(f"{field}.items", "must have a schema if x-kubernetes-list-type is map")
        return
    if items.get("type") != "object":
        detail = "must be object if parent array's x-kubernetes-list-type is map"
        yield invalid_value(f"{field}.items.type", items.get("type") or "", detail)
        return
    properties = items.get("properties") or {}
    twice = frozenset(repeats(keys))
    for index, key in enumerate(keys):
        if key not in properties:
            detail = "entries must all be names of item properties"
            yield invalid_value(f"{field}.x-kubernetes-list-map-keys", keys, detail)
        elif properties[key].get("type") in ("array", "object"):
            detail = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            yield invalid_value(f"{field}.items.properties[{key}].type", items["type"], detail)
        if index in twice:
            yield invalid_value(f"{field}.x-kubernetes-list-map-keys", keys, "must not contain duplicate entries")


def _keys_are_set(keys: list[str], items: Schema, field: str) -> Iterator[Cause]:
    properties = items.get("properties") or {}
    for key in keys:
        part = properties.get(key)
        if part is None:
            continue
        reason = "this property is in x-kubernetes-list-map-keys, so it"
        if key not in (items.get("required") or ()) and part.get("default") is None:
            detail = f"{reason} must have a default or be a required property"
            yield required(f"{field}.items.properties[{key}].default", detail)
        if part.get("nullable"):
            yield forbidden_field(f"{field}.items.properties[{key}].nullable", f"{reason} cannot be nullable")
