"""The metadata of custom resources and of objects embedded in them: an ObjectMeta, whatever the schema says.

What a client sends must be one; what lies in the store is repaired instead, field by field.

Source: Kubernetes' apiextensions-apiserver, schema/objectmeta.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from pydantic_core import ValidationError

from k8slite.errors import Cause, invalid_value, required
from k8slite.schema import TypeFacts, builtin_facts
from k8slite.schema.decoder import walk
from k8slite.schema.validators import compile_type

from ..validation import metadata as rules
from ..validation import names
from .structural import Structural

Document = dict[str, Any]
_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


class Malformed(Exception):
    """Metadata that cannot be read, in Go's words."""


@cache
def _facts() -> TypeFacts:
    return builtin_facts().by_name(_OBJECT_META)


@cache
def _validate() -> Callable[[Any], Document]:
    return compile_type(_facts()).validate_python


def read(metadata: Any, *, path: str = "metadata", lenient: bool = False) -> tuple[Document, list[str]]:
    """Metadata as an ObjectMeta, and what is unknown or repeated in it (`unknown field "metadata.x"`).

    Raises Malformed unless `lenient`: then what cannot be read is dropped.
    """
    if metadata is None:
        return {}, []
    try:
        return _validate()(metadata), []
    except ValidationError:
        pass
    result, findings = walk(metadata, _facts())
    if findings.error and not lenient:
        raise Malformed(findings.error)
    if findings.error and isinstance(metadata, dict):
        result = {}
        for name, value in metadata.items():
            single, found = walk({name: value}, _facts())
            if not found.error:
                result.update(single)
    return result, [text.replace('"', f'"{path}.', 1) for text in findings.strict]


def coerce(value: Any, schema: Structural | None, *, path: str = "", root: bool = True, lenient: bool) -> list[str]:
    """Read the metadata of embedded objects in place; what is unknown in it. Raises Malformed unless `lenient`."""
    if schema is None:
        return []
    found: list[str] = []
    if isinstance(value, dict):
        if schema.embedded and not root:
            found += _coerce_object(value, path, lenient=lenient)
        for name, item in value.items():
            below = schema.member(name)
            if below is not None and isinstance(item, (dict, list)):
                found += coerce(item, below, path=f"{path}.{name}" if path else name, root=False, lenient=lenient)
    elif isinstance(value, list) and schema.items is not None:
        for index, item in enumerate(value):
            found += coerce(item, schema.items, path=f"{path}[{index}]", root=False, lenient=lenient)
    return found


def _coerce_object(value: Document, path: str, *, lenient: bool) -> list[str]:
    for name in ("apiVersion", "kind"):
        if name in value and not isinstance(value[name], str):
            if not lenient:
                raise Malformed(str(invalid_value(f"{path}.{name}", value[name], "must be a string")))
            del value[name]
    if "metadata" not in value:
        return []
    try:
        value["metadata"], found = read(value["metadata"], path=f"{path}.metadata", lenient=lenient)
    except Malformed as error:
        raise Malformed(str(invalid_value(f"{path}.metadata", value["metadata"], str(error)))) from None
    return found


def validate(value: Any, schema: Structural | None, *, path: str = "", root: bool = True) -> list[Cause]:
    """What is wrong with embedded objects."""
    if schema is None:
        return []
    causes: list[Cause] = []
    if isinstance(value, dict):
        if schema.embedded and not root:
            causes += _validate_object(value, path)
        for name, item in value.items():
            if name in schema.properties:
                below: Structural | None = schema.properties[name]
                there = f"{path}.{name}" if path else name
            else:
                below, there = schema.additional, f"{path}[{name}]"
            if below is not None and isinstance(item, (dict, list)):
                causes += validate(item, below, path=there, root=False)
    elif isinstance(value, list) and schema.items is not None:
        for index, item in enumerate(value):
            causes += validate(item, schema.items, path=f"{path}[{index}]", root=False)
    return causes


def _validate_object(value: Document, path: str) -> list[Cause]:
    causes = [required(f"{path}.{name}") for name in ("apiVersion", "kind") if name not in value]
    api_version, kind = value.get("apiVersion"), value.get("kind")
    if api_version == "":
        causes.append(invalid_value(f"{path}.apiVersion", "", "must not be empty"))
    elif isinstance(api_version, str) and api_version.count("/") > 1:
        causes.append(
            invalid_value(f"{path}.apiVersion", api_version, f"unexpected GroupVersion string: {api_version}")
        )
    if kind == "":
        causes.append(invalid_value(f"{path}.kind", "", "must not be empty"))
    elif isinstance(kind, str) and (problem := names.dns_1035_label(kind.lower())):
        detail = f"may have mixed case, but should otherwise match: {problem}"
        causes.append(invalid_value(f"{path}.kind", kind, detail))
    if isinstance(meta := value.get("metadata"), dict):
        checked = {**meta, "name": meta.get("name") or "fakename"}
        found = rules.validate(checked, namespaced=bool(meta.get("namespace")), name_rule=names.path_segment)
        causes += [Cause(each.reason, each.message, f"{path}.{each.field}") for each in found]
    return causes
