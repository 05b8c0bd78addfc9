"""The language's own operators and conversions.

Integers are 64 bits wide and never wrap: overflow is an error. Numbers of different types compare by value.

Source: cel-spec, "List of Standard Definitions"; messages are cel-go's.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ..values import (
    NANOS,
    Duration,
    EvaluationError,
    KeyedList,
    Timestamp,
    TypeName,
    UInt,
    equal,
    no_overload,
    parse_duration,
    parse_timestamp,
    type_name,
)
from .base import ANY, Declaration, Dispatch, Implementation, for_lists, function

_INT = range(-(1 << 63), 1 << 63)
_UINT = range(1 << 64)
_NUMBERS = (int, UInt, float)
_MAX_SECONDS = 253402300799
_MIN_SECONDS = -62135596800


def _signed(value: int) -> int:
    if value not in _INT:
        raise EvaluationError("integer overflow")
    return value


def _unsigned(value: int) -> UInt:
    if value not in _UINT:
        raise EvaluationError("unsigned integer overflow")
    return UInt(value)


def _duration(nanos: int) -> Duration:
    if nanos not in _INT:
        raise EvaluationError("integer overflow")
    return Duration(nanos)


def _timestamp(nanos: int) -> Timestamp:
    if not _MIN_SECONDS <= nanos // NANOS <= _MAX_SECONDS:
        raise EvaluationError("timestamp overflow")
    return Timestamp(nanos)


def _arithmetic(compute: Callable[[Any, Any], Any]) -> dict[type, Implementation]:
    """An operator on two numbers of one type."""

    def signed(a: int, b: Any) -> int:
        if type(b) is not int:
            raise no_overload()
        return _signed(compute(a, b))

    def unsigned(a: UInt, b: Any) -> UInt:
        if type(b) is not UInt:
            raise no_overload()
        return _unsigned(compute(int(a), int(b)))

    def double(a: float, b: Any) -> float:
        if type(b) is not float:
            raise no_overload()
        return float(compute(a, b))

    return {int: signed, UInt: unsigned, float: double}


def _quotient(a: int, b: int) -> int:
    if b == 0:
        raise EvaluationError("division by zero")
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _remainder(a: int, b: int) -> int:
    if b == 0:
        raise EvaluationError("modulus by zero")
    return a - b * _quotient(a, b)


def _divide(a: Any, b: Any) -> Any:
    if type(a) is not float:
        return _quotient(a, b)
    if b == 0.0:
        return math.nan if a == 0.0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)
    return a / b


def _same(kind: type, compute: Implementation) -> Implementation:
    """`compute`, for a second argument of `kind` only."""

    def checked(a: Any, b: Any) -> Any:
        if not isinstance(b, kind):
            raise no_overload()
        return compute(a, b)

    return checked


def _concatenated(a: list[Any], b: list[Any]) -> list[Any]:
    return a.merged(b) if isinstance(a, KeyedList) else a + b


def _plus_duration(a: Duration, b: Any) -> Any:
    if isinstance(b, Timestamp):
        return _timestamp(a.nanos + b.nanos)
    if isinstance(b, Duration):
        return _duration(a.nanos + b.nanos)
    raise no_overload()


def _minus_timestamp(a: Timestamp, b: Any) -> Any:
    if isinstance(b, Timestamp):
        return _duration(a.nanos - b.nanos)
    if isinstance(b, Duration):
        return _timestamp(a.nanos - b.nanos)
    raise no_overload()


def _comparison(compare: Callable[[Any, Any], bool]) -> Dispatch:
    def numbers(a: Any, b: Any) -> bool:
        if type(b) not in _NUMBERS:
            raise no_overload()
        return compare(float(a), float(b)) if float in (type(a), type(b)) else compare(a, b)

    same = {kind: _same(kind, compare) for kind in (bool, str, bytes, Timestamp, Duration)}
    return dict.fromkeys(_NUMBERS, numbers) | same


def _contained(item: Any, container: Any) -> bool:
    if isinstance(container, list):
        if type(item) is str:
            return item in container
        return any(equal(item, other) for other in container)
    if isinstance(container, dict):
        return not isinstance(item, (list, dict)) and item in container and equal(item, _key(container, item))
    raise no_overload()


def _key(mapping: dict[Any, Any], item: Any) -> Any:
    return next(key for key in mapping if key == item) if isinstance(item, (bool, int, float)) else item


def _index_list(items: list[Any], index: Any) -> Any:
    if type(index) is float and index.is_integer():
        index = int(index)
    if isinstance(index, bool) or not isinstance(index, int):
        raise EvaluationError(f"unsupported index type '{type_name(index)}' in list")
    if not 0 <= index < len(items):
        raise EvaluationError(f"index out of bounds: {index}")
    return items[index]


def _index_map(mapping: dict[Any, Any], key: Any) -> Any:
    if isinstance(key, (list, dict)) or key not in mapping:
        raise EvaluationError(f"no such key: {text_of(key)}")
    return mapping[key]


def text_of(value: Any) -> str:
    """A scalar as `string(value)` gives it."""
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return _double_text(value)
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                raise EvaluationError("invalid UTF-8 in bytes, cannot convert to string") from None
        case _:
            return str(value)


def _double_text(value: float) -> str:
    """As Go's `%g`: with an exponent from a million on."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    exact = Decimal(repr(value)).normalize()
    exponent = exact.adjusted() if value else 0
    if -5 < exponent < 6:
        return format(exact, "f")
    return f"{exact.scaleb(-exponent):f}e{exponent:+03d}"


def _to_int(value: Any) -> int:
    match value:
        case float():
            if not -(2.0**63) < value < 2.0**63:
                raise EvaluationError("integer overflow")
            return int(value)
        case Timestamp():
            return value.nanos // NANOS
        case Duration():
            return value.nanos
        case str():
            digits = value.removeprefix("-").removeprefix("+")
            if not (digits.isascii() and digits.isdigit()) or len(digits) > 20 or int(value) not in _INT:
                raise EvaluationError(f'strconv.ParseInt: parsing "{value}": invalid syntax')
            return int(value)
        case _:
            return _signed(int(value))


def _to_uint(value: Any) -> UInt:
    match value:
        case float():
            if not 0 <= value < 2.0**64:
                raise EvaluationError("unsigned integer overflow")
            return UInt(value)
        case str():
            if not (value.isascii() and value.isdigit()) or len(value) > 20:
                raise EvaluationError(f'strconv.ParseUint: parsing "{value}": invalid syntax')
            return _unsigned(int(value))
        case _:
            return _unsigned(int(value))


def _to_double(value: Any) -> float:
    if isinstance(value, str):
        try:
            if "_" in value or value != value.strip():
                raise ValueError
            return float(value)
        except ValueError:
            raise EvaluationError(f'strconv.ParseFloat: parsing "{value}": invalid syntax') from None
    return float(value)


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if value in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise EvaluationError(f'strconv.ParseBool: parsing "{value}": invalid syntax')


def _to_duration(value: Any) -> Duration:
    if isinstance(value, str):
        parsed = parse_duration(value)
        if parsed is None:
            raise EvaluationError(f'time: invalid duration "{value}"')
        return parsed
    return value if isinstance(value, Duration) else _duration(value)


def _to_timestamp(value: Any) -> Timestamp:
    if isinstance(value, str):
        parsed = parse_timestamp(value)
        if parsed is None:
            raise EvaluationError(f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00": cannot parse')
        return parsed
    return value if isinstance(value, Timestamp) else _timestamp(value * NANOS)


def _type(value: Any) -> TypeName:
    return TypeName(type_name(value))


def _of(kinds: tuple[type, ...], implementation: Implementation) -> Dispatch:
    return dict.fromkeys(kinds, implementation)


FUNCTIONS: dict[str, Dispatch] = {
    "!_": {bool: operator.not_},
    "-_": {int: lambda a: _signed(-a), float: operator.neg, Duration: lambda a: _duration(-a.nanos)},
    "_+_": {
        **_arithmetic(operator.add),
        str: _same(str, operator.add),
        bytes: _same(bytes, operator.add),
        **for_lists(_same(list, _concatenated)),
        Duration: _plus_duration,
        Timestamp: _same(Duration, lambda a, b: _timestamp(a.nanos + b.nanos)),
    },
    "_-_": {
        **_arithmetic(operator.sub),
        Duration: _same(Duration, lambda a, b: _duration(a.nanos - b.nanos)),
        Timestamp: _minus_timestamp,
    },
    "_*_": _arithmetic(operator.mul),
    "_/_": _arithmetic(_divide),
    "_%_": {kind: step for kind, step in _arithmetic(_remainder).items() if kind is not float},
    "_==_": {ANY: equal},
    "_!=_": {ANY: lambda a, b: not equal(a, b)},
    "_<_": _comparison(operator.lt),
    "_<=_": _comparison(operator.le),
    "_>_": _comparison(operator.gt),
    "_>=_": _comparison(operator.ge),
    "@in": {ANY: _contained},
    "_[_]": {**for_lists(_index_list), dict: _index_map},
    "size": dict.fromkeys((str, bytes, list, KeyedList, dict), len),
    "dyn": {ANY: lambda value: value},
    "type": {ANY: _type},
    "int": _of((int, UInt, float, str, Timestamp, Duration), _to_int),
    "uint": _of((int, UInt, float, str), _to_uint),
    "double": _of((int, UInt, float, str), _to_double),
    "bool": _of((bool, str), _to_bool),
    "string": _of((str, bool, int, UInt, float, bytes, Timestamp, Duration), text_of),
    "bytes": {bytes: lambda value: value, str: str.encode},
    "duration": _of((str, int, Duration), _to_duration),
    "timestamp": _of((str, int, Timestamp), _to_timestamp),
}

DECLARATIONS: tuple[Declaration, ...] = tuple(
    function(sign, left, right, result="bool")
    for sign in ("_<_", "_<=_", "_>_", "_>=_")
    for left in ("int", "uint", "double")
    for right in ("int", "uint", "double")
    if left != right
)
