"""Atoms of custom resources: how their documents merge, read from a structural schema.

The schema is the `openAPIV3Schema` of one version of a CustomResourceDefinition, as a dictionary. What it leaves open
(`x-kubernetes-preserve-unknown-fields`, a missing type) is judged by the values themselves: maps are granular, lists
are atomic. Objects, and objects embedded in others, have the metadata of every object.

Source: Kubernetes documentation, "Server-Side Apply: merge strategy"; kube-openapi, schemaconv.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .atoms import ANY, SCALAR, Atom, Form, Merging, atom_of
from .facts import builtin_facts

Schema = Mapping[str, Any]

_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_OPEN = "x-kubernetes-preserve-unknown-fields"
_EMBEDDED = "x-kubernetes-embedded-resource"
_SCALARS = frozenset({"string", "integer", "number", "boolean"})


def structural_atom(schema: Schema | None) -> Atom:
    """A custom resource by the schema of one of its versions; None stands for a version without a schema."""
    return _atom({"type": "object", **(schema or {_OPEN: True}), _EMBEDDED: True}, opened=False)


def _atom(schema: Schema, *, opened: bool) -> Atom:
    opened = opened or schema.get(_OPEN) is True
    kind = schema.get("type")
    if kind in _SCALARS:
        return SCALAR
    if kind == "array":
        return _list(schema, opened=opened)
    if kind == "object":
        return _map(schema, "map", opened=opened)
    # Without a type (int-or-string, or anything at all) the value decides; parts may still be described.
    return _map(schema, "any", opened=opened) if "properties" in schema or schema.get(_EMBEDDED) else ANY


def _list(schema: Schema, *, opened: bool) -> Atom:
    items: Schema = schema.get("items") or {}
    keys: tuple[str, ...] = ()
    merging: Merging = "atomic"
    match schema.get("x-kubernetes-list-type"):
        case "set":
            merging = "set"
        case "map":
            merging, keys = "keyed", tuple(sorted(schema.get("x-kubernetes-list-map-keys") or ()))
    properties: Schema = items.get("properties") or {}
    defaults = {key: properties[key]["default"] for key in keys if "default" in properties.get(key, {})}
    return Atom("list", merging=merging, element=lambda: _atom(items, opened=opened), keys=keys, defaults=defaults)


def _map(schema: Schema, form: Form, *, opened: bool) -> Atom:
    properties: Schema = schema.get("properties") or {}
    others = schema.get("additionalProperties")

    def fields() -> dict[str, Atom]:
        parts = {name: _atom(part, opened=opened) for name, part in properties.items()}
        if schema.get(_EMBEDDED):
            parts |= {
                "kind": SCALAR,
                "apiVersion": SCALAR,
                "metadata": atom_of(builtin_facts().by_name(_OBJECT_META)),
            }
        return parts

    def element() -> Atom:
        return _atom(others, opened=opened) if isinstance(others, dict) else ANY

    # A map that names no fields is free; one that does knows no others, unless it says so.
    free = others is True or isinstance(others, dict) or (others is None and (opened or not properties))
    merging: Merging = "atomic" if schema.get("x-kubernetes-map-type") == "atomic" else "granular"
    return Atom(form, merging=merging, fields=fields, element=element if free else None)
