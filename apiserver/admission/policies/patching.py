"""What a mutating policy's expression wrote, applied to an object. Pure.

An `Object{…}` is merged as a configuration is by server-side apply, but nobody comes to own its fields. It may not name
what is replaced as a whole: whoever writes two items of such a list would take away the others without meaning to.

Source: Kubernetes' apiserver, pkg/admission/plugin/policy/mutating/patch; pkg/cel/mutation.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from k8slite.schema.atoms import ANY, Atom

from ... import documents
from ...cel.values import Duration, Timestamp, TypedObject
from ...fields.merge import merge, violations
from ...patch import json as json_patch
from ...strategies.base import Document


class PatchFailed(Exception):
    """Why an object cannot be changed as an expression would have it."""


def apply_configuration(live: Document, written: TypedObject, atom: Atom) -> Document:
    """The object with what an `Object{…}` says; `live` stays as it is. Raises PatchFailed."""
    _check_names(written)
    wanted: Document = plain(written)
    wanted |= {name: live[name] for name in ("apiVersion", "kind") if name in live}
    if wrong := violations(wanted, atom):
        raise PatchFailed(f"error applying patch: failed to convert patch object to typed object: {wrong}")
    if whole := ", ".join(_atomic(wanted, atom, "")):
        detail = f"may not mutate atomic arrays, maps or structs: {whole}"
        raise PatchFailed(f"error applying patch: invalid ApplyConfiguration: {detail}")
    return merge(documents.copy(live), wanted, atom)


def apply_patch(live: Document, written: list[TypedObject]) -> Document:
    """The object after operations `JSONPatch{…}`; the same if a `test` among them fails. Raises PatchFailed."""
    for operation in written:
        if isinstance(operation.get("value"), TypedObject):
            _check_names(operation["value"])
    try:
        patched: Document = json_patch.apply(live, [_operation(plain(operation)) for operation in written])
    except json_patch.UnequalError:
        return live
    except json_patch.PatchError as error:
        raise PatchFailed(f"JSON Patch: {error}") from None
    return patched


def _operation(written: Document) -> Document:
    return {name: value for name, value in written.items() if name != "from" or value}


def _check_names(written: TypedObject) -> None:
    """Each object within must be of the type that is named after its place."""
    wrong = list(_misnamed(written, written.cel_type))
    if wrong:
        raise PatchFailed("type mismatch: " + "\n".join(wrong))


def _misnamed(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, TypedObject):
        if value.cel_type != place:
            yield (
                f'unexpected type name "{value.cel_type}", expected "{place}", '
                "which matches field name path from root Object type"
            )
        for name, part in value.items():
            yield from _misnamed(part, f"{place}.{name}")
    elif isinstance(value, dict):
        for part in value.values():
            yield from _misnamed(part, place)
    elif isinstance(value, list):
        for part in value:
            yield from _misnamed(part, place)


def plain(value: Any) -> Any:
    """A value of an expression as JSON has it. Raises PatchFailed for what JSON has not."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return int(value)
        case float():
            return int(value) if value.is_integer() else value
        case list():
            return [plain(item) for item in value]
        case dict():
            for key in value:
                if not isinstance(key, str):
                    raise PatchFailed(f'map key "{key}" is of type {type(key).__name__}, not string')
            return {key: plain(item) for key, item in value.items()}
        case bytes():
            return base64.b64encode(value).decode()
        case Timestamp() | Duration():
            return str(value)
        case _:
            raise PatchFailed(f"a value of type {getattr(value, 'cel_type', type(value).__name__)} is not JSON")


def _atomic(value: Any, atom: Atom, path: str) -> Iterator[str]:
    """The paths of the maps and lists in a value that are replaced as a whole."""
    if isinstance(value, dict):
        if atom.form in ("map", "any") and not atom.opens_maps:
            yield path
        for name, part in value.items():
            yield from _atomic(part, atom.fields.get(name) or atom.element or ANY, f"{path}.{name}")
    elif isinstance(value, list):
        if atom.form in ("list", "any") and not atom.opens_lists:
            yield path
        for index, item in enumerate(value):
            yield from _atomic(item, atom.element or ANY, f"{path}[{index}]")
