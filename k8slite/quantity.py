"""Resource quantities: `250m`, `1.5Gi`, `2e3`.

Source: Kubernetes documentation, "Quantity" (apimachinery resource.Quantity).
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache

_BINARY = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_PATTERN = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]?|[eE][+-]?\d+)$")


class QuantityError(ValueError):
    """The text is no quantity."""


@lru_cache(maxsize=4096)
def parse(text: str | int | float) -> Decimal:
    """The exact value of a quantity. Raises QuantityError."""
    found = _PATTERN.match(str(text))
    if not found:
        raise QuantityError(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
        )
    number, suffix = found.groups()
    if suffix in _BINARY:
        return Decimal(number) * _BINARY[suffix]
    exponent = _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])
    return Decimal(number).scaleb(exponent)


def whole(text: str | int | float) -> int:
    """The value rounded up to a whole number: bytes of memory, count of pods."""
    return int(parse(text).to_integral_value(ROUND_CEILING))


def milli(text: str | int | float) -> int:
    """The value in thousandths rounded up: millicores of CPU."""
    return int((parse(text) * 1000).to_integral_value(ROUND_CEILING))
