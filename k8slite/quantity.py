"""Resource quantities: `250m`, `1.5Gi`, `2e3`.

Source: Kubernetes documentation, "Quantity" (apimachinery resource.Quantity).
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from typing import Literal

from .remembering import remembered

_BINARY = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_PATTERN = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]?|[eE][+-]?\d+)$", re.ASCII)
#: No quantity is larger; what is written larger counts as this. It keeps `1e999999999` from filling the memory.
LARGEST = Decimal((1 << 63) - 1)
_EXPONENTS = 64
_LONGEST = 256


class QuantityError(ValueError):
    """The text is no quantity."""


@remembered(4096)
def parse(text: str | int | float) -> Decimal:
    """The exact value of a quantity, at most LARGEST. Raises QuantityError."""
    written = str(text)
    found = _PATTERN.fullmatch(written) if len(written) <= _LONGEST else None
    if not found:
        raise QuantityError(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    number, suffix = found.groups()
    if suffix in _BINARY:
        return _capped(Decimal(number) * _BINARY[suffix])
    exponent = _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])
    return _capped(Decimal(number).scaleb(max(-_EXPONENTS, min(exponent, _EXPONENTS))))


def _capped(value: Decimal) -> Decimal:
    return max(-LARGEST, min(value, LARGEST))


def whole(text: str | int | float) -> int:
    """The value rounded up to a whole number: bytes of memory, count of pods."""
    return int(parse(text).to_integral_value(ROUND_CEILING))


def milli(text: str | int | float) -> int:
    """The value in thousandths rounded up: millicores of CPU."""
    return int((parse(text) * 1000).to_integral_value(ROUND_CEILING))


@remembered(4096)
def canonical(text: str | int | float) -> str:
    """The form in which the API writes a quantity: the largest suffix that leaves a whole number.

    A quantity keeps its family: `1024Mi` becomes `1Gi`, `1000m` becomes `1`, `1000e3` becomes `1e6`. Parts smaller than
    a nano are rounded up. Raises QuantityError.
    """
    return written(parse(text), form_of(text))


Form = Literal["decimal", "binary", "exponent"]


@remembered(4096)
def form_of(text: str | int | float) -> Form:
    """The family of a quantity's suffix; sums are written in the family of what came first. Raises QuantityError."""
    parse(text)
    found = _PATTERN.fullmatch(str(text))
    suffix = found[2] if found else ""
    return "binary" if suffix in _BINARY else "decimal" if suffix in _DECIMAL else "exponent"


def written(value: Decimal, form: Form) -> str:
    """A value as the API writes it in one of the families."""
    if value == 0:
        return "0"
    if form == "binary":
        if abs(value) >= 1024 and value == value.to_integral_value():
            return _largest(int(value), 1024, ("", *_BINARY))
        form = "decimal"
    nanos = int((abs(value) * 10**9).to_integral_value(ROUND_CEILING))
    nanos = -nanos if value < 0 else nanos
    if form == "decimal":
        return _largest(nanos, 1000, tuple(_DECIMAL))
    exponent = -9
    while nanos % 1000 == 0:
        nanos //= 1000
        exponent += 3
    return f"{nanos}e{exponent}" if exponent else str(nanos)


def _largest(number: int, base: int, suffixes: tuple[str, ...]) -> str:
    """The number with the largest of the suffixes (each `base` times the one before) that divides it."""
    step = 0
    while number % base == 0 and step < len(suffixes) - 1:
        number //= base
        step += 1
    return f"{number}{suffixes[step]}"
