"""What an applier leaves behind when it no longer applies a field: taken out, unless somebody else owns it.

Source: structured-merge-diff, typed (RemoveItems) and fieldpath (EnsureNamedFieldsAreMembers).
"""

from __future__ import annotations

from typing import Any

from k8slite.schema.atoms import ANY, Atom

from .sets import LEAF, FieldSet, is_member
from .typed import Document, steps

_NOTHING: Any = object()


def remove(document: Document, fields: FieldSet, atom: Atom) -> Document:
    """The document without the members of a set; it is not changed, and shares parts with the result."""
    if not fields:
        return document
    found = _remove(document, fields, atom)
    return {} if found is _NOTHING else found


def _remove(value: Any, fields: FieldSet, atom: Atom) -> Any:
    """What remains of a value, `_NOTHING` if that is an empty container, which nobody asked for."""
    if type(value) is dict and value and atom.opens_maps:
        kept: Document = {}
        known = atom.fields
        for name, part in value.items():
            node = fields.get("f:" + name)
            if node is None:
                kept[name] = part
            elif not is_member(node):
                remains = _remove(part, node, known.get(name) or atom.element or ANY)
                if remains is not _NOTHING:
                    kept[name] = remains
        return kept or _NOTHING
    if type(value) is list and value and atom.opens_lists:
        items = []
        for step, item in zip(steps(value, atom), value, strict=True):
            node = fields.get(step)
            if node is None:
                items.append(item)
            elif not is_member(node):
                remains = _remove(item, node, atom.element or ANY)
                if remains is not _NOTHING:
                    items.append(remains)
        return items or _NOTHING
    return value


def with_named(fields: FieldSet, atom: Atom) -> FieldSet:
    """The set with every container in it that a schema names: it goes when all that is in it goes."""
    found: FieldSet = {}
    parts = atom.fields if atom.form != "list" else {}
    for step, node in fields.items():
        if not node:
            found[step] = node
            continue
        named = step[:2] == "f:" and step[2:] in parts
        below = (parts[step[2:]] if named else atom.element) or ANY
        inner = with_named(node, below)
        found[step] = {".": LEAF, **inner} if named and "." not in inner else inner
    return found
