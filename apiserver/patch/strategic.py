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


def apply(document: dict[str, Any], patch: Any, facts: TypeFacts | None) -> dict[str, Any]:
    """The patched document; nothing given is changed. `facts` None merges by names alone. Raises PatchError."""
    if not isinstance(patch, dict):
        raise PatchError("a strategic merge patch must be an object", code=400)
    merged = _merge_map(document, patch, facts)
    return {} if merged is None else merged


def _merge_map(original: dict[str, Any], patch: dict[str, Any], facts: _Type | None) -> dict[str, Any] | None:
    """None means that the patch deletes the map."""
    match patch.get(_DIRECTIVE):
        case None | "merge":
            pass
        case "replace":
            return {key: _strip(value) for key, value in patch.items() if value is not None and not key.startswith("$")}
        case "delete":
            return None
        case directive:
            raise PatchError(f"unknown $patch directive: {directive!r}", code=400)
    result = dict(original)
    retained = patch.get(_RETAIN)
    if retained is not None:
        if not isinstance(retained, list):
            raise PatchError("$retainKeys must be a list", code=400)
        result = {key: value for key, value in result.items() if key in retained}
    orders: dict[str, list[Any]] = {}
    for key, value in patch.items():
        if key in (_DIRECTIVE, _RETAIN):
            continue
        if key.startswith(_DELETE_PRIMITIVES):
            _delete_primitives(result, key.removeprefix(_DELETE_PRIMITIVES), value)
        elif key.startswith(_ORDER):
            if not isinstance(value, list):
                raise PatchError(f"{key} must be a list", code=400)
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


def _element(facts: _Type | None, key: str) -> _Field | None:
    if facts is None:
        return None
    return facts.field(key)


def _merge_field(result: dict[str, Any], key: str, value: Any, facts: _Type | None, order: Any) -> None:
    field = _element(facts, key)
    inner = field.type if field else None
    old = result.get(key)
    if isinstance(value, dict):
        if field is not None and field.is_map:
            merged = _merge_map(old if isinstance(old, dict) else {}, value, _MapOf(inner))
        else:
            merged = _merge_map(old if isinstance(old, dict) else {}, value, inner)
        if merged is None:
            result.pop(key, None)
        else:
            result[key] = merged
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
        raise PatchError(f"{_DELETE_PRIMITIVES}{key} must be a list", code=400)
    if isinstance(result.get(key), list):
        result[key] = [item for item in result[key] if item not in values]


def _merge_list(original: list[Any], patch: list[Any], field: _Field, order: Any) -> list[Any]:
    merge_key = field.merge_key
    if not merge_key:
        # A list of primitives that is a set.
        merged = original + [item for index, item in enumerate(patch) if item not in original + patch[:index]]
        return _reorder(merged, original, order if isinstance(order, list) else patch, "")
    if any(_is_directive(item) and item[_DIRECTIVE] == "replace" for item in patch):
        return [_strip(item) for item in patch if not _is_directive(item)]
    result = list(original)
    for item in patch:
        if not isinstance(item, dict) or not isinstance(item.get(merge_key), str | int):
            raise PatchError(f"map: {item} does not contain declared merge key: {merge_key}", code=400)
        found = [index for index, old in enumerate(result) if _key_of(old, merge_key) == item[merge_key]]
        if item.get(_DIRECTIVE) == "delete":
            result = [old for index, old in enumerate(result) if index not in found]
        elif found:
            changed = _merge_map(result[found[0]], item, field.type)
            if changed is not None:
                result[found[0]] = changed
        else:
            added = _merge_map({}, item, field.type)
            if added is not None:
                result.append(added)
    wanted = order if isinstance(order, list) else [item for item in patch if item.get(_DIRECTIVE) != "delete"]
    return _reorder(result, original, wanted, merge_key)


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
