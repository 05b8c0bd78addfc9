"""The schemas of custom resources as OpenAPI publishes them: with what Kubernetes knows of every object added.

Version 2 cannot say everything: what it cannot say is left out, so that clients which check by it refuse nothing that
the server would take.

Source: Kubernetes' apiextensions-apiserver, controller/openapi (builder/builder.go, v2/conversion.go).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from k8slite.catalogue import Resource

from .definitions import META, Schema, Version, reference

Place = tuple[str, str, str]
_COMBINED = ("allOf", "oneOf", "anyOf", "not")


@dataclass(frozen=True)
class Published:
    """What a version publishes: its schema as its definition has it, the kind of its lists, its selectable fields."""

    schema: Mapping[str, Any]
    list_kind: str
    selectable: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Differs where any of it does. The index of OpenAPI asks for all of them whenever one definition changes."""
        return hashlib.sha256(repr((self.schema, self.list_kind, self.selectable)).encode()).hexdigest()


class CustomSchemas:
    """The schemas by group, version and kind."""

    def __init__(self) -> None:
        self._known: dict[Place, Published] = {}

    def add(self, place: Place, published: Published) -> None:
        """Publish a schema."""
        self._known[place] = published

    def remove(self, place: Place) -> None:
        """Publish it no longer."""
        self._known.pop(place, None)

    def get(self, group: str, version: str, kind: str) -> Published | None:
        """What is published of a kind; None if nothing."""
        return self._known.get((group, version, kind))


def object_schema(row: Resource, published: Published, version: Version) -> Schema:
    """The definition of a custom resource."""
    raw = published.schema
    if version == "v2" and raw.get("x-kubernetes-preserve-unknown-fields"):
        schema: Schema = {"type": "object"}
    else:
        schema = _converted(raw, version)
        schema.setdefault("type", "object")
        schema["properties"] = {**(schema.get("properties") or {}), **_head(version)}
    schema["x-kubernetes-group-version-kind"] = [{"group": row.group, "kind": row.kind, "version": row.version}]
    if published.selectable:
        fields = [{"fieldPath": path.removeprefix(".")} for path in published.selectable]
        schema["x-kubernetes-selectable-fields"] = fields
    return schema


def list_schema(row: Resource, name: str, list_kind: str, version: Version) -> Schema:
    """The definition of its lists; `name` is that of the definition of its objects."""
    metadata = reference(f"{META}.ListMeta", version)
    return {
        "type": "object",
        "description": f"{list_kind} is a list of {row.kind}",
        "required": ["items"],
        "properties": {
            **_head(version),
            "items": {
                "type": "array",
                "description": f"List of {row.plural}.",
                "items": reference(name, version),
            },
            "metadata": metadata if version == "v2" else {"allOf": [metadata]},
        },
        "x-kubernetes-group-version-kind": [{"group": row.group, "kind": list_kind, "version": row.version}],
    }


def _head(version: Version) -> Schema:
    """apiVersion, kind and metadata."""
    metadata = reference(f"{META}.ObjectMeta", version)
    return {
        "apiVersion": {
            "type": "string",
            "description": "The version of the schema of this object, as group/version.",
        },
        "kind": {"type": "string", "description": "What this object is, in CamelCase."},
        "metadata": metadata if version == "v2" else {"allOf": [metadata]},
    }


def _converted(raw: Mapping[str, Any], version: Version) -> Schema:
    """A schema in the dialect of a version."""
    schema: Schema = dict(raw)
    if version == "v2":
        for name in _COMBINED:
            schema.pop(name, None)
        preserves = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
        if schema.pop("nullable", False):
            for name in ("type", "items", "properties"):
                schema.pop(name, None)
        if preserves:
            for name in ("items", "properties"):
                schema.pop(name, None)
        if (schema.get("type") == "array" and "items" not in schema) or (preserves and schema.get("type") == "object"):
            del schema["type"]
        _relax(schema)
    if schema.get("x-kubernetes-int-or-string"):
        schema.pop("type", None)
        if version == "v3" and not schema.get("anyOf") and not schema.get("allOf"):
            schema["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if properties := schema.get("properties"):
        schema["properties"] = {name: _converted(each, version) for name, each in properties.items()}
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            schema[name] = _converted(schema[name], version)
    if schema.get("x-kubernetes-embedded-resource") and not (
        version == "v2" and schema.get("x-kubernetes-preserve-unknown-fields")
    ):
        schema["properties"] = {**(schema.get("properties") or {}), **_head(version)}
        required = list(schema.get("required") or ())
        schema["required"] = required + [name for name in ("kind", "apiVersion") if name not in required]
    return schema


def _relax(schema: Schema) -> None:
    """Do not require what may be null: version 2 knows no null."""
    required = [
        name
        for name in schema.get("required") or ()
        if not (schema.get("properties") or {}).get(name, {}).get("nullable")
    ]
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict) and additional.get("nullable"):
        required = []
    if required:
        schema["required"] = required
    else:
        schema.pop("required", None)
