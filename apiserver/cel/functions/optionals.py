"""Optional values: optional.of, orValue, and the operators `?.` and `[?…]`.

Source: cel-spec proposal 246, "Optional values".
"""

from __future__ import annotations

from typing import Any

from ..values import NONE, EvaluationError, KeyedList, Optional
from .base import ANY, Dispatch


def _of_non_zero(value: Any) -> Optional:
    zero = value is None or value in (False, 0, "", b"") or (isinstance(value, (list, dict)) and not value)
    return NONE if zero else Optional(True, value)


def _value(option: Optional) -> Any:
    if not option.present:
        raise EvaluationError("optional.none() dereference")
    return option.value


def select(container: Any, key: Any) -> Optional:
    """`container.?key` and `container[?key]`, of a value or an optional one."""
    if isinstance(container, Optional):
        return select(container.value, key) if container.present else NONE
    if isinstance(container, dict):
        return Optional(True, container[key]) if key in container else NONE
    if isinstance(container, list):
        return Optional(True, container[key]) if isinstance(key, int) and 0 <= key < len(container) else NONE
    raise EvaluationError(f"no such key: {key}")


FUNCTIONS: dict[str, Dispatch] = {
    "optional.of": {ANY: lambda value: Optional(True, value)},
    "optional.none": {ANY: lambda: NONE},
    "optional.ofNonZeroValue": {ANY: _of_non_zero},
    "hasValue": {Optional: lambda option: option.present},
    "value": {Optional: _value},
    "or": {Optional: lambda option, other: option if option.present else other},
    "orValue": {Optional: lambda option, other: option.value if option.present else other},
    "_?._": {ANY: select},
    "_[_]": {Optional: select},
    "_[?_]": dict.fromkeys((dict, list, KeyedList, Optional), select),
}
