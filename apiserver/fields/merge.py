"""An applied configuration merged into a live object.

Maps merge by name, sets and keyed lists by element; scalars and whatever is atomic are replaced. Elements keep the live
list's order unless the configuration names them in another one.

Source: structured-merge-diff, typed (Merge, Validate).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from k8slite.schema.atoms import ANY, Atom

from .sets import step_text
from .typed import Document, steps

_ABSENT: Any = object()
_GO_TYPES: dict[type, str] = {dict: "map[string]interface {}", list: "[]interface {}"}


def merge(live: Document, configuration: Document, atom: Atom) -> Document:
    """The live object with what the configuration says; neither is changed, both may share parts with the result."""
    merged: Document = _merge(live, configuration, atom)
    return merged


def _merge(live: Any, wanted: Any, atom: Atom) -> Any:
    if live is _ABSENT:
        return wanted
    if (live or wanted) and atom.opens_maps and _may_be(dict, live, wanted):
        merged = dict(live or {})
        parts = atom.fields
        for name, value in (wanted or {}).items():
            part = merged.get(name, _ABSENT)
            merged[name] = _merge(part, value, parts.get(name) or atom.element or ANY)
        return merged
    if (live or wanted) and atom.opens_lists and _may_be(list, live, wanted):
        return _merge_lists(live or [], wanted or [], atom)
    return wanted


def _may_be(kind: type, live: Any, wanted: Any) -> bool:
    return (live is None or type(live) is kind) and (wanted is None or type(wanted) is kind)


def _merge_lists(live: list[Any], wanted: list[Any], atom: Atom) -> list[Any]:
    element = atom.element or ANY
    left, right = steps(live, atom), steps(wanted, atom)
    ours: dict[str, Any] = {}
    for step, item in zip(left, live, strict=True):
        ours[step] = _ABSENT if step in ours else item  # repeated elements have nothing to merge with
    theirs = dict(zip(right, wanted, strict=True))
    shared = iter([step for step in right if step in ours])
    awaited = next(shared, None)
    done: set[str] = set()
    merged: list[Any] = []
    i = j = 0
    while i < len(left) or j < len(right):
        both = i < len(left) and j < len(right)
        if both and left[i] == right[j]:
            i += 1
        elif both and left[i] in theirs and awaited not in (None, left[i]):
            i += 1  # shared, but its turn is later
            continue
        elif i < len(left):
            if left[i] not in theirs:
                merged.append(live[i])
                i += 1
                continue
            if left[i] in done:
                i += 1
        if j < len(right):
            step = right[j]
            done.add(step)
            merged.append(_merge(ours.get(step, _ABSENT), theirs[step], element))
            j += 1
            if awaited == step:
                awaited = next(shared, None)
    return merged


def violations(configuration: Document, atom: Atom) -> str:
    """Why a configuration cannot be merged, in Kubernetes' words; empty if it can."""
    found = list(_violations(configuration, atom, ""))
    if len(found) <= 1:
        return "".join(found)
    return "\n".join(["errors:", *(f"  {text}" for text in found)])


def _violations(value: Any, atom: Atom, path: str) -> Iterator[str]:
    where = f"{path}: " if path else ""
    if value is None:
        return
    if atom.form == "map":
        if type(value) is not dict:
            yield f"{where}expected map, got {_go_value(value)}"
            return
        for name, part in value.items():
            below = atom.fields.get(name) or atom.element
            if below is None:
                yield f"{path}.{name}: field not declared in schema"
            else:
                yield from _violations(part, below, f"{path}.{name}")
    elif atom.form == "list":
        if type(value) is not list:
            yield f"{where}expected list, got {_go_value(value)}"
            return
        yield from _list_violations(value, atom, path, where)
    elif atom.form == "scalar" and type(value) in (dict, list):
        yield f"{where}expected scalar, got {_go_value(value)}"


def _list_violations(items: list[Any], atom: Atom, path: str, where: str) -> Iterator[str]:
    element, seen = atom.element or ANY, set()
    for index, item in enumerate(items):
        if atom.merging == "atomic":
            yield from _violations(item, element, f"{path}[{index}]")
            continue
        if error := _element_error(item, atom):
            yield f"{where}element {index}: {error}"
            return
        step = steps([item], atom)[0]
        if step in seen:
            yield f"{where}duplicate entries for key {step_text(step)}"
        seen.add(step)
        yield from _violations(item, element, path + step_text(step))


def _element_error(item: Any, atom: Atom) -> str:
    if atom.merging == "set":
        match item:
            case dict():
                return "associative list without keys has an element that's a map type"
            case list():
                return "not supported: associative list with lists as elements"
            case None:
                return "associative list without keys has an element that's an explicit null"
            case _:
                return ""
    if item is None:
        return "associative list with keys may not have a null element"
    if not isinstance(item, dict):
        return "associative list with keys may not have non-map elements"
    if any(key in item or key in atom.defaults for key in atom.keys):
        return ""
    keys = " ".join(f'"{key}"' for key in atom.keys)
    return (
        f"associative list with keys has an element that omits all key fields [{keys}] "
        "(and doesn't have default values for any key fields)"
    )


def _go_value(value: Any) -> str:
    return _GO_TYPES.get(type(value)) or "&{" + str(value) + "}"
