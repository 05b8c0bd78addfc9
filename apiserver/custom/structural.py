"""A structural schema: which fields a custom resource has, apart from what their values may be.

Pruning, defaulting, list types and server-side apply walk this tree; the rules for values (`validating.py`) are read
from the same document. A schema is parsed once, when its definition is installed.

Source: Kubernetes documentation, "Specifying a structural schema"; apiextensions-apiserver, schema/structural.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Raw = Mapping[str, Any]


class Structural:
    """One place of a schema.

    `additional` is the schema of members that have no name of their own; `open` says that such members are allowed
    without a schema. `default` is None if there is none: null is no default. `preserves` keeps unknown fields,
    `embedded` marks a whole object with apiVersion, kind and metadata.
    """

    __slots__ = (
        "additional",
        "default",
        "embedded",
        "int_or_string",
        "items",
        "list_keys",
        "list_type",
        "map_type",
        "nullable",
        "open",
        "preserves",
        "properties",
        "raw",
        "type",
    )

    def __init__(self, raw: Raw) -> None:
        additional = raw.get("additionalProperties")
        items = raw.get("items")
        self.raw = raw
        self.type: str = raw.get("type") or ""
        self.properties = {name: Structural(each) for name, each in (raw.get("properties") or {}).items()}
        self.additional = Structural(additional) if isinstance(additional, dict) else None
        self.open = additional is True
        self.items = Structural(items) if isinstance(items, dict) else None
        self.default: Any = raw.get("default")
        self.nullable = bool(raw.get("nullable"))
        self.preserves = bool(raw.get("x-kubernetes-preserve-unknown-fields"))
        self.embedded = bool(raw.get("x-kubernetes-embedded-resource"))
        self.int_or_string = bool(raw.get("x-kubernetes-int-or-string"))
        self.list_type: str = raw.get("x-kubernetes-list-type") or ""
        self.list_keys: tuple[str, ...] = tuple(raw.get("x-kubernetes-list-map-keys") or ())
        self.map_type: str = raw.get("x-kubernetes-map-type") or ""

    def member(self, name: str) -> Structural | None:
        """The schema of a member of that name; None if nothing is said about it."""
        return self.properties.get(name) or self.additional
