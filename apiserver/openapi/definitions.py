"""The facts as OpenAPI schemas, in the dialect of either version.

Field descriptions are Kubernetes' prose and stay out; types, required fields, merge marks and kinds are all here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from k8slite.catalogue import Resource
from k8slite.schema import FieldFacts, TypeFacts
from k8slite.schema.facts import FactsTable

Schema = dict[str, Any]
Version = Literal["v2", "v3"]

META = "io.k8s.apimachinery.pkg.apis.meta.v1"
PATCH = f"{META}.Patch"
_PREFIXES: Mapping[Version, str] = {"v2": "#/definitions/", "v3": "#/components/schemas/"}
#: Scalars that have a definition of their own.
_NAMED = {
    "time": f"{META}.Time",
    "microtime": f"{META}.MicroTime",
    "quantity": "io.k8s.apimachinery.pkg.api.resource.Quantity",
    "int-or-string": "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
}
_INLINE: Mapping[str, Schema] = {
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "double": {"type": "number", "format": "double"},
    "byte": {"type": "string", "format": "byte"},
    "object": {"type": "object"},
    "any": {},
}


def reference(name: str, version: Version) -> Schema:
    """A reference to a definition."""
    return {"$ref": _PREFIXES[version] + name}


def _fixed(version: Version) -> dict[str, Schema]:
    """Definitions that are scalars on the wire."""
    moment: Schema = {"type": "string", "format": "date-time"}
    if version == "v2":
        quantity: Schema = {"type": "string"}
        either: Schema = {"type": "string", "format": "int-or-string"}
    else:
        quantity = {"oneOf": [{"type": "string"}, {"type": "number"}]}
        either = {"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"}
    return {
        _NAMED["time"]: moment,
        _NAMED["microtime"]: moment,
        _NAMED["quantity"]: quantity,
        _NAMED["int-or-string"]: either,
        PATCH: {"type": "object"},
    }


def definitions(roots: Iterable[str], facts: FactsTable, version: Version) -> dict[str, Schema]:
    """The definitions that the roots reach, by name; names that the facts do not know are left to the caller."""
    fixed = _fixed(version)
    known = set(facts.names())
    found: dict[str, Schema] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        if name in fixed:
            found[name] = fixed[name]
        elif name in known:
            found[name] = _structure(facts.by_name(name), version, waiting.append)
    return dict(sorted(found.items()))


def _structure(facts: TypeFacts, version: Version, reached: Callable[[str], None]) -> Schema:
    schema: Schema = {"type": "object"}
    if facts.fields:
        schema["properties"] = {name: _field(facts.fields[name], version, reached) for name in sorted(facts.fields)}
    if required := sorted(name for name, field in facts.fields.items() if field.required):
        schema["required"] = required
    if facts.kinds:
        schema["x-kubernetes-group-version-kind"] = [
            {"group": group, "kind": kind, "version": served} for group, served, kind in facts.kinds
        ]
    if facts.map_type != "granular":
        schema["x-kubernetes-map-type"] = facts.map_type
    return schema


def _field(field: FieldFacts, version: Version, reached: Callable[[str], None]) -> Schema:
    name = field.type.name if field.type else _NAMED.get(field.scalar)
    schema: Schema
    if name:
        reached(name)
        schema = reference(name, version)
    else:
        schema = dict(_INLINE[field.scalar])
    for step in reversed(field.shape):
        schema = (
            {"type": "array", "items": schema} if step == "list" else {"type": "object", "additionalProperties": schema}
        )
    marks = _marks(field)
    if not marks:
        return schema
    if "$ref" in schema and version == "v3":
        return {"allOf": [schema], **marks}  # nothing may stand beside a reference
    return {**schema, **marks}


def _marks(field: FieldFacts) -> Schema:
    marks: Schema = {}
    if field.list_type:
        marks["x-kubernetes-list-type"] = field.list_type
    if field.list_map_keys:
        marks["x-kubernetes-list-map-keys"] = list(field.list_map_keys)
    if field.map_type:
        marks["x-kubernetes-map-type"] = field.map_type
    if field.merge_key:
        marks["x-kubernetes-patch-merge-key"] = field.merge_key
    if field.patch_strategy:
        marks["x-kubernetes-patch-strategy"] = ",".join(sorted(field.patch_strategy))
    return marks


def definition_name(facts: FactsTable, group: str, version: str, kind: str) -> str:
    """The definition of a kind: Kubernetes' own name, or for custom resources one made of the reversed group."""
    known = facts.by_kind(group, version, kind)
    if known is not None:
        return known.name
    return ".".join([*reversed(group.split(".")), version, kind])


def unknown_kind(resource: Resource, kind: str) -> Schema:
    """What can be said of a kind without facts."""
    return {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "x-kubernetes-group-version-kind": [{"group": resource.group, "kind": kind, "version": resource.version}],
    }
