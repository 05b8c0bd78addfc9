"""The columns that kubectl prints for a custom resource: its name, and what its definition adds.

Source: Kubernetes documentation, "Additional printer columns"; apiextensions-apiserver, tableconvertor.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from k8slite.durations import since

from ..columns.base import NAME, Cell, Column, Document
from .jsonpath import PathError, compile_path, text_of

_AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


def columns_of(wanted: Iterable[Mapping[str, Any]]) -> tuple[Column, ...]:
    """The columns of a version; the age if it wants none. Those after one that cannot be read are left out."""
    columns = [NAME]
    for each in tuple(wanted) or (_AGE,):
        try:
            columns.append(_column(each))
        except PathError:
            break
    return tuple(columns)


def _column(wanted: Mapping[str, Any]) -> Column:
    kind, path = wanted.get("type") or "string", wanted["jsonPath"]
    find = compile_path(path)

    def read(document: Document, now: datetime) -> Cell:
        values = find(document)
        return _cell(kind, values[0], now) if values else None

    return Column(
        wanted["name"],
        read,
        type=kind,
        format=wanted.get("format") or "",
        priority=wanted.get("priority") or 0,
        description=wanted.get("description") or f"Custom resource definition column (in JSONPath format): {path}",
    )


def _cell(kind: str, value: Any, now: datetime) -> Cell:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    match kind:
        case "string":
            return text_of(value)
        case "integer" if number:
            return int(value)
        case "number" if number:
            return float(value)
        case "boolean" if isinstance(value, bool):
            return value
        case "date" if isinstance(value, str):
            try:
                datetime.fromisoformat(value)
            except ValueError:
                return "<invalid>"
            return since(value, now)
    return None
