"""Values as Go's decoder takes them: exact types, no conversions, and its words for what does not fit.

Source: Go's encoding/json; apimachinery's Duration.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from ..durations import parse_duration


def go_type(name: str) -> PydanticCustomError:
    """The error for a value that is not of a Go type; `reading.py` words it."""
    return PydanticCustomError("go_type", "{go}", {"go": name})


def said(message: str) -> PydanticCustomError:
    """An error with words of its own."""
    return PydanticCustomError("said", "{text}", {"text": message})


def json_type(value: Any) -> str:
    """What Go calls a decoded value."""
    match value:
        case bool():
            return "bool"
        case int() | float():
            return f"number {value:g}" if isinstance(value, float) else f"number {value}"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _integer(bits: int) -> BeforeValidator:
    def check(value: Any) -> Any:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            raise go_type(f"int{bits}")
        return value

    return BeforeValidator(check)


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise go_type("string")
    return value


def _flag(value: Any) -> Any:
    if not isinstance(value, bool):
        raise go_type("bool")
    return value


def _real(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise go_type("float32")
    return float(value)


def _duration(value: Any) -> Any:
    if isinstance(value, float):
        return value
    if not isinstance(value, str):
        raise go_type("string")
    try:
        return parse_duration(value)
    except ValueError as error:
        raise said(str(error)) from None


def _octets(value: Any) -> Any:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise go_type("[]uint8")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise said("illegal base64 data") from None


def _object(value: Any) -> Any:
    if not isinstance(value, dict):
        raise go_type("runtime.RawExtension")
    return value


Text = Annotated[str, BeforeValidator(_text)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Int32 = Annotated[int, _integer(32)]
Int64 = Annotated[int, _integer(64)]
Real = Annotated[float, BeforeValidator(_real)]
Seconds = Annotated[float, BeforeValidator(_duration)]
Octets = Annotated[bytes, BeforeValidator(_octets)]
RawObject = Annotated[dict[str, Any], BeforeValidator(_object)]
