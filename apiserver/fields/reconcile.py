"""Entries written before a schema changed: where something became atomic, its parts are owned as a whole.

Source: structured-merge-diff, typed (ReconcileFieldSetWithSchema).
"""

from __future__ import annotations

from k8slite.schema.atoms import ANY, Atom

from .sets import LEAF, FieldSet


def reconcile(fields: FieldSet, atom: Atom) -> FieldSet:
    """The set under today's schema; the argument itself if nothing changes."""
    found: FieldSet | None = None
    for step, node in fields.items():
        if not node:
            continue
        below = atom.fields.get(step[2:]) or atom.element if step[:2] == "f:" else atom.element
        if below is None or below is ANY:
            continue
        closed = below.form in ("map", "list") and not (below.opens_maps or below.opens_lists)
        now = LEAF if closed else reconcile(node, below)
        if now is not node:
            found = dict(fields) if found is None else found
            found[step] = now
    return fields if found is None else found
