"""Tables of validation: a change to a good document, and the causes that it must bring.

A row says of each cause its reason, its field and a part of its message. Reasons are short here: `invalid`, `required`,
`forbidden`, `unsupported`, `duplicate`, `missing`, `long`, `many`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from k8slite.errors import Cause

Document = dict[str, Any]
Expected = tuple[str, str, str]

GONE: Any = object()
"""Stands for a field that the change removes."""

_REASONS = {
    "invalid": "FieldValueInvalid",
    "required": "FieldValueRequired",
    "forbidden": "FieldValueForbidden",
    "unsupported": "FieldValueNotSupported",
    "duplicate": "FieldValueDuplicate",
    "missing": "FieldValueNotFound",
    "long": "FieldValueTooLong",
    "many": "FieldValueTooMany",
}


def changed(document: Document, change: Document) -> Document:
    """A copy with the values at dotted paths replaced; numbers are places in lists."""
    result = copy.deepcopy(document)
    for path, value in change.items():
        parent: Any = result
        *parts, last = path.split(".")
        for part in parts:
            parent = parent[int(part)] if isinstance(parent, list) else parent.setdefault(part, {})
        if value is GONE:
            parent.pop(last, None)
        else:
            parent[int(last) if isinstance(parent, list) else last] = copy.deepcopy(value)
    return result


def assert_causes(found: Sequence[Cause], expected: Sequence[Expected]) -> None:
    """The same causes in the same order, each with its reason, its field and its words."""
    assert [(c.reason, c.field) for c in found] == [(_REASONS[reason], field) for reason, field, _ in expected], found
    for cause, (_, _, words) in zip(found, expected, strict=True):
        assert words in cause.message
