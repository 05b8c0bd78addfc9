"""What a document holds, as a set of fields; and how two documents differ.

A document that is applied owns what it mentions. One that is written otherwise owns what it adds or changes, and the
containers that it brings along. The two differ in when a container is a member, as they do upstream.

Source: structured-merge-diff, typed (ToFieldSet, Compare).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from k8slite.schema.atoms import ANY, Atom

from .sets import LEAF, FieldSet, key_step, value_step

Document = dict[str, Any]


class Comparison(NamedTuple):
    """What one document has that the other has not, or has with another value; and what it lacks."""

    changed: FieldSet
    removed: FieldSet


_MISSING = object()


def steps(items: list[Any], atom: Atom) -> list[str]:
    """The step to each element of a set or a keyed list."""
    if atom.merging == "set":
        return [value_step(item) if type(item) is not dict and type(item) is not list else "v:null" for item in items]
    keys, defaults = atom.keys, atom.defaults
    if len(keys) == 1:
        name = keys[0]
        default = defaults.get(name)
        return [key_step(keys, _hashable(_at(item, name, default))) for item in items]
    return [key_step(keys, *[_hashable(_at(item, name, defaults.get(name))) for name in keys]) for item in items]


def _at(item: Any, name: str, default: Any) -> Any:
    return item.get(name, default) if type(item) is dict else None


def _hashable(value: Any) -> Any:
    return None if type(value) is dict or type(value) is list else value


def added(value: Any, atom: Atom) -> FieldSet:
    """A value that was not there at all: its containers are members too."""
    if type(value) is dict:
        if not value or not atom.opens_maps:
            return LEAF
        found: FieldSet = {".": LEAF}
        _add_parts(found, value, atom)
        return found
    if type(value) is list and value and atom.opens_lists:
        return {".": LEAF, **_elements(value, atom)}
    return LEAF


def _add_parts(found: FieldSet, value: Document, atom: Atom) -> None:
    parts = atom.parts
    for name, part in value.items():
        known = parts.get(name)
        step, below = known if known is not None else ("f:" + name, atom.element or ANY)
        found[step] = added(part, below) if type(part) is dict or type(part) is list else LEAF


def _elements(items: list[Any], atom: Atom) -> FieldSet:
    element = atom.element or ANY
    found: FieldSet = {}
    for step, item in zip(steps(items, atom), items, strict=True):
        found[step] = LEAF if step in found else added(item, element)  # repeated elements are owned as one
    return found


def created(document: Document, atom: Atom) -> FieldSet:
    """A new object: every object has its inherent containers before it has anything."""
    inherent = atom.inherent
    parts = atom.parts
    found: FieldSet = {}
    for name, part in document.items():
        known = parts.get(name)
        step, below = known if known is not None else ("f:" + name, atom.element or ANY)
        if name not in inherent:
            found[step] = added(part, below) if type(part) is dict or type(part) is list else LEAF
        elif type(part) is dict:
            if inner := created(part, below):
                found[step] = inner
        elif type(part) is list:
            found[step] = _elements(part, below) if part and below.opens_lists else LEAF
        else:
            found[step] = LEAF
    return found


def compare(old: Document, new: Document, atom: Atom) -> Comparison:
    """How the new document differs from the old one."""
    changed: FieldSet = {}
    removed: FieldSet = {}
    parts, inherent = atom.parts, atom.inherent
    for name, value in new.items():
        before = old.get(name, _MISSING)
        if before is value or before == value:
            continue
        known = parts.get(name)
        step, below = known if known is not None else ("f:" + name, atom.element or ANY)
        if before is not _MISSING:
            _differ(before, value, below, step=step, changed=changed, removed=removed)
        elif name in inherent:
            changed.update(created({name: value}, atom))
        else:
            changed[step] = added(value, below)
    for name, value in old.items():
        if name not in new:
            if name in inherent:
                removed.update(created({name: value}, atom))
            else:
                known = parts.get(name)
                step, below = known if known is not None else ("f:" + name, atom.element or ANY)
                removed[step] = added(value, below)
    return Comparison(changed, removed)


def _differ(old: Any, new: Any, atom: Atom, *, step: str, changed: FieldSet, removed: FieldSet) -> None:
    """Note how two unequal values at one place differ: in their parts, or as a whole."""
    if (old or new) and atom.opens_maps and _are(dict, old, new):
        found = compare(old or {}, new or {}, atom)
    elif (old or new) and atom.opens_lists and _are(list, old, new):
        found = _compare_lists(old or [], new or [], atom)
    else:
        changed[step] = added(new, atom)
        if gone := {part: node for part, node in added(old, atom).items() if part != "."}:
            removed[step] = gone
        return
    if found.changed:
        changed[step] = found.changed
    if found.removed:
        removed[step] = found.removed


def _are(kind: type, old: Any, new: Any) -> bool:
    """Whether both are of a kind; null passes for an empty one."""
    return (old is None or type(old) is kind) and (new is None or type(new) is kind)


def _compare_lists(old: list[Any], new: list[Any], atom: Atom) -> Comparison:
    element = atom.element or ANY
    changed: FieldSet = {}
    removed: FieldSet = {}
    before, after = _grouped(old, atom), _grouped(new, atom)
    for step, items in after.items():
        others = before.get(step)
        if others == items:
            continue
        if others is not None and len(items) == len(others) == 1:
            _differ(others[0], items[0], element, step=step, changed=changed, removed=removed)
            continue
        changed[step] = _whole(items, element)
        if others is not None and (gone := {k: v for k, v in _whole(others, element).items() if k != "."}):
            removed[step] = gone
    for step, items in before.items():
        if step not in after:
            removed[step] = _whole(items, element)
    return Comparison(changed, removed)


def _whole(items: list[Any], element: Atom) -> FieldSet:
    return added(items[0], element) if len(items) == 1 else LEAF


def _grouped(items: list[Any], atom: Atom) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for step, item in zip(steps(items, atom), items, strict=True):
        found.setdefault(step, []).append(item)
    return found


def applied(document: Document, atom: Atom) -> FieldSet:
    """What an applied configuration mentions: leaves, elements of lists, and members of maps with free names."""
    return _mentioned(document, atom)[1]


def _mentioned(value: Any, atom: Atom) -> tuple[bool, FieldSet]:
    """Whether the value itself counts, and what of its parts does."""
    if type(value) is dict:
        if not atom.opens_maps:
            return True, LEAF
        found: FieldSet = {}
        parts = atom.parts
        for name, part in value.items():
            known = parts.get(name)
            step, below = known if known is not None else ("f:" + name, atom.element or ANY)
            itself, inner = _mentioned(part, below)
            if itself or part is None or part == {} or known is None:
                found[step] = {".": LEAF, **inner} if inner else LEAF
            elif inner:
                found[step] = inner
        return False, found
    if type(value) is list and atom.opens_lists:
        element = atom.element or ANY
        found = {}
        for step, items in _grouped(value, atom).items():
            inner = _mentioned(items[0], element)[1] if len(items) == 1 else LEAF
            found[step] = {".": LEAF, **inner} if inner else LEAF
        return False, found
    return True, LEAF
