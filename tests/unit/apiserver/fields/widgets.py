"""A small schema with every way of merging, and random documents of it."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from k8slite.schema.structural_atoms import structural_atom

_RULE = {
    "type": "object",
    "properties": {
        "port": {"type": "integer"},
        "protocol": {"type": "string", "default": "TCP"},
        "note": {"type": "string"},
        "args": {"type": "array", "items": {"type": "string"}},
    },
}
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "args": {"type": "array", "items": {"type": "string"}},
                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                "whole": {"type": "object", "x-kubernetes-map-type": "atomic"},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "rules": {
                    "type": "array",
                    "items": _RULE,
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["port", "protocol"],
                },
            },
        }
    },
}
ATOM = structural_atom(SCHEMA)

_TEXT = st.sampled_from(["", "a", "b", "c"])
_LABELS = st.dictionaries(st.sampled_from(["x", "y", "z"]), _TEXT, min_size=1, max_size=3)
_RULES = st.lists(
    st.fixed_dictionaries(
        {"port": st.sampled_from([80, 443])},
        optional={"protocol": st.sampled_from(["TCP", "UDP"]), "note": _TEXT, "args": st.lists(_TEXT, max_size=2)},
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda rule: (rule["port"], rule.get("protocol", "TCP")),
)
_SPEC = st.fixed_dictionaries(
    {},
    optional={
        "size": st.integers(0, 3),
        "labels": _LABELS,
        "args": st.lists(_TEXT, max_size=3),
        "tags": st.lists(st.sampled_from(["p", "q", "r", "s"]), unique=True, min_size=1, max_size=3),
        "whole": _LABELS,
        "free": st.fixed_dictionaries({"m": _TEXT}, optional={"n": _LABELS}),
        "rules": _RULES,
    },
)


def document(spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """An object with that spec."""
    return {"kind": "Widget", "apiVersion": "example.com/v1", "metadata": {"name": "w", **metadata}, "spec": spec}


#: A spec without members would be a member itself.
DOCUMENTS = _SPEC.filter(bool).map(document)
