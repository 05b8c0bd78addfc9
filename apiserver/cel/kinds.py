"""Built-in kinds as CEL sees them, from the facts about their types; for expressions that are checked against a kind.

What may be text or a number (quantities, ports) and what has no schema is `dyn`, and so is a type within itself: a
schema within a schema.

Source: Kubernetes' apiserver, pkg/cel/openapi and pkg/cel/common/schemas.go.
"""

from __future__ import annotations

from k8slite.schema.facts import FieldFacts, TypeFacts

from .escaping import escape
from .types import BOOL, DOUBLE, DYN, INT, STRING, DeclType, list_of, map_of

_SCALARS = {
    "string": STRING,
    "boolean": BOOL,
    "int32": INT,
    "int64": INT,
    "double": DOUBLE,
    "byte": DeclType("bytes"),
    **dict.fromkeys(("time", "microtime"), DeclType("timestamp", max_elements=32, min_size=21)),
}


def declared_kind(facts: TypeFacts) -> DeclType:
    """The type of a kind's objects."""
    return _structure(facts, {}, frozenset())


def _structure(facts: TypeFacts, known: dict[str, DeclType], within: frozenset[str]) -> DeclType:
    if facts.name in within:
        return DYN
    if facts.name not in known:
        inner = within | {facts.name}
        fields = {}
        for name, part in facts.fields.items():
            if (escaped := escape(name)) is not None:
                fields[escaped] = _field(part, known, inner)
        known[facts.name] = DeclType("object", fields=fields)
    return known[facts.name]


def _field(field: FieldFacts, known: dict[str, DeclType], within: frozenset[str]) -> DeclType:
    found = _SCALARS.get(field.scalar, DYN) if field.type is None else _structure(field.type, known, within)
    for step in reversed(field.shape):
        found = list_of(found) if step == "list" else map_of(found)
    return found
