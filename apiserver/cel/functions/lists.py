"""Functions of lists: Kubernetes' own (sum, min, isSorted …), cel-go's lists library (version 3) and sets library.

Source: Kubernetes documentation, "Kubernetes list library"; cel-go, ext/lists.go and ext/sets.go.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import cmp_to_key
from itertools import islice, pairwise
from typing import Any

from ..values import NONE, EvaluationError, Optional, UInt, equal, frozen, no_overload
from .base import Declaration, Dispatch, for_lists, function, method

_NUMBERS = (int, UInt, float)
_MAX_RANGE = 1_000_000
_COMPARABLE = ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes")
_SUMMABLE = ("int", "uint", "double", "duration")


def _order(a: Any, b: Any) -> int:
    numbers = type(a) in _NUMBERS and type(b) in _NUMBERS
    if not numbers and type(a) is not type(b):
        raise no_overload()
    try:
        return int(a > b) - int(a < b)
    except TypeError:
        raise no_overload() from None


_KEY = cmp_to_key(_order)


def _ordered(items: list[Any]) -> bool:
    """Whether Python orders the elements as CEL does, which is much faster than asking for each pair."""
    kinds = set(map(type, items))
    return len(kinds) <= 1 and kinds <= {int, UInt, str, bytes}


def _sum(items: list[Any]) -> Any:
    from .standard import FUNCTIONS as STANDARD

    if not items:
        return 0
    total = items[0]
    for item in items[1:]:
        add = STANDARD["_+_"].get(type(total))
        if add is None or isinstance(total, (str, list)):
            raise no_overload()
        total = add(total, item)
    return total


def _extreme(name: str, pick: Callable[..., Any]) -> Callable[[list[Any]], Any]:
    def extreme(items: list[Any]) -> Any:
        if not items:
            raise EvaluationError(f"{name} called on empty list")
        return pick(items) if _ordered(items) else pick(items, key=_KEY)

    return extreme


def _is_sorted(items: list[Any]) -> bool:
    if _ordered(items):
        return all(map(operator.le, items, islice(items, 1, None)))
    return all(_order(a, b) <= 0 for a, b in pairwise(items))


def _sorted(items: list[Any]) -> list[Any]:
    return sorted(items) if _ordered(items) else sorted(items, key=_KEY)


def _index_of(items: list[Any], wanted: Any) -> int:
    return next((index for index, item in enumerate(items) if equal(item, wanted)), -1)


def _last_index_of(items: list[Any], wanted: Any) -> int:
    return next((index for index in reversed(range(len(items))) if equal(items[index], wanted)), -1)


def _slice(items: list[Any], start: int, end: int) -> list[Any]:
    if start < 0 or end < 0:
        raise EvaluationError(f"cannot slice({start}, {end}), negative indexes not supported")
    if start > end:
        raise EvaluationError(f"cannot slice({start}, {end}), start index must be less than or equal to end index")
    if end > len(items):
        raise EvaluationError(f"cannot slice({start}, {end}), list is length {len(items)}")
    return items[start:end]


def _flatten(items: list[Any], depth: int = 1) -> list[Any]:
    if depth < 0:
        raise EvaluationError("level must be non-negative")
    flat: list[Any] = []
    for item in items:
        if isinstance(item, list) and depth > 0:
            flat.extend(_flatten(item, depth - 1))
        else:
            flat.append(item)
    return flat


def _distinct(items: list[Any]) -> list[Any]:
    seen: dict[Any, Any] = {}
    for item in items:
        seen.setdefault(frozen(item), item)
    return list(seen.values())


def _range(count: int) -> list[int]:
    if count > _MAX_RANGE:
        raise EvaluationError(f"lists.range: {count} is too large")
    return list(range(count))


def _first(items: list[Any]) -> Optional:
    return Optional(True, items[0]) if items else NONE


def _last(items: list[Any]) -> Optional:
    return Optional(True, items[-1]) if items else NONE


def _holds_all(items: list[Any], wanted: list[Any]) -> bool:
    return all(_index_of(items, item) >= 0 for item in wanted)


def _same_elements(a: list[Any], b: list[Any]) -> bool:
    return _holds_all(a, b) and _holds_all(b, a)


def _meet(a: list[Any], b: list[Any]) -> bool:
    return any(_index_of(b, item) >= 0 for item in a)


def _includes(items: Any, wanted: Any) -> bool:
    return _index_of(items, wanted) >= 0


FUNCTIONS: dict[str, Dispatch] = {
    "isSorted": for_lists(_is_sorted),
    "sum": for_lists(_sum),
    "min": for_lists(_extreme("min", min)),
    "max": for_lists(_extreme("max", max)),
    "indexOf": for_lists(_index_of),
    "lastIndexOf": for_lists(_last_index_of),
    "includes": for_lists(_includes),
    "slice": for_lists(_slice),
    "flatten": for_lists(_flatten),
    "distinct": for_lists(_distinct),
    "sort": for_lists(_sorted),
    "reverse": for_lists(lambda items: list(reversed(items))),
    "first": for_lists(_first),
    "last": for_lists(_last),
    "lists.range": {int: _range},
    "sets.contains": for_lists(_holds_all),
    "sets.equivalent": for_lists(_same_elements),
    "sets.intersects": for_lists(_meet),
}

DECLARATIONS: tuple[Declaration, ...] = (
    *(method("sum", f"list({kind})", result=kind) for kind in _SUMMABLE),
    *(method("min", f"list({kind})", result=kind) for kind in _COMPARABLE),
    *(method("max", f"list({kind})", result=kind) for kind in _COMPARABLE),
    *(method("isSorted", f"list({kind})", result="bool") for kind in _COMPARABLE),
    *(method("sort", f"list({kind})", result=f"list({kind})") for kind in _COMPARABLE),
    method("indexOf", "list(T)", "T", result="int"),
    method("lastIndexOf", "list(T)", "T", result="int"),
    method("includes", "list(T)", "T", result="bool"),
    method("slice", "list(T)", "int", "int", result="list(T)"),
    method("flatten", "list(list(T))", result="list(T)"),
    method("flatten", "list(dyn)", "int", result="list(dyn)"),
    method("distinct", "list(T)", result="list(T)"),
    method("reverse", "list(T)", result="list(T)"),
    function("lists.range", "int", result="list(int)"),
    *(
        function(f"sets.{name}", "list(T)", "list(T)", result="bool")
        for name in ("contains", "equivalent", "intersects")
    ),
)
