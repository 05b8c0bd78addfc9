"""Strategic merge patch: a merge patch that knows the types.

Lists whose elements have a merge key are merged element by element; other lists are replaced. Directives in the patch
(`$patch`, `$retainKeys`, `$deleteFromPrimitiveList/<field>`, `$setElementOrder/<field>`) say the rest.

Source: Kubernetes documentation, "Strategic Merge Patch" (contributors' guide).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from k8slite.schema import TypeFacts

from .json import PatchError

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_DELETE_PRIMITIVES = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"
_BAD_ORDER = "invalid patch format of setElementOrder list"
_BAD_RETAIN = "invalid patch format of retainKeys"


class _Field(Protocol):
    """What matters here of the schema table's `FieldFacts`: `type` is that of the bottom of lists and maps."""

    @property
    def type(self) -> _Type | None: ...

    @property
    def is_map(self) -> bool: ...

    @property
    def merge_key(self) -> str: ...

    @property
    def patch_strategy(self) -> frozenset[str]: ...


class _Type(Protocol):
    """What matters here of `TypeFacts`."""

    def field(self, name: str) -> _Field | None: ...


def apply(document: dict[str, Any], patch: dict[str, Any], facts: TypeFacts | None) -> dict[str, Any]:
    """The patched document; nothing given is changed. `facts` None merges by names alone. Raises PatchError."""
    return _merge_map(document, patch, facts)


def _merge_map(original: dict[str, Any], patch: dict[str, Any], facts: _Type | None) -> dict[str, Any]:
    match patch.get(_DIRECTIVE):
        case None | "merge":
            pass
        case "replace":
            return {key: _strip(value) for key, value in patch.items() if value is not None and not key.startswith("$")}
        case "delete":
            return {}  # all that is in it: the map itself goes by null
        case directive:
            raise PatchError(f"unknown $patch directive: {directive!r}", code=400)
    result = _retain(original, patch) if _RETAIN in patch else dict(original)
    orders: dict[str, list[Any]] = {}
    for key, value in patch.items():
        if key in (_DIRECTIVE, _RETAIN):
            continue
        if key.startswith(_DELETE_PRIMITIVES):
            _delete_primitives(result, key.removeprefix(_DELETE_PRIMITIVES), value)
        elif key.startswith(_ORDER):
            if not isinstance(value, list):
                raise PatchError(_BAD_ORDER, code=400)
            orders[key.removeprefix(_ORDER)] = value
        elif value is None:
            result.pop(key, None)
        else:
            _merge_field(result, key, value, facts, patch.get(_ORDER + key))
    for key, order in orders.items():
        if key not in patch and isinstance(result.get(key), list):
            field = _element(facts, key)
            result[key] = _reorder(result[key], result[key], order, field.merge_key if field else "")
    return result


def _retain(original: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """The members that stay; whoever says which must name those that the patch sets."""
    retained = patch[_RETAIN]
    if not isinstance(retained, list):
        raise PatchError(_BAD_RETAIN, code=400)
    named = {name for name in retained if isinstance(name, str)}
    for key, value in patch.items():
        if value is not None and key not in named and not key.startswith((_RETAIN, _DELETE_PRIMITIVES, _ORDER)):
            raise PatchError(_BAD_RETAIN, code=400)
    return {key: value for key, value in original.items() if key in named}


def _element(facts: _Type | None, key: str) -> _Field | None:
    if facts is None:
        return None
    return facts.field(key)


def _merge_field(result: dict[str, Any], key: str, value: Any, facts: _Type | None, order: Any) -> None:
    field = _element(facts, key)
    inner = field.type if field else None
    old = result.get(key)
    if isinstance(value, dict):
        if not isinstance(old, dict) and value.get(_DIRECTIVE) == "delete":
            result.pop(key, None)
            return
        below = _MapOf(inner) if field is not None and field.is_map else inner
        result[key] = _merge_map(old if isinstance(old, dict) else {}, value, below)
    elif isinstance(value, list):
        if field is not None and "merge" in field.patch_strategy:
            result[key] = _merge_list(old if isinstance(old, list) else [], value, field, order)
        else:
            result[key] = [_strip(item) for item in value if not _is_directive(item)]
    else:
        result[key] = value


class _MapOf:
    """A map from strings to values of one type, seen as a type whose every field has that type."""

    def __init__(self, inner: _Type | None) -> None:
        self.type = inner
        self.is_map = False
        self.merge_key = ""
        self.patch_strategy: frozenset[str] = frozenset()

    def field(self, name: str) -> _Field | None:
        """Every key is a field of the value type."""
        return self


def _is_directive(item: Any) -> bool:
    return isinstance(item, dict) and _DIRECTIVE in item


def _strip(value: Any) -> Any:
    """New content without directives and nulls, as they have nothing to act on."""
    if isinstance(value, dict):
        return {k: _strip(v) for k, v in value.items() if v is not None and not k.startswith("$")}
    if isinstance(value, list):
        return [_strip(item) for item in value]
    return value


def _delete_primitives(result: dict[str, Any], key: str, values: Any) -> None:
    if not isinstance(values, list):
        raise PatchError("invalid patch format of primitive list", code=400)
    if isinstance(result.get(key), list):
        gone = set(map(repr, values))
        result[key] = [item for item in result[key] if repr(item) not in gone]


def _merge_list(original: list[Any], patch: list[Any], field: _Field, order: Any) -> list[Any]:
    merge_key = field.merge_key
    if isinstance(order, list):
        _check_order(patch, order, merge_key)
    if not merge_key:
        # A list of primitives that is a set.
        known = set(map(repr, original))
        added = {repr(item): item for item in reversed(patch)}
        merged = original + [item for shown, item in reversed(added.items()) if shown not in known]
        return _reorder(merged, original, order if isinstance(order, list) else patch, "")
    if any(_is_directive(item) and item[_DIRECTIVE] == "replace" for item in patch):
        return [_strip(item) for item in patch if not _is_directive(item)]
    identity = _identity(merge_key)
    result: list[Any] = list(original)
    places: dict[str, list[int]] = {}
    for index, old in enumerate(original):
        places.setdefault(identity(old), []).append(index)
    for item in patch:
        if not isinstance(item, dict) or not isinstance(item.get(merge_key), str | int):
            raise PatchError(f"map: {item} does not contain declared merge key: {merge_key}", code=400)
        found = places.get(identity(item))
        if item.get(_DIRECTIVE) == "delete":
            for index in places.pop(identity(item), ()):
                result[index] = _GONE
        elif found:
            result[found[0]] = _merge_map(result[found[0]], item, field.type)
        else:
            places[identity(item)] = [len(result)]
            result.append(_merge_map({}, item, field.type))
    wanted = order if isinstance(order, list) else [item for item in patch if item.get(_DIRECTIVE) != "delete"]
    return _reorder([item for item in result if item is not _GONE], original, wanted, merge_key)


_GONE = object()
"""Where an element was."""


def _check_order(patch: list[Any], order: list[Any], merge_key: str) -> None:
    """Refuse elements that the order does not name, or names in another one. Raises PatchError."""
    identity = _identity(merge_key)
    places = iter([identity(item) for item in order])
    for item in patch if order else ():
        if not _is_directive(item) and identity(item) not in places:
            raise PatchError(
                f"The order in patch list:\n{patch}\n doesn't match {_ORDER[:-1]} list:\n{order}\n", code=400
            )


def _key_of(item: Any, merge_key: str) -> Any:
    return item.get(merge_key) if isinstance(item, dict) else None


def _identity(merge_key: str) -> Callable[[Any], str]:
    if merge_key:
        return lambda item: repr(_key_of(item, merge_key))
    return repr


def _reorder(merged: list[Any], original: list[Any], order: list[Any], merge_key: str) -> list[Any]:
    """Elements that the patch names come in its order, the others keep their places among them.

    An element that is new goes before those of the server that the patch does not name.
    """
    identity = _identity(merge_key)
    wanted = {identity(item): index for index, item in enumerate(order)}
    known = {identity(item): index for index, item in enumerate(original)}
    named = sorted((item for item in merged if identity(item) in wanted), key=lambda item: wanted[identity(item)])
    others = [item for item in merged if identity(item) not in wanted]
    result: list[Any] = []
    left, right = 0, 0
    while left < len(named) and right < len(others):
        place = known.get(identity(named[left]))
        if place is None or place < known.get(identity(others[right]), len(known)):
            result.append(named[left])
            left += 1
        else:
            result.append(others[right])
            right += 1
    return result + named[left:] + others[right:]
