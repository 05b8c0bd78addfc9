"""JSON Patch.

Source: RFC 6902 (operations) and RFC 6901 (pointers).
"""

from __future__ import annotations

import re
from typing import Any

import orjson

_OPERATIONS = ("add", "remove", "replace", "move", "copy", "test")
_INDEX = re.compile("-?[0-9]{1,9}")
_MAX_OPERATIONS = 10_000
_TOO_DEEP = "exceeded max depth"
_MAX_COPIED = 3 << 20
"""Bytes that all `copy` operations of a patch may add: each can double the document."""


class PatchError(Exception):
    """The patch is none of its form (`code` 400), too long (413), or cannot be carried out on this document (422)."""

    def __init__(self, message: str, *, code: int = 422) -> None:
        super().__init__(message)
        self.code = code


class UnequalError(PatchError):
    """A `test` of the patch failed."""


def apply(document: Any, operations: list[dict[str, Any]]) -> Any:
    """The patched document; `document` stays as it is. Raises PatchError."""
    try:
        return _applied(document, operations)
    except RecursionError:
        raise PatchError(_TOO_DEEP) from None


def _applied(document: Any, operations: list[dict[str, Any]]) -> Any:
    if len(operations) > _MAX_OPERATIONS:
        detail = f"The allowed maximum operations in a JSON patch is {_MAX_OPERATIONS}, got {len(operations)}"
        raise PatchError(detail, code=413)
    result, copied = _copy(document), 0
    for operation in operations:
        if operation.get("op") == "copy":
            copied += len(_encoded(_lookup(result, _pointer(operation.get("from")), "copy")))
            if copied > _MAX_COPIED:
                raise PatchError(
                    f"Unable to complete the copy, the accumulated size increase of copy is {copied}, "
                    f"exceeding the limit {_MAX_COPIED}"
                )
        result = _apply(result, operation)
    return result


def _apply(document: Any, operation: dict[str, Any]) -> Any:
    kind = operation.get("op", "unknown")
    if kind not in _OPERATIONS:
        raise PatchError(f"Unexpected kind: {kind}")
    path = _pointer(operation.get("path"))
    match kind:
        case "add":
            return _add(document, path, _copy(_value(operation)))
        case "remove":
            return _remove(document, path)[0]
        case "replace":
            if not path:
                return _copy(_value(operation))
            _lookup(document, path, "replace")
            document, _ = _remove(document, path)
            return _add(document, path, _copy(_value(operation)))
        case "move":
            source = _pointer(operation.get("from"))
            if path[: len(source)] == source and len(path) > len(source):
                raise PatchError("cannot move a value into one of its own children")
            document, value = _remove(document, source)
            return _add(document, path, value)
        case "copy":
            return _add(document, path, _copy(_lookup(document, _pointer(operation.get("from")), "copy")))
        case _:
            if not _equal(_tested(document, path), operation.get("value")):
                raise UnequalError(f"testing value {operation.get('path')} failed: test failed")
            return document


def _copy(value: Any) -> Any:
    return orjson.loads(_encoded(value))


def _encoded(value: Any) -> bytes:
    """A value as JSON. Raises PatchError for what is nested deeper than anything that is stored."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise PatchError(_TOO_DEEP) from None


def _value(operation: dict[str, Any]) -> Any:
    if "value" not in operation:
        raise PatchError(f"{operation['op']} operation without a value")
    return operation["value"]


def _pointer(text: Any) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise PatchError(f"invalid JSON pointer: {text!r}")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _equal(left: Any, right: Any) -> bool:
    # True == 1 in Python, but not in JSON.
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return bool(left == right)


def _index(text: str, length: int) -> int:
    """A place in a list; negative ones count from its end, as Kubernetes has it beyond RFC 6901."""
    if not _INDEX.fullmatch(text):
        raise PatchError(f"invalid array index: {text!r}")
    index = int(text)
    if not -length <= index < length:
        raise PatchError(f"Unable to access invalid index: {index}")
    return index if index >= 0 else index + length


def _lookup(document: Any, path: list[str], verb: str) -> Any:
    value = document
    for part in path:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list):
            value = value[_index(part, len(value))]
        else:
            raise PatchError(f"{verb} operation does not apply: doc is missing path: /{'/'.join(path)}: missing value")
    return value


def _tested(document: Any, path: list[str]) -> Any:
    """What a test looks at: an absent member of an object that is there passes for null."""
    parent = _parent(document, path, "test") if path else document
    if path and isinstance(parent, dict) and path[-1] not in parent:
        return None
    return _lookup(document, path, "test")


def _parent(document: Any, path: list[str], verb: str) -> Any:
    parent = _lookup(document, path[:-1], verb)
    if not isinstance(parent, dict | list):
        raise PatchError(f"{verb} operation does not apply: doc is missing path: /{'/'.join(path)}: missing value")
    return parent


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent = _parent(document, path, "add")
    if isinstance(parent, dict):
        parent[path[-1]] = value
    elif path[-1] == "-":
        parent.append(value)
    else:
        parent.insert(_index(path[-1], len(parent) + 1), value)
    return document


def _remove(document: Any, path: list[str]) -> tuple[Any, Any]:
    if not path:
        return None, document
    parent = _parent(document, path, "remove")
    if isinstance(parent, list):
        return document, parent.pop(_index(path[-1], len(parent)))
    if path[-1] not in parent:
        raise PatchError(
            f"remove operation does not apply: unable to remove nonexistent key: {path[-1]}: missing value"
        )
    return document, parent.pop(path[-1])
