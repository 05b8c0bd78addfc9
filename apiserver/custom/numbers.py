"""Rules for numbers in a schema: bounds, multiples, and the range of a format.

Source: kube-openapi, pkg/validation/validate/values.go.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
_LARGEST_FLOAT = 3.4028234663852886e38


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong; `misplaced` marks the few that are reported without their field."""

    value: Any
    text: str
    misplaced: bool = False


def problems(
    value: int | float, raw: Mapping[str, Any], types: tuple[str, ...], format: str, path: str
) -> list[Problem]:
    """What is wrong with a number."""
    found: list[Problem] = []
    if len(types) == 1 and not _in_range(value, types[0], format):
        suffix = f"with format {format} in {path}" if format else f"(default format) in {path}"
        found.append(Problem("", f"Checked value must be of type {types[0]} {suffix}", misplaced=True))
    factor, least, most = raw.get("multipleOf"), raw.get("minimum"), raw.get("maximum")
    if factor is not None:
        if factor <= 0:
            found.append(Problem(factor, f"factor MultipleOf declared for {path} must be positive: {shown(factor)}"))
        elif not _is_multiple(value, factor):
            found.append(Problem(value, f"{path} in body should be a multiple of {shown(factor)}"))
    if least is not None:
        exclusive = bool(raw.get("exclusiveMinimum"))
        if value < least or (exclusive and value == least):
            words = "greater than" if exclusive else "greater than or equal to"
            found.append(Problem(value, f"{path} in body should be {words} {shown(least)}"))
    if most is not None:
        exclusive = bool(raw.get("exclusiveMaximum"))
        if value > most or (exclusive and value == most):
            words = "less than" if exclusive else "less than or equal to"
            found.append(Problem(value, f"{path} in body should be {words} {shown(most)}"))
    return found


def shown(value: int | float) -> str:
    """A number as Go prints it: without a fraction that is zero."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e21 else str(value)


def _is_multiple(value: int | float, factor: int | float) -> bool:
    if isinstance(value, int) and float(factor).is_integer():
        return value % int(factor) == 0
    try:
        ratio = value * (1 / factor) if factor < 1 else value / factor
    except OverflowError:
        return False
    return math.isfinite(ratio) and abs(ratio - round(ratio)) < 1e-9


def _in_range(value: int | float, type: str, format: str) -> bool:
    if type == "integer":
        low, high = _RANGES[format or "int64"]
        return low <= value <= high
    return format != "float" or abs(value) <= _LARGEST_FLOAT
