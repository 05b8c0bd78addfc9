"""Scalars: what each looks like in its canonical form, and how other accepted forms become canonical.

The validators accept the canonical form only, which is what almost every client sends; whatever they refuse goes
through `convert`, which accepts all that Kubernetes accepts, words errors as it does, and gives the canonical form.

Source: apimachinery's Time, MicroTime, Quantity and IntOrString; Go's encoding/json for the words of type errors.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pydantic_core import CoreSchema, core_schema

from .. import quantity

INT32 = (-(1 << 31), (1 << 31) - 1)
INT64 = (-(1 << 63), (1 << 63) - 1)
_RANGES = {"int32": INT32, "int64": INT64}

_TIME = re.compile(
    r"^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)$", re.ASCII
)  # RFC 3339 as Go reads it

# Days that are in every calendar; the 29th of February takes the slow road.
_DAY = (
    r"[1-9][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
# The forms that a quantity keeps when it is written again: a decimal one has no thousands left, a binary one no 1024s.
_DECIMAL = r"(?:[1-9][0-9]{0,2}|[1-9][0-9]*(?:[1-9][0-9][0-9]|[0-9][1-9][0-9]|[0-9][0-9][1-9]))[numkMGTPE]?"
_BINARY = r"(?:[1-9][0-9]{0,2}|[1-9][0-9]*[13579])(?:Ki|Mi|Gi|Ti|Pi|Ei)"


class ScalarError(ValueError):
    """The value is none of this type. `mismatch` is the JSON type found if the type is wrong, else empty."""

    def __init__(self, message: str, *, mismatch: str = "") -> None:
        super().__init__(message)
        self.mismatch = mismatch


def core_schemas() -> dict[str, CoreSchema]:
    """A validator for each scalar's canonical form."""
    string = core_schema.str_schema(strict=True)
    int32 = core_schema.int_schema(strict=True, ge=INT32[0], le=INT32[1])
    int64 = core_schema.int_schema(strict=True, ge=INT64[0], le=INT64[1])
    return {
        "string": string,
        "boolean": core_schema.bool_schema(strict=True),
        "int32": int32,
        "int64": int64,
        "double": core_schema.union_schema([int64, core_schema.float_schema(strict=True, allow_inf_nan=False)]),
        "byte": _pattern(r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"),
        "time": _pattern(rf"^{_DAY}T{_CLOCK}Z$"),
        "microtime": _pattern(rf"^{_DAY}T{_CLOCK}\.[0-9]{{6}}Z$"),
        "quantity": _pattern(rf"^(?:0|{_DECIMAL}|{_BINARY})$"),
        "int-or-string": core_schema.union_schema([string, int32], mode="left_to_right"),
        "object": core_schema.dict_schema(string, core_schema.any_schema()),
        "any": core_schema.any_schema(),
    }


def required_string() -> CoreSchema:
    """A string that must not be empty."""
    return core_schema.str_schema(strict=True, min_length=1)


def _pattern(pattern: str) -> CoreSchema:
    return core_schema.str_schema(strict=True, pattern=pattern)


def json_type(value: object) -> str:
    """The JSON type of a decoded value, as Go's errors name it."""
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case int() | float():
            return "number"
        case dict():
            return "object"
        case list():
            return "array"
    return "null"


def convert(scalar: str, value: Any) -> Any:
    """The canonical form of a decoded, non-null value. Raises ScalarError."""
    return _CONVERTERS[scalar](value)


def zero(scalar: str) -> Any:
    """What null becomes where a value must stand (in a list, as a map's value)."""
    return _ZEROS.get(scalar)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise _mismatch(value)
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _mismatch(value)
    return value


def _integer(scalar: str) -> Callable[[Any], int]:
    lowest, highest = _RANGES[scalar]

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _mismatch(value)
        if not lowest <= value <= highest:
            raise ScalarError(f"{value} does not fit", mismatch=f"number {value}")
        return value

    return read


def _double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _mismatch(value)
    return value


def _byte(value: Any) -> str:
    text = _string(value).replace("\r", "").replace("\n", "")
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        valid = re.match(r"(?:[A-Za-z0-9+/]{4})*[A-Za-z0-9+/]{0,3}", text)
        position = valid.end() if valid else 0
        raise ScalarError(f"illegal base64 data at input byte {position}") from None
    return text


def _moment(value: Any) -> datetime:
    if not isinstance(value, str):
        raise ScalarError(f"json: cannot unmarshal {json_type(value)} into Go value of type string")
    layout = "2006-01-02T15:04:05Z07:00"
    found = _TIME.fullmatch(value)
    if not found:
        raise ScalarError(f'parsing time "{value}" as "{layout}": cannot parse "{value}" as "2006"')
    *_, fraction, zone = found.groups()
    seconds = value[:19]
    try:
        moment = datetime.fromisoformat(seconds + ("+00:00" if zone == "Z" else zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ScalarError(f'parsing time "{value}": value out of range') from None
    return moment.replace(microsecond=int((fraction or "0")[:6].ljust(6, "0")))


def _time(value: Any) -> str:
    return _moment(value).replace(microsecond=0).isoformat(timespec="seconds").replace("+00:00", "Z")


def _microtime(value: Any) -> str:
    return _moment(value).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _quantity(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ScalarError(f"json: cannot unmarshal {json_type(value)} into Go value of type string")
    try:
        return quantity.canonical(value)
    except quantity.QuantityError as error:
        raise ScalarError(str(error)) from None


def _int_or_string(value: Any) -> int | str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise ScalarError(f"json: cannot unmarshal {json_type(value)} into Go value of type int32")
    if not INT32[0] <= value <= INT32[1]:
        raise ScalarError(f"json: cannot unmarshal number {value} into Go value of type int32")
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _mismatch(value)
    return value


def _any(value: Any) -> Any:
    return value


def _mismatch(value: object) -> ScalarError:
    found = json_type(value)
    if isinstance(value, float):
        found = f"number {value!r}"
    return ScalarError(f"found {found}", mismatch=found)


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "string": _string,
    "boolean": _boolean,
    "int32": _integer("int32"),
    "int64": _integer("int64"),
    "double": _double,
    "byte": _byte,
    "time": _time,
    "microtime": _microtime,
    "quantity": _quantity,
    "int-or-string": _int_or_string,
    "object": _object,
    "any": _any,
}

_ZEROS: dict[str, Any] = {
    "string": "",
    "boolean": False,
    "int32": 0,
    "int64": 0,
    "double": 0,
    "byte": "",
    "quantity": "0",
    "int-or-string": 0,
}
