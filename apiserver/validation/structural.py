"""Whether a schema is structural: every field's type is said once, outside of allOf, anyOf, oneOf and not.

Source: Kubernetes documentation, "Specifying a structural schema"; apiextensions-apiserver, schema/validation.go and
complete.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from k8slite.errors import Cause, forbidden_field, invalid_value, required

from ..cel.functions.strings import regex
from ..cel.values import EvaluationError

Schema = Mapping[str, Any]

_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
_TYPELESS = {
    "root": "must not be empty at the root",
    "items": "must not be empty for specified array items",
    "field": "must not be empty for specified object fields",
}
#: What a logical operator's schema may not say, and why.
_OUTSIDE_ONLY = (
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
)
_PRESENCE = frozenset({"additionalProperties", "default", "x-kubernetes-list-type", "x-kubernetes-map-type"})


def check(schema: Schema, field: str) -> list[Cause]:
    """What keeps a version's schema from being structural, sorted."""
    causes = [*_place(schema, field, level="root"), *_complete(schema, schema, field, field)]
    return sorted(causes, key=str)


def _place(schema: Schema, field: str, *, level: str) -> Iterator[Cause]:
    kind = schema.get("type") or ""
    items, additional = schema.get("items"), schema.get("additionalProperties")
    if kind == "array" and not isinstance(items, Mapping):
        yield required(f"{field}.items", "must be specified")
    if isinstance(items, Mapping):
        yield from _place(items, f"{field}.items", level="items")
    for name, part in (schema.get("properties") or {}).items():
        yield from _place(part, f"{field}.properties[{name}]", level="field")
    if additional is not None:
        if level == "root":
            yield forbidden_field(f"{field}.additionalProperties", "must not be used at the root")
        if isinstance(additional, Mapping):
            yield from _place(additional, f"{field}.additionalProperties", level="field")
    yield from _extensions(schema, field, kind=kind, level=level)
    yield from _metadata(schema, field, level=level)
    first = (schema.get("allOf") or [{}])[0]
    yield from _values(
        schema,
        field,
        skip_any=schema.get("anyOf") == _INT_OR_STRING,
        skip_first=first.get("anyOf") == _INT_OR_STRING,
    )


def _extensions(schema: Schema, field: str, *, kind: str, level: str) -> Iterator[Cause]:
    embedded, mixed = schema.get("x-kubernetes-embedded-resource"), schema.get("x-kubernetes-int-or-string")
    preserves = schema.get("x-kubernetes-preserve-unknown-fields")
    if mixed and preserves:
        name = f"{field}.x-kubernetes-preserve-unknown-fields"
        yield invalid_value(name, True, "must be false if x-kubernetes-int-or-string is true")
    if mixed and embedded:
        name = f"{field}.x-kubernetes-embedded-resource"
        yield invalid_value(name, True, "must be false if x-kubernetes-int-or-string is true")
    if embedded and kind != "object":
        detail = "must be object if x-kubernetes-embedded-resource is true"
        yield invalid_value(f"{field}.type", kind, detail) if kind else required(f"{field}.type", detail)
    elif not kind and not mixed and not preserves:
        yield required(f"{field}.type", _TYPELESS[level])
    if embedded and schema.get("additionalProperties") is not None:
        detail = "must not be used if x-kubernetes-embedded-resource is set"
        yield forbidden_field(f"{field}.additionalProperties", detail)
    if level == "root" and kind not in ("", "object"):
        yield invalid_value(f"{field}.type", kind, "must be object at the root")
    if embedded and not preserves and not schema.get("properties"):
        detail = (
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        )
        yield required(f"{field}.properties", detail)


def _metadata(schema: Schema, field: str, *, level: str) -> Iterator[Cause]:
    """Of a resource's metadata only name and generateName may be restricted."""
    properties = schema.get("properties") or {}
    if level == "root" or schema.get("x-kubernetes-embedded-resource"):
        for name in ("kind", "apiVersion"):
            kind = (properties.get(name) or {}).get("type") or ""
            if name in properties and kind != "string":
                yield invalid_value(f"{field}.properties[{name}].type", kind, "must be string")
        kind = (properties.get("metadata") or {}).get("type") or ""
        if "metadata" in properties and kind != "object":
            yield invalid_value(f"{field}.properties[metadata].type", kind, "must be object")
    if level == "root" and "metadata" in properties:
        metadata = properties["metadata"]
        extra = {key for key, value in metadata.items() if value not in (None, False, [], {}, "")}
        named = set(metadata.get("properties") or {})
        if extra - {"type", "default", "properties", "description"} or not named <= {"name", "generateName"}:
            detail = "must not specify anything other than name and generateName, but metadata is implicitly specified"
            yield forbidden_field(f"{field}.properties[metadata]", detail)


def _values(schema: Schema, field: str, *, skip_any: bool = False, skip_first: bool = False) -> Iterator[Cause]:
    """The schemas below logical operators, and the pattern."""
    for operator in ("anyOf", "allOf", "oneOf"):
        if operator == "anyOf" and skip_any:
            continue
        for index, part in enumerate(schema.get(operator) or ()):
            skip = operator == "allOf" and index == 0 and skip_first
            yield from _below(part, f"{field}.{operator}[{index}]", skip_any=skip)
    if isinstance(schema.get("not"), Mapping):
        yield from _below(schema["not"], f"{field}.not")
    if pattern := schema.get("pattern"):
        try:
            regex(pattern)
        except EvaluationError as error:
            detail = f"must be a valid regular expression, but isn't: {error}"
            yield invalid_value(f"{field}.pattern", pattern, detail)


def _below(schema: Schema, field: str, *, skip_any: bool = False) -> Iterator[Cause]:
    yield from _values(schema, field, skip_any=skip_any)
    if isinstance(schema.get("items"), Mapping):
        yield from _below(schema["items"], f"{field}.items")
    properties = schema.get("properties") or {}
    for name, part in properties.items():
        yield from _below(part, f"{field}.properties[{name}]")
    for name, detail in _OUTSIDE_ONLY:
        value = schema.get(name)
        if value if name not in _PRESENCE else value is not None:
            yield forbidden_field(f"{field}.{name}", detail)
    if "metadata" in properties:
        yield forbidden_field(f"{field}.properties[metadata]", "must not be specified in a nested context")


def _complete(values: Schema, spine: Schema | None, field: str, source: str) -> Iterator[Cause]:
    """What logical operators speak of is specified outside of them, too."""
    for operator in ("allOf", "anyOf", "oneOf"):
        for index, part in enumerate(values.get(operator) or ()):
            yield from _specified(part, spine, field, f"{source}.{operator}[{index}]")
    if isinstance(values.get("not"), Mapping):
        yield from _specified(values["not"], spine, field, f"{source}.not")


def _specified(values: Schema, spine: Schema | None, field: str, source: str) -> Iterator[Cause]:
    if spine is None:
        yield required(field, f"because it is defined in {source}")
        return
    yield from _complete(values, spine, field, source)
    if isinstance(values.get("items"), Mapping):
        yield from _specified(values["items"], spine.get("items"), f"{field}.items", f"{source}.items")
    for name, part in (values.get("properties") or {}).items():
        below = (spine.get("properties") or {}).get(name)
        place = f"properties[{name}]"
        yield from _specified(part, below, f"{field}.{place}", f"{source}.{place}")
