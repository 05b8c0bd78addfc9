"""What expressions compute with: CEL's values in Python, and when two of them are equal.

| CEL | Python |
| --- | --- |
| int, uint, double, bool, string, bytes, null | int, `UInt`, float, bool, str, bytes, None |
| list, map and objects | list (or `KeyedList`), dict (`TypedObject` if written by the expression) |
| timestamp, duration | `Timestamp`, `Duration` (nanoseconds) |
| optional | `Optional` |
| a type | `TypeName` |

The types of Kubernetes' libraries are classes with a `cel_type` of their own.

Source: cel-spec, "Values" and "Equality".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

NANOS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_DURATION = 1 << 63
_MAX_DIGITS = 40


class EvaluationError(Exception):
    """An expression that cannot be evaluated, in cel-go's words (`no such key: x`, `division by zero`)."""


class CostExceeded(EvaluationError):
    """The evaluation was given up because it became too expensive."""

    def __init__(self) -> None:
        super().__init__("operation cancelled: actual cost limit exceeded")


def no_overload() -> EvaluationError:
    """The error for arguments of types that the function does not know."""
    return EvaluationError("no such overload")


class UInt(int):
    """An unsigned integer; Python's integers are CEL's signed ones."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A span of time in nanoseconds."""

    nanos: int
    cel_type = "google.protobuf.Duration"

    def __str__(self) -> str:
        seconds, rest = divmod(abs(self.nanos), NANOS)
        fraction = f".{rest:09d}".rstrip("0") if rest else ""
        return f"{'-' if self.nanos < 0 else ''}{seconds}{fraction}s"


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A point in time: nanoseconds since 1970 (UTC)."""

    nanos: int
    cel_type = "google.protobuf.Timestamp"

    def moment(self) -> datetime:
        """The same to the microsecond, as Python's own type."""
        return _EPOCH + timedelta(microseconds=self.nanos // 1000)

    def __str__(self) -> str:
        seconds, rest = divmod(self.nanos, NANOS)
        fraction = f".{rest:09d}".rstrip("0") if rest else ""
        return (_EPOCH + timedelta(seconds=seconds)).isoformat().removesuffix("+00:00") + fraction + "Z"


@dataclass(frozen=True, slots=True)
class Optional:
    """A value that may be missing; `value` counts only if `present`."""

    present: bool
    value: Any = None
    cel_type = "optional_type"


NONE = Optional(False)


@dataclass(frozen=True, slots=True)
class TypeName:
    """A type as a value, by its name: what `type(x)` gives."""

    name: str
    cel_type = "type"


class TypedObject(dict[Any, Any]):
    """An object that an expression wrote, as `Object.spec{replicas: 3}`; `cel_type` is the name of its type."""

    __slots__ = ("cel_type",)

    def __init__(self, cel_type: str) -> None:
        super().__init__()
        self.cel_type = cel_type


class KeyedList(list[Any]):
    """A list of which the order does not count: `x-kubernetes-list-type` set or map.

    `identify` gives what tells an element from others (itself in a set, its keys' values in a map).
    """

    __slots__ = ("identify",)

    def __init__(self, items: list[Any], identify: Callable[[Any], Hashable]) -> None:
        super().__init__(items)
        self.identify = identify

    def merged(self, other: list[Any]) -> KeyedList:
        """This list with the elements of `other`: those of the same identity in the old place, the rest at the end."""
        places = {self.identify(item): index for index, item in enumerate(self)}
        result = list(self)
        for item in other:
            place = places.setdefault(self.identify(item), len(result))
            result[place:] = [item] if place == len(result) else [item, *result[place + 1 :]]
        return KeyedList(result, self.identify)


def frozen(value: Any) -> Hashable:
    """A hashable stand-in for a value, equal for equal values (true is not 1)."""
    match value:
        case bool():
            return ("bool", value)
        case dict():
            return frozenset((key, frozen(item)) for key, item in value.items())
        case list():
            return tuple(frozen(item) for item in value)
        case _:
            return value  # type: ignore[no-any-return]


def equal(a: Any, b: Any) -> bool:
    """CEL's equality: numbers by value whatever their type, containers element by element, anything else by type."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list):
        if not isinstance(b, list) or len(a) != len(b):
            return False
        keyed = a if isinstance(a, KeyedList) else b
        if isinstance(keyed, KeyedList):
            others = {keyed.identify(item): item for item in b}
            missing = object()
            return all(equal(item, others.get(keyed.identify(item), missing)) for item in a)
        return all(map(equal, a, b))
    if isinstance(a, dict):
        if not isinstance(b, dict) or len(a) != len(b) or getattr(a, "cel_type", "") != getattr(b, "cel_type", ""):
            return False
        return all(key in b and equal(item, b[key]) for key, item in a.items())
    if isinstance(a, Optional):
        return isinstance(b, Optional) and a.present == b.present and (not a.present or equal(a.value, b.value))
    if (isinstance(a, float) and isinstance(b, int)) or (isinstance(a, int) and isinstance(b, float)):
        return float(a) == float(b)
    return bool(a == b)


def type_name(value: Any) -> str:
    """The name of a value's type, as `type(x)` prints it."""
    match value:
        case bool():
            return "bool"
        case UInt():
            return "uint"
        case int():
            return "int"
        case float():
            return "double"
        case str():
            return "string"
        case bytes():
            return "bytes"
        case list():
            return "list"
        case TypedObject():
            return value.cel_type
        case dict():
            return "map"
        case None:
            return "null_type"
        case _:
            return str(getattr(value, "cel_type", "dyn"))


_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNITS = {"ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 10**6, "s": NANOS, "m": 60 * NANOS, "h": 3600 * NANOS}


def parse_duration(text: str) -> Duration | None:
    """Go's notation, as `1h30m` or `-1.5s`; None if it is none."""
    sign, body = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if body == "0":
        return Duration(0)
    nanos, at = 0, 0
    while at < len(body):
        part = _DURATION.match(body, at)
        if part is None or len(part[1]) > _MAX_DIGITS:
            return None
        whole, _, fraction = part[1].partition(".")
        unit = _UNITS[part[2]]
        nanos += int(whole or 0) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
        at = part.end()
    return Duration(sign * nanos) if body and nanos < _MAX_DURATION else None


_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def parse_timestamp(text: str) -> Timestamp | None:
    """RFC 3339, to the nanosecond; None if it is none."""
    parts = _RFC3339.fullmatch(text)
    if parts is None:
        return None
    zone = "+00:00" if parts[4] in "Zz" else parts[4]
    try:
        moment = datetime.fromisoformat(f"{parts[1]}T{parts[2]}{zone}")
        seconds = (moment - _EPOCH) // timedelta(seconds=1)
    except (ValueError, OverflowError):
        return None
    return Timestamp(seconds * NANOS + int((parts[3] or "0")[:9].ljust(9, "0")))


def parse_date(text: str) -> Timestamp | None:
    """A day, `2006-01-02`, at midnight UTC; None if it is none."""
    return parse_timestamp(f"{text}T00:00:00Z") if len(text) == 10 else None
