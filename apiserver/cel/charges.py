"""What a call costs, charged before it is carried out: in units of about 50 ns, as Kubernetes counts them.

Where Kubernetes charges nothing for the size of a result or for comparing deep values, the true work is charged here,
and a little more for what is slower in Python than in Go; so that no expression can do much for little.

Source: cel-go, interpreter/runtimecost.go; Kubernetes' apiserver, pkg/cel/library/cost.go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

Charge = Callable[[Sequence[Any]], int]

STRING = 0.1
REGEX = 0.25
_SHALLOW = 16
_LONGEST_NAME_FORMAT = 128
_AUTHORIZATION = 350_000
_SEARCH = 5


def size(value: Any) -> int:
    """The length of what has one; 1 of anything else."""
    return len(value) if isinstance(value, (str, bytes, list, dict)) else 1


def weight(value: Any) -> int:
    """The work of looking at all of a value: one for each value in it, itself included, and more for long strings."""
    if isinstance(value, list):
        if set(map(type, value)) == {str}:
            return 1 + len(value) + sum(map(len, value)) // 10
        return 1 + sum(map(weight, value))
    if isinstance(value, dict):
        return 1 + sum(map(weight, value.values()))
    return 1 + len(value) // 10 if isinstance(value, (str, bytes)) else 1


def _strings(value: float) -> int:
    return ceil(value * STRING)


def _first(args: Sequence[Any]) -> int:
    return _strings(size(args[0]))


def _twice(args: Sequence[Any]) -> int:
    return _strings(2 * size(args[0]))


def _equality(args: Sequence[Any]) -> int:
    a, b = args
    shallow = max(1, _strings(min(size(a), size(b))))
    if not isinstance(a, (list, dict)) or not isinstance(b, (list, dict)):
        return shallow
    nodes = min(weight(a), weight(b))
    return shallow if nodes <= _SHALLOW else 2 * nodes


def _order(args: Sequence[Any]) -> int:
    return max(1, _strings(min(size(args[0]), size(args[1]))))


def _plus(args: Sequence[Any]) -> int:
    a, b = args
    if isinstance(a, (str, bytes)):
        return _strings(size(a) + size(b))
    return 1 + _strings(size(a) + size(b)) if isinstance(a, list) else 1


def _search(args: Sequence[Any]) -> int:
    return _SEARCH + _strings(1 + size(args[0])) * ceil(size(args[1]) * REGEX)


def _contains(args: Sequence[Any]) -> int:
    return _strings(size(args[0])) * _strings(size(args[1]))


def _membership(args: Sequence[Any]) -> int:
    item, container = args
    if not isinstance(container, list):
        return 1
    if isinstance(item, (list, dict)):
        return 2 * weight(container)
    return len(container) if size(item) <= _SHALLOW else max(len(container), weight(container))


def _replace(args: Sequence[Any]) -> int:
    text, old, new = (args[0], args[1], args[2]) if len(args) > 2 else ("", "", "")
    if not all(isinstance(part, str) for part in (text, old, new)):
        return 1
    return max(_twice(args), _strings(len(text) + text.count(old) * len(new)))


def _join(args: Sequence[Any]) -> int:
    items = args[0] if isinstance(args[0], list) else []
    separators = size(args[1]) * len(items) if len(args) > 1 else 0
    return _strings(2 * (sum(map(size, items)) + separators))


def _traversal(args: Sequence[Any]) -> int:
    return sum(_strings(len(item)) if isinstance(item, (str, bytes)) else weight(item) for item in args[0])


def _list_or_text(args: Sequence[Any]) -> int:
    return _traversal(args) if isinstance(args[0], list) else _contains(args)


def _product(args: Sequence[Any]) -> int:
    return max(1, weight(args[0]) * weight(args[1]))


def _format(args: Sequence[Any]) -> int:
    return _strings(size(args[0])) + sum(4 * _spread(item) for item in args[1])


def _spread(value: Any) -> int:
    if isinstance(value, list):
        return 1 + sum(map(_spread, value))
    if isinstance(value, dict):
        return 1 + sum(1 + _spread(item) for item in value.values()) + _strings(sum(map(size, value)))
    return 1 + size(value) // 10


def _range(args: Sequence[Any]) -> int:
    return max(0, args[0]) if isinstance(args[0], int) else 1


def _reading(units: int) -> Charge:
    """Of what reads a text into a value of a library, which takes Python a while even if the text is short."""
    return lambda args: units + _first(args)


def _validate(args: Sequence[Any]) -> int:
    return _strings(1 + size(args[1])) * ceil(_LONGEST_NAME_FORMAT * REGEX)


CHARGES: dict[str, Charge] = {
    "_==_": _equality,
    "_!=_": _equality,
    **dict.fromkeys(("_<_", "_<=_", "_>_", "_>=_"), _order),
    "_+_": _plus,
    "@in": _membership,
    "matches": _search,
    "find": _search,
    "findAll": _search,
    "contains": _contains,
    **dict.fromkeys(("startsWith", "endsWith"), lambda args: max(1, _strings(size(args[1])))),
    "replace": _replace,
    "split": _twice,
    "join": _join,
    "format": _format,
    "indexOf": _list_or_text,
    "lastIndexOf": _list_or_text,
    "lists.range": _range,
    "validate": _validate,
    "check": lambda args: _AUTHORIZATION,
    "ip.isCanonical": _reading(25),
    **dict.fromkeys(("sets.contains", "sets.equivalent", "sets.intersects"), _product),
    **dict.fromkeys(
        ("isSorted", "sum", "min", "max", "includes", "sort", "distinct", "reverse", "flatten", "slice"), _traversal
    ),
    **dict.fromkeys(
        (
            *("lowerAscii", "upperAscii", "substring", "trim", "charAt", "strings.quote"),
            *("string", "bytes", "int", "uint", "double", "bool"),
        ),
        _first,
    ),
    **dict.fromkeys(("duration", "quantity", "isQuantity", "semver", "isSemver"), _reading(5)),
    **dict.fromkeys(("timestamp", "url", "isURL", "ip", "isIP"), _reading(10)),
    **dict.fromkeys(("cidr", "isCIDR"), _reading(15)),
    **dict.fromkeys(("containsIP", "containsCIDR", "masked", "isLinkLocalMulticast"), lambda args: 25),
}
